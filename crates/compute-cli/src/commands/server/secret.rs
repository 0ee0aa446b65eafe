//! `compute secret`: what rules may name, and nobody gets to see.

use std::io::{IsTerminal as _, Read as _};

use compute_state::SecretInfo;

use crate::args::{Cli, SecretArgs, SecretCommand};
use crate::failure::Failure;
use crate::home;
use crate::show::{print_json, print_line};

/// The shortest value that is masked, in bytes.
const MASKED_FROM: usize = 4;
/// The longest value that is read, in bytes.
const MAX: u64 = 1 << 20;

pub(crate) fn secret(cli: &Cli, args: &SecretArgs) -> Result<(), Failure> {
    let home = home::of_tenant(cli, args.state.state.as_deref(), args.tenant.as_ref())?;
    let secrets = || home.secrets(args.secret_key_file.as_deref());
    match &args.command {
        SecretCommand::Set { name } => {
            let secrets = secrets()?;
            Ok(secrets.set(name, &read()?)?)
        }
        SecretCommand::Ls { json } => show(&secrets()?.list()?, *json),
        SecretCommand::Rm { name } => Ok(secrets()?.delete(name)?),
    }
}

/// The value on stdin.
fn read() -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        crate::show::tell!("the value, then ctrl-d:");
    }
    let mut bytes = Vec::new();
    let read = stdin.lock().take(MAX).read_to_end(&mut bytes);
    read.map_err(|error| Failure::usage(format!("cannot read stdin: {error}")))?;
    let mut value =
        String::from_utf8(bytes).map_err(|_| Failure::usage("the value is not UTF-8"))?;
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    if value.is_empty() {
        return Err(Failure::usage("there is no value on stdin"));
    }
    if value.len() < MASKED_FROM {
        crate::show::tell!(
            "warning: a value of less than {MASKED_FROM} bytes is in every text, and is not masked in logs and traces"
        );
    }
    Ok(value)
}

fn show(secrets: &[SecretInfo], json: bool) -> Result<(), Failure> {
    if secrets.is_empty() && !json {
        crate::show::tell!("there are no secrets yet; `compute secret set NAME` sets one");
    }
    for secret in secrets {
        if json {
            print_json(secret)?;
        } else {
            print_line(format!(
                "{:<32} set {}",
                secret.name,
                secret.set.strftime("%Y-%m-%dT%H:%M:%SZ")
            ))?;
        }
    }
    Ok(())
}
