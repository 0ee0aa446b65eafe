//! pip, which finds and gets packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::Has;
use super::requirements::{Named, normal};

/// pip, for which markers such as `python_version >= "3.13"` and `sys_platform == "win32"` are about the sandbox's CPython, and not about the one
/// that pip runs on: no option of pip's says so.
const FOR_THE_SANDBOX: &str = r#"
import sys
from pip._internal.cli.main import main
from pip._internal.exceptions import InstallationError
from pip._internal.req.req_install import InstallRequirement
from pip._vendor.packaging.requirements import Requirement
import pip._vendor.packaging.markers as markers
known = markers.default_environment
def environment():
    return {**known(), "python_version": "3.15", "python_full_version": "3.15.0", "implementation_version": "3.15.0",
            "implementation_name": "cpython", "platform_python_implementation": "CPython", "os_name": "posix",
            "sys_platform": "wasi", "platform_system": "wasi", "platform_machine": "wasm32", "platform_release": "",
            "platform_version": ""}
markers.default_environment = environment

# What a wheel says that it needs may be an address, which pip would have built: that runs somebody's code.
begin = Requirement.__init__
def named(self, text):
    begin(self, text)
    if self.url:
        raise InstallationError(f"{text!r} is needed by an address, and not by a name from an index")
def unbuilt(self, *given, **more):
    raise InstallationError(f"{self} would have to be built")
assert hasattr(InstallRequirement, "prepare_metadata") and hasattr(InstallRequirement, "load_pyproject_toml"), "another pip"
Requirement.__init__ = named
InstallRequirement.load_pyproject_toml = unbuilt
sys.exit(main(sys.argv[1:]))
"#;
const WITHOUT_QUESTIONS: [&str; 2] = ["--disable-pip-version-check", "--no-input"];
/// What pip says before it tells which packages do not go together.
const CONFLICT: &str = "The conflict is caused by:";

/// The CPython that packages are for.
const VERSION: &str = "3.15";

/// pip, as `python3 -m pip`. It has the user's settings: an index of one's own, and a proxy.
#[derive(Clone, Copy, Debug)]
pub struct Pip;

/// What pip could not do.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipError {
    /// There is none.
    #[error("python3 with pip is needed for it, and cannot be started: {0}")]
    Missing(String),
    /// It failed, with these words.
    #[error("{0}")]
    Failed(String),
}

/// A wheel that pip has chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) url: String,
    pub(super) sha256: String,
}

impl Pip {
    /// Downloads wheels into a folder: those that these lines name, which have a version and a hash each, and nothing but those very
    /// files.
    ///
    /// # Errors
    /// [`PipError`].
    pub fn download(self, requirements: &str, folder: &Path) -> Result<(), PipError> {
        download(requirements, folder, &["--only-binary", ":all:"], &[])
    }

    /// The same for packages of pure Python, from where these options say that they are.
    pub(super) fn download_pure(
        self,
        requirements: &str,
        folder: &Path,
        options: &[String],
    ) -> Result<(), PipError> {
        download(requirements, folder, &pure(), options)
    }

    /// What is named comes to, beside what is there already, whose versions stay.
    pub(super) fn choose(self, named: &Named, has: &Has) -> Result<Vec<Chosen>, PipError> {
        let failed = |error: std::io::Error| PipError::Failed(error.to_string());
        let folder = tempfile::tempdir().map_err(failed)?;
        let at = |name: &str| folder.path().join(name);
        let mut constraints = String::new();
        for (name, version) in has {
            constraints.push_str(&format!("{name}=={version}\n"));
            stand_in(folder.path(), name, version).map_err(failed)?;
        }
        constraints.push_str(&named.constraints.join("\n"));
        fs::write(at("constraints.txt"), constraints).map_err(failed)?;
        fs::write(at("requirements.txt"), named.packages.join("\n")).map_err(failed)?;
        let mut command = Command::new("python3");
        command.args(["-c", FOR_THE_SANDBOX, "install"]).args(WITHOUT_QUESTIONS);
        command.args(["--dry-run", "--ignore-installed"]).args(pure());
        command.arg("--target").arg(at("target")).arg("--report").arg(at("report.json"));
        command.arg("--find-links").arg(folder.path());
        command.arg("--constraint").arg(at("constraints.txt"));
        command.args(&named.options);
        command.arg("--requirement").arg(at("requirements.txt")).current_dir(folder.path());
        run(command)?;
        let report = fs::read(at("report.json")).map_err(failed)?;
        let report: Report = serde_json::from_slice(&report)
            .map_err(|error| PipError::Failed(format!("its report cannot be read: {error}")))?;
        let stand_ins: BTreeSet<_> = has.keys().map(|name| normal(name)).collect();
        let chosen = report.install.into_iter();
        chosen
            .filter(|one| !stand_ins.contains(&normal(&one.metadata.name)))
            .map(|one| {
                let Installed { metadata: Metadata { name, version }, download_info } = one;
                let mut hashes = download_info.archive_info.hashes;
                let sha256 = hashes.remove("sha256").ok_or_else(|| {
                    PipError::Failed(format!("{name} {version} has no SHA-256 where it comes from"))
                })?;
                Ok(Chosen { name, version, url: download_info.url, sha256 })
            })
            .collect()
    }
}

/// pip's report of what it would install.
#[derive(Deserialize)]
struct Report {
    install: Vec<Installed>,
}

#[derive(Deserialize)]
struct Installed {
    metadata: Metadata,
    download_info: Download,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Download {
    url: String,
    #[serde(default)]
    archive_info: Archive,
}

#[derive(Default, Deserialize)]
struct Archive {
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

fn download(
    requirements: &str,
    folder: &Path,
    which: &[&str],
    options: &[String],
) -> Result<(), PipError> {
    let list = folder.join("requirements.txt");
    fs::write(&list, requirements).map_err(|error| PipError::Failed(error.to_string()))?;
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "download", "--quiet"]).args(WITHOUT_QUESTIONS);
    command.args(["--no-deps", "--require-hashes"]).args(which).args(options);
    command.arg("--dest").arg(folder).arg("--requirement").arg(&list);
    run(command)
}

/// Wheels of pure Python alone: those for any platform.
fn pure() -> [&'static str; 10] {
    [
        "--only-binary",
        ":all:",
        "--platform",
        "any",
        "--python-version",
        VERSION,
        "--implementation",
        "py",
        "--abi",
        "none",
    ]
}

fn run(mut command: Command) -> Result<(), PipError> {
    let output = command.output().map_err(|error| PipError::Missing(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let [said, failed] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    // Of where in pip it happened, nobody learns anything.
    let failed = match failed.rfind("\nTraceback (most recent call last):") {
        Some(_) => failed.trim().lines().next_back().unwrap_or_default().to_owned(),
        None => failed,
    };
    let why = said.find(CONFLICT).map(|at| said[at..].lines().take(20).collect::<Vec<_>>());
    let why = why.map(|lines| format!("\n{}", lines.join("\n"))).unwrap_or_default();
    Err(PipError::Failed(format!("{}{why}", failed.trim())))
}

/// Writes a wheel that stands for a package which is there already.
fn stand_in(folder: &Path, name: &str, version: &str) -> std::io::Result<()> {
    let name = name.replace('-', "_");
    let file = fs::File::create(folder.join(format!("{name}-{version}-py3-none-any.whl")))?;
    let mut wheel = ZipWriter::new(file);
    let info = format!("{name}-{version}.dist-info");
    let mut add = |path: &str, text: String| {
        wheel.start_file(format!("{info}/{path}"), SimpleFileOptions::default())?;
        wheel.write_all(text.as_bytes())
    };
    add("METADATA", format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"))?;
    add("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned())?;
    add("RECORD", String::new())?;
    wheel.finish()?;
    Ok(())
}
