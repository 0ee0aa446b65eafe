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

/// The key with which secrets are known in this user's records; made where there is none.
pub(crate) fn key() -> Result<RecordKey, Failure> {
    let folder = user::settings_folder()?;
    let file = folder.join(KEY);
    let failed = |error: &dyn std::fmt::Display| {
        Failure::Host(format!("the key of records, {}: {error}", file.display()))
    };
    loop {
        match std::fs::read(&file) {
            Ok(bytes) => {
                let bytes: [u8; 32] = bytes.try_into().map_err(|_| {
                    failed(&"it has not 32 bytes: delete it, and secrets in older records are not compared")
                })?;
                return Ok(RecordKey::new(bytes));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&error)),
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

/// The records of these files and folders, those of these ids, and those that are `recorded`; of no names, these. Those alone that
/// are wanted.
pub(crate) fn gather(
    home: &dyn Home,
    names: &[PathBuf],
    wanted: &WantedArgs,
) -> Result<Vec<KeptRecord>, Failure> {
    gather_and_count(home, names, wanted).map(|(kept, _)| kept)
}

/// The same, and how many cannot be read.
pub(crate) fn gather_and_count(
    home: &dyn Home,
    names: &[PathBuf],
    wanted: &WantedArgs,
) -> Result<(Vec<KeptRecord>, usize), Failure> {
    let query = wanted.query();
    let of_home = |record| KeptRecord { record, file: PathBuf::new() };
    let recorded = || -> Result<Vec<KeptRecord>, Failure> {
        let records = home.records(&query, wanted.last.unwrap_or(LAST))?;
        Ok(records.into_iter().map(of_home).collect())
    };
    let mut kept = Vec::new();
    let mut files = Vec::new();
    let mut unread = 0;
    for name in names {
        let text = name.to_string_lossy();
        if name.exists() || text.contains(['/', '.']) {
            files.push(name.clone());
        } else if text == RECORDED {
            kept.extend(recorded()?);
        } else {
            kept.push(of_home(home.record(&text)?));
        }
    }
    if names.is_empty() {
        kept = recorded()?;
    }
    if !files.is_empty() {
        let (read, damaged) = read(&files)?;
        kept.extend(read);
        unread = damaged;
    }
    if query != RecordQuery::default() {
        kept.retain(|kept| head(&kept.record, &query).is_some());
    }
    kept.sort_by_key(|kept: &KeptRecord| kept.record.at);
    let more = wanted.last.map_or(0, |last| kept.len().saturating_sub(last));
    kept.drain(..more);
    if kept.is_empty() {
        return Err(Failure::usage(absent(&query)));
    }
    Ok((kept, unread))
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
fn read(paths: &[PathBuf]) -> Result<(Vec<KeptRecord>, usize), Failure> {
    let mut records = Vec::new();
    let (mut damaged, mut unread) = (None, 0);
    for path in paths {
        if !path.exists() {
            return Err(super::target::missing(path));
        }
        for one in read_records(path) {
            match one {
                Ok(record) => records.push(record),
                Err(damage) => {
                    crate::show::tell!("warning: {damage}");
                    (damaged, unread) = (Some(damage), unread + 1);
                }
            }
        }
    }
    records.sort_by_key(|kept: &KeptRecord| kept.record.at);
    match (records.is_empty(), damaged) {
        (true, Some(damage)) => Err(Failure::usage(damage.to_string())),
        (true, None) => Err(Failure::usage("there are no records there")),
        _ => Ok((records, unread)),
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
