//! `compute get`: a stored compute's bytes, verified.

use std::path::Path;

use super::print_bytes;
use crate::args::{Cli, GetArgs};
use crate::context::open_store;
use crate::failure::Failure;
use crate::target;

pub(crate) fn get(cli: &Cli, args: &GetArgs) -> Result<(), Failure> {
    let stored = pollster::block_on(open_store(cli)?.get(&args.reference))?;
    if args.output == Path::new("-") {
        return print_bytes(stored.artifact.wasm());
    }
    target::write(&args.output, stored.artifact.wasm())
}
