//! Several servers on one database, under load, while they are killed and the database is cut off.

use anyhow::Result;

use crate::{cargo, run, target, tools};

/// Has things go wrong for so long, by a schedule that a seed says.
pub(crate) fn fleet(seconds: u64, seed: Option<u64>) -> Result<()> {
    tools::moto()?;
    tools::postgres()?;
    run(&mut cargo(&["build", "--release", "-p", "compute-cli", "-p", "compute-fleet"]))?;
    let programs = target().join("release");
    let mut command = std::process::Command::new(programs.join("compute-fleet"));
    command.arg("--program").arg(programs.join("compute"));
    command.arg("--seconds").arg(seconds.to_string());
    command.args(seed.map(|seed| format!("--seed={seed}")));
    run(&mut command)
}
