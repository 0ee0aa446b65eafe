//! The same records in an optimised program and in one for debugging: each in processes of its own, on a busy machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{cargo, guests, root, run, target, tools};

/// How many times each op is run, with a clock and random numbers of its own.
const TIMES: usize = 11;
/// The time that a call may take on a busy machine.
const WALL: &str = "--wall=60s";

/// Records what the examples, the guests of all languages and the libraries of npm give, and runs each record again.
pub(crate) fn determinism() -> Result<()> {
    guests::build()?;
    let npm = root().join("crates/compute-js/tests/npm");
    let examples = root().join("examples");
    for folder in [&npm, &examples] {
        tools::node_modules(folder)?;
    }
    run(&mut cargo(&["build", "--release", "-p", "compute-cli"]))?;
    // As the tests have built it: another selection of crates would build all of them again.
    run(&mut cargo(&["test", "--no-run"]))?;
    let [optimised, debug] =
        ["release", "debug"].map(|profile| target().join(profile).join("compute"));
    let folder = tempfile::tempdir()?;
    let place = Place(folder.path());

    let mut recorded = 0;
    let ops = ["js", "ts"];
    for file in files(&examples, &ops)?.into_iter().chain(files(&npm.join("cases"), &ops)?) {
        let reference = place.put(&optimised, &file)?;
        let inputs = inputs(&file)?;
        for number in 0..TIMES {
            place.record(&optimised, &reference, &inputs[number % inputs.len()], number)?;
            recorded += 1;
        }
    }
    for file in files(&target().join("guests"), &["wasm"])? {
        if !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("transform-")) {
            continue;
        }
        let reference = place.put(&optimised, &file)?;
        for number in 0..TIMES {
            let input = format!("{{\"a\":{{\"b\":[{number},\"{number}\"]}}}}");
            place.record(&optimised, &reference, &input, number)?;
            recorded += 1;
        }
    }
    ensure!(recorded >= 500, "there are {recorded} records only");
    // Somebody else wants the processors, too.
    let busy: Vec<Busy> = (0..2).map(|_| Busy::start()).collect::<Result<_>>()?;
    for (name, compute) in [("optimised", &optimised), ("debug", &debug)] {
        let said = place.run(compute, name, &["replay", "records"])?;
        let expected = format!("{recorded} of {recorded} the same\n");
        ensure!(said == expected, "{name}: {said}");
        println!("{name}: {said}");
    }
    drop(busy);
    Ok(())
}

/// The files of a folder whose names end so.
fn files(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files = files.collect::<std::io::Result<Vec<_>>>()?;
    let ends = |file: &PathBuf| {
        file.extension().is_some_and(|ending| endings.iter().any(|one| ending == *one))
    };
    files.retain(ends);
    files.sort();
    Ok(files)
}

/// The inputs of an op's fixtures; an empty one where it has none.
fn inputs(file: &Path) -> Result<Vec<String>> {
    let fixtures = file.with_extension("test.json");
    if !fixtures.is_file() {
        return Ok(vec!["{}".to_owned()]);
    }
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(fixtures)?)?;
    Ok(cases.iter().map(|case| case["input"].to_string()).collect())
}

/// A folder with a store, records, and caches.
struct Place<'a>(&'a Path);

impl Place<'_> {
    /// What a command prints. Code is kept apart for each name.
    fn run(&self, compute: &Path, name: &str, args: &[&str]) -> Result<String> {
        let mut command = self.command(compute, name, args);
        let output = command.stderr(Stdio::piped()).output()?;
        let words = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{args:?}: {said}{words}");
        Ok(said)
    }

    fn command(&self, compute: &Path, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(compute);
        command.args(args).current_dir(self.0);
        for variable in ["COMPUTE_STORE", "COMPUTE_STATE", "COMPUTE_SERVER"] {
            command.env_remove(variable);
        }
        command.env("XDG_DATA_HOME", self.0.join("data"));
        command.env("XDG_CONFIG_HOME", self.0.join("config"));
        command.env("XDG_CACHE_HOME", self.0.join("cache").join(name));
        command
    }

    fn put(&self, compute: &Path, file: &Path) -> Result<String> {
        let file = file.to_str().context("paths are text")?;
        Ok(self.run(compute, "optimised", &["put", file])?.trim().to_owned())
    }

    /// Records a run, whatever comes of it. Every other one is metered.
    fn record(&self, compute: &Path, reference: &str, input: &str, number: usize) -> Result<()> {
        let seed = format!("{number:064x}");
        let now = format!("2026-01-{:02}T00:00:00Z", number + 1);
        let mut args = vec!["run", reference, "--input", input, "--record", "records"];
        args.extend(["--seed", &seed, "--now", &now, WALL]);
        if number.is_multiple_of(2) {
            args.extend(["--fuel", "100000000000"]);
        }
        let mut command = self.command(compute, "optimised", &args);
        let ended = command.stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
        let words = String::from_utf8_lossy(&ended.stderr);
        ensure!(words.contains("record records/"), "{args:?}: {words}");
        Ok(())
    }
}

/// Something that keeps a processor busy.
struct Busy(Child);

impl Busy {
    fn start() -> Result<Self> {
        Ok(Self(Command::new("sh").args(["-c", "while :; do :; done"]).spawn()?))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
