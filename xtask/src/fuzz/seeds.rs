//! What fuzz targets begin with: inputs that lead far, and modules that are built for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{cargo, guests, root, run, target};

/// How many inputs without a meaning of their own a target begins with, and how long each is.
const INPUTS: u64 = 32;
const INPUT_BYTES: usize = 1024;
/// The largest module that is changed here and there: what is larger takes long to compile, every time.
const LARGEST: u64 = 100 << 10;
/// The largest that is an input itself.
const LARGEST_INPUT: usize = 32 << 10;
/// What an input of the target `module` begins with that changes a real module.
const EDIT: u8 = b'e';

/// Where targets find what was prepared.
pub(super) fn folder() -> PathBuf {
    target().join("fuzz-seeds")
}

/// The rules in `resources/`.
pub(super) fn rules(corpus: &Path) -> Result<()> {
    for folder in ["valid", "invalid"] {
        let folder = root().join("crates/txcl/resources").join(folder);
        for entry in fs::read_dir(&folder).context("the rules to begin with")? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "txcl")
                && let Some(file) = path.file_name()
            {
                fs::copy(&path, corpus.join(file))?;
            }
        }
    }
    Ok(())
}

/// Documents that the target's rules take, and some that nothing takes; with an environment and secrets.
pub(super) fn documents(corpus: &Path) -> Result<()> {
    let documents = [
        r#"{"kind":"order","x":1,"y":[2.5],"a":"text","b":{"c":{"d":null}},"l":[1,{"m":2}],"n":3}"#,
        r#"{"customer":{"email":"hunter2@example.com","id":"\u0068unter2"},"card":"hunter2","hunter2":1}"#,
        r#"{"to":"t/1","status":201,"_txc":{"web":{"req":{"path":"/"}},"goto":"x"},"_ts":5}"#,
        r#"{"drop":["a.b","l.0","@web","_ts"],"a":{"b":1},"l":[1,2]}"#,
        r#"{"n":-123456.5e3,"u":18446744073709551615,"e":1e400,"z":-0,"f":0.1}"#,
        r#"["\ud83d\ude00","\ud83d","\\\"\/\b\f\n\r\t",[[[[{}]]]],{"a":1,"a":2},true,false,null]"#,
    ];
    for (number, document) in documents.iter().enumerate() {
        let env = r#"{"level":3,"model":{"name":"m"}}"#;
        let input = format!("{document}\0{env}\0123456\nhunter2\"\nw\u{e9}b/x y");
        fs::write(corpus.join(format!("document-{number}")), input)?;
    }
    Ok(())
}

/// Modules as they are, real ones that are changed, and what others are made of.
pub(super) fn modules(corpus: &Path) -> Result<()> {
    guests::build()?;
    let modules = folder().join("modules");
    fs::create_dir_all(&modules)?;
    for folder in ["guests", "crates/compute-cli/tests/cmd/guests"] {
        for path in files(&root().join(folder), "wat")? {
            let text = fs::read_to_string(&path)?.replace("PAGES", "1");
            // Some are wrong on purpose.
            if let Ok(wasm) = wat::parse_str(text) {
                fs::write(corpus.join(named(&path)?), wasm)?;
            }
        }
    }
    for path in files(&target().join("guests"), "wasm")? {
        if fs::metadata(&path)?.len() <= LARGEST {
            fs::copy(&path, modules.join(named(&path)?))?;
        }
    }
    op("examples/json-logic-rule.js", &modules.join("op.wasm"))?;
    let modules = files(&modules, "wasm")?;
    for (number, path) in modules.iter().enumerate() {
        let wasm = fs::read(path)?;
        if wasm.len() <= LARGEST_INPUT {
            fs::write(corpus.join(named(path)?), wasm)?;
        }
        let mut edits = random(number as u64, 64);
        edits.splice(..1, [EDIT, number as u8]);
        fs::write(corpus.join(format!("edits-{number}")), edits)?;
    }
    numbers(corpus)
}

/// Numbers that inputs are made of.
pub(super) fn numbers(corpus: &Path) -> Result<()> {
    for number in 0..INPUTS {
        fs::write(corpus.join(format!("numbers-{number}")), random(number, INPUT_BYTES))?;
    }
    Ok(())
}

/// The two ops that make a heap: before the image is taken, and in the call.
pub(super) fn heaps(corpus: &Path) -> Result<()> {
    for name in ["before", "in-call"] {
        op(&format!("fuzz/js/{name}.js"), &folder().join(format!("{name}.wasm")))?;
    }
    for number in 0..INPUTS {
        fs::write(corpus.join(format!("numbers-{number}")), random(number, 64))?;
    }
    Ok(())
}

/// The op that evaluates a program, and numbers that programs are made of.
pub(super) fn programs(corpus: &Path) -> Result<()> {
    op("fuzz/js/evaluate.js", &folder().join("evaluate.wasm"))?;
    numbers(corpus)
}

/// Builds an op, and puts it in the store that the targets find its plugin in.
fn op(source: &str, output: &Path) -> Result<()> {
    // As the tests have built it: another selection of crates would build all of them again.
    run(&mut cargo(&["test", "--no-run"]))?;
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let compute = |args: &[&str]| {
        let mut command = Command::new(target().join("debug/compute"));
        command
            .args(args)
            .env("COMPUTE_STORE", folder.join("store"))
            .env("COMPUTE_STATE", folder.join("state"))
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .env("XDG_CONFIG_HOME", folder.join("config"))
            .env_remove("COMPUTE_SERVER")
            .current_dir(root());
        command
    };
    run(compute(&["build", source, "-o"]).arg(output))?;
    run(&mut compute(&["put", source]))
}

/// Bytes that are always the same for a number, and otherwise any.
fn random(number: u64, length: usize) -> Vec<u8> {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// The files of a folder with this ending, by name.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|one| one == ending));
    files.sort();
    Ok(files)
}

fn named(path: &Path) -> Result<String> {
    let name = path.file_stem().context("a name")?;
    Ok(name.to_string_lossy().into_owned())
}
