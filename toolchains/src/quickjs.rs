//! QuickJS-NG, built for WebAssembly from the sources that the crate `rquickjs-sys` carries.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::MetadataCommand;

use crate::{Tools, run};

/// The crate that carries QuickJS-NG's sources, and its version.
const CARRIER: (&str, &str) = ("rquickjs-sys", "0.14.0");

/// The linker's stack, in bytes.
const STACK: u32 = 256 << 10;

/// What is changed in QuickJS-NG: who includes it may say where references are counted.
const CHANGE: (&str, &str) = (
    "#define JS_REF_COUNT(p) (js_rc(p)->ref_count)\n",
    "#ifndef JS_REF_COUNT\n#define JS_REF_COUNT(p) (js_rc(p)->ref_count)\n#endif\n",
);

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
        format!("{} {CARRIER:?} {FLAGS:?} {STACK} {CHANGE:?}", crate::ZIG)
    }

    /// Builds a module from a C source that includes `quickjs.c`.
    ///
    /// # Errors
    /// If the compiler is not there and cannot be installed, or fails.
    pub fn build(&self, tools: &Tools, source: &Path, output: &Path) -> Result<()> {
        let changed = tempfile::tempdir()?;
        fs::write(changed.path().join("quickjs.c"), self.changed()?)?;
        let mut zig = tools.zig()?;
        zig.arg("cc")
            .args(FLAGS)
            .arg(format!("-DSTACK_BYTES={STACK}"))
            .arg(format!("-Wl,-z,stack-size={STACK}"))
            .arg("-I")
            .arg(changed.path())
            .arg("-I")
            .arg(&self.sources)
            .arg("-o")
            .args([output, source])
            .args(["libregexp.c", "libunicode.c", "dtoa.c"].map(|file| self.sources.join(file)));
        run(&mut zig)
    }

    /// `quickjs.c` with what is changed in it.
    fn changed(&self) -> Result<String> {
        let path = self.sources.join("quickjs.c");
        let source = fs::read_to_string(&path)?;
        let (before, after) = CHANGE;
        ensure!(
            source.matches(before).count() == 1,
            "{}: {before:?} is not there once",
            path.display()
        );
        Ok(source.replace(before, after))
    }
}
