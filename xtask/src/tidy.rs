//! The architecture's invariants, checked: see ARCHITECTURE.md.

mod floors;
mod modules;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand, Target};

use crate::root;
use floors::Floors;
use modules::Modules;

/// The longest source file, in lines.
const MAX_LINES: usize = 800;

/// How many files a folder of sources has at most.
const MAX_FILES: usize = 12;

/// The workspace's crates that each crate may depend on.
const MAY_USE: [(&str, &[&str]); 15] = [
    ("compute", &[]),
    ("compute-store", &["compute"]),
    ("compute-wasm", &["compute"]),
    ("txcl", &["compute"]),
    ("compute-js-plugin", &["compute"]),
    ("compute-js", &["compute", "compute-js-plugin", "compute-wasm"]),
    ("compute-python", &["compute", "compute-wasm"]),
    ("compute-state", &["compute", "compute-store", "txcl"]),
    ("compute-postgres", &["compute", "compute-state"]),
    ("compute-flow", &["compute", "compute-state", "compute-store", "txcl"]),
    ("compute-replay", &["compute", "compute-flow", "compute-state"]),
    ("compute-api", &["compute", "compute-flow", "compute-state", "compute-store"]),
    (
        "compute-server",
        &[
            "compute",
            "compute-api",
            "compute-flow",
            "compute-replay",
            "compute-state",
            "compute-store",
        ],
    ),
    ("compute-client", &["compute", "compute-api", "compute-state", "compute-store"]),
    (
        "compute-cli",
        &[
            "compute",
            "compute-api",
            "compute-client",
            "compute-flow",
            "compute-js",
            "compute-js-plugin",
            "compute-postgres",
            "compute-python",
            "compute-replay",
            "compute-server",
            "compute-state",
            "compute-store",
            "compute-wasm",
            "txcl",
        ],
    ),
];

/// Dependencies that only these crates may name.
const ONLY: [(&str, &[&str]); 8] = [
    ("wasmtime", &["compute-wasm"]),
    ("object_store", &["compute-store"]),
    ("rolldown", &["compute-js"]),
    ("rusqlite", &["compute-state"]),
    ("tokio-postgres", &["compute-postgres"]),
    ("axum", &["compute-server"]),
    // The client of a server, and whoever tells others that jobs have ended.
    ("reqwest", &["compute-client", "compute-server"]),
    ("clap", &["compute-cli"]),
];

/// What the light crate must not bring along.
const NOT_IN_SEAM: [&str; 4] = ["wasmtime", "tokio", "object_store", "anyhow"];

/// Checks everything, and reports all that is wrong. Prints what imports what, if that is asked for.
pub(crate) fn tidy(print: bool) -> Result<()> {
    let mut wrong = Vec::new();
    check_dependencies(&mut wrong)?;
    check_sources(&mut wrong)?;
    check_modules(print, &mut wrong)?;
    check_tree(&mut wrong)?;
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("not tidy:\n  {}", wrong.join("\n  "))
}

fn check_dependencies(wrong: &mut Vec<String>) -> Result<()> {
    let metadata = MetadataCommand::new().current_dir(root()).exec()?;
    let ours: Vec<_> = metadata.workspace_packages();
    let is_ours = |name: &str| ours.iter().any(|package| package.name.as_str() == name);
    for package in &ours {
        let name = package.name.as_str();
        let Some((_, allowed)) = MAY_USE.iter().find(|(of, _)| *of == name) else { continue };
        let normal = package.dependencies.iter().filter(|one| one.kind == DependencyKind::Normal);
        for dependency in normal {
            let used = dependency.name.as_str();
            if is_ours(used) && !allowed.contains(&used) {
                wrong.push(format!("{name} must not depend on {used}"));
            }
            let other = |(of, only): &&(&str, &[&str])| *of == used && !only.contains(&name);
            if let Some((_, only)) = ONLY.iter().find(other) {
                wrong.push(format!("{name} names {used}, which only {only:?} may"));
            }
            if name == "compute" && NOT_IN_SEAM.contains(&used) {
                wrong.push(format!("compute is light and must not bring {used}"));
            }
        }
    }
    Ok(())
}

fn check_sources(wrong: &mut Vec<String>) -> Result<()> {
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "toolchains", "bench", "guests"] {
        find_rust(&root().join(folder), &mut files)?;
    }
    let mut folders: BTreeMap<_, usize> = BTreeMap::new();
    for folder in files.iter().filter_map(|file| file.parent()) {
        *folders.entry(folder).or_default() += 1;
    }
    for (folder, count) in folders.into_iter().filter(|(_, count)| *count > MAX_FILES) {
        let name = folder.strip_prefix(root()).unwrap_or(folder).display();
        wrong.push(format!("{name} has {count} files; the most is {MAX_FILES}"));
    }
    for file in &files {
        let name = file.strip_prefix(root()).unwrap_or(file).display().to_string();
        let text = fs::read_to_string(file).with_context(|| name.clone())?;
        if !text.starts_with("//!") {
            wrong.push(format!("{name} does not open with //!"));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{name} has {lines} lines; the most is {MAX_LINES}"));
        }
        if file.file_name().is_some_and(|name| name == "mod.rs") {
            wrong.push(format!("{name}: write foo.rs beside foo/"));
        }
        for (crate_name, only) in ONLY {
            let names = format!("{crate_name}::");
            // Tests may look at a crate through what nobody gets with it.
            let elsewhere = name.starts_with("crates/")
                && name.contains("/src/")
                && !only.iter().any(|one| name.starts_with(&format!("crates/{one}/")));
            if elsewhere
                && text
                    .lines()
                    .any(|line| line.trim_start().starts_with("use ") && line.contains(&names))
            {
                wrong.push(format!("{name} names {crate_name}, which only {only:?} may"));
            }
        }
    }
    Ok(())
}

/// Circles of modules, and the floors that ARCHITECTURE.md says.
fn check_modules(print: bool, wrong: &mut Vec<String>) -> Result<()> {
    let metadata = MetadataCommand::new().current_dir(root()).exec()?;
    let floors = said_floors()?;
    for package in metadata.workspace_packages() {
        for target in package.targets.iter().filter(|one| one.is_lib() || one.is_bin()) {
            let modules = Modules::read(target.src_path.as_std_path())?;
            let imports = modules.imports();
            let found = Floors::new(&modules, &imports);
            if print {
                println!("{} ({})\n{}", package.name, target.name, found.print());
            }
            let is_main = target.is_lib() || !package.targets.iter().any(Target::is_lib);
            let said = floors.get(package.name.as_str()).filter(|_| is_main);
            let against = said.map_or_else(Vec::new, |order| found.against(order));
            let all = found.circles().into_iter().chain(against);
            wrong.extend(all.map(|what| format!("{}: {what}", package.name)));
        }
    }
    Ok(())
}

/// The floors that ARCHITECTURE.md says: for each crate of its table, the modules at the root, the lowest first.
fn said_floors() -> Result<BTreeMap<String, Vec<String>>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let table = text.split("| crate | floors, the lowest first |").nth(1);
    let table = table.context("ARCHITECTURE.md has no table of floors")?;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let mut words = line.split('`').skip(1).step_by(2).map(str::to_owned);
        Some((words.next()?, words.collect()))
    };
    Ok(rows.filter_map(row).collect())
}

fn check_tree(wrong: &mut Vec<String>) -> Result<()> {
    for name in
        ["README.md", "ARCHITECTURE.md", "DESIGN.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"]
    {
        if !root().join(name).is_file() {
            wrong.push(format!("{name} is missing"));
        }
    }
    let readme = fs::read_to_string(root().join("README.md")).unwrap_or_default();
    for command in ["cargo xtask demo", "cargo xtask test"] {
        if !readme.contains(command) {
            wrong.push(format!("README.md does not say `{command}`"));
        }
    }
    Ok(())
}

fn find_rust(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_rust(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
