//! A compute that runs once, and all that is told of it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use compute::{Outcome, Ref};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A compute that is to run once.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// What to run: this, or a module.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, pattern = "^compute://[a-z0-9]{1,16}/[A-Za-z0-9_-]{1,128}$"))]
    pub reference: Option<Ref>,
    /// A module that is not stored, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The engine that runs the module; `wasm`, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The input: any JSON; none, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub input: Option<Box<RawValue>>,
    /// Environment values, for an op: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<std::collections::HashMap<String, Value>>))]
    pub env: Option<Box<RawValue>>,
    /// Secrets, for an op: at most 1,000.
    #[serde(default, skip_serializing_if = "RunSecrets::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, String>))]
    pub secrets: RunSecrets,
    /// The request's id, for an op.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 128))]
    pub rid: Option<String>,
    /// Memory, in bytes: at most the server's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub memory: Option<u64>,
    /// Time for the whole run, in milliseconds: at most the server's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub wall_ms: Option<u64>,
    /// Instructions; the run is metered if they are limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub fuel: Option<u64>,
    /// What the clock shows at the start; 1970, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub now: Option<Timestamp>,
    /// What random bytes come from: 64 hex digits; fresh, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-fA-F]{64}$"))]
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
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
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
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunAnswer {
    /// The output, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
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
    /// The id of its record, if it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

/// JSON that is there, `null` among it.
pub(crate) fn there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

/// Why a run gave no output.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunError {
    /// What happened.
    pub message: String,
    /// Where the guest was, innermost first: places in the built code.
    pub stack: Vec<RunFrame>,
}

/// A function in a guest's stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunLog {
    /// `debug`, `info`, `warn` or `error`
    pub level: String,
    /// What it says.
    pub text: String,
}

/// What a guest emitted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunEvent {
    /// What it is.
    pub name: String,
    /// What it carries.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub data: Box<RawValue>,
}

/// What a run took, and what repeats it. Times are in nanoseconds, sizes in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[allow(
    missing_docs,
    reason = "the names say it, and each is said in `compute::Metrics` and `compute::Bounds`"
)]
pub struct RunMetrics {
    #[serde(rename = "ref")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
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
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub now: Option<Timestamp>,
    pub seed: String,
    pub limits: RunLimits,
}

/// The limits that a run had.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
            record: None,
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(time).ok()
}
