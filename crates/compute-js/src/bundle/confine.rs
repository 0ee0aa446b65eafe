//! A build that reads nothing outside one folder: whoever wrote the sources is not trusted with this machine's files, not even with a
//! line of one in an error.
//!
//! The bundler reads with a file system of its own, so what it would read is tried first: each import by the same resolver on a file
//! system that ends at the folder, and each module by its path.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use oxc_resolver::{FileMetadata, FileSystem, FileSystemOs, ResolveError, ResolverGeneric};
use rolldown::ResolveOptions;
use rolldown::plugin::{
    HookLoadArgs, HookLoadReturn, HookResolveIdArgs, HookResolveIdReturn, HookUsage, Plugin,
    PluginContext, SharedLoadPluginContext,
};
use rolldown_common::{Platform, TsConfig};
use rolldown_resolver::Resolver;

/// Ends the build before it reads a file outside the folder.
#[derive(Debug)]
pub(crate) struct Confine {
    files: Confined,
    resolver: Resolver<Confined>,
    configs: ResolverGeneric<Confined>,
}

impl Confine {
    /// The folder is canonical; the project's folder and the options are those of the bundler.
    pub(crate) fn new(folder: &Path, project: &Path, options: ResolveOptions) -> Self {
        let files = Confined { folder: folder.to_owned(), ..Confined::new(false) };
        let cwd = project.to_owned();
        let resolver =
            Resolver::new(files.clone(), cwd, Platform::Browser, &TsConfig::default(), options);
        let configs = resolver.clone_default_resolver();
        Self { files, resolver, configs }
    }

    /// The first file outside the folder that the build would have read.
    pub(crate) fn outside(&self) -> Option<&Path> {
        self.files.outside.get().map(PathBuf::as_path)
    }

    fn check(&self) -> anyhow::Result<()> {
        match self.outside() {
            Some(path) => Err(anyhow::anyhow!("{} is outside", path.display())),
            None => Ok(()),
        }
    }
}

impl Plugin for Confine {
    fn name(&self) -> Cow<'static, str> {
        "compute:confine".into()
    }

    async fn resolve_id(
        &self,
        _ctx: &PluginContext,
        args: &HookResolveIdArgs<'_>,
    ) -> HookResolveIdReturn {
        let importer = args.importer.map(Path::new);
        // What it finds, or does not, the bundler finds itself.
        let found = self.resolver.resolve(importer, args.specifier, args.kind, args.is_entry);
        if let Ok(found) = found {
            self.files.check_id(&found.path);
        }
        self.check().map(|()| None)
    }

    async fn load(&self, _ctx: SharedLoadPluginContext, args: &HookLoadArgs<'_>) -> HookLoadReturn {
        self.files.check_id(args.id);
        self.check()?;
        // It says how TypeScript is read, and may lead elsewhere. What is wrong in it the bundler tells.
        let _ = self.configs.find_tsconfig(args.id);
        self.check().map(|()| None)
    }

    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::ResolveId | HookUsage::Load
    }
}

/// The machine's files, of which those in one folder can be read.
#[derive(Clone, Debug, Default)]
struct Confined {
    folder: PathBuf,
    outside: Arc<OnceLock<PathBuf>>,
}

impl Confined {
    /// Whether a file is in the folder, wherever links lead; one that is not is noted.
    fn may_read(&self, path: &Path) -> io::Result<()> {
        if path.canonicalize()?.starts_with(&self.folder) {
            return Ok(());
        }
        let _ = self.outside.set(path.to_owned());
        Err(io::ErrorKind::PermissionDenied.into())
    }

    /// Notes a module's file that is not known to be in the folder. Its id may end with a query.
    fn check_id(&self, id: &str) {
        let path = id.split(['?', '#']).next().unwrap_or(id);
        let inside = || [id, path].iter().any(|path| self.may_read(Path::new(path)).is_ok());
        if Path::new(id).is_absolute() && !inside() {
            let _ = self.outside.set(path.into());
        }
    }
}

impl FileSystem for Confined {
    fn new(_yarn_pnp: bool) -> Self {
        Self::default()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.may_read(path)?;
        std::fs::read(path)
    }

    fn read_to_string(&self, path: &Path) -> io::Result<String> {
        self.may_read(path)?;
        std::fs::read_to_string(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        FileSystemOs::metadata(path)
    }

    fn symlink_metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        FileSystemOs::symlink_metadata(path)
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, ResolveError> {
        FileSystemOs::read_link(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }
}

/// What the bundler's resolver asks for, and a search does not do.
impl rolldown_fs::FileSystem for Confined {
    fn remove_dir_all(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write(&self, _path: &Path, _content: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn read_dir(&self, _path: &Path) -> io::Result<Vec<PathBuf>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
