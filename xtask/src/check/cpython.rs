//! CPython's own tests, in the sandbox: those of Debian's CPython 3.11, as no package has those of 3.15. What fails is written down, with why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use super::python::Place;
use crate::{cargo, run, target, tools};

/// What runs them, an op.
const HARNESS: &str = include_str!("cpython.py");
/// What fails, and why: a line each, `ID: why`.
const DIFFERENCES: &str = include_str!("cpython.txt");
const MODULES: [&str; 16] = [
    "json",
    "re",
    "datetime",
    "decimal",
    "math",
    "statistics",
    "collections",
    "itertools",
    "functools",
    "dataclasses",
    "string",
    "textwrap",
    "hashlib",
    "base64",
    "struct",
    "csv",
];
/// Files that tests read.
const DATA: [&str; 2] = ["math_testcases.txt", "cmath_testcases.txt"];
/// What is not run: there is no `_decimal` in C; and what has 100,000 objects within each other, which CPython frees by calls that
/// go deeper than the sandbox's stack, as no memory of the guest's own tells how deep that is.
const LEFT_OUT: [&str; 2] = ["test.test_decimal.C", "test.test_json.test_recursion"];

/// What the op answers.
#[derive(Deserialize)]
struct Said {
    run: u32,
    skipped: u32,
    bad: BTreeMap<String, String>,
}

/// Runs them, and compares what fails with what is written down.
pub(crate) fn cpython() -> Result<()> {
    run(&mut cargo(&["build", "--release", "-p", "compute-cli"]))?;
    let tests = tools::cpython_tests()?;
    let folder = tempfile::tempdir()?;
    let place = Place { folder: folder.path(), home: target().join("python") };
    place.ok(&["plugin", "add", "python"])?;
    copy(&tests, &folder.path().join("test"))?;

    let modules: Vec<_> = MODULES.into_iter().map(|name| (name, modules(&tests, name))).collect();
    let modules: Vec<(_, Vec<_>)> =
        modules.into_iter().map(|(name, all)| Ok((name, all?))).collect::<Result<_>>()?;
    let all: Vec<_> = modules.iter().flat_map(|(_, all)| all).map(String::as_str).collect();
    let mut data = String::from("{");
    for name in DATA {
        let text = fs::read_to_string(tests.join(name))?;
        write!(data, "{}: {}.encode(),", json!(name), json!(text))?;
    }
    data.push('}');
    place.write("main.py", &HARNESS.replace("MODULES", &all.join(", ")).replace("DATA", &data))?;

    let mut left_out: Vec<String> = LEFT_OUT.map(str::to_owned).into();
    left_out.extend(decimal_bases(&fs::read_to_string(tests.join("test_decimal.py"))?));
    let known: BTreeSet<_> = DIFFERENCES
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(id, _)| id.to_owned())
        .collect();
    let (mut ran, mut skipped, mut failed, mut problems) = (0, 0, BTreeSet::new(), Vec::new());
    for (name, modules) in modules {
        let input = json!({"modules": modules, "left_out": left_out}).to_string();
        let said = place.ok(&["run", "main.py", "--wall", "300s", "--input", &input])?;
        let said: Said = serde_json::from_str(&said)?;
        println!(
            "{name:<12} {:>5} run, {:>3} skipped, {:>3} failed",
            said.run,
            said.skipped,
            said.bad.len()
        );
        ran += said.run;
        skipped += said.skipped;
        for (id, why) in said.bad {
            if !known.contains(&id) {
                problems.push(format!("{id}: {why}"));
            }
            failed.insert(id);
        }
    }
    println!("{ran} run, {skipped} skipped, {} failed, as is known and explained", failed.len());
    problems.extend(known.difference(&failed).map(|id| format!("{id} does not fail any more")));
    ensure!(
        problems.is_empty(),
        "not as written in xtask/src/check/cpython.txt:\n{}",
        problems.join("\n")
    );
    Ok(())
}

/// The modules that a module's tests are.
fn modules(tests: &Path, name: &str) -> Result<Vec<String>> {
    let folder = tests.join(format!("test_{name}"));
    if !folder.is_dir() {
        return Ok(vec![format!("test.test_{name}")]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.file_name().into_string().ok().context("names are text")?;
        if let Some(module) = file.strip_suffix(".py").filter(|name| !name.starts_with("__")) {
            found.push(format!("test.test_{name}.{module}"));
        }
    }
    found.sort();
    Ok(found)
}

/// The classes of decimal's tests that are tests of neither implementation, but what both are made of.
fn decimal_bases(source: &str) -> Vec<String> {
    let classes = source.lines().filter_map(|line| line.strip_prefix("class ")?.split_once('('));
    let names = classes.map(|(name, _)| name);
    let bases = names.filter(|name| !name.starts_with("Py") || name.starts_with("Python"));
    bases.map(|name| format!("test.test_decimal.{name}.")).collect()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else if entry.path().extension().is_some_and(|ending| ending == "py") {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
