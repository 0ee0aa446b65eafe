//! Bad neighbours: what one tenant does on a server, what the server may take meanwhile, and that another tenant's
//! calls are all answered. The tests run each row for a moment; `cargo xtask bench siege` measures them.

// Two programs include this file, each from elsewhere.
#[path = "neighbours/field.rs"]
mod field;
#[path = "neighbours/guests.rs"]
mod guests;
#[path = "neighbours/modules.rs"]
mod modules;
#[path = "neighbours/requests.rs"]
mod requests;
#[path = "neighbours/rules.rs"]
mod rules;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

pub(crate) use field::Seen;
use field::{ALICE, Field, watch};

/// One thing that a bad neighbour does.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// By how many MiB the server's resident memory may grow.
    pub(crate) grows: u64,
    /// Does it, and says what the server should have answered otherwise.
    pub(crate) act: fn(&Field) -> Result<()>,
}

const fn row(name: &'static str, grows: u64, act: fn(&Field) -> Result<()>) -> Row {
    Row { name, grows, act }
}

/// How many threads a server with two processors may have: those of its classes of work, of its runtime and of the
/// compiler, and some of its own.
pub(crate) const THREADS: u64 = 80;

pub(crate) const ROWS: &[Row] = &[
    row("another engine for another's bytes", 20, guests::another_engine),
    row("600 validations at once on 6 connections", 250, requests::validations),
    row("modules that take long to compile, hung up on", 150, guests::compiles_left_alone),
    row("loops × locals that no compiler survives", 60, guests::bombs),
    row("a thousand parameters, twenty thousand times", 60, guests::shapes),
    row("a call that ended the process", 20, guests::subtypes),
    row("44 MiB of env", 400, requests::env),
    row("2 MiB of small objects, 14 ops each", 400, rules::many_ops),
    row("a thousand rules that emit one large value", 400, rules::many_emits),
    row("an event of 4 MiB of small objects", 120, guests::event),
    row("lines of log without text", 60, guests::log_flood),
    row("host functions called with wild pointers", 20, guests::bad_calls),
    row("200 full traces, listed", 120, rules::traces),
    row("diagnostics of a hundred broken files", 150, rules::diagnostics),
    row("200,000 deletions", 200, rules::deletions),
    row("a regular expression on 4 MiB", 120, rules::regex),
    row("thousands of large regular expressions", 120, rules::regexes),
    row("a diff of two files that share little", 150, rules::diff),
    row("answers that nobody reads", 400, requests::unread),
    row("windows of nothing on HTTP/2", 60, requests::no_window),
    row("frames of HTTP/2 that say nothing", 60, requests::idle_frames),
    row("large headers that are named and not sent", 150, requests::named_headers),
    row("requests that are refused, by the thousand", 60, requests::refused),
    row("an op whose top level never ends", 60, guests::endless_image),
    row("forty plugins", 120, guests::plugins),
    row("documents of many ops that spin", 60, rules::spinning_documents),
    row("thousands who wait and leave", 150, requests::leaving),
    row("bodies that come slowly", 150, requests::slow_bodies),
    row("2,100 rules with a name each", 150, rules::many_series),
    row("drafts written one after the other", 150, rules::writes),
    row("an answer nested as deep as can be", 60, rules::deep),
    row("secrets in every form, forged lines", 60, guests::leaks),
    row("paths and names that are none", 20, requests::paths),
    row("guests that spin to their deadline", 60, guests::spins),
];

/// What became of a row.
#[allow(dead_code, reason = "the tests ask for what was wrong, the benchmark for all of it")]
pub(crate) struct Done {
    pub(crate) seen: Seen,
    /// Resident memory before, in MiB.
    pub(crate) before: u64,
    pub(crate) took: Duration,
    /// What was wrong.
    pub(crate) wrong: Vec<String>,
}

/// Runs a row on a server of its own.
pub(crate) fn run(row: &Row, program: &Path) -> Result<Done> {
    let field = Field::new(program, &[])?;
    let deny = field.put(ALICE, &modules::says(r#"{"allowed":false}"#)?)?;
    run_on(row, &field, &format!("/run/{deny}"))
}

/// Runs a row on this server, on which the good neighbour calls this.
fn run_on(row: &Row, field: &Field, path: &str) -> Result<Done> {
    // What the first calls bring along is not the row's.
    for _ in 0..20 {
        field.ask(ALICE, "POST", path, b"{}")?.is(&[200])?;
    }
    let before = field.status("VmRSS") >> 10;
    let begun = Instant::now();
    let (acted, seen) = watch(field, path, || (row.act)(field).context(row.name));
    let took = begun.elapsed();
    let mut wrong: Vec<_> = acted.err().map(|error| format!("{error:#}")).into_iter().collect();
    if !field.is_alive() {
        wrong.push(format!("the server died: {}", last(&field.log())));
    }
    if let Some(lost) = seen.lost.first() {
        let (count, all) = (seen.lost.len(), seen.lost.len() + seen.times.len());
        wrong.push(format!("the neighbour lost {count} of {all} calls, first: {lost}"));
    }
    let grown = seen.memory.saturating_sub(before);
    if grown > row.grows {
        wrong.push(format!("memory grew by {grown} MiB, and may by {}", row.grows));
    }
    if seen.threads > THREADS {
        wrong.push(format!("{} threads, and there may be {THREADS}", seen.threads));
    }
    Ok(Done { seen, before, took, wrong })
}

/// All rows one after the other and then all at once, on one server, again and again for so long. Gives back what was
/// seen, and what was wrong.
#[allow(dead_code, reason = "only the benchmark goes on for so long")]
pub(crate) fn together(program: &Path, time: Duration) -> Result<(Seen, Vec<String>)> {
    let field = Field::new(program, &[])?;
    let deny = field.put(ALICE, &modules::says(r#"{"allowed":false}"#)?)?;
    let begun = Instant::now();
    let ((), seen) = watch(&field, &format!("/run/{deny}"), || {
        while begun.elapsed() < time {
            for row in ROWS {
                if begun.elapsed() < time {
                    // What it is answered when others take the same is not said; that it is answered is.
                    let _ = (row.act)(&field);
                }
            }
            std::thread::scope(|scope| {
                for row in ROWS {
                    scope.spawn(|| (row.act)(&field).is_ok());
                }
            });
        }
    });
    let mut wrong = Vec::new();
    if !field.is_alive() {
        wrong.push(format!("the server died: {}", last(&field.log())));
    }
    wrong.extend(seen.lost.iter().take(5).cloned());
    Ok((seen, wrong))
}

fn last(log: &str) -> String {
    log.chars().rev().take(500).collect::<Vec<_>>().into_iter().rev().collect()
}

/// That all of these were answered, and with one of these statuses.
fn all_answered(answers: Vec<Result<field::Answer>>, statuses: &[u16]) -> Result<()> {
    ensure!(!answers.is_empty(), "nothing was asked");
    answers.into_iter().try_for_each(|answer| answer?.is(statuses))
}

/// Asks the same so many times at once.
fn at_once<T: Send>(times: usize, ask: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..times)
            .map(|at| {
                scope.spawn({
                    let ask = &ask;
                    move || ask(at)
                })
            })
            .collect();
        asked.into_iter().filter_map(|one| one.join().ok()).collect()
    })
}
