//! Records: what a run was given and gave, so that it can be repeated and compared.
//!
//! A record is one JSON document of a versioned schema ([`RECORD_JSON_SCHEMA`]). Its id is the SHA-256 of its canonical
//! form (RFC 8785) without what may be left out or never repeats: the kept bytes, the times, a signature, and the id itself.

mod bare;
mod content;
mod document;
mod head;
mod recorder;
mod run;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{Mask, Outcome, Ref, RunOptions};

pub use content::{Content, Data};
pub use document::{DocumentRecord, StepRecord};
pub use head::{RecordHead, RecordQuery};
pub use recorder::{RecordKeep, RecordSink, Recorder, Recording};
pub use run::{OpRecord, RecordedLimits, RunRecord};

/// The schema of the records that this version writes, and the only one that it reads.
pub const RECORD_SCHEMA: &str = "compute-record/1";

/// The schema as JSON Schema (2020-12).
pub const RECORD_JSON_SCHEMA: &str = include_str!("record/record.v1.json");

/// What happened, who asked for it, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When it was accepted. No part of what the id says.
    pub at: Timestamp,
    /// Who asked for it, as far as that is known: a tenant, a user.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// What it is known by: 64 hex digits, from what it says.
    #[serde(default)]
    pub id: String,
    /// The id of the request, which its trace has as well, with secrets masked; empty if it has none.
    #[serde(default)]
    pub rid: String,
    /// [`RECORD_SCHEMA`].
    pub schema: Cow<'static, str>,
    /// Who vouches for it, if somebody does. No part of what the id says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<RecordSignature>,
    /// What was done.
    pub subject: Subject,
    /// How long it took, in nanoseconds. Never the same twice, and no part of what the id says.
    pub wall_ns: u64,
}

/// Who vouches for a record: an Ed25519 signature (RFC 8032) of [`Record::signed_text`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordSignature {
    /// The public key, in hex.
    pub key: String,
    /// The signature, in hex.
    pub value: String,
}

/// What a record is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// One run of a compute.
    Run(Box<RunRecord>),
    /// A document's way through a stack.
    Document(Box<DocumentRecord>),
}

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is no JSON, or not of the schema.
    #[error("it is no record: {0}")]
    Malformed(String),
    /// It is of a schema that this version does not know.
    #[error(
        "its schema is `{0}`, and this version of compute reads `{RECORD_SCHEMA}`: use the version that wrote it"
    )]
    UnknownSchema(String),
    /// It does not say what its id says.
    #[error("it was changed after it was written: its id is {id}, and what it says has {found}")]
    Changed {
        /// The id that it has.
        id: String,
        /// The id that it should have.
        found: String,
    },
    /// Bytes that it keeps are not those that it names.
    #[error("the bytes that it keeps of its {0} are not those that its digest says")]
    ChangedContent(&'static str),
}

impl Record {
    /// A record of what was done now, sealed with its id.
    #[must_use]
    pub fn new(subject: Subject, rid: impl Into<String>, at: Timestamp, wall_ns: u64) -> Self {
        let (schema, rid) = (Cow::Borrowed(RECORD_SCHEMA), rid.into());
        let (id, by) = (String::new(), String::new());
        Self { schema, id, subject, rid, by, at, wall_ns, signature: None }
    }

    /// The record of a run that has ended, of [`RunRecord::new`]'s parameters.
    #[must_use]
    pub fn of_run(
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
        outcome: &Outcome,
        keys: (&RecordKey, Option<&Mask>),
        keep: bool,
    ) -> Self {
        let run = RunRecord::new(reference, input, options, outcome, keys, keep);
        let wall = outcome.metrics.wall;
        let at = SystemTime::now().checked_sub(wall).unwrap_or(SystemTime::UNIX_EPOCH);
        let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
        let rid = run.op.as_ref().map(|op| op.meta.rid.clone()).unwrap_or_default();
        let wall = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
        Self::new(Subject::Run(Box::new(run)), rid, at, wall)
    }

    /// What a signature vouches for: the id, which says what happened, and the times. Canonical JSON.
    #[must_use]
    pub fn signed_text(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Signed<'a> {
            at: &'a Timestamp,
            id: &'a str,
            schema: &'a str,
            wall_ns: u64,
        }
        let Self { schema, id, at, wall_ns, .. } = self;
        let mut text = Vec::new();
        bare::canonical(&Signed { at, id, schema, wall_ns: *wall_ns }, &mut text);
        text
    }

    /// The record with its id, which [`Recorder`] leaves to whoever writes it.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.id = self.digest();
        self
    }

    /// Gives the record its id, as [`Record::sealed`] does, and puts the canonical form at the end of a text: less work than one
    /// after the other.
    pub fn seal_into(&mut self, text: &mut Vec<u8>) {
        let keeps = self.signature.is_some() || self.subject.keeps_any();
        match &self.subject {
            // What the id says is most of the text.
            Subject::Run(_) if !keeps && bare::has_plain_names(&self.subject) => {
                let bare = bare::json(self);
                self.id = content::sha256(&bare);
                bare::complete(self, &bare, text);
            }
            _ => {
                self.id = self.digest();
                self.write_json(text);
            }
        }
    }

    /// The id that what it says has.
    fn digest(&mut self) -> String {
        // Without the bytes that it keeps, which may be many.
        let mut kept = VecDeque::new();
        self.subject.each_content(|content| kept.push_back(content.data.take()));
        let bare = bare::json(self);
        self.subject.each_content(|content| content.data = kept.pop_front().flatten());
        content::sha256(&bare)
    }

    /// The canonical form: RFC 8785.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = Vec::new();
        self.write_json(&mut text);
        text
    }

    /// Puts the canonical form at the end of a text.
    pub fn write_json(&self, text: &mut Vec<u8>) {
        if bare::has_plain_names(&self.subject) {
            text.reserve(bare::USUAL + self.subject.kept_bytes());
            bare::canonical(self, text);
        } else {
            text.extend(bare::general(self));
        }
    }

    /// Reads a record, and checks that it says what its id and its digests say.
    ///
    /// # Errors
    /// [`RecordError`], whose text says what to do.
    pub fn read(json: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let malformed = |error: serde_json::Error| RecordError::Malformed(error.to_string());
        let head: Head = serde_json::from_slice(json).map_err(malformed)?;
        if head.schema != RECORD_SCHEMA {
            return Err(RecordError::UnknownSchema(head.schema));
        }
        let mut record: Self = serde_json::from_slice(json).map_err(malformed)?;
        let found = record.digest();
        if record.id != found {
            return Err(RecordError::Changed { id: record.id, found });
        }
        let mut changed = None;
        record.subject.look(|name, content| {
            if content.data.is_some() && content.bytes().is_none() {
                changed = changed.or(Some(name));
            }
        });
        changed.map_or(Ok(record), |name| Err(RecordError::ChangedContent(name)))
    }
}

impl Subject {
    /// `ok`, or how it ended.
    #[must_use]
    pub fn status(&self) -> &str {
        match self {
            Self::Run(run) => &run.status,
            Self::Document(document) => &document.status,
        }
    }

    /// Keeps the digests of its bytes alone.
    pub fn forget_bytes(&mut self) {
        self.each_content(|content| content.data = None);
    }

    /// How many bytes it keeps.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        let kept = |content: &Content| match &content.data {
            Some(Data::Text(text) | Data::Base64(text)) => text.len(),
            None => 0,
        };
        let mut size = 0;
        self.look(|_, content| size += kept(content));
        size
    }

    /// Whether it keeps any, be they none.
    fn keeps_any(&self) -> bool {
        let mut any = false;
        self.look(|_, content| any |= content.data.is_some());
        any
    }

    /// Does this with all that it says of bytes.
    fn each_content(&mut self, each: impl FnMut(&mut Content)) {
        match self {
            Self::Run(run) => run.contents_mut().for_each(each),
            Self::Document(document) => document.contents_mut().for_each(each),
        }
    }

    /// Shows what it says of bytes, by what they are.
    fn look(&self, mut look: impl FnMut(&'static str, &Content)) {
        match self {
            Self::Run(run) => run.contents().for_each(|(name, content)| look(name, content)),
            Self::Document(document) => {
                document.contents().for_each(|(name, content)| look(name, content));
            }
        }
    }
}

/// What secrets are known by in records: a digest with a key that no record has.
///
/// Whoever has records and not the key can neither read a secret in them nor try guesses.
#[derive(Clone)]
pub struct RecordKey([u8; 32]);

impl RecordKey {
    /// A key of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What tells keys apart in records.
    #[must_use]
    pub fn id(&self) -> String {
        self.digest("compute-record-key", "")[..16].to_owned()
    }

    /// The key of somebody who has this one's records in part, such as a tenant.
    #[must_use]
    pub fn of(&self, name: &str) -> Self {
        let mut bytes = [0; 32];
        let digest = self.digest("compute-record-key-of", name);
        // It is so long.
        let _ = hex::decode_to_slice(digest, &mut bytes);
        Self(bytes)
    }

    /// What the key is made of with which whoever has this one signs records.
    #[must_use]
    pub fn signing_seed(&self) -> [u8; 32] {
        self.of("compute-record-signature").0
    }

    /// A secret's digest.
    #[must_use]
    pub fn digest(&self, name: &str, value: &str) -> String {
        // A key of any length will do.
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        let length = (name.len() as u64).to_le_bytes();
        let mac = mac.chain_update(length).chain_update(name).chain_update(value);
        hex::encode(mac.finalize().into_bytes())
    }

    /// What a record says of secrets.
    #[must_use]
    pub fn secrets<'a>(
        &self,
        secrets: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> RecordedSecrets {
        let digests = secrets
            .into_iter()
            .map(|(name, value)| (name.to_owned(), self.digest(name, value)))
            .collect();
        RecordedSecrets { key: self.id(), digests }
    }
}

impl std::fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RecordKey").field(&self.id()).finish()
    }
}

/// The secrets that a run had: their names, and digests that only whoever has the key can compare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedSecrets {
    /// The digests, by the secrets' names.
    pub digests: BTreeMap<String, String>,
    /// Which key the digests were made with; empty where there are no secrets.
    pub key: String,
}

impl RecordedSecrets {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }
}
