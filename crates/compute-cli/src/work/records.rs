//! Records that commands write and read.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use compute::{Record, RecordKey};
use compute_replay::{KeptRecord, read_records, write_record};

use crate::failure::Failure;
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

/// Writes a record to a file that ends with `.json`, or into a folder under its id. Says where.
pub(crate) fn write(record: &Record, to: &Path) -> Result<PathBuf, Failure> {
    let is_file = to.extension().is_some_and(|end| end == "json") && !to.is_dir();
    let file = if is_file { to.to_owned() } else { to.join(format!("{}.json", record.id)) };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = folder.map_or(Ok(()), std::fs::create_dir_all);
    written.and_then(|()| write_record(record, &file)).map_err(|error| {
        Failure::Host(format!("cannot write the record {}: {error}", file.display()))
    })?;
    Ok(file)
}

/// All records of these files and folders, the oldest first. What is no record is told, and the rest is read.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<KeptRecord>, Failure> {
    let mut records = Vec::new();
    let mut damaged = None;
    for path in paths {
        if !path.exists() {
            return Err(super::target::missing(path));
        }
        for one in read_records(path) {
            match one {
                Ok(record) => records.push(record),
                Err(damage) => {
                    crate::show::tell!("warning: {damage}");
                    damaged = Some(damage);
                }
            }
        }
    }
    records.sort_by_key(|kept: &KeptRecord| kept.record.at);
    match (records.is_empty(), damaged) {
        (true, Some(damage)) => Err(Failure::usage(damage.to_string())),
        (true, None) => Err(Failure::usage("there are no records there")),
        _ => Ok(records),
    }
}
