//! `compute record`: what was recorded.

use compute::{
    Content, Data, Printable, Record, RecordHead, RecordKeep, RecordQuery, RunRecord, Subject,
};
use compute_state::{RecordPolicy, Recorded};

use crate::args::{
    Cli, RecordArgs, RecordCommand, RecordLsArgs, RecordPolicyArgs, RecordShowArgs, WantedArgs,
};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::show::{count, print_bytes, print_json, print_line};
use crate::work::records;

/// How many digits of an id a list shows.
const SHORT: usize = 12;

/// How many records of a server are listed where nobody says.
const LAST: usize = 20;

pub(crate) fn record(cli: &Cli, args: &RecordArgs) -> Result<(), Failure> {
    let home = home::of(cli, args.state.state.as_deref())?;
    match &args.command {
        RecordCommand::Ls(args) => ls(&*home, args),
        RecordCommand::Show(args) => show(&*home, args),
        RecordCommand::Policy(args) => policy(&*home, args),
    }
}

fn ls(home: &dyn Home, args: &RecordLsArgs) -> Result<(), Failure> {
    let (query, last) = (args.wanted.query(), args.wanted.last);
    if args.records.is_empty() && !args.json {
        let heads = home.record_heads(&query, last.unwrap_or(LAST))?;
        if heads.is_empty() {
            crate::show::tell!("{}", records::absent(&query));
        }
        return heads.iter().try_for_each(|head| print_line(line(head)));
    }
    let wanted = match args.records.is_empty() {
        true => WantedArgs { last: last.or(Some(LAST)), ..args.wanted.clone() },
        false => args.wanted.clone(),
    };
    for kept in records::gather(home, &args.records, &wanted)? {
        if args.json {
            print_line(String::from_utf8_lossy(&kept.record.to_json()))?;
        } else {
            print_line(line_of(&kept.record))?;
        }
    }
    Ok(())
}

/// A record in a line.
pub(super) fn line_of(record: &Record) -> String {
    records::head(record, &RecordQuery::default()).as_ref().map(line).unwrap_or_default()
}

/// A record in a line: its id, when, what, and how it ended.
fn line(head: &RecordHead) -> String {
    let RecordHead { id, what, status, rid, at, .. } = head;
    let id = &id[..SHORT.min(id.len())];
    let steps = head.steps.map(|steps| format!(" ({})", count(steps, "step"))).unwrap_or_default();
    let at = at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    let text = format!("{id}  {at}  {status:<12}  {what}{steps}  {rid}");
    Printable::line(text.trim_end()).to_string()
}

fn policy(home: &dyn Home, args: &RecordPolicyArgs) -> Result<(), Failure> {
    let stacks = home.stacks()?;
    let keep = args.keep.unwrap_or(RecordKeep::Bytes);
    let set = args.which.map(|which| RecordPolicy { which, keep });
    if set.is_some() || args.unset {
        return Ok(stacks.set_record_policy(args.stack.as_ref(), set)?);
    }
    let policies = stacks.record_policies()?;
    if args.json {
        return print_json(&policies);
    }
    let shown = |policy: &RecordPolicy| match (policy.which, policy.keep) {
        (Recorded::Off, _) => "off".to_owned(),
        (which, RecordKeep::Bytes) => format!("{which}, with bytes"),
        (which, RecordKeep::Digests) => format!("{which}, digests alone"),
    };
    let own: Vec<_> = policies.stacks.iter().collect();
    let width = own.iter().map(|(stack, _)| stack.as_str().len()).max().unwrap_or(0).max(8);
    for (stack, policy) in own {
        if args.stack.as_ref().is_none_or(|wanted| wanted == stack) {
            print_line(format!("{:<width$}  {}", stack.as_str(), shown(policy)))?;
        }
    }
    let name = if policies.stacks.is_empty() { "all" } else { "all else" };
    print_line(format!("{name:<width$}  {}", shown(&policies.of(None))))
}

fn show(home: &dyn Home, args: &RecordShowArgs) -> Result<(), Failure> {
    let names = std::slice::from_ref(&args.record);
    let all = records::gather(home, names, &WantedArgs::default())?;
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
    if !record.by.is_empty() {
        lines.push(format!("by       {}", record.by));
    }
    // It is checked when it is read.
    lines.extend(record.signature.iter().map(|signed| format!("signed   {}", signed.key)));
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
            for (name, content) in [("output", &document.output), ("http", &document.web)] {
                lines.extend(content.iter().map(|one| format!("{name:<8} {}", shown(one))));
            }
            if document.steps_dropped > 0 {
                lines.push(format!("dropped  {}", count(document.steps_dropped as usize, "step")));
            }
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
    put("status", run.status.to_string());
    if run.cached {
        put("cached", "an earlier run on the same had given it".to_owned());
    }
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
