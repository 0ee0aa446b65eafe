//! `compute replay`: records run again, and what is otherwise.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use compute::{
    Failure as GuestFailure, Limits, Record, RecordKey, Ref, Resolver as _, RunRecord, Subject,
};
use compute_flow::{ProcessorSettings, Snapshot, Stack, Stage};
use compute_replay::{
    Again, Against, KeptRecord, Summary, Unrepeatable, Verdict, replay_document, replay_run,
};
use compute_state::{StackName, Stacks};
use indicatif::{ProgressBar, ProgressStyle};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::record::line_of;
use crate::args::{Cli, ReplayArgs, WantedArgs};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::host::Host;
use crate::parallel;
use crate::show::{count, print_json, print_line, printable, report};
use crate::work::{compiled, records, target};

/// How many lines of one record's differences are shown.
const LINES: usize = 20;
/// The most memory that records may ask for.
const MEMORY: u64 = 4 << 30;

/// One record, run again.
struct Replayed {
    kept: KeptRecord,
    verdict: Verdict,
    again: Option<Box<Subject>>,
    /// What failed when it was run again.
    failure: Option<(Ref, GuestFailure)>,
}

pub(crate) fn replay(cli: &Cli, args: &ReplayArgs) -> Result<(), Failure> {
    let home = home::of(cli, args.state.state.as_deref())?;
    let kept = records::gather(&*home, &args.records, &args.wanted)?;
    if let Some(key) = &args.signed_by {
        let is_theirs =
            |kept: &KeptRecord| kept.record.signature.as_ref().is_some_and(|one| one.key == *key);
        if let Some(other) = kept.iter().find(|kept| !is_theirs(kept)) {
            let said = match &other.record.signature {
                Some(signature) => format!("is signed with {}", signature.key),
                None => "is not signed".to_owned(),
            };
            return Err(Failure::usage(format!("the record {} {said}", other.record.id)));
        }
    }
    let host = Host::at(&home, memory_of(&kept), parallel::threads())?;
    let mut secrets = home::secrets_here(cli, &*home, args.state.state.as_deref())?;
    secrets.extend(args.secret.iter().cloned());
    let against = against(&host, &*home, args)?;
    let replayed = run_again(&host, &*home, kept, secrets, against)?;
    if let Some(file) = &args.junit {
        write_junit(file, &replayed)?;
    }
    tell(&host, args, &replayed)
}

/// What came of recorded documents that were taken through other versions.
pub(crate) struct Compared {
    pub(crate) summary: Summary,
    /// How many records cannot be read.
    pub(crate) unread: usize,
}

/// Takes recorded documents through these versions in place of those that they went through, and shows what is otherwise: of those
/// that go through one of these stacks, then or now.
pub(crate) fn against_versions(
    home: &Arc<dyn Home>,
    host: &Host,
    records: &[std::path::PathBuf],
    stacks: Vec<Arc<Stack>>,
    secrets: BTreeMap<String, String>,
) -> Result<Compared, Failure> {
    let changed: Vec<StackName> = stacks.iter().map(|stack| stack.name().clone()).collect();
    let (mut kept, mut unread) = (Vec::new(), 0);
    for name in records {
        let recorded = name.to_string_lossy() == records::RECORDED && !name.exists();
        // The newest of each stack: others may have many more.
        let wanted = match recorded {
            true => changed
                .iter()
                .map(|stack| WantedArgs { stack: Some(stack.to_string()), ..WantedArgs::default() })
                .collect(),
            false => vec![WantedArgs::default()],
        };
        for wanted in wanted {
            match records::gather_and_count(&**home, std::slice::from_ref(name), &wanted) {
                Ok((found, damaged)) => {
                    kept.extend(found);
                    unread += damaged;
                }
                // Of one stack there may be none.
                Err(Failure::Usage(_)) if recorded => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    let mut seen = BTreeSet::new();
    kept.retain(|kept| {
        matches!(kept.record.subject, Subject::Document(_))
            && seen.insert((kept.record.id.clone(), kept.record.at))
    });
    let mut replayed = run_again(host, &**home, kept, secrets, Other::Versions(stacks))?;
    replayed.retain(|one| {
        let subjects = [Some(&one.kept.record.subject), one.again.as_deref()];
        subjects.into_iter().flatten().any(|subject| goes_through(subject, &changed))
    });
    let summary = summary(&replayed);
    print_summary(&summary, &replayed, true)?;
    Ok(Compared { summary, unread })
}

/// Whether a document goes through one of these stacks, or would if there were rules where it begins.
fn goes_through(subject: &Subject, stacks: &[StackName]) -> bool {
    let Subject::Document(document) = subject else { return false };
    let begun = document.stage.parse::<Stage>().map(|stage| stage.stack);
    let overlay = begun.iter().flat_map(StackName::overlay).any(|name| stacks.contains(&name));
    overlay || stacks.iter().any(|stack| document.versions.contains_key(stack.as_str()))
}

fn run_again(
    host: &Host,
    home: &dyn Home,
    kept: Vec<KeptRecord>,
    secrets: BTreeMap<String, String>,
    against: Other,
) -> Result<Vec<Replayed>, Failure> {
    let key = records::key()?;
    let replayer = Replayer { host, home, key, secrets, against, snapshots: Mutex::default() };
    replayer.prepare(&kept)?;
    let bar = progress(kept.len());
    let replayed = parallel::map(kept, |kept| {
        let (verdict, again) = replayer.replay(&kept.record);
        bar.inc(1);
        let (again, failure) = again.map(|again| (Box::new(again.record), again.failure)).unzip();
        Replayed { kept, verdict, again, failure: failure.flatten() }
    });
    bar.finish_and_clear();
    Ok(replayed)
}

fn memory_of(kept: &[KeptRecord]) -> u64 {
    let asked = runs(kept).map(|run| run.limits.memory).max();
    asked.unwrap_or_default().min(MEMORY)
}

/// All runs in these records, those of documents' steps as well.
fn runs(kept: &[KeptRecord]) -> impl Iterator<Item = &RunRecord> {
    kept.iter().flat_map(|kept| match &kept.record.subject {
        Subject::Run(run) => vec![&**run],
        Subject::Document(document) => document.steps.iter().map(|step| &step.run).collect(),
    })
}

fn progress(records: usize) -> ProgressBar {
    // It is drawn for a person, and not at all where stderr is no terminal.
    let bar = ProgressBar::new(records as u64);
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} records, {per_sec}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What records are run on.
enum Other {
    /// What they ran.
    Same,
    /// Another compute.
    Compute(Ref),
    /// Other versions of stacks.
    Versions(Vec<Arc<Stack>>),
}

fn against(host: &Host, home: &dyn Home, args: &ReplayArgs) -> Result<Other, Failure> {
    let Some(text) = args.against.as_deref() else { return Ok(Other::Same) };
    if text.contains("://") {
        return Ok(Other::Compute(Ref::parse(text).map_err(Failure::usage)?));
    }
    if let Some((stack, number)) = text.rsplit_once('@')
        && !std::path::Path::new(text).exists()
    {
        let name: StackName = stack.parse().map_err(Failure::usage)?;
        let number = number.parse().map_err(|_| {
            Failure::usage(format!("`{text}` names no version: write STACK@NUMBER, as `compute stack ls {stack}` lists them"))
        })?;
        let version = home.stacks()?.version(&name, number)?;
        return Ok(Other::Versions(vec![Arc::new(compiled(name, &version.files)?)]));
    }
    let target = target::from_file(host, text.as_ref(), compute_wasm::NAME).map_err(|failure| {
        match text.parse::<StackName>() {
            Ok(name) if home.stacks().is_ok_and(|stacks| stacks.versions(&name).is_ok()) => {
                Failure::usage(format!(
                    "--against {text}: of a stack, say which version: {text}@NUMBER"
                ))
            }
            _ => failure,
        }
    })?;
    Ok(Other::Compute(target.artifact.reference().clone()))
}

/// Stacks that were active together, or why they are not here.
type Active = Result<Arc<Snapshot>, Unrepeatable>;

struct Replayer<'a> {
    host: &'a Host,
    home: &'a dyn Home,
    key: RecordKey,
    secrets: BTreeMap<String, String>,
    against: Other,
    /// By the versions that they are of.
    snapshots: Mutex<HashMap<BTreeMap<String, String>, Active>>,
}

impl Replayer<'_> {
    /// Makes ready what records run: compiling it is nobody's time.
    fn prepare(&self, kept: &[KeptRecord]) -> Result<(), Failure> {
        let mut seen = BTreeSet::new();
        for run in runs(kept) {
            let reference = match &self.against {
                Other::Compute(reference) => reference,
                _ => &run.reference,
            };
            if !seen.insert((
                reference.clone(),
                run.limits.fuel.is_some() || run.fuel.is_some(),
                run.limits.stack,
            )) {
                continue;
            }
            // One that is gone is told with its records.
            if let Ok(artifact) = pollster::block_on(self.host.at_hand.resolve(reference)) {
                let fuel = run.limits.fuel.or(run.fuel);
                let limits = Limits { fuel, stack: Some(run.limits.stack), ..Limits::COMMAND_LINE };
                self.host.prepare(&artifact, limits)?;
            }
        }
        Ok(())
    }

    fn replay(&self, record: &Record) -> (Verdict, Option<Again<Subject>>) {
        let secret = |name: &str| self.secrets.get(name).cloned();
        match (&record.subject, &self.against) {
            (Subject::Run(_), Other::Versions(_)) => {
                let why = "it is a run, and no document: --against takes a ref or a file for it";
                (Verdict::Incomparable(Unrepeatable::Host(why.to_owned())), None)
            }
            (Subject::Run(run), against) => {
                let reference = match against {
                    Other::Compute(reference) => Some(reference.clone()),
                    _ => None,
                };
                let against = Against { reference, input: None };
                let (verdict, again) =
                    replay_run(run, &self.host.manager, &secret, &self.key, &against);
                let again = again.map(|again| Again {
                    record: Subject::Run(Box::new(again.record)),
                    failure: again.failure,
                });
                (verdict, again)
            }
            (Subject::Document(_), Other::Compute(_)) => {
                let why = "it is a document: --against takes STACK@VERSION for it";
                (Verdict::Incomparable(Unrepeatable::Host(why.to_owned())), None)
            }
            (Subject::Document(document), against) => {
                let (snapshot, other) = match (self.snapshot(&document.versions), against) {
                    (Err(why), Other::Same) => return (Verdict::Incomparable(why), None),
                    (found, Other::Versions(new)) => {
                        let others = found.unwrap_or_default();
                        let stacks = others.stacks().cloned().chain(new.iter().cloned());
                        (Arc::new(stacks.collect::<Snapshot>()), true)
                    }
                    (Ok(snapshot), _) => (snapshot, false),
                    (Err(why), _) => return (Verdict::Incomparable(why), None),
                };
                let limits = Limits { fuel: document.fuel, memory: None, ..Limits::COMMAND_LINE };
                let mut settings = ProcessorSettings { limits, ..ProcessorSettings::default() };
                if let Some(step) = document.steps.first() {
                    settings.limits.memory = Some(step.run.limits.memory);
                }
                let runner = Arc::new(self.host.manager.clone()) as Arc<dyn compute::Runner>;
                let (verdict, again) = replay_document(
                    record,
                    &snapshot,
                    &runner,
                    settings,
                    &self.secrets,
                    &self.key,
                    other,
                );
                let again = again
                    .map(|again| Again { record: again.record.subject, failure: again.failure });
                (verdict, again)
            }
        }
    }

    /// The stacks that were active, by the hashes of their versions.
    fn snapshot(&self, versions: &BTreeMap<String, String>) -> Active {
        let mut snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let found = snapshots.entry(versions.clone());
        found.or_insert_with(|| self.find(versions).map(Arc::new)).clone()
    }

    fn find(&self, versions: &BTreeMap<String, String>) -> Result<Snapshot, Unrepeatable> {
        let host = |error: &dyn std::fmt::Display| Unrepeatable::Host(error.to_string());
        let stacks: Arc<dyn Stacks> = self.home.stacks().map_err(|error| host(&error))?;
        let mut snapshot = Snapshot::default();
        for (name, hash) in versions {
            let stack: StackName = name.parse().map_err(|error| host(&error))?;
            let known = stacks.versions(&stack).unwrap_or_default();
            let Some(info) = known.iter().find(|info| info.hash == *hash) else {
                return Err(Unrepeatable::Gone(format!(
                    "the version {hash} of the stack `{name}` is not here: replay it where it was recorded, or apply it here"
                )));
            };
            let version = stacks.version(&stack, info.number).map_err(|error| host(&error))?;
            snapshot.insert(compiled(stack, &version.files).map_err(|error| host(&error))?);
        }
        Ok(snapshot)
    }
}

fn summary(replayed: &[Replayed]) -> Summary {
    let mut summary = Summary::default();
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
fn tell(host: &Host, args: &ReplayArgs, replayed: &[Replayed]) -> Result<(), Failure> {
    let summary = summary(replayed);
    if args.json {
        print_json(&summary)?;
    } else if let [one] = replayed {
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

fn print_summary(summary: &Summary, replayed: &[Replayed], other: bool) -> Result<(), Failure> {
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
    let failing = replayed.iter().find(|one| {
        let ok = |subject: &Subject| subject.status() == "ok";
        ok(&one.kept.record.subject) && one.again.as_deref().is_some_and(|again| !ok(again))
    });
    if let (true, Some(one)) = (other, failing) {
        print_line(printable(&format!("the first that now fails: {}", line_of(&one.kept.record))))?;
    }
    Ok(())
}

fn write_junit(file: &std::path::Path, replayed: &[Replayed]) -> Result<(), Failure> {
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
    let mut report = Report::new("compute");
    report.add_test_suite(suite);
    let xml = report.to_string().map_err(|error| Failure::host(&error))?;
    target::write(file, xml)
}
