//! Records as canonical JSON (RFC 8785), and what of one its id says.
//!
//! The fields of all that a record is made of are declared in the order that RFC 8785 sorts them in, and numbers are whole ones
//! below 2^53; so what serde_json writes is the canonical form. What a caller may name, such as a secret, may sort otherwise
//! there: then a general canonicalizer writes it.

use jiff::Timestamp;
use serde::Serialize;

use super::{Content, DocumentRecord, Record, RecordedSecrets, RunRecord, Subject};

/// How long a record is, about, without what it keeps and without its steps: a text that need not grow.
pub(super) const USUAL: usize = 2048;

/// The canonical form, at the end of a text.
pub(super) fn canonical(value: &impl Serialize, text: &mut Vec<u8>) {
    // A record is always JSON, and of numbers that JSON has.
    let _ = serde_json::to_writer(text, value);
}

/// The canonical form of what the id says: without what is kept, which the caller has taken out, and without what never repeats.
pub(super) fn json(record: &Record) -> Vec<u8> {
    let Record { by, rid, schema, subject, .. } = record;
    let bare = Bare { by, rid, schema, subject: BareSubject::of(subject) };
    if !has_plain_names(subject) {
        return general(&bare);
    }
    let mut text = Vec::with_capacity(USUAL);
    canonical(&bare, &mut text);
    text
}

/// The canonical form of a run's record that keeps no bytes and is not signed, at the end of a text: of what its id says, and what
/// that leaves out, which sorts before and behind it.
pub(super) fn complete(record: &Record, bare: &[u8], text: &mut Vec<u8>) {
    let Record { at, by, id, wall_ns, .. } = record;
    // The bare text begins with who asked, if that is known: `{"by":"…",`.
    let mut asked = Vec::new();
    if !by.is_empty() {
        asked.extend(b"\"by\":");
        canonical(by, &mut asked);
        asked.push(b',');
    }
    let rest = bare.get(1 + asked.len()..bare.len() - 1).unwrap_or_default();
    text.reserve(bare.len() + 160);
    text.extend(b"{\"at\":");
    canonical(at, text);
    text.push(b',');
    text.extend(asked);
    text.extend(b"\"id\":");
    canonical(id, text);
    text.push(b',');
    text.extend(rest);
    text.extend(b",\"wall_ns\":");
    canonical(wall_ns, text);
    text.push(b'}');
}

/// The canonical form of anything.
pub(super) fn general(value: &impl Serialize) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap_or_default()
}

/// Whether names that callers chose sort alike by bytes and by UTF-16, as RFC 8785 does.
pub(super) fn has_plain_names(subject: &Subject) -> bool {
    let plain = |secrets: &RecordedSecrets| secrets.digests.keys().all(|name| name.is_ascii());
    let of_run = |run: &RunRecord| run.op.as_ref().is_none_or(|op| plain(&op.secrets));
    match subject {
        Subject::Run(run) => of_run(run),
        Subject::Document(document) => {
            plain(&document.secrets)
                && document.versions.keys().all(|name| name.is_ascii())
                && document.steps.iter().all(|step| of_run(&step.run))
        }
    }
}

#[derive(Serialize)]
struct Bare<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    by: &'a str,
    rid: &'a str,
    schema: &'a str,
    subject: BareSubject<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum BareSubject<'a> {
    Run(&'a RunRecord),
    Document(BareDocument<'a>),
}

impl<'a> BareSubject<'a> {
    fn of(subject: &'a Subject) -> Self {
        match subject {
            Subject::Run(run) => Self::Run(run),
            Subject::Document(document) => Self::Document(BareDocument::of(document)),
        }
    }
}

/// A document's record whose steps have no times.
#[derive(Serialize)]
struct BareDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel: Option<u64>,
    input: &'a Content,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    mocks: bool,
    now: &'a Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "RecordedSecrets::is_empty")]
    secrets: &'a RecordedSecrets,
    seed: &'a str,
    stage: &'a str,
    stamp: &'a Content,
    status: &'a str,
    steps: Vec<BareStep<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps_dropped: Option<u64>,
    versions: &'a std::collections::BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web: Option<&'a Content>,
    work: u64,
}

#[derive(Serialize)]
struct BareStep<'a> {
    rule: &'a str,
    run: &'a RunRecord,
}

impl<'a> BareDocument<'a> {
    fn of(document: &'a DocumentRecord) -> Self {
        let DocumentRecord {
            fuel,
            input,
            mocks,
            now,
            output,
            reason,
            secrets,
            seed,
            stage,
            stamp,
            status,
            steps,
            steps_dropped,
            versions,
            web,
            work,
        } = document;
        let steps = steps.iter().map(|step| BareStep { rule: &step.rule, run: &step.run });
        Self {
            fuel: *fuel,
            input,
            mocks: *mocks,
            now,
            output: output.as_ref(),
            reason: reason.as_deref(),
            secrets,
            seed,
            stage,
            stamp,
            status,
            steps: steps.collect(),
            steps_dropped: (*steps_dropped > 0).then_some(*steps_dropped),
            versions,
            web: web.as_ref(),
            work: *work,
        }
    }
}
