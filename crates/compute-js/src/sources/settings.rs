//! Which files decide a build without being part of the op: package.json, tsconfig.json, the lock file.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use oxc_resolver::{
    FileMetadata, FileSystem, FileSystemOs, ResolveError, ResolveOptions, ResolverGeneric,
    TsconfigDiscovery,
};

use crate::bundle::Origin;

/// What package managers write down versions in, as text.
const LOCKS: [&str; 5] =
    ["package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock"];
const PACKAGE: &str = "package.json";
/// The folder that packages are in.
const PACKAGES: &str = "node_modules";

/// The files that decide how these are read and found.
pub(super) fn of(origin: &Origin) -> BTreeSet<PathBuf> {
    let mut settings = BTreeSet::new();
    let read = Arc::new(Mutex::new(BTreeSet::new()));
    // The same search as the bundler's, by the same code: also what a tsconfig.json extends is found.
    let configs = ResolverGeneric::new_with_file_system(
        Noting { inner: FileSystemOs::new(false), read: read.clone() },
        ResolveOptions { tsconfig: Some(TsconfigDiscovery::Auto), ..ResolveOptions::default() },
    );
    for file in &origin.read {
        // One that cannot be read decides nothing here, and failed the build if it matters.
        let _ = configs.find_tsconfig(file);
        settings.extend(packages_above(file));
    }
    settings.extend(packages_above(&origin.project.join(PACKAGE)));
    let lock = origin
        .project
        .ancestors()
        .find_map(|folder| LOCKS.iter().map(|name| folder.join(name)).find(|file| file.is_file()));
    // One above the folders of all packages is of something else.
    settings.extend(lock.filter(|lock| {
        let folder = lock.parent().unwrap_or(lock);
        folder.join(PACKAGE).is_file()
    }));
    settings.append(&mut read.lock().unwrap_or_else(PoisonError::into_inner));
    settings
}

/// The package.json files that say what a file is: of a package, all up to the package's own; else the nearest.
fn packages_above(file: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let is_package = file.components().any(|part| part.as_os_str() == PACKAGES);
    for folder in file.ancestors().skip(1) {
        if folder.ends_with(PACKAGES) {
            break;
        }
        let package = folder.join(PACKAGE);
        if package.is_file() {
            found.push(package);
            if !is_package {
                break;
            }
        }
    }
    found
}

/// The machine's files, with a note of each that is read.
struct Noting {
    inner: FileSystemOs,
    read: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Noting {
    fn note<T>(&self, path: &Path, read: io::Result<T>) -> io::Result<T> {
        if read.is_ok() {
            self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        }
        read
    }
}

impl FileSystem for Noting {
    fn new(_yarn_pnp: bool) -> Self {
        Self { inner: FileSystemOs::new(false), read: Arc::default() }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.note(path, self.inner.read(path))
    }

    fn read_to_string(&self, path: &Path) -> io::Result<String> {
        self.note(path, self.inner.read_to_string(path))
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        self.inner.metadata(path)
    }

    fn symlink_metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        self.inner.symlink_metadata(path)
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, ResolveError> {
        self.inner.read_link(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.canonicalize(path)
    }
}
