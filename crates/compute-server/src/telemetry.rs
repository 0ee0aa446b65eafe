//! What the server says of itself: OpenTelemetry metrics and traces, Prometheus, and logs.
//!
//! Metrics and traces go to where the standard variables say (`OTEL_EXPORTER_OTLP_ENDPOINT` and its like); without
//! them nothing is sent. Logs are events of the crate `tracing`, for the program to write where it likes: requests
//! have the target `request`, what computes log has the target `guest`.

mod guest_log;
mod labels;
mod observed;
mod used;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::http::HeaderMap;
use compute::{Account, Manager, Metrics, Printable, ResultStats, Seed, with_causes};
use compute_flow::Trace;
use compute_replay::RecordWriter;
use compute_state::{JobLoad, JobState, State, TenantName};
use opentelemetry::metrics::{Counter, Histogram, MeterProvider as _};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status as SpanStatus,
    TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, SdkMeterProvider, Stream};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use prometheus::{Registry, TextEncoder};

use crate::work::Admission;
pub(crate) use guest_log::GuestLog;
pub(crate) use labels::Labels;
use observed::parse;
pub(crate) use observed::{Observed, TRACEPARENT};
pub(crate) use used::Used;

/// The limits of the histograms' buckets, in seconds.
const SECONDS: [f64; 17] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];

/// What measures the server.
pub(crate) struct Telemetry {
    registry: Registry,
    meters: SdkMeterProvider,
    tracers: Option<SdkTracerProvider>,
    tracer: Option<SdkTracer>,
    pub(crate) requests: Histogram<f64>,
    runs: Histogram<f64>,
    documents: Histogram<f64>,
    ops: Histogram<f64>,
    cold_loads: Counter<u64>,
    refused: Counter<u64>,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("traces", &self.tracer.is_some()).finish_non_exhaustive()
    }
}

/// What is looked at whenever somebody asks.
pub(crate) struct Watched {
    pub(crate) sandboxes: Admission,
    pub(crate) manager: Manager,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) memory: Account,
    pub(crate) logs_dropped: Arc<AtomicU64>,
    pub(crate) records: Option<RecordWriter>,
    pub(crate) state: Arc<dyn State>,
    /// How many jobs there are on all servers, if that is known.
    pub(crate) jobs: Box<dyn Fn() -> Option<JobLoad> + Send + Sync>,
}

/// Telemetry cannot begin.
#[derive(Debug, thiserror::Error)]
#[error("telemetry cannot begin: {0}")]
pub struct TelemetryError(String);

fn wrong(error: impl fmt::Display) -> TelemetryError {
    TelemetryError(error.to_string())
}

/// Whether the environment names where these signals go.
fn is_sent(signal: &str) -> bool {
    let named = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let off = std::env::var_os("OTEL_SDK_DISABLED").is_some_and(|value| value == "true");
    !off && (named("OTEL_EXPORTER_OTLP_ENDPOINT")
        || named(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")))
}

impl Telemetry {
    pub(crate) fn new(watched: Watched) -> Result<Self, TelemetryError> {
        let resource = match std::env::var_os("OTEL_SERVICE_NAME") {
            Some(_) => Resource::builder().build(),
            None => Resource::builder().with_service_name("compute").build(),
        };
        let registry = Registry::new();
        let prometheus = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_target_info()
            .scope_info_enabled(false)
            .build()
            .map_err(wrong)?;
        let mut meters = SdkMeterProvider::builder()
            .with_reader(prometheus)
            .with_view(series)
            .with_resource(resource.clone());
        if is_sent("METRICS") {
            let exporter = MetricExporter::builder().with_http().build().map_err(wrong)?;
            meters = meters.with_periodic_exporter(exporter);
        }
        let meters = meters.build();
        let tracers = if is_sent("TRACES") {
            let exporter = SpanExporter::builder().with_http().build().map_err(wrong)?;
            let tracers =
                SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource);
            Some(tracers.build())
        } else {
            None
        };
        let meter = meters.meter("compute");
        let seconds = |name: &'static str, about: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(about);
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        watch(&meter, watched);
        Ok(Self {
            requests: seconds("http.server.request.duration", "How long requests took"),
            runs: seconds("compute.run.duration", "How long single runs took"),
            documents: seconds("compute.document.duration", "How long documents took"),
            ops: seconds("compute.op.duration", "How long rules with computes took"),
            cold_loads: meter
                .u64_counter("compute.cold_loads")
                .with_description("How often an artifact had to be loaded first")
                .build(),
            refused: meter
                .u64_counter("compute.refused")
                .with_description(
                    "How often a tenant was refused what it may use no more of for now",
                )
                .build(),
            tracer: tracers.as_ref().map(|tracers| tracers.tracer("compute")),
            tracers,
            registry,
            meters,
        })
    }

    /// All metrics, in Prometheus' text format.
    pub(crate) fn prometheus(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// Counts that a tenant was refused something.
    pub(crate) fn refused(&self, tenant: &TenantName, why: &'static str) {
        self.refused.add(1, &[tenant_label(tenant), KeyValue::new("why", why)]);
    }

    /// Counts a single run.
    pub(crate) fn run(&self, tenant: &TenantName, metrics: &Metrics) {
        if !metrics.phases.load.is_zero() {
            self.cold_loads.add(1, &[]);
        }
        let labels = [tenant_label(tenant), KeyValue::new("status", metrics.status.name())];
        self.runs.record(metrics.wall.as_secs_f64(), &labels);
    }

    /// Counts a document and what it ran, and adds its steps to the request's trace.
    pub(crate) fn document(
        &self,
        (name, own): (&TenantName, &Labels),
        trace: &Trace,
        observed: &Observed,
    ) {
        let began = SystemTime::now() - Duration::from_nanos(trace.wall_ns);
        let seconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
        let labels = [
            tenant_label(name),
            KeyValue::new("stack", own.of(trace.stage.stack.as_str())),
            KeyValue::new("status", trace.status.clone()),
        ];
        // A stack that there isn't has a name that anybody chose.
        if trace.status != "unknown_stage" {
            self.documents.record(seconds(trace.wall_ns), &labels);
        }
        for step in trace.steps.iter().filter(|step| step.reference.is_some()) {
            let labels = [
                tenant_label(name),
                KeyValue::new("op", own.of(&step.op)),
                KeyValue::new("status", step.status.clone()),
            ];
            self.ops.record(seconds(step.wall_ns), &labels);
            if step.metrics.is_some_and(|metrics| metrics.load_ns > 0) {
                self.cold_loads.add(1, &[]);
            }
            if let Some(tracer) = &self.tracer {
                let start = began + Duration::from_nanos(step.at_ns);
                let span = SpanBuilder::from_name(step.op.clone())
                    .with_start_time(start)
                    .with_attributes([KeyValue::new("compute.status", step.status.clone())]);
                let mut span = tracer.build_with_context(span, &observed.as_parent());
                if step.status != "ok" {
                    span.set_status(SpanStatus::error(step.status.clone()));
                }
                span.end_with_timestamp(start + Duration::from_nanos(step.wall_ns));
            }
        }
    }

    /// Sends what has not been sent.
    pub(crate) fn finish(&self) {
        let _ = self.meters.force_flush();
        if let Some(tracers) = &self.tracers {
            let _ = tracers.force_flush();
        }
    }

    pub(crate) fn begin(&self, name: String, headers: &HeaderMap) -> Observed {
        let caller = headers.get(TRACEPARENT).and_then(|value| parse(value.to_str().ok()?));
        let Some(tracer) = &self.tracer else {
            let random = Seed::random();
            let random = random.as_bytes();
            let own = SpanId::from_bytes(std::array::from_fn(|at| random[at]));
            let drawn = TraceId::from_bytes(std::array::from_fn(|at| random[at + 8]));
            let (trace, flags) = caller.map_or((drawn, TraceFlags::default()), |caller| {
                (caller.trace_id(), caller.trace_flags())
            });
            return Observed::new(
                SpanContext::new(trace, own, flags, false, TraceState::default()),
                None,
            );
        };
        let parent = caller
            .map_or_else(Context::new, |caller| Context::new().with_remote_span_context(caller));
        let span = SpanBuilder::from_name(name).with_kind(SpanKind::Server);
        let span = tracer.build_with_context(span, &parent);
        Observed::new(span.span_context().clone(), Some(span))
    }
}

/// Tells the operator of an error, on one line.
pub(crate) fn warn(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(target: "request", "{}", Printable::line(&with_causes(error)));
}

/// How many series there may be in all: of each instrument, beyond which all tenants' fall into one.
const MAX_SERIES: usize = 100_000;

/// Each tenant may have so many series that all tenants together need more than the SDK allows.
fn series(instrument: &Instrument) -> Option<Stream> {
    let is_time = instrument.name().ends_with(".duration");
    let histogram = Aggregation::ExplicitBucketHistogram {
        boundaries: SECONDS.to_vec(),
        record_min_max: false,
    };
    let stream = Stream::builder().with_cardinality_limit(MAX_SERIES).with_aggregation(histogram);
    is_time.then(|| stream.build().ok()).flatten()
}

fn tenant_label(tenant: &TenantName) -> KeyValue {
    KeyValue::new("tenant", tenant.as_str().to_owned())
}

fn watch(meter: &opentelemetry::metrics::Meter, watched: Watched) {
    let Watched { sandboxes, manager, connections, memory, logs_dropped, records, state, jobs } =
        watched;
    let gauge =
        |name: &'static str, about: &'static str, read: Box<dyn Fn() -> u64 + Send + Sync>| {
            let gauge = meter.u64_observable_gauge(name).with_description(about);
            // The meter keeps it.
            let _ = gauge.with_callback(move |observer| observer.observe(read(), &[])).build();
        };
    let count = |number: usize| number as u64;
    let (working, waiting, bytes) = (sandboxes.clone(), sandboxes, manager.clone());
    gauge(
        "compute.requests.working",
        "How many sandboxes are taken",
        Box::new(move || count(working.load().0)),
    );
    gauge(
        "compute.requests.waiting",
        "How many requests wait for a sandbox",
        Box::new(move || count(waiting.load().1)),
    );
    let loaded = manager.clone();
    gauge(
        "compute.artifacts.loaded",
        "How many artifacts are loaded",
        Box::new(move || count(loaded.loaded().0)),
    );
    gauge(
        "compute.artifacts.bytes",
        "How many bytes the loaded artifacts hold",
        Box::new(move || bytes.loaded().1),
    );
    gauge(
        "compute.connections",
        "How many connections are open",
        Box::new(move || count(connections.load(Ordering::Relaxed))),
    );
    gauge(
        "compute.requests.memory",
        "How many bytes of memory all requests are charged",
        Box::new(move || memory.used()),
    );
    let results = [
        (
            "compute.results.hits",
            "How many results were found that earlier runs gave",
            results_of(&manager, |one| one.hits),
        ),
        (
            "compute.results.misses",
            "How many runs whose results may be kept were run",
            results_of(&manager, |one| one.misses),
        ),
        (
            "compute.results.bytes",
            "How many bytes the results take that are kept",
            results_of(&manager, |one| one.bytes),
        ),
        (
            "compute.results.verified",
            "How many results were found and run all the same",
            results_of(&manager, |one| one.verified),
        ),
        (
            "compute.results.differed",
            "How many of those came out otherwise: none should",
            results_of(&manager, |one| one.differed),
        ),
    ];
    for (name, about, read) in results {
        gauge(name, about, read);
    }
    if let Some(records) = records {
        let written = records.clone();
        gauge(
            "compute.records.written",
            "How many records of requests were written",
            Box::new(move || written.stats().written),
        );
        gauge(
            "compute.records.lost",
            "How many records of requests were lost: too many waited, or they could not be written",
            Box::new(move || records.stats().lost),
        );
    }
    gauge(
        "compute.state.away",
        "For how many seconds whoever keeps the state has not answered: 0 while it does",
        Box::new(move || state.away_for().map_or(0, |away| away.as_secs().max(1))),
    );
    // What is not known has no number: whoever scales by it leaves things as they are.
    let _ = meter
        .u64_observable_gauge("compute.jobs")
        .with_description("How many jobs have not ended, on all servers that share the state")
        .with_callback(move |observer| {
            let Some(JobLoad { scheduled, waiting, running }) = jobs() else { return };
            for (state, number) in [
                (JobState::Scheduled, scheduled),
                (JobState::Waiting, waiting),
                (JobState::Running, running),
            ] {
                observer.observe(number, &[KeyValue::new("state", state.name())]);
            }
        })
        .build();
    gauge("process.memory.usage", "Resident memory, in bytes", Box::new(resident));
    gauge(
        "compute.guest_log.dropped",
        "How many runs' logs were dropped, for too many waited to be written",
        Box::new(move || logs_dropped.load(Ordering::Relaxed)),
    );
}

/// Reads one of the counts of results.
fn results_of(
    manager: &Manager,
    read: impl Fn(ResultStats) -> u64 + Send + Sync + 'static,
) -> Box<dyn Fn() -> u64 + Send + Sync> {
    let manager = manager.clone();
    Box::new(move || read(manager.results()))
}

/// The process's resident memory, in bytes, where the system says.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}
