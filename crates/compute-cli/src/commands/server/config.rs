//! `compute config show`: what `compute serve` would run with, and where each value came from.

use clap::ArgMatches;
use clap::parser::ValueSource;
use compute_postgres::{is_address, without_password};
use serde::Serialize;

use crate::args::{self, Cli, ConfigArgs, ConfigCommand};
use crate::failure::{Failure, SECRET_KEY};
use crate::show::{print_json, print_line};
use crate::user;

/// A setting.
#[derive(Debug, Serialize)]
struct Setting {
    name: String,
    value: Option<String>,
    /// `option`, the variable, or `default`
    from: String,
    variable: Option<String>,
}

/// What is not to be shown: only whether it is there.
const HIDDEN: [&str; 2] = ["COMPUTE_TOKEN", SECRET_KEY];
/// Where OpenTelemetry sends to.
const TELEMETRY: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
];

pub(crate) fn config(cli: &Cli, args: &ConfigArgs) -> Result<(), Failure> {
    let ConfigCommand::Show { json, .. } = &args.command;
    let command = args::command();
    let matches =
        command.clone().try_get_matches().map_err(|error| Failure::usage(error.to_string()))?;
    let show = |matches: &ArgMatches| matches.subcommand().map(|(_, inner)| inner.clone());
    let Some(matches) = show(&matches).as_ref().and_then(show) else { return Ok(()) };
    let serve = command.find_subcommand("serve");
    let options = serve.into_iter().flat_map(clap::Command::get_arguments);
    let globals = command.get_arguments().filter(|arg| arg.is_global_set());
    let mut settings: Vec<_> = options
        .chain(globals)
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| setting(&matches, arg))
        .collect();
    settings.dedup_by(|a, b| a.name == b.name);
    let is_state = |one: &&Setting| one.name == "--state";
    let state = settings.iter().find(is_state).and_then(|one| one.value.clone());
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    // A file has the key only where the environment has none, and it is made in a folder.
    let has_key_file =
        variable(SECRET_KEY).is_none() && !state.is_some_and(|state| is_address(&state));
    for setting in &mut settings {
        fill(cli, setting, has_key_file)?;
    }
    for name in HIDDEN {
        let value = variable(name).map(|_| "(hidden)".to_owned());
        settings.push(of_variable(name, value));
    }
    settings.extend(TELEMETRY.map(|name| of_variable(name, variable(name))));
    if *json {
        return print_json(&settings);
    }
    for Setting { name, value, from, .. } in &settings {
        print_line(format!("{name:<36} {:<32} {from}", value.as_deref().unwrap_or("-")))?;
    }
    Ok(())
}

fn of_variable(name: &str, value: Option<String>) -> Setting {
    let from = if value.is_some() { name } else { "default" };
    let (name, from) = (name.to_owned(), from.to_owned());
    Setting { variable: Some(name.clone()), name, value, from }
}

fn setting(matches: &ArgMatches, arg: &clap::Arg) -> Option<Setting> {
    let id = arg.get_id().as_str();
    let name = format!("--{}", arg.get_long()?);
    let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
    // `--help` is no setting, and has no value.
    let source = matches.try_contains_id(id).ok().map(|_| matches.value_source(id))?;
    let raw = matches.try_get_raw(id).ok().flatten();
    let value = raw
        .and_then(|mut values| values.next())
        .map(|one| without_password(&one.to_string_lossy()));
    let from = match source {
        Some(ValueSource::CommandLine) => "option".to_owned(),
        Some(ValueSource::EnvVariable) => variable.clone().unwrap_or_default(),
        _ => "default".to_owned(),
    };
    Some(Setting { name, value, from, variable })
}

/// The defaults that depend on this machine.
fn fill(cli: &Cli, setting: &mut Setting, has_key_file: bool) -> Result<(), Failure> {
    if setting.value.is_some() {
        return Ok(());
    }
    let standard = compute_server::Settings::default();
    setting.value = match setting.name.as_str() {
        "--store" => Some(user::store_url(cli)?),
        "--state" => Some(user::data("state")?.display().to_string()),
        "--secret-key-file" if has_key_file => Some("secret.key in --state".to_owned()),
        "--max-concurrency" => Some(standard.max_concurrency.to_string()),
        "--max-jobs" | "--max-tenant-concurrency" => Some("half of --max-concurrency".to_owned()),
        _ => None,
    };
    Ok(())
}
