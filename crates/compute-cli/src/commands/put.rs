//! `compute put`: stores a compute and prints its ref, and nothing else, on stdout.

use std::path::Path;

use compute::{Engine as _, Ref};
use compute_store::NewArtifact;
use compute_wasm::{NAME, WasmEngine};

use super::print_line;
use crate::args::{Cli, PutArgs};
use crate::context::open_store;
use crate::failure::Failure;
use crate::target;

pub(crate) fn put(cli: &Cli, args: &PutArgs) -> Result<(), Failure> {
    if !compute::engine_names().contains(&args.engine.as_str()) {
        return Err(Failure::usage(format!(
            "there is no engine `{}`; the engines here are: {}",
            args.engine,
            compute::engine_names().join(", ")
        )));
    }
    let artifact = target::from_file(&args.file, &args.engine)?;
    if args.engine == NAME {
        // What could never run is told now, and not on its first call.
        let engine = WasmEngine::open(&compute::EngineConfig::default())?;
        engine
            .load(&artifact, compute::Profile::default())
            .map_err(|error| named(error.into(), &args.file, artifact.reference()))?;
    }
    let store = open_store(cli)?;
    let manifest = pollster::block_on(store.put(&NewArtifact::new(artifact)))?;
    print_line(manifest.reference)
}

fn named(failure: Failure, file: &Path, reference: &Ref) -> Failure {
    failure.about(&file.display().to_string(), reference)
}
