//! What a list of records says of each, and which of them are wanted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::RecordError;

/// What a list says of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordHead {
    /// The record's id.
    pub id: String,
    /// The request's id; empty if it has none.
    #[serde(default)]
    pub rid: String,
    /// `run` or `document`.
    pub kind: String,
    /// What ran: a ref, or the stage at which a document began.
    pub what: String,
    /// How many computes a document ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// `ok`, or how it ended.
    pub status: String,
    /// What went wrong, as far as a line says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was accepted.
    pub at: Timestamp,
    /// How long it took, in nanoseconds.
    pub wall_ns: u64,
}

/// Which records are wanted: those that are all of this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordQuery {
    /// That have this id, or one that begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Of the request of this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// Of documents that began in this stack or went through it, or of runs for its rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Of this rule (`stack/scope/name`), or of this compute (a ref).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// That ended so: `ok`, `trapped`, …; `failed` is whatever is not `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Accepted then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Accepted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// As much of a record as a list needs, read without its bytes.
#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    rid: Cow<'a, str>,
    at: Timestamp,
    wall_ns: u64,
    #[serde(borrow)]
    subject: Subject<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Subject<'a> {
    #[serde(borrow)]
    Run(Run<'a>),
    #[serde(borrow)]
    Document(Document<'a>),
}

#[derive(Deserialize)]
struct Run<'a> {
    #[serde(rename = "ref", borrow)]
    reference: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    op: Option<Op<'a>>,
}

#[derive(Deserialize)]
struct Op<'a> {
    #[serde(borrow)]
    meta: Meta<'a>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default)]
    op: Cow<'a, str>,
    #[serde(borrow, default)]
    stack: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    stage: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    steps: Vec<Step<'a>>,
    #[serde(borrow)]
    versions: BTreeMap<Cow<'a, str>, IgnoredAny>,
}

#[derive(Deserialize)]
struct Step<'a> {
    #[serde(borrow)]
    rule: Cow<'a, str>,
    #[serde(borrow)]
    run: StepRun<'a>,
}

#[derive(Deserialize)]
struct StepRun<'a> {
    #[serde(rename = "ref", borrow)]
    reference: Cow<'a, str>,
}

impl RecordHead {
    /// What a list says of the record in this JSON, if it is wanted. It is not checked that the record says what its id says:
    /// [`super::Record::read`] does.
    ///
    /// # Errors
    /// [`RecordError`] if it is no record.
    pub fn read(json: &[u8], query: &RecordQuery) -> Result<Option<Self>, RecordError> {
        let read: Read<'_> = serde_json::from_slice(json)
            .map_err(|error| RecordError::Malformed(error.to_string()))?;
        if read.schema != super::RECORD_SCHEMA {
            return Err(RecordError::UnknownSchema(read.schema.into_owned()));
        }
        Ok(read.is_wanted(query).then(|| read.head()))
    }
}

impl Read<'_> {
    fn is_wanted(&self, query: &RecordQuery) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        let status = match &self.subject {
            Subject::Run(run) => &run.status,
            Subject::Document(document) => &document.status,
        };
        query.id.as_deref().is_none_or(|id| self.id.starts_with(id))
            && is(&query.rid, &self.rid)
            && query.stack.as_deref().is_none_or(|stack| self.subject.is_of(stack))
            && query.status.as_deref().is_none_or(|wanted| match wanted {
                "failed" => status != "ok",
                wanted => wanted == &**status,
            })
            && query.since.is_none_or(|since| self.at >= since)
            && query.until.is_none_or(|until| self.at < until)
            && query.op.as_deref().is_none_or(|op| self.subject.has(op))
    }

    fn head(self) -> RecordHead {
        const LONG: usize = 300;
        let (kind, what, steps, status, reason) = match self.subject {
            Subject::Run(run) => ("run", run.reference, None, run.status, run.reason),
            Subject::Document(document) => {
                let steps = Some(document.steps.len());
                ("document", document.stage, steps, document.status, document.reason)
            }
        };
        let line = |reason: Cow<'_, str>| -> String {
            reason.lines().next().unwrap_or_default().chars().take(LONG).collect()
        };
        RecordHead {
            id: self.id.into_owned(),
            rid: self.rid.into_owned(),
            kind: kind.to_owned(),
            what: what.into_owned(),
            steps,
            status: status.into_owned(),
            reason: reason.map(line),
            at: self.at,
            wall_ns: self.wall_ns,
        }
    }
}

impl Subject<'_> {
    /// Whether it began in this stack or went through it.
    fn is_of(&self, stack: &str) -> bool {
        match self {
            Self::Run(run) => run.op.as_ref().is_some_and(|op| op.meta.stack == stack),
            Self::Document(document) => {
                let begun = document.stage.rsplit_once('/').map_or("", |(stack, _)| stack);
                begun == stack || document.versions.contains_key(stack)
            }
        }
    }

    /// Whether this rule or this compute ran.
    fn has(&self, op: &str) -> bool {
        match self {
            Self::Run(run) => {
                run.reference == op || run.op.as_ref().is_some_and(|one| one.meta.op == op)
            }
            Self::Document(document) => {
                document.steps.iter().any(|step| step.rule == op || step.run.reference == op)
            }
        }
    }
}
