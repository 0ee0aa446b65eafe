//! `compute verify --rebuild`: builds an op again from what is stored with it, and says what differs.

use std::path::Path;

use compute::Ref;
use compute_js::{Built, Sources};
use compute_js_plugin::SOURCE_MAP;
use compute_store::{Store, Stored};
use serde_json::Value;

use crate::args::Cli;
use crate::failure::Failure;
use crate::host::Host;
use crate::show;
use crate::work::target;

/// The largest source map that is read to find a difference, in bytes.
const MAX_MAP: usize = 64 << 20;

/// Builds a stored op again, from its sources in the store or from those in a folder. What is different is a failure.
pub(crate) fn rebuild(
    cli: &Cli,
    store: &dyn Store,
    reference: &Ref,
    from: Option<&Path>,
) -> Result<(), Failure> {
    let stored = pollster::block_on(store.get(reference))?;
    let Some(attached) = stored.manifest.attachments.get(Sources::NAME) else {
        return Err(Failure::usage(format!(
            "{reference} has no sources stored with it: `compute put SOURCE --sources` stores them"
        )));
    };
    let sources = Sources::read(&pollster::block_on(store.attachment(attached))?)?;
    if sources.op() != reference {
        let of = sources.op();
        return Err(Failure::Host(format!(
            "the sources that are stored with {reference} say that they are those of {of}"
        )));
    }
    check_plugin(&stored, &sources)?;
    let host = Host::new(cli, 0, 1)?;
    let built = match from {
        None => sources.rebuild(&host.manager)?,
        Some(folder) => build_in(folder, &sources, &host)?,
    };
    if built.artifact.reference() == reference {
        let files = show::count(sources.files().len(), "file");
        show::tell!("built again from {files} by compute {}", Sources::compute_here());
        return Ok(());
    }
    Err(Failure::Guest(difference(store, &stored, &sources, &built)))
}

/// An op names its plugin, so one that was built for another plugin can only be built by the compute that has it.
fn check_plugin(stored: &Stored, sources: &Sources) -> Result<(), Failure> {
    let reference = stored.artifact.reference();
    let linked = compute_wasm::linked_plugin(stored.artifact.wasm());
    if linked.as_ref() != Some(sources.plugin()) {
        let linked = linked.map_or_else(|| "none".to_owned(), |plugin| plugin.to_string());
        return Err(Failure::Guest(format!(
            "the plugin differs: its sources say {}, and {reference} links to {linked}",
            sources.plugin()
        )));
    }
    let own = compute_js_plugin::plugin();
    if own.reference() != sources.plugin() {
        return Err(Failure::Guest(format!(
            "the plugin differs: {reference} links to {}, which is that of compute {}, and this is compute {} \
             with {}; build it again with the other one",
            sources.plugin(),
            sources.compute(),
            Sources::compute_here(),
            own.reference()
        )));
    }
    Ok(())
}

/// Builds the op from the author's own files, if they are those that it was built from.
fn build_in(folder: &Path, sources: &Sources, host: &Host) -> Result<Built, Failure> {
    let root = folder.canonicalize().map_err(|error| {
        Failure::usage(format!("cannot read the folder {}: {error}", folder.display()))
    })?;
    for file in sources.files() {
        let path = root.join(file.path());
        let shown = folder.join(file.path());
        if !path.is_file() {
            return Err(Failure::Guest(format!(
                "there is no file {}, which it was built from",
                shown.display()
            )));
        }
        if !file.is(&target::read(&path)?) {
            return Err(Failure::Guest(format!(
                "{} differs from the file that it was built from",
                shown.display()
            )));
        }
    }
    // Without what earlier builds kept.
    let built = compute_js::build(&root.join(sources.entry()), &sources.options(), &host.manager)?;
    if let Some(file) = sources.unknown_input(&built, &root) {
        return Err(Failure::Guest(format!(
            "{} is read by the build here, and it was built without it",
            file.display()
        )));
    }
    Ok(built)
}

/// What differs: the version, or the first file, by the source map that was stored when it was built.
fn difference(store: &dyn Store, stored: &Stored, sources: &Sources, built: &Built) -> String {
    let here = Sources::compute_here();
    let mut text = format!(
        "{} differs from what its sources build to, which is {}",
        stored.artifact.reference(),
        built.artifact.reference()
    );
    if sources.compute() != here {
        text += &format!("; it was built by compute {}, and this is {here}", sources.compute());
    }
    let map = stored.manifest.attachments.get(SOURCE_MAP);
    let map = map.and_then(|map| pollster::block_on(store.attachment(map)).ok());
    let Some(map) = map.filter(|map| map.len() <= MAX_MAP) else {
        return text + "; there is no source map stored with it that tells which file differs";
    };
    match first_difference(&map, &built.source_map) {
        Some(file) => text + &format!("; by its source map, the first file that differs is {file}"),
        None => text + "; by its source map, no file differs",
    }
}

/// The first source of two maps that is not the same in both.
fn first_difference(before: &[u8], now: &[u8]) -> Option<String> {
    let [before, now] = [before, now].map(contents);
    let longest = before.len().max(now.len());
    (0..longest).find_map(|at| {
        let (before, now) = (before.get(at), now.get(at));
        let name = before.or(now).map(|(name, _)| name.clone());
        if before == now { None } else { name }
    })
}

/// The sources of a map, with their texts.
fn contents(map: &[u8]) -> Vec<(String, Option<String>)> {
    let map: Value = serde_json::from_slice(map).unwrap_or_default();
    let texts = |key: &str| {
        let values = map.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut contents = texts("sourcesContent").into_iter();
    let named = |name: Option<String>| (name.unwrap_or_default(), contents.next().flatten());
    texts("sources").into_iter().map(named).collect()
}
