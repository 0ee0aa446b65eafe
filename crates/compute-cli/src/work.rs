//! What commands work on: computes, workspaces, plans, batches, fixtures and their budgets.

pub(crate) mod budget;
pub(crate) mod fixtures;
pub(crate) mod lines;
pub(crate) mod plan;
pub(crate) mod project;
pub(crate) mod records;
pub(crate) mod target;

use std::path::{Path, PathBuf};

use compute_flow::Stack;
use compute_state::{File, StackName};

use crate::failure::Failure;

/// A version that was applied, made ready.
pub(crate) fn compiled(name: StackName, files: &[File]) -> Result<Stack, Failure> {
    Stack::compile(name, files).map_err(|wrong| {
        let lines: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        Failure::Host(lines.join("\n"))
    })
}

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
