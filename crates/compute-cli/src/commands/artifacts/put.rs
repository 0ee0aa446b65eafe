//! `compute put`: stores a compute and prints its ref, and nothing else, on stdout.

use std::time::Duration;

use compute::{Limits, Ref, RunOptions};
use compute_js::Sources;
use compute_js_plugin::SOURCE_MAP;
use compute_store::{Manifest, NewArtifact, Store};

use crate::args::{Cli, PutArgs};
use crate::failure::Failure;
use crate::home::open_store;
use crate::host::Host;
use crate::show::print_line;
use crate::user::bindings;
use crate::work::target::{self, Target};

/// How long a compute may take to compile.
const COMPILE: Duration = Duration::from_secs(600);

pub(crate) fn put(cli: &Cli, args: &PutArgs) -> Result<(), Failure> {
    if !compute::engine_names().contains(&compute::engine_name(&args.engine)) {
        return Err(Failure::usage(format!(
            "there is no engine `{}`; the engines here are: {}",
            args.engine,
            compute::engine_names().join(", ")
        )));
    }
    let host = Host::new(cli, 0, 1)?;
    let mut target = target::from_file(&host, &args.file, &args.engine)?;
    if args.sources {
        target.attach_sources(&host)?;
    }
    let store = open_store(cli)?;
    let manifest = store_target(&*store, &host, &target, &args.file.display().to_string())?;
    print_line(manifest.reference)
}

/// Stores a compute, with what it links to and its source map. What could never run is told now, and not on
/// its first call.
pub(crate) fn store_target(
    store: &dyn Store,
    host: &Host,
    target: &Target,
    name: &str,
) -> Result<Manifest, Failure> {
    let artifact = &target.artifact;
    let named = |error: compute::Error| Failure::from(error).about(name, artifact.reference());
    let mut new = NewArtifact::new(artifact.clone());
    new.links = host.manager.links(artifact).map_err(named)?;
    for plugin in &new.links {
        put_plugin(store, plugin, name)?;
    }
    let options = RunOptions::with_limits(Limits { wall: Some(COMPILE), ..Limits::default() });
    let loaded = host.manager.load(artifact, &options).map_err(named)?;
    loaded.map_err(|failure| Failure::Host(format!("{name}: {failure}")))?;
    if let Some(map) = target.source_map_bytes(host) {
        new.attachments.insert(SOURCE_MAP.to_owned(), map);
    }
    if let Some(sources) = &target.sources_document {
        new.attachments.insert(Sources::NAME.to_owned(), sources.clone());
    }
    Ok(pollster::block_on(store.put(&new))?)
}

/// Makes sure that the plugin a compute links to is stored, too.
pub(crate) fn put_plugin(store: &dyn Store, reference: &Ref, file: &str) -> Result<(), Failure> {
    // Whoever runs it has it from the same package.
    if bindings::admitted()?.contains(reference) {
        return Ok(());
    }
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
