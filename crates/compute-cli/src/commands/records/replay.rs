//! `compute replay`: records run again, and what is otherwise.

mod told;

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

use crate::args::{Cli, ReplayArgs, WantedArgs};
use crate::failure::Failure;
use crate::home::{self, Home, OpenedSecrets};
use crate::host::Host;
use crate::parallel;
use crate::work::records::{self, Gathered};
use crate::work::{compiled, target};

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
    let Gathered { kept, unread } = records::gather_all(&*home, &args.records, &args.wanted)?;
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
    let against = against(&host, &*home, args)?;
    let named: BTreeSet<String> =
        kept.iter().flat_map(|kept| secrets_of(&kept.record)).cloned().collect();
    // Other versions may name others.
    let named = if matches!(against, Other::Versions(_)) { None } else { Some(&named) };
    let mut secrets = home::secrets_here(cli, &*home, args.state.state.as_deref(), named)?;
    secrets.extend(args.secret.iter().cloned().map(|(name, value)| (name, Ok(value))));
    let replayed = run_again(&host, &*home, kept, secrets, against)?;
    if let Some(file) = &args.junit {
        told::write_junit(file, &replayed, &unread)?;
    }
    told::tell(&host, args, &replayed, unread.len())
}

/// The names of the secrets that a record names.
fn secrets_of(record: &Record) -> impl Iterator<Item = &String> {
    let secrets = match &record.subject {
        Subject::Run(run) => run.op.as_ref().map(|op| &op.secrets),
        Subject::Document(document) => Some(&document.secrets),
    };
    secrets.into_iter().flat_map(|secrets| secrets.digests.keys())
}

/// Takes recorded documents through these versions in place of those that they went through, and shows what is otherwise: of those
/// that go through one of these stacks, then or now.
pub(crate) fn against_versions(
    home: &Arc<dyn Home>,
    host: &Host,
    records: &[std::path::PathBuf],
    stacks: Vec<Arc<Stack>>,
    secrets: OpenedSecrets,
) -> Result<Summary, Failure> {
    let changed: Vec<StackName> = stacks.iter().map(|stack| stack.name().clone()).collect();
    let mut gathered = Gathered::default();
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
            match records::gather_all(&**home, std::slice::from_ref(name), &wanted) {
                Ok(found) => gathered.add(found),
                // Of one stack there may be none.
                Err(Failure::Usage(_)) if recorded => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    let Gathered { mut kept, unread } = gathered;
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
    let summary = told::summary(&replayed, unread.len());
    told::print_summary(&summary, &replayed, true)?;
    Ok(summary)
}

/// Whether a document goes through one of these stacks, or would if there were rules where it begins.
fn goes_through(subject: &Subject, stacks: &[StackName]) -> bool {
    let Subject::Document(document) = subject else { return false };
    let begun = document.stage.parse::<Stage>().map(|stage| stage.stack);
    let overlay = begun.iter().flat_map(StackName::overlay).any(|name| stacks.contains(&name));
    overlay || stacks.iter().any(|stack| document.versions.contains_key(stack.as_str()))
}

/// That a document went, and goes, through none of the stacks that are to be tried.
fn elsewhere(before: &Subject, after: &Subject, stacks: &[Arc<Stack>]) -> Option<Unrepeatable> {
    let names: Vec<StackName> = stacks.iter().map(|stack| stack.name().clone()).collect();
    if [before, after].iter().any(|subject| goes_through(subject, &names)) {
        return None;
    }
    let Subject::Document(document) = before else { return None };
    let quoted = |names: &mut dyn Iterator<Item = &str>| {
        names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    Some(Unrepeatable::Elsewhere {
        through: quoted(&mut document.versions.keys().map(String::as_str)),
        other: quoted(&mut names.iter().map(StackName::as_str)),
    })
}

fn run_again(
    host: &Host,
    home: &dyn Home,
    kept: Vec<KeptRecord>,
    opened: OpenedSecrets,
    against: Other,
) -> Result<Vec<Replayed>, Failure> {
    // A key that nobody has knows no secret.
    let random = || RecordKey::new(*compute::Seed::random().as_bytes());
    let key = records::key_if_made()?.unwrap_or_else(random);
    let (mut secrets, mut sealed) = (BTreeMap::new(), BTreeMap::new());
    for (name, opened) in opened {
        match opened {
            Ok(value) => drop(secrets.insert(name, value)),
            Err(why) => drop(sealed.insert(name, why)),
        }
    }
    let snapshots = Mutex::default();
    let replayer = Replayer { host, home, key, secrets, sealed, against, snapshots };
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
    /// Why secrets that are set here cannot be opened.
    sealed: BTreeMap<String, String>,
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
        if let Some(why) = secrets_of(record).find_map(|name| self.sealed.get(name)) {
            return (Verdict::Incomparable(Unrepeatable::Host(why.clone())), None);
        }
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
                let elsewhere = match (&again, &self.against) {
                    (Some(again), Other::Versions(new)) => {
                        elsewhere(&record.subject, &again.record, new)
                    }
                    _ => None,
                };
                (elsewhere.map_or(verdict, Verdict::Incomparable), again)
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
