//! The compilers that the plugin, guests and tests are made with, installed under `target/tools/`. A
//! machine needs only Rust and Python.
//!
//! The plugin's build script and the chores share this, so that each tool is installed once.

mod quickjs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

pub use quickjs::QuickJs;

/// The C and Zig compiler.
const ZIG: &str = "ziglang==0.17.1";

/// Where tools are installed.
#[derive(Clone, Debug)]
pub struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Tools under this build folder, cargo's `target`.
    #[must_use]
    pub fn under(target: &Path) -> Self {
        Self { folder: target.join("tools") }
    }

    /// `python3 -m ziglang`, with its caches beside it.
    ///
    /// # Errors
    /// If it is not there and cannot be installed.
    pub fn zig(&self) -> Result<Command> {
        let folder = self.python_package("zig", ZIG)?;
        let cache = self.folder.join("zig-cache");
        let mut zig = python();
        zig.args(["-m", "ziglang"])
            .env("PYTHONPATH", folder)
            .env("ZIG_GLOBAL_CACHE_DIR", &cache)
            .env("ZIG_LOCAL_CACHE_DIR", &cache);
        Ok(zig)
    }

    /// A package from PyPI, in a folder of its own.
    ///
    /// # Errors
    /// If it is not there and cannot be installed.
    pub fn python_package(&self, name: &str, requirement: &str) -> Result<PathBuf> {
        self.install(name, requirement, |folder| {
            run(python()
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(["--root-user-action=ignore", "--target"])
                .args([folder.as_os_str(), requirement.as_ref()]))
            .with_context(|| {
                format!("Python 3 with pip is needed, to install {requirement} from PyPI")
            })
        })
    }

    /// Does this work in a folder of the tool's own, unless it was done already for the same `version`.
    /// What was begun and not finished is begun anew.
    ///
    /// # Errors
    /// Those of the work.
    pub fn install(
        &self,
        name: &str,
        version: &str,
        work: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        let done = folder.join(".installed");
        if fs::read_to_string(&done).is_ok_and(|installed| installed == version) {
            return Ok(folder);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        work(&folder).with_context(|| format!("cannot install {name}"))?;
        fs::write(done, version)?;
        Ok(folder)
    }
}

/// The Python there is.
#[must_use]
pub fn python() -> Command {
    let has = |name: &str| Command::new(name).arg("--version").output().is_ok();
    Command::new(if has("python3") { "python3" } else { "python" })
}

/// Runs a command; what it prints is shown if it fails.
///
/// # Errors
/// If it cannot be started, or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
