//! `compute get`: a stored compute's bytes, verified.

use std::path::Path;

use crate::args::{Cli, GetArgs};
use crate::failure::Failure;
use crate::home::open_store;
use crate::show::print_bytes;
use crate::work::target;

pub(crate) fn get(cli: &Cli, args: &GetArgs) -> Result<(), Failure> {
    let stored = pollster::block_on(open_store(cli)?.get(&args.reference))?;
    if args.output == Path::new("-") {
        return print_bytes(stored.artifact.wasm());
    }
    target::write(&args.output, stored.artifact.wasm())
}
