//! What a server may use, and what it does unless it is told otherwise.

use std::num::NonZeroU32;
use std::time::Duration;

use compute::Limits;
use compute_flow::ProcessorSettings;

/// What a server may use.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether requests without a token are taken, from this machine only.
    pub dev: bool,
    /// How many sandboxes run at once: four for each processor.
    pub max_concurrency: usize,
    /// How many of them one tenant may hold: half.
    pub max_tenant_concurrency: usize,
    /// How many requests may wait for each kind of work: 1,000, half of them of one tenant.
    pub max_queue: usize,
    /// How many jobs run here at once, each in one of the sandboxes: half of these. One tenant has half of them. With none, jobs that
    /// are submitted here wait for another server.
    pub max_jobs: usize,
    /// How many jobs of one tenant run at once on all servers that share the state, about: 1,000.
    pub max_tenant_jobs: usize,
    /// How long jobs are kept that have ended: 7 days.
    pub job_age: Duration,
    /// How many artifacts are compiled at once, as they are uploaded: as many as there are processors, two at
    /// least. One tenant has half of them.
    pub max_uploads: usize,
    /// How many administrative requests are worked on at once: four. One tenant has half of them.
    pub max_admin: usize,
    /// How many requests there may be in all, from their heads to the ends of their answers: 4,000. One tenant
    /// has half of them.
    pub max_requests: usize,
    /// The limits of each run; a request may ask for less.
    pub limits: Limits,
    /// What documents may use.
    pub documents: ProcessorSettings,
    /// How long an upload may take to compile: a minute.
    pub compile: Duration,
    /// How long an administrative request may take, its wait for a place included: half a minute.
    pub admin_wall: Duration,
    /// How long a body may take to arrive: half a minute.
    pub body_timeout: Duration,
    /// How many bytes of memory all requests may take together, for bodies, documents and answers: 512 MiB.
    pub memory: u64,
    /// How many of them one tenant's requests may take: half.
    pub tenant_memory: u64,
    /// How many of them one request may take: 128 MiB.
    pub request_memory: u64,
    /// How many bytes of memory the rules of all tenants' active stacks may take, made ready: 512 MiB. One tenant's may
    /// take half of it.
    pub rule_memory: u64,
    /// How many bytes of memory the results may take that rules and callers have kept: 64 MiB. One tenant's may take half of it.
    pub result_memory: u64,
    /// Of so many results that are found, one is run all the same, and compared: none is.
    pub verify_results: Option<NonZeroU32>,
    /// How many bytes of records are kept of one tenant; the oldest go first: 256 MiB.
    pub record_bytes: u64,
    /// How long records are kept: 7 days.
    pub record_age: Duration,
    /// Whether records are signed, with a key of each tenant that is made of the key that seals secrets.
    pub sign_records: bool,
    /// How many bytes of memory records of all tenants may take that wait to be written; what comes beyond is lost, and counted:
    /// 32 MiB. Those of one tenant may take half of it.
    pub record_memory: usize,
    /// What one tenant may keep.
    pub quotas: Quotas,
    /// What one tenant may use in a time: as much as it likes.
    pub allowance: Allowance,
    /// How many connections may be open: 10,000.
    pub max_connections: usize,
    /// How long the head of a request may take to arrive, from its first byte: 10 seconds.
    pub head_timeout: Duration,
    /// How long a connection may do nothing: half a minute.
    pub idle_timeout: Duration,
    /// How long the reader of an answer may take nothing of it: half a minute.
    pub answer_timeout: Duration,
    /// How long what was accepted may take to be answered when the server ends: 35 seconds.
    pub drain_timeout: Duration,
}

/// What one tenant may keep of artifacts. What it may keep of stacks, tokens, secrets and traces, those who keep
/// them say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// How many artifacts: 10,000.
    pub artifacts: u64,
    /// How many bytes of artifacts and attachments: 8 GiB.
    pub artifact_bytes: u64,
}

/// What one tenant may use in a time, on all servers that share the state together; the same for each. What is not said is not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// How many requests a second.
    pub requests: Option<NonZeroU32>,
    /// How many documents a second, each line of a batch counted as one. Documents of jobs are not counted.
    pub documents: Option<NonZeroU32>,
    /// How long its guests may run on a day, in UTC: of runs, documents and jobs.
    pub time: Option<Duration>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { artifacts: 10_000, artifact_bytes: 8 << 30 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            dev: false,
            max_concurrency: processors * 4,
            max_tenant_concurrency: processors * 2,
            max_queue: 1000,
            max_jobs: processors * 2,
            max_tenant_jobs: 1000,
            job_age: Duration::from_secs(7 * 24 * 3600),
            max_uploads: processors.max(2),
            max_admin: 4,
            max_requests: 4000,
            limits: Limits::DEFAULT,
            documents: ProcessorSettings::default(),
            compile: Duration::from_secs(60),
            admin_wall: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            memory: 512 << 20,
            tenant_memory: 256 << 20,
            request_memory: 128 << 20,
            rule_memory: 512 << 20,
            result_memory: 64 << 20,
            verify_results: None,
            record_bytes: 256 << 20,
            record_age: Duration::from_secs(7 * 24 * 3600),
            sign_records: false,
            record_memory: 32 << 20,
            quotas: Quotas::default(),
            allowance: Allowance::default(),
            max_connections: 10_000,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(35),
        }
    }
}
