//! `compute secret`: what rules may name, and nobody gets to see.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use compute_state::{Place, SecretInfo, Vault};

use super::{print_json, print_line};
use crate::args::{Cli, SecretArgs, SecretCommand};
use crate::failure::Failure;
use crate::state::Home;

/// The variable that has the key which seals secrets.
const KEY: &str = "COMPUTE_SECRET_KEY";
/// The longest value that is read, in bytes.
const MAX: u64 = 1 << 20;

pub(crate) fn secret(cli: &Cli, args: &SecretArgs) -> Result<(), Failure> {
    let home = Home::new(cli, args.state.state.as_deref())?;
    if matches!(home, Home::There(_)) && args.tenant.is_some() {
        return Err(Failure::usage(
            "on a server, secrets are those of the tenant of your token: leave out --tenant",
        ));
    }
    let tenant = args.tenant.clone().unwrap_or_default();
    match (&args.command, &home) {
        (SecretCommand::Set { name }, home) => {
            let value = read()?;
            match home {
                Home::Here(place) => {
                    let vault = vault(place, args.secret_key_file.as_deref())?;
                    Ok(place.tenant(&tenant).catalogue()?.set_secret(&vault, name, &value)?)
                }
                Home::There(client) => Ok(client.set_secret(name, &value)?),
            }
        }
        (SecretCommand::Ls { json }, Home::Here(place)) => {
            show(&place.tenant(&tenant).catalogue()?.secrets()?, *json)
        }
        (SecretCommand::Ls { json }, Home::There(client)) => show(&client.secrets()?, *json),
        (SecretCommand::Rm { name }, Home::Here(place)) => {
            Ok(place.tenant(&tenant).catalogue()?.delete_secret(name)?)
        }
        (SecretCommand::Rm { name }, Home::There(client)) => Ok(client.delete_secret(name)?),
    }
}

/// What seals the secrets of a place: the key in the environment, in this file, or beside them.
pub(crate) fn vault(place: &Place, file: Option<&Path>) -> Result<Vault, Failure> {
    match (std::env::var(KEY), file) {
        (Ok(key), _) if !key.is_empty() => {
            Vault::new(&key).map_err(|error| Failure::usage(format!("{KEY}: {error}")))
        }
        (_, Some(file)) => Vault::from_file(file).map_err(|error| Failure::host(&error)),
        _ => place.vault().map_err(|error| Failure::host(&error)),
    }
}

/// The value on stdin.
fn read() -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        anstream::eprintln!("the value, then ctrl-d:");
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
    Ok(value)
}

fn show(secrets: &[SecretInfo], json: bool) -> Result<(), Failure> {
    if secrets.is_empty() && !json {
        anstream::eprintln!("there are no secrets yet; `compute secret set NAME` sets one");
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
