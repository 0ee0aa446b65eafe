//! The server against what its OpenAPI document says: schemathesis makes requests that fit it, and some that don't.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::{cargo, root, run, target, tools};

/// How many requests each operation gets in each phase.
const EXAMPLES: &str = "20";

/// Runs schemathesis, with all of its checks.
pub(crate) fn check() -> Result<()> {
    // As the tests have built it: another selection of crates would build all of them again.
    run(&mut cargo(&["test", "--no-run"]))?;
    let packages = tools::schemathesis()?;
    let folder = tempfile::tempdir()?;
    let compute = |args: &[&str]| {
        let mut command = Command::new(target().join("debug/compute"));
        command
            .args(args)
            .env("COMPUTE_STORE", folder.path().join("store"))
            .env("COMPUTE_STATE", folder.path().join("state"))
            .env("XDG_CACHE_HOME", folder.path().join("cache"))
            .env("XDG_CONFIG_HOME", folder.path().join("config"))
            .env_remove("COMPUTE_SERVER")
            .stdin(Stdio::null());
        command
    };
    let token = printed(&mut compute(&["token", "create", "--scope", "admin"]))?;
    let echo = root().join("crates/compute-cli/tests/cmd/guests/echo.wat");
    let reference = printed(compute(&["put"]).arg(echo))?;
    let digest = reference.rsplit('/').next().context("a ref")?;

    let mut server = compute(&["serve", "--listen", "127.0.0.1:0", "--log", "error"]);
    let mut server = Running(server.stderr(Stdio::piped()).spawn()?);
    let mut words = BufReader::new(server.0.stderr.take().context("stderr")?).lines();
    let line = words.next().context("the server says where it listens")??;
    let url = line.split(' ').nth(2).map(|url| url.trim_end_matches(';'));
    let url = url.with_context(|| format!("the server said: {line}"))?;
    // What it logs is read, so that it can go on.
    std::thread::spawn(move || words.map_while(Result::ok).for_each(|line| eprintln!("{line}")));

    run(Command::new("python3")
        .args(["-m", "schemathesis.cli", "run", &format!("{url}/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "all", "--max-examples", EXAMPLES, "--seed", "1", "--workers", "1"])
        .args(["--warnings", "off", "--no-color", "--continue-on-failure"])
        .env("PYTHONPATH", packages)
        .env("COMPUTE_DIGEST", digest)
        .current_dir(root()))
}

/// The line that a command prints.
fn printed(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{command:?} failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
