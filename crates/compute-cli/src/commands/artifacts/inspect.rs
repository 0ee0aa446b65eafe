//! `compute inspect`: what a compute is and needs.

use bytesize::ByteSize;
use compute::{Printable, Ref};
use compute_wasm::{Caps, Inspection};
use serde::Serialize;

use crate::args::{Cli, InspectArgs};
use crate::failure::Failure;
use crate::home::open_store;
use crate::host::Host;
use crate::show::{print_json, print_line};
use crate::user::bindings;
use crate::work::target;

/// How many exports are shown to a person.
const SHOWN: usize = 12;

#[derive(Serialize)]
struct Report {
    #[serde(rename = "ref")]
    reference: Ref,
    engine: String,
    links: Vec<Ref>,
    attachments: Vec<String>,
    #[serde(flatten)]
    module: Inspection,
}

pub(crate) fn inspect(cli: &Cli, args: &InspectArgs) -> Result<(), Failure> {
    let report = report(cli, args)?;
    if args.json { print_json(&report) } else { print_report(&report) }
}

fn report(cli: &Cli, args: &InspectArgs) -> Result<Report, Failure> {
    let (artifact, links, attachments) = if args.target.contains("://") {
        let reference = Ref::parse(&args.target).map_err(Failure::usage)?;
        let stored = pollster::block_on(open_store(cli)?.get(&reference))?;
        let links = stored.manifest.links.clone();
        let attachments = stored.manifest.attachments.keys().cloned().collect();
        (stored.artifact, links, attachments)
    } else {
        let artifact =
            target::from_file(&Host::new(cli, 0, 1)?, args.target.as_ref(), compute_wasm::NAME)?;
        let artifact = artifact.artifact;
        let links = compute_wasm::linked_plugin(artifact.wasm()).into_iter().collect();
        (artifact, links, Vec::new())
    };
    Ok(Report {
        reference: artifact.reference().clone(),
        engine: artifact.engine().to_owned(),
        links,
        attachments,
        module: compute_wasm::inspect_bound(artifact.wasm(), &Caps::DEFAULT, &bindings::read()?),
    })
}

fn print_report(report: &Report) -> Result<(), Failure> {
    let module = &report.module;
    let size = |bytes: u64| ByteSize::b(bytes).display().iec().to_string();
    let row = |name: &str, value: String| print_line(format!("{name:<12}{value}"));
    row("ref", report.reference.to_string())?;
    row("engine", report.engine.clone())?;
    row("size", format!("{} ({} bytes)", size(module.bytes), module.bytes))?;
    row("functions", module.functions.to_string())?;
    let most =
        module.memory_maximum.map_or("no maximum".into(), |most| format!("at most {}", size(most)));
    row("memory", format!("{} at the start, {most}", size(module.memory_minimum)))?;
    row(
        "envelope",
        if module.takes_envelope { "op/2" } else { "none: it gets its input alone" }.into(),
    )?;
    list("imports", &module.imports)?;
    list("exports", &module.exports)?;
    list("links", &report.links.iter().map(Ref::to_string).collect::<Vec<_>>())?;
    list("attachments", &report.attachments)?;
    row("refused", module.refused.clone().unwrap_or_else(|| "no, it can run".into()))
}

fn list(name: &str, items: &[String]) -> Result<(), Failure> {
    if items.is_empty() {
        return print_line(format!("{name:<12}none"));
    }
    for (at, item) in items.iter().take(SHOWN).enumerate() {
        // Whoever made the module named them.
        print_line(format!("{:<12}{}", if at == 0 { name } else { "" }, Printable::line(item)))?;
    }
    if items.len() > SHOWN {
        print_line(format!("{:<12}and {} more (--json shows all)", "", items.len() - SHOWN))?;
    }
    Ok(())
}
