//! `compute record`: what was recorded.

use compute::{Content, Data, Printable, Record, RunRecord, Subject};

use crate::args::{Cli, RecordArgs, RecordCommand, RecordLsArgs, RecordShowArgs};
use crate::failure::Failure;
use crate::show::{print_bytes, print_line};
use crate::work::records;

/// How many digits of an id a list shows.
const SHORT: usize = 12;

pub(crate) fn record(_: &Cli, args: &RecordArgs) -> Result<(), Failure> {
    match &args.command {
        RecordCommand::Ls(args) => ls(args),
        RecordCommand::Show(args) => show(args),
    }
}

fn ls(args: &RecordLsArgs) -> Result<(), Failure> {
    for kept in records::read(&args.records)? {
        let record = kept.record;
        if !is_wanted(&record, args) {
            continue;
        }
        if args.json {
            print_line(String::from_utf8_lossy(&record.to_json()))?;
        } else {
            print_line(line(&record))?;
        }
    }
    Ok(())
}

fn is_wanted(record: &Record, args: &RecordLsArgs) -> bool {
    let is =
        |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|one| one == found);
    let (stack, ops) = match &record.subject {
        Subject::Run(run) => {
            let meta = run.op.as_ref().map(|op| &op.meta);
            let stack = meta.map_or("", |meta| &meta.stack).to_owned();
            (stack, vec![run.reference.to_string(), meta.map_or("", |meta| &meta.op).to_owned()])
        }
        Subject::Document(document) => {
            let stack = document.stage.rsplit_once('/').map_or("", |(stack, _)| stack).to_owned();
            let steps = document.steps.iter();
            (
                stack,
                steps
                    .flat_map(|step| [step.rule.clone(), step.run.reference.to_string()])
                    .collect(),
            )
        }
    };
    is(&args.status, record.subject.status())
        && is(&args.stack, &stack)
        && is(&args.rid, &record.rid)
        && args.op.as_ref().is_none_or(|op| ops.contains(op))
}

/// A record in a line: its id, when, what, and how it ended.
pub(super) fn line(record: &Record) -> String {
    let what = match &record.subject {
        Subject::Run(run) => run.reference.to_string(),
        Subject::Document(document) => {
            format!("{} ({} steps)", document.stage, document.steps.len())
        }
    };
    let id = &record.id[..SHORT.min(record.id.len())];
    let text =
        format!("{id}  {}  {:<12}  {what}  {}", record.at, record.subject.status(), record.rid);
    Printable::line(text.trim_end()).to_string()
}

fn show(args: &RecordShowArgs) -> Result<(), Failure> {
    let all = records::read(std::slice::from_ref(&args.records))?;
    let wanted = |record: &Record| args.id.as_ref().is_none_or(|id| record.id.starts_with(&**id));
    let mut found = all.into_iter().map(|kept| kept.record).filter(wanted);
    let record = match (found.next(), found.next()) {
        (Some(record), None) => record,
        (None, _) => {
            let id = args.id.as_deref().unwrap_or_default();
            return Err(Failure::usage(format!(
                "there is no record `{id}` there; `compute record ls` lists them"
            )));
        }
        (Some(_), Some(_)) => {
            return Err(Failure::usage(
                "there are several records there: name one by its id, or by how that begins",
            ));
        }
    };
    if args.json {
        let mut json = record.to_json();
        json.push(b'\n');
        return print_bytes(&json);
    }
    for line in described(&record) {
        print_line(Printable::line(&line))?;
    }
    Ok(())
}

fn described(record: &Record) -> Vec<String> {
    let mut lines = vec![
        format!("record   {}", record.id),
        format!("at       {}", record.at),
        format!("took     {:.3} ms (not reproducible)", record.wall_ns as f64 / 1e6),
    ];
    if !record.rid.is_empty() {
        lines.push(format!("request  {}", record.rid));
    }
    match &record.subject {
        Subject::Run(run) => describe_run(run, "", &mut lines),
        Subject::Document(document) => {
            lines.push(format!("stage    {}", document.stage));
            for (stack, hash) in &document.versions {
                lines.push(format!("version  {stack} {hash}"));
            }
            lines.push(format!("clock    {}", document.now));
            lines.push(format!("seed     {}", document.seed));
            lines.push(format!("input    {}", shown(&document.input)));
            lines.push(format!("status   {}", document.status));
            lines.extend(document.reason.iter().map(|reason| format!("reason   {reason}")));
            lines
                .extend(document.output.iter().map(|output| format!("output   {}", shown(output))));
            for step in &document.steps {
                lines.push(format!("step     {}", step.rule));
                describe_run(&step.run, "  ", &mut lines);
            }
        }
    }
    lines
}

fn describe_run(run: &RunRecord, before: &str, lines: &mut Vec<String>) {
    let mut put = |name: &str, text: String| lines.push(format!("{before}{name:<8} {text}"));
    put("ref", run.reference.to_string());
    if let Some(origin) = &run.origin {
        put("engine", format!("{} {}", origin.engine, origin.version));
        origin.links.iter().for_each(|link| put("link", link.to_string()));
    }
    put("clock", run.now.to_string());
    put("seed", run.seed.clone());
    put("input", shown(&run.input));
    if let Some(op) = &run.op {
        put("env", shown(&op.env));
        op.secrets.digests.keys().for_each(|name| put("secret", name.clone()));
    }
    put("status", run.status.clone());
    run.reason.iter().for_each(|reason| put("reason", reason.clone()));
    run.output.iter().for_each(|output| put("output", shown(output)));
    run.fuel.iter().for_each(|fuel| put("fuel", fuel.to_string()));
    put("memory", format!("{} bytes at most", run.peak_memory));
}

/// What is known of bytes, in a line.
fn shown(content: &Content) -> String {
    const LONG: usize = 200;
    let note = if content.masked { ", secrets masked" } else { "" };
    match &content.data {
        Some(Data::Text(text)) if text.chars().count() <= LONG => format!("{text}{note}"),
        Some(Data::Text(text)) => {
            let begin: String = text.chars().take(LONG).collect();
            format!("{begin}… ({} bytes{note})", content.size)
        }
        Some(Data::Base64(_)) => format!("{} bytes that are no text{note}", content.size),
        None => format!("{} bytes, sha256 {}{note}", content.size, content.sha256),
    }
}
