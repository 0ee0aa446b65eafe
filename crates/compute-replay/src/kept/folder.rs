//! Reading records: from a file, a folder of files, a folder of segments.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use compute::Record;

use super::{SEGMENT, json_of};
use crate::signature::read_record;

/// The longest record that is read, in bytes: an input and an output of the largest size, and room for a document's steps.
const LONGEST: u64 = 64 << 20;

/// A record, and where it is kept.
#[derive(Clone, Debug)]
pub struct KeptRecord {
    /// The record.
    pub record: Record,
    /// The file that it is in.
    pub file: PathBuf,
}

/// Something in a folder of records that is none.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// What is wrong, and where.
    pub problem: String,
}

/// All records of a file, or of a folder: its segments, the oldest first, then its files that end with `.json`, by name.
/// What cannot be read is an error in its place, and the rest follows.
#[must_use]
pub fn read_records(path: &Path) -> Box<dyn Iterator<Item = Result<KeptRecord, Damage>> + Send> {
    let ends = |path: &Path, with: &str| path.extension().is_some_and(|end| end == with);
    if !path.is_dir() {
        return match ends(path, SEGMENT) {
            true => Box::new(Segment::open(path.to_owned())),
            false => Box::new(std::iter::once(read_file(path))),
        };
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return Box::new(std::iter::once(Err(damage(path, error.to_string())))),
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let (segments, files): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|path| ends(path, SEGMENT));
    let files = files.into_iter().filter(move |path| ends(path, "json"));
    Box::new(segments.into_iter().flat_map(Segment::open).chain(files.map(|file| read_file(&file))))
}

/// Writes a record into a file of its own, whole or not at all.
///
/// # Errors
/// Those of the file system.
pub fn write_record(record: &Record, file: &Path) -> std::io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // It has what callers sent.
    let mut opened =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    opened.write_all(&record.to_json())?;
    opened.write_all(b"\n")?;
    drop(opened);
    std::fs::rename(new, file)
}

fn read_file(path: &Path) -> Result<KeptRecord, Damage> {
    let mut json = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut json));
    opened.map_err(|error| damage(path, error.to_string()))?;
    if json.len() as u64 > LONGEST {
        return Err(damage(path, format!("a record has at most {LONGEST} bytes")));
    }
    let record = read_record(&json).map_err(|error| damage(path, error.to_string()))?;
    Ok(KeptRecord { record, file: path.to_owned() })
}

fn damage(file: &Path, problem: String) -> Damage {
    Damage { file: file.to_owned(), problem }
}

/// The records of one segment.
struct Segment(Lines);

impl Segment {
    fn open(path: PathBuf) -> Self {
        Self(Lines::open(path))
    }
}

impl Iterator for Segment {
    type Item = Result<KeptRecord, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match self.0.next()? {
            Ok(line) => line,
            Err(damage) => return Some(Err(damage)),
        };
        let record = read_record(&line.json).map_err(|error| self.0.damaged(error));
        Some(record.map(|record| KeptRecord { record, file: self.0.path.clone() }))
    }
}

/// The lines of one segment.
pub(super) struct Lines {
    path: PathBuf,
    file: Option<BufReader<File>>,
    failed: Option<std::io::Error>,
    number: u64,
    offset: u64,
}

/// A line that is whole.
pub(super) struct Line {
    /// The record's JSON.
    pub(super) json: Vec<u8>,
    /// Where that begins in the file.
    pub(super) offset: u64,
}

impl Lines {
    pub(super) fn open(path: PathBuf) -> Self {
        let (file, failed) = match File::open(&path) {
            Ok(file) => (Some(BufReader::new(file)), None),
            Err(error) => (None, Some(error)),
        };
        Self { path, file, failed, number: 0, offset: 0 }
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Damage {
        damage(&self.path, format!("line {}: {what}", self.number))
    }
}

impl Iterator for Lines {
    type Item = Result<Line, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(damage(&self.path, error.to_string())));
        }
        let file = self.file.as_mut()?;
        let mut line = Vec::new();
        let read = file.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        self.number += 1;
        match read {
            Ok(0) => None,
            Err(error) => {
                self.file = None;
                Some(Err(self.damaged(error)))
            }
            Ok(length) => {
                let begun = self.offset;
                self.offset += length as u64;
                let whole = line.strip_suffix(b"\n").and_then(json_of).map(<[u8]>::len);
                let Some(json) = whole else {
                    let torn =
                        "it is no whole record: what wrote it was stopped, or the file was changed";
                    return Some(Err(self.damaged(torn)));
                };
                line.pop();
                let before = line.len() - json;
                Some(Ok(Line { json: line.split_off(before), offset: begun + before as u64 }))
            }
        }
    }
}
