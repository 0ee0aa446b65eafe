//! Jobs: what is submitted, and what is said of them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use compute::{Ref, Seed};
use compute_flow::{Stage, StageError};
use compute_state::{
    Actor, Job, JobId, JobInfo, JobParts, JobState, JobTime, JobWork, NewJob, StackName, Webhook,
    WebhookError,
};
use jiff::Timestamp;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::run::there;
use crate::{MAX_LINE, end_line};

/// A job that is to be submitted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// The compute to run: this, or a stack.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, pattern = "^compute://[a-z0-9]{1,16}/[A-Za-z0-9_-]{1,128}$"))]
    pub reference: Option<Ref>,
    /// The stack that the input goes through as a document, or `stack/N` to begin at a scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,32})?$")
    )]
    pub stack: Option<String>,
    /// The input: any JSON, of a stack an object; none, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub input: Option<Box<RawValue>>,
    /// In place of `input`: many inputs, each as one. The output is an array with an answer for each in their order, as a line of a
    /// batch has it: `output`, or `error`. At most 100,000, and 16 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Value>))]
    pub inputs: Option<Box<RawValue>>,
    /// Who is told when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookRequest>,
    /// When it may begin; at once, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub run_after: Option<Timestamp>,
    /// In how many milliseconds from when it is accepted it may begin, in place of `run_after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(maximum = 1_000_000_000_000_u64))]
    pub run_after_ms: Option<u64>,
    /// When it fails if it has not ended; never, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub deadline: Option<Timestamp>,
    /// In how many milliseconds from when it is accepted it fails if it has not ended, in place of `deadline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(maximum = 1_000_000_000_000_u64))]
    pub deadline_ms: Option<u64>,
    /// From 0 to 9: of the tenant's jobs, those of a higher one come first; 5, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(maximum = 9))]
    pub priority: Option<u8>,
    /// From 1 to 20: how often it is tried at most where a server or time failed it; 5, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 20))]
    pub attempts: Option<u32>,
    /// What its clock shows: when it is accepted, if that is not said. Between 1970 and 2262.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub now: Option<Timestamp>,
    /// What its random numbers come from: 64 hex digits; fresh, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-fA-F]{64}$"))]
    pub seed: Option<String>,
    /// Instructions; its computes are metered if they are limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub fuel: Option<u64>,
}

/// Who is told when a job has ended: a `POST` as Standard Webhooks has it, with the job as `GET /v1/jobs/{id}` answers it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WebhookRequest {
    /// The address: of an origin that the operator allows.
    #[cfg_attr(feature = "openapi", schema(max_length = 2000, pattern = "^https?://"))]
    pub url: String,
    /// The name of the tenant's secret that signs.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9_.-]{1,128}$"))]
    pub secret: String,
}

/// Why a job cannot be submitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobRequestError {
    /// No stack has that name.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// Its input is too large.
    #[error("the input of a job has at most {} bytes", JobRequest::MAX_INPUT)]
    InputTooLarge,
    /// It has too many inputs, or too large ones.
    #[error("{0}")]
    BatchTooLarge(String),
    /// Nobody can be told so.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// Something that it says cannot be.
    #[error("{0}")]
    Invalid(String),
}

impl JobRequest {
    /// The largest input, in bytes.
    pub const MAX_INPUT: usize = MAX_LINE;
    /// How many inputs a batch has at most.
    pub const MAX_INPUTS: usize = 100_000;
    /// How many bytes they have together.
    pub const MAX_BATCH: usize = 16 << 20;
    /// How many bytes the answers have together.
    pub const MAX_BATCH_OUTPUT: usize = 32 << 20;
    /// The engine of artifacts that are outputs of jobs: none runs them.
    pub const OUTPUT_ENGINE: &str = "json";

    /// The job that it asks for, if it is right: submitted now with this idempotency key, and with the SHA-256 of what was asked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn into_job(
        self,
        key: Option<String>,
        request: [u8; 32],
    ) -> Result<NewJob, JobRequestError> {
        let wrong = |detail: String| JobRequestError::Invalid(detail);
        let work = Self::work(self.reference, self.stack)?;
        let is_batch = self.inputs.is_some();
        let input = match (self.input, self.inputs) {
            (Some(_), Some(_)) => return Err(wrong("a job has `input` or `inputs`".to_owned())),
            (None, Some(inputs)) => lines_of(&inputs)?,
            (input, None) => {
                let input = input.map(|input| String::from(Box::<str>::from(input)));
                input.unwrap_or_default().into_bytes()
            }
        };
        if !is_batch && input.len() > Self::MAX_INPUT {
            return Err(JobRequestError::InputTooLarge);
        }
        let mut job = NewJob::new(work, input);
        job.is_batch = is_batch;
        if let Some(WebhookRequest { url, secret }) = self.webhook {
            job.webhook = Some((JobId::new(), Webhook::new(&url, &secret)?));
        }
        (job.key, job.request, job.fuel) = (key, request, self.fuel);
        job.run_after = moment("run_after", (self.run_after, self.run_after_ms))?;
        job.deadline = moment("deadline", (self.deadline, self.deadline_ms))?;
        // Whoever keeps it knows the time; of one that is said and one that counts from then, it is not known here which comes first.
        let is_never = match (job.run_after, job.deadline) {
            (Some(JobTime::At(begin)), Some(JobTime::At(end))) => begin >= end,
            (Some(JobTime::In(begin)), Some(JobTime::In(end))) => begin >= end,
            _ => false,
        };
        if is_never {
            return Err(wrong("`deadline` must be after `run_after`".to_owned()));
        }
        job.priority = Self::priority(self.priority)?;
        job.attempts = Self::attempts(self.attempts)?;
        if job.fuel == Some(0) {
            return Err(wrong("`fuel` must be at least 1".to_owned()));
        }
        if let Some(seed) = self.seed {
            job.seed = seed.parse::<Seed>().map_err(|error| wrong(format!("`seed`: {error}")))?;
        }
        if let Some(now) = self.now {
            let nanos = i64::try_from(now.as_nanosecond()).ok().filter(|nanos| *nanos >= 0);
            job.now =
                Some(nanos.ok_or_else(|| wrong("`now` must be between 1970 and 2262".to_owned()))?);
        }
        Ok(job)
    }

    /// What a job does, of which either is said.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn work(reference: Option<Ref>, stack: Option<String>) -> Result<JobWork, JobRequestError> {
        match (reference, stack) {
            (Some(reference), None) => Ok(JobWork::Run(reference)),
            (None, Some(stage)) => Ok(JobWork::Document(Stage::start(&stage).map(|_| stage)?)),
            _ => {
                let wrong = "the body must have either `ref` or `stack`";
                Err(JobRequestError::Invalid(wrong.to_owned()))
            }
        }
    }

    /// The priority of a job, whatever is said of it.
    ///
    /// # Errors
    /// [`JobRequestError::Invalid`] if it is too high.
    pub fn priority(asked: Option<u8>) -> Result<u8, JobRequestError> {
        let priority = asked.unwrap_or(NewJob::PRIORITY);
        if priority > NewJob::MAX_PRIORITY {
            let wrong = format!("`priority` is from 0 to {}", NewJob::MAX_PRIORITY);
            return Err(JobRequestError::Invalid(wrong));
        }
        Ok(priority)
    }

    /// The attempts of a job, whatever is said of them.
    ///
    /// # Errors
    /// [`JobRequestError::Invalid`] if there are none, or too many.
    pub fn attempts(asked: Option<u32>) -> Result<u32, JobRequestError> {
        let attempts = asked.unwrap_or(NewJob::ATTEMPTS);
        if !(1..=NewJob::MAX_ATTEMPTS).contains(&attempts) {
            let wrong = format!("`attempts` is from 1 to {}", NewJob::MAX_ATTEMPTS);
            return Err(JobRequestError::Invalid(wrong));
        }
        Ok(attempts)
    }
}

/// How far away a moment may be, in milliseconds.
const MOST_AWAY: u64 = 1_000_000_000_000;

/// A moment that is said by itself, or by how far it is from when the job is accepted.
fn moment(
    name: &str,
    said: (Option<Timestamp>, Option<u64>),
) -> Result<Option<JobTime>, JobRequestError> {
    let wrong = |detail: String| Err(JobRequestError::Invalid(detail));
    match said {
        (Some(_), Some(_)) => {
            wrong(format!("`{name}` and `{name}_ms` are two ways to say one thing"))
        }
        (Some(at), None) if at.as_millisecond() < 0 => {
            wrong(format!("`{name}` must be after 1970"))
        }
        (at, None) => Ok(at.map(JobTime::At)),
        (None, Some(after)) if after > MOST_AWAY => {
            wrong(format!("`{name}_ms` is too far away: at most {MOST_AWAY}, about 30 years"))
        }
        (None, Some(after)) => Ok(Some(JobTime::In(Duration::from_millis(after)))),
    }
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartsHead {
    /// How many parts it was split into.
    pub all: u32,
    /// How many of them have ended.
    pub ended: u32,
}

/// What is said of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobHead {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"))]
    pub id: JobId,
    /// The compute that it runs.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub reference: Option<Ref>,
    /// The stack that its input goes through, or a scope of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Whom it tells that another job has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tells: Option<String>,
    /// Whether it has many inputs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub batch: bool,
    /// How far a batch is that was split into parts: it is `scheduled` until all of them have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<PartsHead>,
    /// Where it is on its way.
    pub state: JobState,
    /// Its priority.
    pub priority: u8,
    /// How often it was tried.
    pub tried: u32,
    /// How often it is tried at most.
    pub attempts: u32,
    /// When it was accepted.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created: Timestamp,
    /// When it may begin, if that time has not come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub run_after: Option<Timestamp>,
    /// When it fails if it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub deadline: Option<Timestamp>,
    /// When it was last begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub ended: Option<Timestamp>,
    /// Which server has it, or had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Who submitted it: a token or a schedule. Absent, if that was somebody without a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<Actor>,
}

impl From<JobInfo> for JobHead {
    fn from(info: JobInfo) -> Self {
        let (reference, stack, tells) = match info.work {
            JobWork::Run(reference) => (Some(reference), None, None),
            JobWork::Document(stage) => (None, Some(stage), None),
            JobWork::Tell(webhook) => (None, None, Some(webhook.shown().to_owned())),
        };
        let parts = info.parts.map(|JobParts { all, left }| PartsHead { all, ended: all - left });
        Self {
            id: info.id,
            reference,
            stack,
            tells,
            batch: info.is_batch,
            parts,
            state: info.state,
            priority: info.priority,
            tried: info.tried,
            attempts: info.attempts,
            created: info.created,
            run_after: info.run_after,
            deadline: info.deadline,
            started: info.started,
            ended: info.ended,
            worker: info.worker,
            submitted_by: info.submitted_by,
        }
    }
}

/// A list of inputs, as lines.
fn lines_of(inputs: &RawValue) -> Result<Vec<u8>, JobRequestError> {
    struct Inputs(Result<Vec<u8>, String>);

    impl<'de> Deserialize<'de> for Inputs {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_seq(ToLines)
        }
    }

    /// Keeps each as it comes: as many small ones in a list would take many times the memory.
    struct ToLines;

    impl<'de> Visitor<'de> for ToLines {
        type Value = Inputs;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("`inputs` to be a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut inputs: A) -> Result<Inputs, A::Error> {
            let (mut lines, mut number) = (Vec::new(), 0);
            let mut wrong = None;
            while let Some(input) = inputs.next_element::<&RawValue>()? {
                number += 1;
                let text = input.get();
                if wrong.is_some() {
                    continue;
                }
                if number > JobRequest::MAX_INPUTS {
                    wrong = Some(format!("a batch has at most {} inputs", JobRequest::MAX_INPUTS));
                } else if text.len() > JobRequest::MAX_INPUT {
                    let limit = JobRequest::MAX_INPUT;
                    wrong =
                        Some(format!("input {number} of the batch has more than {limit} bytes"));
                } else if lines.len() + text.len() >= JobRequest::MAX_BATCH {
                    let limit = JobRequest::MAX_BATCH;
                    wrong = Some(format!(
                        "the inputs of a batch have at most {limit} bytes together: submit several, or send them as lines to `/batch`"
                    ));
                } else {
                    let mut line = text.as_bytes().to_vec();
                    end_line(&mut line);
                    lines.append(&mut line);
                }
            }
            Ok(Inputs(wrong.map_or(Ok(lines), Err)))
        }
    }

    let Inputs(lines) = serde_json::from_str(inputs.get())
        .map_err(|error| JobRequestError::Invalid(format!("`inputs` is no list: {error}")))?;
    let lines = lines.map_err(JobRequestError::BatchTooLarge)?;
    if lines.is_empty() {
        return Err(JobRequestError::Invalid("a batch has one input at least".to_owned()));
    }
    Ok(lines)
}

/// A job, with what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobAnswer {
    /// What is said of it.
    #[serde(flatten)]
    pub head: JobHead,
    /// What its clock shows, whoever runs it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub now: Timestamp,
    /// What its random numbers come from, whoever runs it.
    pub seed: String,
    /// The artifact that its output is, if it is done and that is large: get it as any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, pattern = "^compute://[a-z0-9]{1,16}/[A-Za-z0-9_-]{1,128}$"))]
    pub output_ref: Option<Ref>,
    /// Its output, if it is done.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub output: Option<Box<RawValue>>,
    /// Why it failed, or why it is to be tried again: a problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub error: Option<Box<RawValue>>,
    /// What is known of how it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<JobDetails>,
}

impl From<Job> for JobAnswer {
    fn from(job: Job) -> Self {
        let raw = |bytes: Vec<u8>| RawValue::from_string(String::from_utf8(bytes).ok()?).ok();
        let mut answer = Self {
            head: job.info.into(),
            now: Timestamp::from_nanosecond(job.now.into()).unwrap_or_default(),
            seed: job.seed.to_string(),
            output_ref: None,
            output: None,
            error: None,
            details: None,
        };
        if let Some(result) = job.result {
            answer.details = serde_json::from_slice(&result.details).ok();
            answer.output_ref = result.output;
            match answer.head.state {
                JobState::Done if answer.output_ref.is_some() => {}
                JobState::Done => answer.output = raw(result.body),
                _ => answer.error = raw(result.body),
            }
        }
        answer
    }
}

/// How a job went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobDetails {
    /// The versions that the document went through, by stack.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, u32>))]
    pub versions: BTreeMap<StackName, u32>,
    /// The id of its record, if it is recorded on the server that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// The fuel that its computes used, if they were metered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
}

/// Some jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobList {
    /// Those that were submitted last first.
    pub jobs: Vec<JobHead>,
}
