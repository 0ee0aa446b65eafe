//! `compute plugin`: the names that modules link to plugins by.

mod add;

use compute::{Algorithm, Artifact};
use compute_store::NewArtifact;

use crate::args::{Cli, PluginBindArgs, PluginCommand, PluginUnbindArgs};
use crate::failure::Failure;
use crate::home::open_store;
use crate::show::print_line;
use crate::user::bindings;
use crate::work::target;

pub(crate) fn plugin(cli: &Cli, command: &PluginCommand) -> Result<(), Failure> {
    match command {
        PluginCommand::Add(args) => add::add(cli, args),
        PluginCommand::Bind(args) => bind(cli, args),
        PluginCommand::Ls => bindings::read()?
            .iter()
            .try_for_each(|(name, plugin)| print_line(format!("{name}  {plugin}"))),
        PluginCommand::Unbind(args) => unbind(args),
    }
}

/// Stores the plugin, gives it the name, and prints its ref.
fn bind(cli: &Cli, args: &PluginBindArgs) -> Result<(), Failure> {
    let wasm = target::read(&args.file)?;
    let module = compute_wasm::inspect(&wasm, &compute_wasm::Caps::DEFAULT);
    if !module.exports.iter().any(|export| export == "memory memory") {
        let why = module.refused.unwrap_or_else(|| "it exports no memory".into());
        return Err(Failure::Host(format!("{} is not a plugin: {why}", args.file.display())));
    }
    let artifact = Artifact::new(Algorithm::Sha256, compute_wasm::NAME, wasm);
    let manifest = pollster::block_on(open_store(cli)?.put(&NewArtifact::new(artifact)))?;
    bindings::bind(&args.namespace, Some(&manifest.reference))?;
    print_line(manifest.reference)
}

fn unbind(args: &PluginUnbindArgs) -> Result<(), Failure> {
    if bindings::bind(&args.namespace, None)?.is_none() {
        return Err(Failure::usage(format!(
            "no plugin is bound to `{}`; `compute plugin ls` lists the names",
            args.namespace
        )));
    }
    Ok(())
}
