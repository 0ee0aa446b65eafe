//! Packages of pure Python that an op brings: what `requirements.txt` or `pyproject.toml` beside it names, as `pylock.toml` pins it.
//!
//! `pylock.toml` is the lock file of the Python packaging specifications (PEP 751). It is written when it is missing, or when what is
//! named has changed since; wheels are taken by the SHA-256 that stands in it, and kept by that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::path::{Path, PathBuf};

use compute::Algorithm;
use serde::{Deserialize, Serialize};
use url::Url;
use zip::ZipArchive;

use super::pip::{Chosen, Pip, PipError};
use super::requirements::{self, Line, Named, normal};
use super::{BuildError, Has, MOST_BYTES, MOST_FILES};

const REQUIREMENTS: &str = "requirements.txt";
const PROJECT: &str = "pyproject.toml";
const LOCK: &str = "pylock.toml";
/// How many files may name packages for an op.
const MOST_NAMED: usize = 20;
/// The largest wheel that is taken, in bytes.
const MOST_WHEEL: u64 = 64 << 20;

/// Which lines of requirements these versions of packages don't fit.
pub(super) type Misfits<'a> = dyn Fn(&[&str], &Has) -> Result<Vec<String>, BuildError> + 'a;

/// The packages that ops in a folder may use.
pub(super) struct Packages {
    folder: PathBuf,
    /// The files that name them.
    named_in: Vec<PathBuf>,
    named: Named,
}

/// The lock file: what of it is written and read here.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Lock {
    lock_version: String,
    created_by: String,
    #[serde(default)]
    packages: Vec<Package>,
    #[serde(default)]
    tool: Tool,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Tool {
    #[serde(default)]
    compute: Option<Made>,
}

/// What a lock was made of: SHA-256 of the lines for pip and of what the plugin has.
#[derive(Debug, Deserialize, Serialize, PartialEq, Eq)]
struct Made {
    of: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Package {
    name: String,
    /// What has none is a folder, such as the project itself.
    #[serde(default)]
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
    #[serde(default)]
    wheels: Vec<Wheel>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Wheel {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Where it is without a network: from the lock's folder, or from the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    hashes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Project {
    project: Option<ProjectTable>,
}

#[derive(Deserialize)]
struct ProjectTable {
    #[serde(default)]
    dependencies: Vec<String>,
}

/// A wheel, unpacked: the files that it installs, and the packages that it needs.
struct Unpacked {
    files: BTreeMap<String, Vec<u8>>,
    needs: Vec<String>,
}

fn failed(problem: impl Into<String>) -> BuildError {
    BuildError::Package(problem.into())
}

impl Packages {
    /// Those that are named beside an op, or in the nearest folder above.
    pub(super) fn near(folder: &Path) -> Result<Option<Self>, BuildError> {
        let start = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let start = start.canonicalize().map_err(|error| failed(error.to_string()))?;
        for folder in start.ancestors() {
            let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
            let mut packages =
                Self { folder: folder.to_owned(), named_in: Vec::new(), named: Named::default() };
            if let Some(path) = file(REQUIREMENTS) {
                packages.add(path, false)?;
            } else if let Some(path) = file(PROJECT) {
                for line in of_project(&path, &super::read(&path)?)? {
                    let package = Line::of_package(&line);
                    let package = package.ok_or_else(|| refused_line(&path, None, &line))?;
                    packages.named.packages.push(package);
                }
                packages.named_in.push(path);
            } else if file(LOCK).is_none() {
                continue;
            }
            return Ok(Some(packages));
        }
        Ok(None)
    }

    /// Adds what a file of requirements names, or of constraints, and the files that it names.
    fn add(&mut self, path: PathBuf, is_constraint: bool) -> Result<(), BuildError> {
        if self.named_in.contains(&path) {
            return Ok(());
        }
        if self.named_in.len() >= MOST_NAMED {
            return Err(failed(format!(
                "{}: it names more than {MOST_NAMED} files",
                path.display()
            )));
        }
        let text = super::read(&path)?;
        let beside = path.parent().unwrap_or(Path::new("")).to_owned();
        self.named_in.push(path.clone());
        for (number, text) in requirements::lines(&text) {
            let wrong = || refused_line(&path, Some(number), &text);
            match Line::read(&text).ok_or_else(wrong)? {
                Line::Package(package) if is_constraint => self.named.constraints.push(package),
                Line::Package(package) => self.named.packages.push(package),
                Line::Requirements(name) => self.add(beside.join(name), is_constraint)?,
                Line::Constraints(name) => self.add(beside.join(name), true)?,
                Line::Option(option) => self.named.options.push(option),
                Line::Folder(option, name) => {
                    let folder = beside.join(name);
                    self.named.options.push(format!("{option}={}", folder.display()));
                }
            }
        }
        Ok(())
    }

    /// What is named, by line.
    pub(super) fn lines(&self) -> Vec<&str> {
        self.named.packages.iter().map(String::as_str).collect()
    }

    /// Refuses lines that what the plugin has does not fit.
    pub(super) fn check(&self, misfits: &[String], has: &Has) -> Result<(), BuildError> {
        if misfits.is_empty() {
            return Ok(());
        }
        let problem =
            format!("the plugin has another version than is named: {}", misfits.join(", "));
        Err(self.refused(&PipError::Failed(problem), has))
    }

    /// The files that decide which packages there are.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let lock = self.folder.join(LOCK);
        self.named_in.iter().cloned().chain([lock]).collect()
    }

    /// The files of those packages that have these modules, and of what they need, by their paths.
    pub(super) fn get(
        &self,
        modules: &BTreeSet<String>,
        has: &Has,
        misfits: &Misfits<'_>,
        kept: &Path,
    ) -> Result<BTreeMap<String, Vec<u8>>, BuildError> {
        if modules.is_empty() {
            return Ok(BTreeMap::new());
        }
        let lock = self.lock(has, misfits)?;
        let mut unpacked = BTreeMap::new();
        for (package, wheel) in wheels(&lock, &self.named.options, kept)? {
            unpacked.insert(normal(&package.name), unpack(&package.name, wheel)?);
        }
        let provides = |one: &Unpacked| {
            one.files.keys().any(|path| {
                let top = path.split('/').next().unwrap_or_default();
                modules.contains(top)
                    || top.strip_suffix(".py").is_some_and(|top| modules.contains(top))
            })
        };
        let mut wanted: VecDeque<String> = unpacked
            .iter()
            .filter(|(_, one)| provides(one))
            .map(|(name, _)| name.clone())
            .collect();
        let mut files = BTreeMap::new();
        let mut bytes = 0;
        while let Some(name) = wanted.pop_front() {
            let Some(one) = unpacked.remove(&name) else { continue };
            wanted.extend(one.needs);
            for (path, contents) in one.files {
                bytes += contents.len();
                files.insert(path, contents);
            }
            if bytes > MOST_BYTES || files.len() > MOST_FILES {
                return Err(BuildError::TooMuch);
            }
        }
        Ok(files)
    }

    /// The lock, made if there is none of what is named now.
    fn lock(&self, has: &Has, misfits: &Misfits<'_>) -> Result<Lock, BuildError> {
        let path = self.folder.join(LOCK);
        let versions: String =
            has.iter().map(|(name, version)| format!("{name}=={version}\n")).collect();
        let of = format!("{:?}\0{versions}", self.named);
        let made = Made { of: Algorithm::Sha256.hex_digest(of.as_bytes()) };
        if path.is_file() {
            let text = super::read(&path)?;
            let lock: Lock = toml::from_str(&text).map_err(|error| {
                failed(format!("{}: {error}; without it, it is made anew", path.display()))
            })?;
            if !lock.lock_version.starts_with("1.") {
                return Err(failed(format!(
                    "{}: it is of version {}, and this program knows version 1",
                    path.display(),
                    lock.lock_version
                )));
            }
            // One that somebody else's tool has made is taken as it is.
            match &lock.tool.compute {
                Some(other) if *other != made => {}
                Some(_) => return Ok(lock.of_pure_python(has)),
                None => {
                    let pinned = lock.packages.iter();
                    let pinned: Has = pinned
                        .map(|one| (one.name.clone(), one.version.clone()))
                        .filter(|(_, version)| !version.is_empty())
                        .collect();
                    let misfits = misfits(&self.lines(), &pinned)?;
                    if !misfits.is_empty() {
                        return Err(failed(format!(
                            "{} pins other versions than are named: {}; have the tool that made it make it anew, or delete it",
                            path.display(),
                            misfits.join(", ")
                        )));
                    }
                    return lock.of_pure_python_alone(has);
                }
            }
        }
        let chosen = self.choose(has)?;
        let lock = Lock {
            lock_version: "1.0".to_owned(),
            created_by: "compute".to_owned(),
            packages: chosen.into_iter().map(|one| one.into_package(&self.folder)).collect(),
            tool: Tool { compute: Some(made) },
        };
        let text = toml::to_string(&lock).map_err(|error| failed(error.to_string()))?;
        // Whole, or not at all.
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(text.as_bytes())?;
            // Others build from it, too.
            #[cfg(unix)]
            file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
            file.persist(&path).map(drop).map_err(|error| error.error)
        };
        write().map_err(|error: std::io::Error| {
            failed(format!("{} cannot be written: {error}", path.display()))
        })?;
        Ok(lock)
    }

    /// What pip chooses.
    fn choose(&self, has: &Has) -> Result<Vec<Chosen>, BuildError> {
        if self.named_in.is_empty() {
            return Ok(Vec::new());
        }
        let chosen = Pip.choose(&self.named, has);
        chosen.map_err(|error| self.refused(&error, has))
    }

    /// What is said where pip finds no packages that fit.
    fn refused(&self, error: &PipError, has: &Has) -> BuildError {
        let PipError::Failed(said) = error else { return failed(error.to_string()) };
        failed(format!(
            "the packages of {} cannot be had:\n{said}\nan op brings packages of pure Python (wheels for any platform), and uses what \
             the plugin has of others, in these versions: {}",
            self.named_in.first().unwrap_or(&self.folder).display(),
            listed(has)
        ))
    }
}

impl Lock {
    /// The same for one that somebody else's tool has made: what is pinned that is for some platform alone is told, as far as
    /// the plugin has none of it.
    fn of_pure_python_alone(self, has: &Has) -> Result<Self, BuildError> {
        let have: BTreeSet<_> = has.keys().map(|name| normal(name)).collect();
        let is_impure = |one: &&Package| {
            !one.version.is_empty()
                && one.marker.is_none()
                && !have.contains(&normal(&one.name))
                && !one.wheels.iter().any(Wheel::is_pure)
        };
        let impure: Vec<_> =
            self.packages.iter().filter(is_impure).map(|one| one.name.as_str()).collect();
        if impure.is_empty() {
            return Ok(self.of_pure_python(has));
        }
        Err(failed(format!(
            "{LOCK} pins no wheel of pure Python of {}: an op brings such packages alone, and uses what the plugin has of others: {}",
            impure.join(", "),
            listed(has)
        )))
    }

    /// Without what the plugin has, and without wheels for some platform alone.
    fn of_pure_python(mut self, has: &Has) -> Self {
        let has: BTreeSet<_> = has.keys().map(|name| normal(name)).collect();
        self.packages.retain_mut(|package| {
            package.wheels.retain(Wheel::is_pure);
            // Groups and extras are those of a project of its own.
            let of_group = |marker: &String| {
                ["dependency_groups", "extras"].iter().any(|word| marker.contains(word))
            };
            !package.wheels.is_empty()
                && !package.marker.as_ref().is_some_and(of_group)
                && !has.contains(&normal(&package.name))
        });
        self
    }
}

impl Wheel {
    /// Whether its name says that it is for any platform. Where it says nothing, that is seen when it is unpacked.
    fn is_pure(&self) -> bool {
        let name = self.name.as_ref().or(self.url.as_ref()).or(self.path.as_ref());
        name.is_none_or(|name| name.ends_with("-none-any.whl"))
    }
}

impl Chosen {
    /// As it stands in a lock in this folder.
    fn into_package(self, folder: &Path) -> Package {
        let Self { name, version, url, sha256 } = self;
        let hashes = BTreeMap::from([("sha256".to_owned(), sha256)]);
        let file = Url::parse(&url).ok().and_then(|url| url.to_file_path().ok());
        let wheel = match file {
            Some(file) => {
                let path = file.strip_prefix(folder).unwrap_or(&file);
                let path = path.to_string_lossy().into_owned();
                Wheel { name: None, url: None, path: Some(path), hashes }
            }
            None => Wheel { name: None, url: Some(url), path: None, hashes },
        };
        Package { name, version, marker: None, wheels: vec![wheel] }
    }
}

/// What the plugin has, for people.
fn listed(has: &Has) -> String {
    let list: Vec<_> = has.iter().map(|(name, version)| format!("{name} {version}")).collect();
    list.join(", ")
}

/// What is said of a line that is not taken.
fn refused_line(path: &Path, number: Option<usize>, line: &str) -> BuildError {
    let number = number.map(|number| format!(":{number}")).unwrap_or_default();
    failed(format!(
        "{}{number}: {line}: packages come by their names from an index, as wheels of pure Python, with versions, extras, markers and --hash, and \
         what is your own is put beside the op; of options there are {}",
        path.display(),
        requirements::OPTIONS
    ))
}

/// The lines for pip of a project's dependencies.
fn of_project(path: &Path, text: &str) -> Result<Vec<String>, BuildError> {
    let project: Project =
        toml::from_str(text).map_err(|error| failed(format!("{}: {error}", path.display())))?;
    Ok(project.project.map(|project| project.dependencies).unwrap_or_default())
}

/// The wheels that are pinned: those that are kept, and the others through pip, with options that say where they are.
fn wheels<'a>(
    lock: &'a Lock,
    options: &[String],
    kept: &Path,
) -> Result<Vec<(&'a Package, Vec<u8>)>, BuildError> {
    let pinned = |package: &Package| -> Result<Vec<String>, BuildError> {
        let hashes = package.wheels.iter().filter_map(|wheel| wheel.hashes.get("sha256").cloned());
        let hashes: Vec<_> = hashes.filter(|hash| is_sha256(hash)).collect();
        if hashes.is_empty() {
            return Err(failed(format!("{LOCK}: {} has no wheel with a SHA-256", package.name)));
        }
        Ok(hashes)
    };
    let have = |hash: &String| {
        let path = kept.join(format!("{hash}.whl"));
        let is_small = fs::metadata(&path).is_ok_and(|data| data.len() <= MOST_WHEEL);
        let bytes = is_small.then(|| fs::read(path).ok())??;
        (Algorithm::Sha256.hex_digest(&bytes) == *hash).then_some(bytes)
    };
    let (mut all, mut missing, mut lines) = (Vec::new(), Vec::new(), String::new());
    for package in &lock.packages {
        let hashes = pinned(package)?;
        if let Some(wheel) = hashes.iter().find_map(have) {
            all.push((package, wheel));
            continue;
        }
        let mut line = format!("{}=={}", package.name, package.version);
        hashes.iter().for_each(|hash| line.push_str(&format!(" --hash=sha256:{hash}")));
        // A lock is a file like any other: what pip is given is a package by its name.
        let line =
            Line::of_package(&line).ok_or_else(|| refused_line(Path::new(LOCK), None, &line))?;
        lines.push_str(&line);
        lines.push('\n');
        missing.push((package, hashes));
    }
    if !missing.is_empty() {
        let io = |error: std::io::Error| failed(format!("{}: {error}", kept.display()));
        fs::create_dir_all(kept).map_err(io)?;
        let folder = tempfile::tempdir_in(kept).map_err(io)?;
        Pip.download_pure(&lines, folder.path(), options)
            .map_err(|error| failed(format!("packages cannot be downloaded: {error}")))?;
        for entry in fs::read_dir(folder.path()).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|ending| ending == "whl") {
                let digest = Algorithm::Sha256.hex_digest(&fs::read(&path).map_err(io)?);
                fs::rename(&path, kept.join(format!("{digest}.whl"))).map_err(io)?;
            }
        }
    }
    for (package, hashes) in missing {
        let wheel = hashes.iter().find_map(have);
        let wheel = wheel.ok_or_else(|| {
            failed(format!(
                "{} {}: its wheel is not the one that {LOCK} pins, or has more than {} MiB",
                package.name,
                package.version,
                MOST_WHEEL >> 20
            ))
        })?;
        all.push((package, wheel));
    }
    Ok(all)
}

fn is_sha256(hash: &str) -> bool {
    hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Unpacks a wheel of pure Python.
fn unpack(name: &str, wheel: Vec<u8>) -> Result<Unpacked, BuildError> {
    let wrong = |problem: String| failed(format!("the wheel of {name}: {problem}"));
    let mut archive =
        ZipArchive::new(Cursor::new(wheel)).map_err(|error| wrong(error.to_string()))?;
    let (mut files, mut needs, mut bytes) = (BTreeMap::new(), Vec::new(), 0);
    for number in 0..archive.len() {
        let file = archive.by_index(number).map_err(|error| wrong(error.to_string()))?;
        if file.is_dir() {
            continue;
        }
        let path =
            file.enclosed_name().ok_or_else(|| wrong("a path leads out of it".to_owned()))?;
        let path = path.to_string_lossy().into_owned();
        if [".so", ".pyd", ".dylib", ".dll"].iter().any(|ending| path.ends_with(ending)) {
            return Err(wrong(format!(
                "{path} is native code: an op brings pure Python, and uses what the plugin has of others"
            )));
        }
        let mut contents = Vec::new();
        let read = file.take(MOST_BYTES as u64 + 1).read_to_end(&mut contents);
        read.map_err(|error| wrong(format!("{path}: {error}")))?;
        bytes += contents.len();
        if bytes > MOST_BYTES || files.len() >= MOST_FILES {
            return Err(BuildError::TooMuch);
        }
        let parts: Vec<_> = path.split('/').collect();
        match parts.as_slice() {
            [info, "METADATA"] if info.ends_with(".dist-info") => {
                needs = needed(&String::from_utf8_lossy(&contents));
                files.insert(path, contents);
            }
            // What pip writes there differs from machine to machine.
            [info, "RECORD"] if info.ends_with(".dist-info") => {}
            [data, "purelib" | "platlib", rest @ ..] if data.ends_with(".data") => {
                files.insert(rest.join("/"), contents);
            }
            [data, ..] if data.ends_with(".data") => {}
            _ => {
                files.insert(path, contents);
            }
        }
    }
    Ok(Unpacked { files, needs })
}

/// The packages that a wheel's metadata says it needs, whatever for.
fn needed(metadata: &str) -> Vec<String> {
    let lines = metadata.lines().take_while(|line| !line.is_empty());
    let needs = lines.filter_map(|line| line.strip_prefix("Requires-Dist:"));
    needs
        .map(|need| {
            let need = need.trim();
            let end = need.find(|letter: char| {
                !letter.is_ascii_alphanumeric() && !matches!(letter, '-' | '_' | '.')
            });
            normal(&need[..end.unwrap_or(need.len())])
        })
        .collect()
}
