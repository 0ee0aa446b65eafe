//! `compute`, the command line: store computes, run them, look at them.
//!
//! What a command prints on stdout is data; words for people go to stderr. The exit code says whose
//! failure it was: see [`Failure`].

mod args;
mod commands;
mod failure;
mod home;
mod host;
mod input;
mod parallel;
mod show;
mod user;
mod watch;
mod work;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{ColorChoice, FromArgMatches as _};
use mimalloc::MiMalloc;

use args::{Cli, Command};
use failure::Failure;

// Linking the engine registers it.
use compute_wasm as _;

/// glibc has threads that come later share an arena, and its lock.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Before anything else: a module is compiled in a process that does nothing besides.
    if std::env::args_os().nth(1).is_some_and(|first| first == host::COMPILE_WORKER) {
        return compute_wasm::compile_worker();
    }
    // Where the system limits how large a file may be, writing one that is larger fails: it does not end the program.
    let _ = signal_hook::flag::register(rustix::process::Signal::XFSZ.as_raw(), Arc::default());
    let command = args::command().color(wanted_color());
    let cli = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and the version are answers, not errors; clap knows which stream each goes to.
            let code = if error.use_stderr() { failure::USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    cli.color.write_global();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Init(args) => commands::ops::init::init(args),
        Command::Build(args) => commands::ops::build::build(cli, args),
        Command::Test(args) => commands::ops::test::test(cli, args),
        Command::Forecast(args) => commands::ops::forecast::forecast(cli, args),
        Command::Run(args) => commands::ops::run::run(cli, args),
        Command::Put(args) => commands::artifacts::put::put(cli, args),
        Command::Get(args) => commands::artifacts::get::get(cli, args),
        Command::Ls(args) => commands::artifacts::ls::ls(cli, args),
        Command::Inspect(args) => commands::artifacts::inspect::inspect(cli, args),
        Command::Verify(args) => commands::artifacts::verify::verify(cli, args),
        Command::Gc(args) => commands::artifacts::gc::gc(cli, args),
        Command::Refs(args) => commands::artifacts::refs::refs(args),
        Command::Bench(args) => commands::ops::bench::bench(cli, args),
        Command::Check(args) => commands::stacks::check::check(cli, args),
        Command::Fmt(args) => commands::stacks::fmt::fmt(args),
        Command::Apply(args) => commands::stacks::apply::apply(cli, args),
        Command::Status(args) => commands::stacks::status::status(cli, args),
        Command::Pull(args) => commands::stacks::pull::pull(cli, args),
        Command::Stack(args) => commands::stacks::stack::stack(cli, args),
        Command::Fire(args) => commands::stacks::fire::fire(cli, args),
        Command::Job(args) => commands::jobs::job(cli, args),
        Command::Trace(args) => commands::stacks::trace::trace(cli, args),
        Command::Record(args) => commands::records::record::record(cli, args),
        Command::Replay(args) => commands::records::replay::replay(cli, args),
        Command::Serve(args) => commands::server::serve::serve(cli, args),
        Command::Token(args) => commands::server::token::token(cli, args),
        Command::Audit(args) => commands::server::audit::audit(cli, args),
        Command::Usage(args) => commands::server::usage::usage(cli, args),
        Command::State(args) => commands::server::state::state(cli, args),
        Command::Secret(args) => commands::server::secret::secret(cli, args),
        Command::Schedule(args) => commands::schedules::schedule(cli, args),
        Command::Config(args) => commands::server::config::config(cli, args),
        Command::Dev(args) => commands::stacks::dev::dev(cli, args),
        Command::Engines => commands::engines(),
        Command::Plugin(command) => commands::artifacts::plugin::plugin(cli, command),
        Command::Completions(args) => commands::completions(args),
    }
}

/// The colour asked for, before the arguments are parsed: help and usage errors have colours too.
fn wanted_color() -> ColorChoice {
    let args: Vec<_> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let after = args.iter().position(|arg| arg == "--color").and_then(|at| args.get(at + 1));
    let joined = args.iter().find_map(|arg| arg.strip_prefix("--color="));
    match joined.or(after.map(String::as_str)) {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}
