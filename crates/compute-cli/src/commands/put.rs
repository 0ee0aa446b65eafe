//! `compute put`: stores a compute and prints its ref, and nothing else, on stdout.

use std::path::Path;

use compute::{Engine as _, Load, Ref};
use compute_js_plugin::SOURCE_MAP;
use compute_store::{NewArtifact, Store};
use compute_wasm::{NAME, WasmEngine};

use super::print_line;
use crate::args::{Cli, PutArgs};
use crate::context::{self, Host, open_store};
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
    let host = Host::new(cli, 0, 1)?;
    let target = target::from_file(&host, &args.file, &args.engine)?;
    let artifact = &target.artifact;
    let mut new = NewArtifact::new(artifact.clone());
    let store = open_store(cli)?;
    if args.engine == NAME {
        if let Some(plugin) = compute_wasm::linked_plugin(artifact.wasm()) {
            put_plugin(&*store, &plugin, &args.file.display().to_string())?;
            new.links.push(plugin);
        }
        // What could never run is told now, and not on its first call.
        let engine = WasmEngine::open(&context::engine_config(1)?)?;
        engine
            .load(artifact, &Load::new(compute::Profile::default(), &*host.at_hand))
            .map_err(|error| named(error.into(), &args.file, artifact.reference()))?;
    }
    if let Some(map) = target.source_map_bytes(cli) {
        new.attachments.insert(SOURCE_MAP.to_owned(), map);
    }
    let manifest = pollster::block_on(store.put(&new))?;
    print_line(manifest.reference)
}

/// Makes sure that the plugin a compute links to is stored, too.
pub(super) fn put_plugin(store: &dyn Store, reference: &Ref, file: &str) -> Result<(), Failure> {
    let own = compute_js_plugin::plugin();
    if own.reference() == reference {
        pollster::block_on(store.put(&NewArtifact::new(own)))?;
        return Ok(());
    }
    pollster::block_on(store.head(reference)).map(|_| ()).map_err(|_| {
        Failure::Host(format!(
            "{file} links to the plugin {reference}, which is not in the store: put the plugin first, or \
             build {file} anew"
        ))
    })
}

fn named(failure: Failure, file: &Path, reference: &Ref) -> Failure {
    failure.about(&file.display().to_string(), reference)
}
