//! `compute build`: an op from JavaScript or TypeScript, as a file.

use std::path::{Path, PathBuf};

use compute::Ref;
use compute_js::{BuildOptions, BundledModule, Diagnostic, Sources};
use serde::Serialize;

use crate::args::{BuildArgs, Cli};
use crate::failure::Failure;
use crate::host::Host;
use crate::show::{self, print_bytes, print_json, print_line};
use crate::work::target;

#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    #[serde(rename = "ref")]
    reference: &'a Ref,
    plugin: &'a Ref,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<&'a Path>,
    bytes: usize,
    modules: &'a [BundledModule],
    warnings: &'a [Diagnostic],
}

#[derive(Serialize)]
struct Errors<'a> {
    errors: &'a [Diagnostic],
}

#[derive(Serialize)]
struct Meta<'a> {
    bytes: usize,
    modules: &'a [BundledModule],
}

pub(crate) fn build(cli: &Cli, args: &BuildArgs) -> Result<(), Failure> {
    if !target::is_source(&args.file) && args.file.exists() {
        return Err(Failure::usage(format!(
            "{} is not JavaScript, TypeScript or Python; the endings are .{}",
            args.file.display(),
            target::SOURCES.join(", .")
        )));
    }
    let options = BuildOptions { minify: args.minify, ..BuildOptions::default() };
    let host = Host::new(cli, 0, 1)?;
    if target::is_python(&args.file) {
        return build_python(&host, args);
    }
    let built = match target::build(&host, &args.file, &options) {
        Err(Failure::Source(errors)) if args.json => {
            print_json(&Errors { errors: &errors })?;
            return Err(Failure::Source(errors));
        }
        built => built?,
    };
    if !args.json {
        for warning in &built.warnings {
            show::tell!("warning: {warning}");
        }
    }
    let file = args.output.clone().unwrap_or_else(|| default_output(&args.file));
    target::write_in_folder(&file, built.artifact.wasm())?;
    target::write_in_folder(&target::map_file(&file), &built.source_map)?;
    let sources = args.sources.then(|| target::sources_file(&file));
    if let Some(beside) = &sources {
        let sources = Sources::of(&built, &options, &host.manager)?;
        target::write_in_folder(beside, sources.to_bytes()?)?;
        if !args.json {
            let files = show::count(sources.files().len(), "file");
            show::tell!("its sources, {files}, are in {}", beside.display());
        }
    }
    if let Some(metafile) = &args.metafile {
        let meta = Meta { bytes: built.artifact.wasm().len(), modules: &built.modules };
        let mut json = serde_json::to_vec_pretty(&meta).map_err(|error| Failure::host(&error))?;
        json.push(b'\n');
        if metafile == Path::new("-") {
            print_bytes(&json)?
        } else {
            target::write_in_folder(metafile, &json)?
        }
    }
    if args.json {
        return print_json(&Report {
            file: &file,
            reference: built.artifact.reference(),
            plugin: built.plugin.reference(),
            sources: sources.as_deref(),
            bytes: built.artifact.wasm().len(),
            modules: &built.modules,
            warnings: &built.warnings,
        });
    }
    print_line(file.display())?;
    print_line(built.artifact.reference())
}

/// The same of an op in Python, whose sources are in it as they are.
fn build_python(host: &Host, args: &BuildArgs) -> Result<(), Failure> {
    let told = [
        (args.minify, "--minify"),
        (args.sources, "--sources"),
        (args.metafile.is_some(), "--metafile"),
    ];
    if let Some((_, flag)) = told.iter().find(|(given, _)| *given) {
        return Err(Failure::usage(format!(
            "{flag} is for JavaScript and TypeScript: an op in Python has its sources in it, as they are"
        )));
    }
    let built = match target::build_python(host, &args.file) {
        Err(Failure::Source(errors)) if args.json => {
            print_json(&Errors { errors: &errors })?;
            return Err(Failure::Source(errors));
        }
        built => built?,
    };
    let file = args.output.clone().unwrap_or_else(|| default_output(&args.file));
    target::write_in_folder(&file, built.artifact.wasm())?;
    target::write_in_folder(&target::map_file(&file), &built.source_map)?;
    let plugin = host.manager.links(&built.artifact)?;
    if args.json
        && let [plugin] = &*plugin
    {
        return print_json(&Report {
            file: &file,
            reference: built.artifact.reference(),
            plugin,
            sources: None,
            bytes: built.artifact.wasm().len(),
            modules: &[],
            warnings: &[],
        });
    }
    print_line(file.display())?;
    print_line(built.artifact.reference())
}

/// `dist/NAME.wasm` beside the source: not the sibling `NAME.wasm`, which a rule would take for a compute
/// of its own.
fn default_output(source: &Path) -> PathBuf {
    let name = source.file_stem().unwrap_or_default().to_owned();
    source.with_file_name("dist").join(name).with_added_extension("wasm")
}
