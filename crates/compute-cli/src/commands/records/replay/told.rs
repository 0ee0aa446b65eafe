//! What came of records that were run again, as it is told: to a person, as JSON, as JUnit.

use std::collections::BTreeMap;
use std::path::Path;

use compute::Subject;
use compute_replay::{Summary, Verdict};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::Replayed;
use crate::args::ReplayArgs;
use crate::commands::records::record::line_of;
use crate::failure::Failure;
use crate::host::Host;
use crate::show::{count, print_json, print_line, printable, report};
use crate::work::target;

/// How many lines of one record's differences are shown.
const LINES: usize = 20;

pub(super) fn summary(replayed: &[Replayed], unread: usize) -> Summary {
    let mut summary = Summary::default();
    summary.unread = unread;
    for one in replayed {
        summary.add(&one.kept.record.id, &one.verdict);
        if let (Subject::Run(before), Some(Subject::Run(after))) =
            (&one.kept.record.subject, one.again.as_deref())
        {
            let fuel = before.fuel.zip(after.fuel);
            summary.measure(fuel, (before.peak_memory, after.peak_memory));
        }
    }
    summary.done()
}

/// Says what came of it.
pub(super) fn tell(
    host: &Host,
    args: &ReplayArgs,
    replayed: &[Replayed],
    unread: usize,
) -> Result<(), Failure> {
    let summary = summary(replayed, unread);
    if args.json {
        print_json(&summary)?;
    } else if let ([one], 0) = (replayed, unread) {
        print_one(host, one)?;
    } else {
        print_summary(&summary, replayed, args.against.is_some())?;
    }
    let compared = summary.same + summary.different;
    match (summary.different, compared) {
        (0, 0) => Err(Failure::Host(format!(
            "none of {} can be compared",
            count(summary.records, "record")
        ))),
        // One of them may be what differs.
        (0, _) if unread > 0 => {
            Err(Failure::Host(format!("{} cannot be read", count(unread, "record"))))
        }
        (0, _) => Ok(()),
        (different, _) => {
            Err(Failure::Guest(format!("{different} of {compared} came out otherwise")))
        }
    }
}

fn print_one(host: &Host, one: &Replayed) -> Result<(), Failure> {
    // What failed, at its author's line, where the artifact says where that is.
    if let Some((reference, failure)) = &one.failure {
        let map = target::stored_source_map(host, reference);
        crate::show::tell!("{}", printable(&report::failure(failure, map.as_ref())));
    }
    match &one.verdict {
        Verdict::Identical => print_line("identical"),
        Verdict::Different(differences) => {
            for line in differences.iter().flat_map(|one| lines(&one.to_string())) {
                print_line(printable(&line))?;
            }
            Ok(())
        }
        Verdict::Incomparable(why) => print_line(printable(&format!("not compared: {why}"))),
        _ => Ok(()),
    }
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().take(LINES).map(str::to_owned).collect();
    let more = text.lines().count().saturating_sub(LINES);
    if more > 0 {
        lines.push(format!("… and {more} more"));
    }
    lines
}

pub(super) fn print_summary(
    summary: &Summary,
    replayed: &[Replayed],
    other: bool,
) -> Result<(), Failure> {
    let compared = summary.same + summary.different;
    let mut head = format!("{} of {compared} the same", summary.same);
    if summary.different > 0 {
        head.push_str(&format!(", {} differ", summary.different));
    }
    print_line(head)?;
    for group in &summary.groups {
        let id = &group.example[..12.min(group.example.len())];
        let records = count(group.records, "record");
        print_line(printable(&format!("  {}: {records}, as {id}", group.place)))?;
        for (before, after, times) in &group.ways {
            print_line(printable(&format!("      {before} → {after} ({times})")))?;
        }
    }
    for (name, spreads) in [("fuel", summary.fuel), ("memory", summary.memory)] {
        if let Some((before, after)) = spreads.filter(|(before, after)| before != after) {
            print_line(format!(
                "  {name}: median {} → {}, p99 {} → {}, most {} → {}",
                before.median, after.median, before.p99, after.p99, before.max, after.max
            ))?;
        }
    }
    if summary.incomparable > 0 {
        print_line(format!("{} cannot be compared:", count(summary.incomparable, "record")))?;
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for one in replayed {
            if let Verdict::Incomparable(why) = &one.verdict {
                *reasons.entry(why.to_string()).or_default() += 1;
            }
        }
        for (why, records) in reasons.iter().take(LINES) {
            print_line(printable(&format!("  {why} ({records})")))?;
        }
    }
    if summary.unread > 0 {
        print_line(format!("{} cannot be read", count(summary.unread, "record")))?;
    }
    let failing = replayed.iter().find(|one| {
        let ok = |subject: &Subject| subject.status() == "ok";
        ok(&one.kept.record.subject) && one.again.as_deref().is_some_and(|again| !ok(again))
    });
    if let (true, Some(one)) = (other, failing) {
        print_line(printable(&format!("the first that now fails: {}", line_of(&one.kept.record))))?;
    }
    Ok(())
}

pub(super) fn write_junit(
    file: &Path,
    replayed: &[Replayed],
    unread: &[String],
) -> Result<(), Failure> {
    let mut suite = TestSuite::new("replay");
    for one in replayed {
        let mut status = TestCaseStatus::success();
        match &one.verdict {
            Verdict::Different(differences) => {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                let text: Vec<_> = differences.iter().map(ToString::to_string).collect();
                status.set_message(text.join("\n"));
            }
            Verdict::Incomparable(why) => {
                status = TestCaseStatus::skipped();
                status.set_message(why.to_string());
            }
            _ => {}
        }
        suite.add_test_case(TestCase::new(line_of(&one.kept.record), status));
    }
    for why in unread {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(why);
        suite.add_test_case(TestCase::new(why, status));
    }
    let mut report = Report::new("compute");
    report.add_test_suite(suite);
    let xml = report.to_string().map_err(|error| Failure::host(&error))?;
    target::write(file, xml)
}
