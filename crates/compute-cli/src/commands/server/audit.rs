//! `compute audit`: who changed what, and whether the log of it is the one that was written.

use std::collections::BTreeSet;

use compute::Printable;
use compute_state::{AuditBroken, AuditEntry, AuditOf, verify_audit};
use serde::Serialize;

use crate::args::{AuditArgs, AuditCommand, Cli};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::show::{print_json, print_line};

/// How many entries are read at once.
const PAGE: usize = 1000;

/// An entry, and which log it is in.
#[derive(Serialize)]
struct Listed {
    log: AuditOf,
    #[serde(flatten)]
    entry: AuditEntry,
}

pub(crate) fn audit(cli: &Cli, args: &AuditArgs) -> Result<(), Failure> {
    let home = home::of_tenant(cli, args.state.state.as_deref(), args.tenant.as_ref())?;
    match &args.command {
        AuditCommand::Ls { last, json } => ls(&*home, *last as usize, *json),
        AuditCommand::Verify { head } => verify(&*home, head),
    }
}

fn ls(home: &dyn Home, last: usize, json: bool) -> Result<(), Failure> {
    let mut listed = Vec::new();
    for log in AuditOf::ALL {
        let head = home.audit(log, None, 0)?.head;
        let mut after = head.number.saturating_sub(last as u64);
        loop {
            let page = home.audit(log, Some(after), PAGE)?;
            let Some(newest) = page.entries.last() else { break };
            // An entry that was altered could lead back, and round for ever.
            if newest.number <= after {
                return Err(Failure::Host(format!(
                    "{}: the entry after {after} says that it is {}: the log was altered; `compute audit verify` says where",
                    log.name(),
                    newest.number
                )));
            }
            after = newest.number;
            listed.extend(page.entries.into_iter().map(|entry| Listed { log, entry }));
        }
        if !json && head.number > 0 {
            crate::show::tell!("the head of {}: {} {}", log.name(), head.number, head.hash);
        }
    }
    listed.sort_by(|a, b| {
        (a.entry.time, a.log, a.entry.number).cmp(&(b.entry.time, b.log, b.entry.number))
    });
    let more = listed.len().saturating_sub(last);
    for one in &listed[more..] {
        if json { print_json(one)? } else { print_line(line(one))? }
    }
    Ok(())
}

fn line(Listed { log, entry }: &Listed) -> String {
    let number = format!("{} {}", log.name(), entry.number);
    let time = entry.time.strftime("%Y-%m-%dT%H:%M:%SZ");
    let text =
        format!("{time}  {number:<16}  {:<18}  {:<16}  {}", entry.who, entry.what, entry.subject);
    Printable::line(&text).to_string()
}

fn verify(home: &dyn Home, heads: &[String]) -> Result<(), Failure> {
    let is_hash = |head: &&String| head.len() == 64 && head.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(wrong) = heads.iter().find(|head| !is_hash(head)) {
        return Err(Failure::usage(format!(
            "--head {wrong}: a head is a hash of 64 hex digits, as `compute audit verify` prints it"
        )));
    }
    let mut missing: BTreeSet<_> = heads.iter().map(|head| head.to_ascii_lowercase()).collect();
    for log in AuditOf::ALL {
        let page = |after| Ok(home.audit(log, after, PAGE)?);
        let head = verify_audit(page, |head| {
            missing.remove(&head.hash);
        });
        let head = head.map_err(|error| match error {
            Wrong::Broken(broken) => Failure::Host(format!("{}: {broken}", log.name())),
            Wrong::Failure(failure) => {
                let message = format!("{}: {failure}", log.name());
                failure.with_message(message)
            }
        })?;
        print_line(format!("{}  {}  {}", log.name(), head.number, head.hash))?;
    }
    match missing.first() {
        None => Ok(()),
        Some(head) => Err(Failure::Host(format!(
            "no entry has the hash {head}: the log was made anew or cut off since, or so much was done that the entry went"
        ))),
    }
}

/// Why a log is not verified.
enum Wrong {
    Broken(AuditBroken),
    Failure(Failure),
}

impl From<AuditBroken> for Wrong {
    fn from(broken: AuditBroken) -> Self {
        Self::Broken(broken)
    }
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}
