//! QuickJS-NG, built for WebAssembly from the sources that the crate `rquickjs-sys` carries.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::MetadataCommand;

use crate::{Tools, run};

/// The crate that carries QuickJS-NG's sources, and its version.
const CARRIER: (&str, &str) = ("rquickjs-sys", "0.14.0");

/// The linker's stack, in bytes.
const STACK: u32 = 256 << 10;

/// How it is compiled: every flag counts for the digest.
const FLAGS: [&str; 13] = [
    "-target",
    "wasm32-wasi",
    "-mcpu=generic+bulk_memory+nontrapping_fptoint+sign_ext+mutable_globals",
    "-O2",
    "-mexec-model=reactor",
    "-D_GNU_SOURCE",
    "-DNDEBUG",
    "-fwrapv",
    "-funsigned-char",
    "-fno-strict-aliasing",
    "-fvisibility=hidden",
    // The sources are not ours to mend.
    "-w",
    "-Wl,--strip-all,--gc-sections,--export=interrupt_flag",
];

/// QuickJS-NG's sources.
#[derive(Clone, Debug)]
pub struct QuickJs {
    sources: PathBuf,
}

impl QuickJs {
    /// Finds the sources, from a crate of this manifest that depends on the crate which carries them.
    ///
    /// # Errors
    /// If cargo does not know that crate.
    pub fn find(manifest: &Path) -> Result<Self> {
        let (name, version) = CARRIER;
        let metadata = MetadataCommand::new().manifest_path(manifest).exec()?;
        let package = metadata.packages.iter().find(|package| {
            package.name.as_str() == name && package.version.to_string() == version
        });
        let package = package.with_context(|| {
            format!("cargo knows no {name} {version} for {}", manifest.display())
        })?;
        let folder = package.manifest_path.parent().context("a manifest is in a folder")?;
        Ok(Self { sources: folder.join("quickjs").into() })
    }

    /// All that decides what is built, but for the source given to [`QuickJs::build`].
    #[must_use]
    pub fn recipe() -> String {
        format!("{} {CARRIER:?} {FLAGS:?} {STACK}", crate::ZIG)
    }

    /// Builds a module from a C source that includes `quickjs.c`.
    ///
    /// # Errors
    /// If the compiler is not there and cannot be installed, or fails.
    pub fn build(&self, tools: &Tools, source: &Path, output: &Path) -> Result<()> {
        let mut zig = tools.zig()?;
        zig.arg("cc")
            .args(FLAGS)
            .arg(format!("-DSTACK_BYTES={STACK}"))
            .arg(format!("-Wl,-z,stack-size={STACK}"))
            .arg("-I")
            .arg(&self.sources)
            .arg("-o")
            .args([output, source])
            .args(["libregexp.c", "libunicode.c", "dtoa.c"].map(|file| self.sources.join(file)));
        run(&mut zig)
    }
}
