//! What commands work on: computes, workspaces, plans, fixtures and their budgets.

pub(crate) mod budget;
pub(crate) mod fixtures;
pub(crate) mod plan;
pub(crate) mod project;
pub(crate) mod records;
pub(crate) mod target;

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The rules below a folder, in the order of their paths. Links are not followed, so that a loop of
/// them ends.
pub(crate) fn rules_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("cannot read {}: {error}", folder.display()))
    };
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).and_then(Iterator::collect).map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(failed)?;
        let path = entry.path();
        if kind.is_dir() {
            rules_below(&path, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "txcl") {
            files.push(path);
        }
    }
    Ok(())
}
