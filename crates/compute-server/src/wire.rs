//! What requests and answers carry as JSON, where no other crate has the type already.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use compute::{Outcome, Ref};
use compute_flow::{Problem as ActivationProblem, Trace};
use compute_state::{ActiveStack, SecretInfo, StackName, TokenInfo, TokenScope, VersionInfo};
use compute_store::Manifest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// An error, as RFC 9457 has it. What else is known of it stands beside these.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `about:blank`: what it is, the code says.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What it is, in a stable word.
    pub code: String,
    /// What happened, in a line.
    pub detail: String,
}

/// A stored artifact, as its upload is answered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Uploaded {
    /// Its address.
    #[serde(rename = "ref")]
    #[schema(value_type = String, example = "compute://sha256/4a1f…")]
    pub reference: Ref,
    /// The digest algorithm's name.
    pub alg: String,
    /// The digest.
    pub digest: String,
    /// The engine that runs it.
    pub engine: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Some of the artifacts, in the order of their refs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Computes {
    /// Their manifests.
    pub computes: Vec<Manifest>,
    /// The ref after which the rest follows; nothing if this is the last of them.
    #[schema(value_type = Option<String>)]
    pub next: Option<Ref>,
}

/// An attachment that was stored.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Attached {
    /// Its address.
    #[serde(rename = "ref")]
    #[schema(value_type = String)]
    pub reference: Ref,
}

/// All stacks.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Stacks {
    /// By name.
    pub stacks: Vec<ActiveStack>,
}

/// The versions of a stack.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Versions {
    /// The newest first.
    pub versions: Vec<VersionInfo>,
}

/// A rule's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// `<NNN[_label]>/<name>.txcl`
    #[schema(
        example = "100/greet.txcl",
        pattern = r"^[0-9]{1,9}(_[A-Za-z0-9_-]{0,64})?/[A-Za-z0-9_-]{1,64}\.txcl$"
    )]
    pub path: String,
    /// The rule's text.
    #[schema(example = "EMIT .greeting = \"Hello\"")]
    pub text: String,
}

/// A version, with its files.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VersionFiles {
    /// What is known of it.
    #[serde(flatten)]
    pub info: VersionInfo,
    /// Its files, by path.
    pub files: Vec<RuleFile>,
}

/// The files of a new version.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDraft {
    /// Its files.
    pub files: Vec<RuleFile>,
}

/// Whether a version could become active.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Validated {
    /// Whether nothing keeps it from it.
    pub valid: bool,
    /// What does.
    pub problems: Vec<ActivationProblem>,
}

/// A version of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StackVersion {
    /// The stack.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,32}(/[A-Za-z0-9_-]{1,32})?$")]
    pub stack: StackName,
    /// The version's number.
    #[schema(minimum = 1, maximum = 4294967295_u64)]
    pub number: u32,
}

/// Versions that become active at one moment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// The versions, one of a stack.
    #[schema(min_items = 1)]
    pub versions: Vec<StackVersion>,
}

/// How two versions differ.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VersionDiff {
    /// The files that differ, by path.
    pub files: Vec<FileDiff>,
}

/// How a file differs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FileDiff {
    /// Its path.
    pub path: String,
    /// `added`, `removed` or `changed`
    pub change: String,
    /// A unified diff.
    pub diff: String,
}

/// The newest traces.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TraceList {
    /// The oldest of them first.
    #[schema(value_type = Vec<Object>)]
    pub traces: Vec<Trace>,
}

/// The names of secrets.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretList {
    /// In order.
    pub secrets: Vec<SecretInfo>,
}

/// The value of a secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretValue {
    /// The value.
    pub value: String,
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretValue").finish_non_exhaustive()
    }
}

/// The tokens of a tenant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// The oldest first.
    pub tokens: Vec<TokenInfo>,
}

/// A token that is to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub name: String,
    /// What it allows.
    #[schema(value_type = Vec<TokenScope>, min_items = 1)]
    pub scopes: BTreeSet<TokenScope>,
    /// When it ends; never, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
}

/// A compute that is to run once.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// What to run: this, or a module.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^compute://[a-z0-9]{1,16}/[A-Za-z0-9_-]{1,128}$")]
    pub reference: Option<Ref>,
    /// A module that is not stored, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The engine that runs the module; `wasm`, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The input: any JSON; none, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub input: Option<Box<RawValue>>,
    /// Environment values, for an op: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    pub env: Option<Box<RawValue>>,
    /// Secrets, for an op: at most 1,000.
    #[serde(default, skip_serializing_if = "RunSecrets::is_empty")]
    #[schema(value_type = std::collections::HashMap<String, String>)]
    pub secrets: RunSecrets,
    /// The request's id, for an op.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub rid: Option<String>,
    /// Memory, in bytes: at most the server's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub memory: Option<u64>,
    /// Time for the whole run, in milliseconds: at most the server's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub wall_ms: Option<u64>,
    /// Instructions; the run is metered if they are limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub fuel: Option<u64>,
    /// What the clock shows at the start; 1970, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub now: Option<Timestamp>,
    /// What random bytes come from: 64 hex digits; fresh, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    pub seed: Option<String>,
}

/// The secrets of one run, by name. They show in no debug output.
#[derive(Clone, Default, Serialize)]
#[serde(transparent)]
pub struct RunSecrets(pub BTreeMap<String, String>);

impl RunSecrets {
    /// How many there may be.
    pub const MAX: usize = 1000;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for RunSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for RunSecrets {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> serde::de::Visitor<'de> for Reader {
            type Value = RunSecrets;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut entries: A,
            ) -> Result<RunSecrets, A::Error> {
                let mut secrets = BTreeMap::new();
                while let Some((name, value)) = entries.next_entry()? {
                    secrets.insert(name, value);
                    if secrets.len() > RunSecrets::MAX {
                        let most = RunSecrets::MAX;
                        let told = format!("there are more than {most} secrets");
                        return Err(serde::de::Error::custom(told));
                    }
                }
                Ok(RunSecrets(secrets))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// What became of a run.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RunAnswer {
    /// The output, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub output: Option<Box<RawValue>>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// What it wrote to standard error.
    pub stderr: String,
    /// What it logged with a level.
    pub log: Vec<RunLog>,
    /// How many bytes more it wrote than the log limit keeps.
    pub log_dropped: u64,
    /// What it emitted.
    pub events: Vec<RunEvent>,
    /// What it took, and what repeats it.
    pub metrics: RunMetrics,
}

/// Why a run gave no output.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunError {
    /// What happened.
    pub message: String,
    /// Where the guest was, innermost first: places in the built code.
    pub stack: Vec<RunFrame>,
}

/// A function in a guest's stack.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunFrame {
    /// Its name; empty if it has none.
    pub function: String,
    /// The file; empty if that is not known.
    pub file: String,
    /// The line, from 1; 0 if it is not known.
    pub line: u32,
    /// The column, from 1; 0 if it is not known.
    pub column: u32,
}

/// What a guest logged.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunLog {
    /// `debug`, `info`, `warn` or `error`
    pub level: String,
    /// What it says.
    pub text: String,
}

/// What a guest emitted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunEvent {
    /// What it is.
    pub name: String,
    /// What it carries.
    #[schema(value_type = Value)]
    pub data: Box<RawValue>,
}

/// What a run took, and what repeats it. Times are in nanoseconds, sizes in bytes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[allow(
    missing_docs,
    reason = "the names say it, and each is said in `compute::Metrics` and `compute::Bounds`"
)]
pub struct RunMetrics {
    #[serde(rename = "ref")]
    #[schema(value_type = String)]
    pub reference: Ref,
    /// `ok`, or how it ended.
    pub status: String,
    pub wall_ns: u64,
    pub load_ns: u64,
    pub queue_ns: u64,
    pub instantiate_ns: u64,
    pub guest_ns: u64,
    pub output_ns: u64,
    pub peak_memory: u64,
    pub fuel: Option<u64>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub now: Option<Timestamp>,
    pub seed: String,
    pub limits: RunLimits,
}

/// The limits that a run had.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs, reason = "as in `compute::Bounds`")]
pub struct RunLimits {
    pub memory: u64,
    pub wall_ns: u64,
    pub fuel: Option<u64>,
    pub stack: u64,
    pub table_elements: u64,
    pub output: u64,
    pub log: u64,
}

impl RunMetrics {
    /// Those of a run.
    #[must_use]
    pub fn new(reference: &Ref, outcome: &Outcome) -> Self {
        let (metrics, bounds) = (&outcome.metrics, &outcome.bounds);
        let phases = &metrics.phases;
        Self {
            reference: reference.clone(),
            status: metrics.status.name().to_owned(),
            wall_ns: nanos(metrics.wall),
            load_ns: nanos(phases.load),
            queue_ns: nanos(phases.queue),
            instantiate_ns: nanos(phases.instantiate),
            guest_ns: nanos(phases.guest),
            output_ns: nanos(phases.output),
            peak_memory: metrics.peak_memory,
            fuel: metrics.fuel,
            now: timestamp(bounds.now),
            seed: bounds.seed.to_string(),
            limits: RunLimits {
                memory: bounds.memory,
                wall_ns: nanos(bounds.wall),
                fuel: bounds.fuel,
                stack: bounds.stack,
                table_elements: bounds.table_elements,
                output: bounds.output,
                log: bounds.log,
            },
        }
    }
}

impl RunAnswer {
    /// That of a run.
    #[must_use]
    pub fn new(reference: &Ref, outcome: Outcome) -> Self {
        let metrics = RunMetrics::new(reference, &outcome);
        let (output, error) = match outcome.result {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (RawValue::from_string(text).ok(), None)
            }
            Err(failure) => {
                let stack = failure.stack.iter().map(|frame| RunFrame {
                    function: frame.function.clone(),
                    file: frame.file.clone(),
                    line: frame.line,
                    column: frame.column,
                });
                (None, Some(RunError { message: failure.to_string(), stack: stack.collect() }))
            }
        };
        let lines = outcome.log.lines.into_iter();
        Self {
            output,
            error,
            stderr: String::from_utf8_lossy(&outcome.log.bytes).into_owned(),
            log: lines
                .map(|line| RunLog { level: line.level.name().to_owned(), text: line.text })
                .collect(),
            log_dropped: outcome.log.dropped,
            events: outcome
                .events
                .into_iter()
                .map(|event| RunEvent { name: event.name, data: event.data })
                .collect(),
            metrics,
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(time).ok()
}

/// A time as a run takes it.
pub(crate) fn system_time(time: Timestamp) -> Option<SystemTime> {
    let nanos = u64::try_from(time.as_nanosecond()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
}
