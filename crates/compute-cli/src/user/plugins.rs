//! The runtimes that this user has admitted, as files of their own: they are larger than what a store takes, and every machine that adds
//! the same package makes the same bytes.

use std::io::Write as _;
use std::path::PathBuf;

use compute::{Artifact, Ref};

use super::bindings;
use crate::failure::Failure;

/// Keeps a runtime, whose file is there whole or not at all.
pub(crate) fn keep(plugin: &Artifact) -> Result<(), Failure> {
    let path = file(plugin.reference())?;
    let folder = path.parent().unwrap_or(&path);
    let written = || {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(plugin.wasm())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    written().map_err(|error: std::io::Error| {
        Failure::Host(format!("the runtime cannot be kept in {}: {error}", path.display()))
    })
}

/// A runtime that was kept; nothing if it is none of this user's, and what to do if it is gone. It is mapped: its bytes are neither read nor checked here.
pub(crate) fn read(reference: &Ref) -> Option<Result<Artifact, String>> {
    if !bindings::admitted().ok()?.contains(reference) {
        return None;
    }
    let path = file(reference).ok()?;
    let mapped = std::fs::File::open(&path).and_then(|file| {
        // SAFETY: the file is this user's, and nobody writes to it once it has its name: it is replaced as a whole.
        #[expect(unsafe_code, reason = "a file is mapped")]
        unsafe {
            memmap2::Mmap::map(&file)
        }
    });
    Some(match mapped {
        Ok(mapped) => {
            let bytes = bytes::Bytes::from_owner(mapped);
            Ok(Artifact::unverified(reference.clone(), compute_wasm::NAME, bytes))
        }
        Err(error) => Err(format!(
            "Python's runtime is not in {} ({error}): `compute plugin add python` gets it again",
            path.display()
        )),
    })
}

/// All that were kept.
pub(crate) fn all() -> Result<Vec<Artifact>, Failure> {
    Ok(bindings::admitted()?.iter().filter_map(read).filter_map(Result::ok).collect())
}

fn file(plugin: &Ref) -> Result<PathBuf, Failure> {
    Ok(super::data("plugins")?.join(format!("{}.wasm", plugin.digest())))
}
