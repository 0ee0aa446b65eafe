//! Records that commands write and read.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use compute::{Content, Record, RecordHead, RecordKey, RecordQuery, RunRecord, Subject};
use compute_replay::{KeptRecord, RecordSigner, read_records, write_record};
use serde_json::Value;

use super::fixtures::{Case, SeedText};
use crate::args::WantedArgs;
use crate::failure::Failure;
use crate::home::Home;
use crate::user;

/// The file of the key with which secrets are known in this user's records.
const KEY: &str = "record.key";

/// The key with which secrets are known in this user's records, if there is one.
pub(crate) fn key_if_made() -> Result<Option<RecordKey>, Failure> {
    read_key(&user::settings_folder()?.join(KEY))
}

fn read_key(file: &Path) -> Result<Option<RecordKey>, Failure> {
    match std::fs::read(file) {
        Ok(bytes) => {
            let bytes: [u8; 32] = bytes.try_into().map_err(|_| {
                key_failed(
                    file,
                    &"it has not 32 bytes: delete it, and secrets in older records are not compared",
                )
            })?;
            Ok(Some(RecordKey::new(bytes)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(key_failed(file, &error)),
    }
}

fn key_failed(file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Host(format!("the key of records, {}: {error}", file.display()))
}

/// The same; made where there is none.
pub(crate) fn key() -> Result<RecordKey, Failure> {
    let folder = user::settings_folder()?;
    let file = folder.join(KEY);
    let failed = |error: &dyn std::fmt::Display| key_failed(&file, error);
    loop {
        if let Some(key) = read_key(&file)? {
            return Ok(key);
        }
        std::fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
        let bytes = compute::Seed::random();
        let new = tempfile::Builder::new().tempfile_in(&folder).map_err(|error| failed(&error))?;
        let mut opened = std::fs::OpenOptions::new()
            .write(true)
            .mode(0o600)
            .open(new.path())
            .map_err(|error| failed(&error))?;
        opened.write_all(bytes.as_bytes()).map_err(|error| failed(&error))?;
        // Whoever comes first wins, and the other reads what it wrote.
        match new.persist_noclobber(&file) {
            Ok(_) => {}
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&error.error)),
        }
    }
}

/// The record with this user's signature, if that is wanted.
pub(crate) fn signed(record: Record, sign: bool) -> Result<Record, Failure> {
    if sign { Ok(RecordSigner::new(&key()?).sign(record)) } else { Ok(record) }
}

/// Writes a record to a file that ends with `.json`, or into a folder under its id. Says where.
pub(crate) fn write(record: &Record, to: &Path) -> Result<PathBuf, Failure> {
    let is_file = to.extension().is_some_and(|end| end == "json") && !to.is_dir();
    let file = if is_file { to.to_owned() } else { to.join(format!("{}.json", record.id)) };
    if is_file && file.exists() && read_records(&file).any(|one| one.is_err()) {
        return Err(Failure::usage(format!(
            "{} is there already and is no record: give another name",
            file.display()
        )));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = folder.map_or(Ok(()), std::fs::create_dir_all);
    written.and_then(|()| write_record(record, &file)).map_err(|error| {
        Failure::Host(format!("cannot write the record {}: {error}", file.display()))
    })?;
    Ok(file)
}

/// How many of the records of a place are taken where nobody says.
const LAST: usize = 1000;
/// What stands for the newest records of a place.
pub(crate) const RECORDED: &str = "recorded";

/// Records of several places.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) kept: Vec<KeptRecord>,
    /// What is wrong with those that cannot be read.
    pub(crate) unread: Vec<String>,
}

/// The records of these files and folders, those of these ids, and those that are `recorded`; of no names, these. Those alone that
/// are wanted.
pub(crate) fn gather(
    home: &dyn Home,
    names: &[PathBuf],
    wanted: &WantedArgs,
) -> Result<Vec<KeptRecord>, Failure> {
    gather_all(home, names, wanted).map(|gathered| gathered.kept)
}

/// The same, and what cannot be read.
pub(crate) fn gather_all(
    home: &dyn Home,
    names: &[PathBuf],
    wanted: &WantedArgs,
) -> Result<Gathered, Failure> {
    let query = wanted.query();
    let of_home = |record| KeptRecord { record, file: PathBuf::new() };
    let recorded = || -> Result<Gathered, Failure> {
        let (records, unread) = home.records(&query, wanted.last.unwrap_or(LAST))?;
        Ok(Gathered { kept: records.into_iter().map(of_home).collect(), unread })
    };
    let mut gathered = Gathered::default();
    let mut files = Vec::new();
    for name in names {
        let text = name.to_string_lossy();
        if name.exists() || text.contains(['/', '.']) {
            files.push(name.clone());
        } else if text == RECORDED {
            gathered.add(recorded()?);
        } else {
            gathered.kept.push(of_home(home.record(&text)?));
        }
    }
    if names.is_empty() {
        gathered = recorded()?;
    }
    if !files.is_empty() {
        gathered.add(read(&files)?);
    }
    let kept = &mut gathered.kept;
    if query != RecordQuery::default() {
        kept.retain(|kept| head(&kept.record, &query).is_some());
    }
    kept.sort_by_key(|kept: &KeptRecord| kept.record.at);
    let more = wanted.last.map_or(0, |last| kept.len().saturating_sub(last));
    kept.drain(..more);
    if kept.is_empty() {
        return Err(Failure::usage(absent(&query)));
    }
    Ok(gathered)
}

impl Gathered {
    /// These, too.
    pub(crate) fn add(&mut self, other: Self) {
        self.kept.extend(other.kept);
        self.unread.extend(other.unread);
    }
}

/// That there are no such records.
pub(crate) fn absent(query: &RecordQuery) -> &'static str {
    if *query == RecordQuery::default() {
        "there are no records; `compute record policy` says what is recorded"
    } else {
        "no record is of all that is asked for; `compute record ls` without it lists what there is"
    }
}

/// What a list says of a record, if it is wanted.
pub(crate) fn head(record: &Record, query: &RecordQuery) -> Option<RecordHead> {
    RecordHead::read(&record.to_json(), query).ok().flatten()
}

/// All records of these files and folders, the oldest first. What is no record is told, and the rest is read.
fn read(paths: &[PathBuf]) -> Result<Gathered, Failure> {
    let Gathered { mut kept, mut unread } = Gathered::default();
    for path in paths {
        if !path.exists() {
            return Err(super::target::missing(path));
        }
        for one in read_records(path) {
            match one {
                Ok(record) => kept.push(record),
                Err(damage) => {
                    crate::show::tell!("warning: {damage}");
                    unread.push(damage.to_string());
                }
            }
        }
    }
    kept.sort_by_key(|kept: &KeptRecord| kept.record.at);
    match (kept.is_empty(), unread.last()) {
        (true, Some(damage)) => Err(Failure::usage(damage)),
        (true, None) => Err(Failure::usage("there are no records there")),
        _ => Ok(Gathered { kept, unread }),
    }
}

/// A case that repeats a record: of a document, the step that failed, or the only one. Its secrets have their names alone.
pub(crate) fn case_of(home: &dyn Home, name: &Path) -> Result<Case, Failure> {
    let mut kept = gather(home, std::slice::from_ref(&name.to_owned()), &WantedArgs::default())?;
    let (Some(one), true) = (kept.pop(), kept.is_empty()) else {
        return Err(Failure::usage(format!(
            "{} has several records: name the file of one, as `compute record ls` lists them",
            name.display()
        )));
    };
    let record = one.record;
    let run = run_of(&record).ok_or_else(|| {
        Failure::usage(
            "no step of the document failed, and there are several: record the run of one op",
        )
    })?;
    let op = run.op.as_ref();
    let env = op.map_or(Ok(Value::default()), |op| json("environment values", &op.env))?;
    let env = env.as_object().cloned().unwrap_or_default();
    let output = run.output.as_ref().map(|output| json("output", output)).transpose()?;
    let names = op.map(|op| op.secrets.digests.keys().cloned()).into_iter().flatten();
    Ok(Case {
        name: format!("record {}", &record.id[..12.min(record.id.len())]),
        input: json("input", &run.input)?,
        env: env.into_iter().collect(),
        secrets: names.map(|name| (name, String::new())).collect(),
        now: Some(run.now),
        seed: SeedText::try_from(run.seed.clone()).ok(),
        error: if output.is_none() { Some(run.reason.clone().unwrap_or_default()) } else { None },
        output,
    })
}

fn run_of(record: &Record) -> Option<&RunRecord> {
    match &record.subject {
        Subject::Run(run) => Some(run),
        Subject::Document(document) => {
            let failed = document.steps.iter().find(|step| step.run.status != "ok");
            let only = match &document.steps[..] {
                [only] => Some(only),
                _ => None,
            };
            failed.or(only).map(|step| &step.run)
        }
    }
}

fn json(what: &str, content: &Content) -> Result<Value, Failure> {
    let bytes = content.bytes().ok_or_else(|| {
        Failure::usage(format!("the record keeps the digest of its {what} alone, and no bytes"))
    })?;
    let bytes = if bytes.is_empty() { b"{}".to_vec() } else { bytes };
    serde_json::from_slice(&bytes)
        .map_err(|_| Failure::usage(format!("the {what} of the record is no JSON")))
}
