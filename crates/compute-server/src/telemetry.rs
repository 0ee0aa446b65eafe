//! What the server says of itself: OpenTelemetry metrics and traces, Prometheus, and logs.
//!
//! Metrics and traces go to where the standard variables say (`OTEL_EXPORTER_OTLP_ENDPOINT` and its like); without
//! them nothing is sent. Logs are events of the crate `tracing`, for the program to write where it likes: requests
//! have the target `request`, what computes log has the target `guest`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use compute::{Account, Level, Log, LogWriter, Manager, Mask, Metrics, Printable, Ref, Seed};
use compute_flow::Trace;
use compute_state::TenantName;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider as _};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status as SpanStatus,
    TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, SdkMeterProvider, Stream};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use prometheus::{Registry, TextEncoder};

use crate::answer::charged;
use crate::connections::{Answering, Life};
use crate::requests::Present;
use crate::tenants::{Live, Tenant};
use crate::{Admission, Server};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The limits of the histograms' buckets, in seconds.
const SECONDS: [f64; 17] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];
/// How many runs' logs wait to be written.
const WAITING_LOGS: usize = 256;
/// How many lines of one run's log are written.
const LINES: usize = 200;

/// What measures the server.
pub(crate) struct Telemetry {
    registry: Registry,
    meters: SdkMeterProvider,
    tracers: Option<SdkTracerProvider>,
    tracer: Option<SdkTracer>,
    requests: Histogram<f64>,
    runs: Histogram<f64>,
    documents: Histogram<f64>,
    ops: Histogram<f64>,
    cold_loads: Counter<u64>,
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

    /// Counts a single run.
    pub(crate) fn run(&self, tenant: &TenantName, metrics: &Metrics) {
        if !metrics.phases.load.is_zero() {
            self.cold_loads.add(1, &[]);
        }
        let labels = [tenant_label(tenant), KeyValue::new("status", metrics.status.name())];
        self.runs.record(metrics.wall.as_secs_f64(), &labels);
    }

    /// Counts a document and what it ran, and adds its steps to the request's trace.
    pub(crate) fn document(&self, tenant: &Tenant, trace: &Trace, observed: &Observed) {
        let began = SystemTime::now() - Duration::from_nanos(trace.wall_ns);
        let seconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
        let name = &tenant.name;
        let labels = [
            tenant_label(name),
            KeyValue::new("stack", tenant.labels.of(trace.stage.stack.as_str())),
            KeyValue::new("status", trace.status.clone()),
        ];
        // A stack that there isn't has a name that anybody chose.
        if trace.status != "unknown_stage" {
            self.documents.record(seconds(trace.wall_ns), &labels);
        }
        for step in trace.steps.iter().filter(|step| step.reference.is_some()) {
            let labels = [
                tenant_label(name),
                KeyValue::new("op", tenant.labels.of(&step.op)),
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

    fn begin(&self, name: String, headers: &HeaderMap) -> Observed {
        let caller = headers.get(TRACEPARENT).and_then(|value| parse(value.to_str().ok()?));
        let Some(tracer) = &self.tracer else {
            let random = Seed::random();
            let random = random.as_bytes();
            let own = SpanId::from_bytes(std::array::from_fn(|at| random[at]));
            let drawn = TraceId::from_bytes(std::array::from_fn(|at| random[at + 8]));
            let (trace, flags) = caller.map_or((drawn, TraceFlags::default()), |caller| {
                (caller.trace_id(), caller.trace_flags())
            });
            return Observed {
                context: SpanContext::new(trace, own, flags, false, TraceState::default()),
                span: Mutex::new(None),
                caller: OnceLock::new(),
            };
        };
        let parent = caller
            .map_or_else(Context::new, |caller| Context::new().with_remote_span_context(caller));
        let span = SpanBuilder::from_name(name).with_kind(SpanKind::Server);
        let span = tracer.build_with_context(span, &parent);
        Observed {
            context: span.span_context().clone(),
            span: Mutex::new(Some(span)),
            caller: OnceLock::new(),
        }
    }
}

/// The values that one tenant's own series have, such as the names of its ops: as many as it may have, and one for
/// all that come after.
#[derive(Debug, Default)]
pub(crate) struct Labels(RwLock<HashSet<String>>);

/// How many of them a tenant may have.
const MAX_LABELS: usize = 200;
/// What stands for the rest.
const OTHER: &str = "_other";
/// How many series there may be in all: of each instrument, beyond which all tenants' fall into one.
const MAX_SERIES: usize = 100_000;

impl Labels {
    /// The value, if it is one that the tenant has or may have.
    fn of(&self, value: &str) -> String {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let full = known.len() >= MAX_LABELS;
        if known.contains(value) {
            return value.to_owned();
        }
        drop(known);
        if full {
            return OTHER.to_owned();
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_LABELS && !known.contains(value) {
            return OTHER.to_owned();
        }
        known.insert(value.to_owned());
        value.to_owned()
    }
}

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
    let Watched { sandboxes, manager, connections, memory, logs_dropped } = watched;
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
    gauge(
        "compute.artifacts.loaded",
        "How many artifacts are loaded",
        Box::new(move || count(manager.loaded().0)),
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
    gauge("process.memory.usage", "Resident memory, in bytes", Box::new(resident));
    gauge(
        "compute.guest_log.dropped",
        "How many runs' logs were dropped, for too many waited to be written",
        Box::new(move || logs_dropped.load(Ordering::Relaxed)),
    );
}

/// The process's resident memory, in bytes, where the system says.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}

/// A request, as it is observed.
#[derive(Debug)]
pub(crate) struct Observed {
    context: SpanContext,
    span: Mutex<Option<Span>>,
    /// Whose request it is, once that is known.
    caller: OnceLock<Known>,
}

/// Whose request it is, and what it takes.
#[derive(Debug)]
struct Known {
    tenant: TenantName,
    memory: Account,
    _present: Present,
}

impl Observed {
    /// Says whose request it is. Its answer is charged to this account, and it counts as one of the tenant's until the
    /// answer is sent.
    pub(crate) fn is_of(&self, tenant: &TenantName, memory: &Account, present: Present) {
        let (tenant, memory) = (tenant.clone(), memory.clone());
        let _ = self.caller.set(Known { tenant, memory, _present: present });
    }

    fn as_parent(&self) -> Context {
        Context::new().with_remote_span_context(self.context.clone())
    }

    /// As the W3C's Trace Context writes it.
    fn traceparent(&self) -> String {
        let context = &self.context;
        format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8()
        )
    }
}

/// What a `traceparent` says, by the W3C's Trace Context: version, trace, parent, flags.
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lower = |part: &str, length: usize| {
        part.len() == length
            && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let known = lower(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !(known && lower(trace, 32) && lower(span, 16) && lower(flags, 2)) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

/// Observes every request: its time, its status, its place in a trace.
pub(crate) async fn observe(
    State(server): State<Server>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    // One too many is told so without a body: that could wait to be read, too.
    let Ok(present) = server.shared.requests.enter() else {
        let retry = [(header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, retry).into_response();
    };
    let life = request.extensions().get::<Arc<Life>>().cloned();
    let telemetry = &server.shared.telemetry;
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    let method = method(request.method());
    let observed = Arc::new(telemetry.begin(format!("{method} {route}"), request.headers()));
    request.extensions_mut().insert(Arc::clone(&observed));
    let response = next.run(request).await;
    let caller = observed.caller.get();
    let account = caller.map_or(&server.shared.nobody, |caller| &caller.memory).clone();
    let held = Arc::new((present, Arc::clone(&observed)));
    let answering = Answering::new(life.as_ref());
    let mut response = charged(response, &account, answering, held).await;

    let status = response.status();
    let labels = [
        KeyValue::new("http.request.method", method.clone()),
        KeyValue::new("http.route", route.to_owned()),
        KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
    ];
    telemetry.requests.record(started.elapsed().as_secs_f64(), &labels);
    if let Some(mut span) = observed.span.lock().unwrap_or_else(PoisonError::into_inner).take() {
        span.set_attributes(labels);
        if status.is_server_error() {
            span.set_status(SpanStatus::error(status.to_string()));
        }
        span.end();
    }
    let tenant = observed.caller.get().map_or("", |caller| caller.tenant.as_str());
    let trace = observed.context.trace_id();
    let (code, wall_us) = (status.as_u16(), started.elapsed().as_micros() as u64);
    if status.is_server_error() {
        tracing::warn!(target: "request", %method, route, status = code, wall_us, tenant, %trace);
    } else {
        tracing::debug!(target: "request", %method, route, status = code, wall_us, tenant, %trace);
    }
    if let Ok(value) = HeaderValue::from_str(&observed.traceparent()) {
        response.headers_mut().insert(TRACEPARENT, value);
    }
    response
}

/// A method's name; callers may send any word as one, and a word is a label.
fn method(method: &axum::http::Method) -> Cow<'static, str> {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER").into()
}

/// Takes what computes log, and writes it beside them: a flood of it slows nobody, and what is too much is dropped
/// and counted.
#[derive(Clone, Debug)]
pub(crate) struct GuestLog {
    sender: SyncSender<Logged>,
    pub(crate) dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Logged {
    tenant: TenantName,
    reference: Ref,
    rid: String,
    log: Log,
    mask: Arc<Mask>,
}

impl GuestLog {
    pub(crate) fn new() -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel::<Logged>(WAITING_LOGS);
        std::thread::Builder::new().name("guest-log".to_owned()).spawn(move || {
            while let Ok(logged) = receiver.recv() {
                logged.write();
            }
        })?;
        Ok(Self { sender, dropped: Arc::default() })
    }

    /// What takes the logs of this tenant's runs.
    pub(crate) fn of(&self, tenant: &TenantName, live: Arc<ArcSwap<Live>>) -> Arc<dyn LogWriter> {
        let (own, tenant) = (self.clone(), tenant.clone());
        Arc::new(move |reference: &Ref, rid: &str, log: &Log| {
            if !tracing::enabled!(target: "guest", tracing::Level::ERROR) {
                return;
            }
            let (tenant, reference) = (tenant.clone(), reference.clone());
            // A document may carry a secret to an op that was not given it.
            let mask = Arc::clone(&live.load().mask);
            let logged = Logged { tenant, reference, rid: rid.to_owned(), log: log.clone(), mask };
            if let Err(TrySendError::Full(_)) = own.sender.try_send(logged) {
                own.dropped.fetch_add(1, Ordering::Relaxed);
            }
        })
    }
}

impl Logged {
    fn write(&self) {
        let Self { tenant, reference, rid, log, mask } = self;
        let tenant = tenant.as_str();
        let text = String::from_utf8_lossy(&log.bytes);
        let text = mask.text(&text);
        let bare = text.lines().map(|line| (Level::Info, Cow::Borrowed(line)));
        let lines = log.lines.iter().map(|line| (line.level, mask.text(&line.text)));
        let total = log.lines.len() + text.lines().count();
        for (level, text) in lines.chain(bare).take(LINES) {
            // What a guest says stays on its line.
            let text = Printable::line(&text);
            match level {
                Level::Debug => tracing::debug!(target: "guest", tenant, %reference, rid, "{text}"),
                Level::Info => tracing::info!(target: "guest", tenant, %reference, rid, "{text}"),
                Level::Warn => tracing::warn!(target: "guest", tenant, %reference, rid, "{text}"),
                Level::Error => tracing::error!(target: "guest", tenant, %reference, rid, "{text}"),
            }
        }
        let (lines, bytes) = (total.saturating_sub(LINES), log.dropped);
        if lines > 0 || bytes > 0 {
            tracing::warn!(target: "guest", tenant, %reference, rid, lines, bytes, "more was logged, and dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_traceparent_is_read_by_its_rules() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = parse(good).unwrap();
        assert_eq!(context.trace_id().to_string(), &good[3..35]);
        assert!(context.is_sampled() && context.is_remote());
        assert!(parse(&good.replacen("00", "01", 1)).is_some(), "a later version");
        assert!(parse(&format!("{}-more", good.replacen("00", "01", 1))).is_some());
        for bad in [
            "",
            "00",
            &format!("{good}-more"),
            &good.replacen("00", "ff", 1),
            &good.to_uppercase(),
            &good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &good[..54],
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
