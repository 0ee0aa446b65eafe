//! `compute refs`: the refs that rules name, each once.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::print_line;
use crate::args::RefsArgs;
use crate::failure::Failure;
use crate::target;

/// The ending of a rule's file.
const RULE: &str = "txcl";

pub(crate) fn refs(args: &RefsArgs) -> Result<(), Failure> {
    let files = if args.path.is_dir() {
        let mut files = Vec::new();
        find_rules(&args.path, &mut files)?;
        files
    } else {
        vec![args.path.clone()]
    };
    let mut seen = HashSet::new();
    for file in files {
        let rule = target::read(&file)?;
        let rule = String::from_utf8(rule)
            .map_err(|_| Failure::usage(format!("{} is not UTF-8", file.display())))?;
        for reference in compute::scan_refs(&rule) {
            if seen.insert(reference.clone()) {
                print_line(reference)?;
            }
        }
    }
    Ok(())
}

/// The rules below a folder, in the order of their paths. Links are not followed, so that a loop of
/// them ends.
fn find_rules(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
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
            find_rules(&path, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|ending| ending == RULE) {
            files.push(path);
        }
    }
    Ok(())
}
