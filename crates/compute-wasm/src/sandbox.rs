//! One call: a fresh sandbox, the guest in it, and what comes out.

use std::sync::Arc;
use std::time::Instant;

use compute::{
    Bounds, Call, Cancel, Error, Event, Failure, Instance, Level, Log, LogLine, Metrics, Outcome,
    Phase, Reason, SharedPart,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use wasmtime::{Memory, ResourceLimiter, StoreContextMut, UpdateDeadline};

use crate::NAME;
use crate::engine::Shared;
use crate::failure::{Stop, reason};
use crate::guest_store::GuestStore;
use crate::host::Thrown;
use crate::program::{Entry, Program};
use crate::threads;
use crate::wasi::Clock;

/// For how many ticks a guest that is past its deadline is asked to stop and say where it is. They are its
/// own: while its thread waits for a core, none passes.
const GRACE_TICKS: u8 = 3;
/// What the allocator's steps are: a text takes a multiple of it.
const ALLOCATION_STEP: usize = 16;
/// What an event takes besides the bytes of its name and data: its place in a list that grows by doubling,
/// and what two allocations are rounded up by.
const EVENT_BYTES: usize = 2 * size_of::<Event>() + 2 * ALLOCATION_STEP;

/// An artifact that can be called.
pub(crate) struct Loaded {
    pub(crate) shared: Arc<Shared>,
    pub(crate) program: Program,
    pub(crate) takes_envelope: bool,
}

/// An artifact whose own code failed while it was prepared: it fails so on each call.
pub(crate) struct Broken {
    pub(crate) failure: Failure,
    pub(crate) log: Log,
    pub(crate) takes_envelope: bool,
}

impl Instance for Broken {
    fn invoke(&self, _input: &[u8], call: &Call<'_>) -> Result<Outcome, Error> {
        let metrics = Metrics { wall: call.accepted.elapsed(), ..Metrics::default() };
        let mut outcome = Outcome::new(*call.bounds, Err(self.failure.clone()), metrics);
        outcome.log = self.log.clone();
        Ok(outcome)
    }

    fn size(&self) -> usize {
        let Log { bytes, lines, .. } = &self.log;
        let texts: usize = lines.iter().map(|line| line.text.capacity()).sum();
        size_of::<Self>() + bytes.capacity() + lines.capacity() * size_of::<LogLine>() + texts
    }

    fn takes_envelope(&self) -> bool {
        self.takes_envelope
    }
}

impl Instance for Loaded {
    fn invoke(&self, input: &[u8], call: &Call<'_>) -> Result<Outcome, Error> {
        self.check_bounds(call.bounds)?;
        let attempt = || self.instantiate(input, call);
        let sandbox = match self.shared.slots.when_free(call, attempt, Sandbox::met_full_pool) {
            Ok(sandbox) => sandbox.map_err(|error| Error::engine(NAME, format!("{error:#}")))?,
            Err(reason) => return Ok(not_started(call, reason)),
        };
        let Sandbox { mut store, entry, begun } = sandbox;
        if let Some(reason) = call.must_stop(begun, Phase::Instantiate) {
            return Ok(not_started(call, reason));
        }
        let phase = if entry.is_ok() { Phase::Guest } else { Phase::Instantiate };
        let instantiated = Instant::now();
        let ran = entry.and_then(|entry| start(&mut store, &entry));
        let left = call.bounds.fuel.and(store.get_fuel().ok());
        let mut state = store.into_data();
        self.shared.slots.free();
        let guest = Instant::now();

        let result = match ran {
            Ok(()) => state.take_output(call.raw),
            Err(error) => match error.downcast_ref::<Stop>() {
                Some(Stop::Exit(0)) => state.take_output(call.raw),
                _ => match reason(
                    &error,
                    &state,
                    call,
                    phase,
                    self.program.flavour().profile().stack(),
                ) {
                    Some(reason) => Err(reason),
                    None => return Err(Error::engine(NAME, format!("{error:#}"))),
                },
            },
        };
        let answered = Instant::now();
        let result = result.and_then(|output| match call.must_stop(answered, Phase::Output) {
            Some(reason) => Err(reason),
            None => Ok(output),
        });
        let result = result.map_err(|reason| state.failure(reason));

        let mut metrics = Metrics::default();
        // What the manager did before is its own to take off.
        metrics.phases.queue = begun.saturating_duration_since(call.accepted);
        metrics.phases.instantiate = instantiated - begun;
        metrics.phases.guest = guest - instantiated;
        metrics.phases.output = answered - guest;
        metrics.wall = answered.saturating_duration_since(call.accepted);
        metrics.peak_memory = state.memory_bytes.peak;
        metrics.fuel = call.bounds.fuel.zip(left).map(|(limit, left)| limit.saturating_sub(left));
        let mut outcome = Outcome::new(*call.bounds, result, metrics);
        outcome.log = std::mem::take(&mut state.log);
        outcome.events = std::mem::take(&mut state.events);
        Ok(outcome)
    }

    fn size(&self) -> usize {
        self.program.size()
    }

    fn shared(&self) -> Option<SharedPart> {
        let plugin = self.program.plugin()?;
        Some(SharedPart { id: Arc::as_ptr(plugin).addr(), size: plugin.size() })
    }

    fn takes_envelope(&self) -> bool {
        self.takes_envelope
    }
}

impl Loaded {
    /// Makes a sandbox, in the pool that this thread keeps to or, where that is full, in another.
    fn instantiate(&self, input: &[u8], call: &Call<'_>) -> wasmtime::Result<Sandbox<'_>> {
        let shards = self.program.flavour().shards();
        let own = threads::number() % shards;
        let mut sandbox = self.instantiate_in(own, input, call)?;
        for other in (own + 1..shards).chain(0..own) {
            if !sandbox.is_in_full_pool() {
                break;
            }
            sandbox = self.instantiate_in(other, input, call)?;
        }
        Ok(sandbox)
    }

    /// Makes a sandbox in this shard.
    fn instantiate_in(
        &self,
        shard: usize,
        input: &[u8],
        call: &Call<'_>,
    ) -> wasmtime::Result<Sandbox<'_>> {
        let begun = Instant::now();
        let (flavour, state) = (self.program.flavour(), State::new(input, call));
        let mut store = GuestStore::new(flavour, shard, state, call.bounds.fuel)?;
        let entry = self.program.instantiate(shard, &mut store);
        Ok(Sandbox { store, entry, begun })
    }

    fn check_bounds(&self, bounds: &Bounds) -> Result<(), Error> {
        let caps = &self.shared.caps;
        let bounded = [
            ("memory", bounds.memory, caps.memory_minimum),
            ("table elements", bounds.table_elements, caps.table_minimum),
        ];
        for (limit, asked, cap) in bounded {
            if asked > cap {
                return Err(Error::LimitAboveCap { limit, asked, cap });
            }
        }
        Ok(())
    }
}

/// The outcome of a call that must end before its sandbox is made.
fn not_started(call: &Call<'_>, reason: Reason) -> Outcome {
    let wall = call.accepted.elapsed();
    let mut metrics = Metrics { wall, ..Metrics::default() };
    metrics.phases.queue = wall;
    Outcome::new(*call.bounds, Err(Failure::new(reason)), metrics)
}

struct Sandbox<'a> {
    store: GuestStore<'a>,
    entry: wasmtime::Result<Entry>,
    begun: Instant,
}

impl Sandbox<'_> {
    fn is_in_full_pool(&self) -> bool {
        let full = |error: &wasmtime::Error| {
            error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some()
        };
        self.entry.as_ref().is_err_and(full)
    }

    fn met_full_pool(attempt: &wasmtime::Result<Self>) -> bool {
        attempt.as_ref().is_ok_and(Self::is_in_full_pool)
    }
}

/// Runs the guest to its end.
fn start(store: &mut GuestStore<'_>, entry: &Entry) -> wasmtime::Result<()> {
    let store = &mut **store;
    match entry {
        Entry::Start(function) => function.typed::<(), ()>(&*store)?.call(store, ()),
        Entry::Call(function) => match function.typed::<(), i32>(&*store)?.call(store, ())? {
            0 => Ok(()),
            _ => Err(Stop::Failed.into()),
        },
    }
}

/// Called each millisecond that a guest runs.
pub(crate) fn tick(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    match store.data().go_on() {
        Ok(()) => {}
        // A guest that can say where it is may do so, for a moment.
        Err(Stop::Wall) if store.data().interrupt_flag.is_some() && store.data().grace > 0 => {
            store.data_mut().grace -= 1;
            ask_to_stop(&mut store);
        }
        Err(stop) => return Err(stop.into()),
    }
    Ok(UpdateDeadline::Continue(1))
}

fn ask_to_stop(store: &mut StoreContextMut<'_, State>) {
    let state = store.data();
    let Some((memory, at)) = state.memory.zip(state.interrupt_flag) else { return };
    let memory = memory.data_mut(&mut *store);
    // The flag, then the address of the countdown to when the guest next looks at it.
    let countdown = memory.get(at + 4..).and_then(<[u8]>::first_chunk).copied();
    let countdown = countdown.map_or(0, u32::from_le_bytes) as usize;
    for place in [at, countdown].into_iter().filter(|place| *place != 0) {
        if let Some(word) = memory.get_mut(place..).and_then(<[u8]>::first_chunk_mut) {
            *word = 1_u32.to_le_bytes();
        }
    }
}

/// What the host keeps for one sandbox.
#[derive(Debug)]
pub(crate) struct State {
    /// The guest's memory, once it is known.
    pub(crate) memory: Option<Memory>,
    pub(crate) input: Vec<u8>,
    /// How much of the input the guest has read.
    pub(crate) read: usize,
    pub(crate) output: Vec<u8>,
    output_limit: u64,
    log: Log,
    log_limit: u64,
    /// What the log takes of its limit: bytes of standard error, and what lines take in memory.
    logged: u64,
    /// Whether stdin, stdout and stderr are still open.
    pub(crate) open: [bool; 3],
    pub(crate) clock: Clock,
    seed: compute::Seed,
    random: Option<Box<ChaCha20Rng>>,
    /// The bytes of all its memories.
    pub(crate) memory_bytes: Usage,
    /// The elements of all its tables.
    pub(crate) table_elements: Usage,
    deadline: Option<Instant>,
    cancel: Option<Cancel>,
    pub(crate) thrown: Option<Thrown>,
    pub(crate) events: Vec<Event>,
    /// Bytes of all events.
    event_bytes: usize,
    /// Where in the guest's memory a 1 asks it to stop and say where it is.
    pub(crate) interrupt_flag: Option<usize>,
    /// For how many ticks more it is asked to.
    grace: u8,
}

impl State {
    pub(crate) fn new(input: &[u8], call: &Call<'_>) -> Self {
        let bounds = call.bounds;
        let input = if input.is_empty() { b"{}" } else { input };
        Self {
            memory: None,
            input: input.to_vec(),
            read: 0,
            output: Vec::new(),
            output_limit: bounds.output,
            log: Log::default(),
            log_limit: bounds.log,
            logged: 0,
            open: [true; 3],
            clock: Clock::new(bounds.now),
            seed: bounds.seed,
            random: None,
            memory_bytes: Usage::new(bounds.memory),
            table_elements: Usage::new(bounds.table_elements),
            deadline: call.deadline(),
            cancel: call.cancel.cloned(),
            thrown: None,
            events: Vec::new(),
            event_bytes: 0,
            interrupt_flag: None,
            grace: GRACE_TICKS,
        }
    }

    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// The failure of a run that ended for this reason.
    pub(crate) fn failure(&self, reason: Reason) -> Failure {
        let mut failure = Failure::new(reason);
        failure.stderr = self.first_of_log();
        failure.stack = self.thrown.as_ref().map_or_else(Vec::new, |thrown| thrown.stack.clone());
        failure
    }

    /// Adds an event of so many bytes to the output, and says whether there is room for it.
    pub(crate) fn count_event(&mut self, bytes: usize) -> bool {
        self.event_bytes = self.event_bytes.saturating_add(bytes).saturating_add(EVENT_BYTES);
        self.event_bytes as u64 <= self.output_limit
    }

    /// Keeps a line as far as the log has room for what it takes in memory, its text or not. What is not
    /// kept is counted.
    pub(crate) fn log_line(&mut self, level: Level, text: &[u8]) {
        let room = self.log_room().saturating_sub(size_of::<LogLine>());
        if room == 0 {
            self.log.dropped += text.len().max(1) as u64;
            return;
        }
        let tried = &text[..text.len().min(room)];
        // What is no UTF-8 takes three bytes for one.
        let mut kept = String::from_utf8_lossy(tried).into_owned();
        kept.truncate(kept.floor_char_boundary(room));
        kept.shrink_to_fit();
        self.log.dropped += text.len().saturating_sub(kept.len().min(tried.len())) as u64;
        let cost = size_of::<LogLine>() + kept.len().next_multiple_of(ALLOCATION_STEP);
        self.logged = self.logged.saturating_add(cost as u64);
        self.log.lines.push(LogLine { level, text: kept });
    }

    /// How many bytes the log may still take.
    fn log_room(&self) -> usize {
        usize::try_from(self.log_limit.saturating_sub(self.logged)).unwrap_or(usize::MAX)
    }

    /// Whether the run may go on.
    pub(crate) fn go_on(&self) -> Result<(), Stop> {
        if self.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            Err(Stop::Cancelled)
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Err(Stop::Wall)
        } else {
            Ok(())
        }
    }

    pub(crate) fn write_output(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if self.output.len() as u64 + bytes.len() as u64 > self.output_limit {
            return Err(Stop::Output);
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn write_log(&mut self, bytes: &[u8]) {
        let kept = self.log_room().min(bytes.len());
        self.logged += kept as u64;
        self.log.bytes.extend_from_slice(&bytes[..kept]);
        self.log.dropped += (bytes.len() - kept) as u64;
    }

    pub(crate) fn fill_random(&mut self, bytes: &mut [u8]) {
        let seed = *self.seed.as_bytes();
        self.random.get_or_insert_with(|| Box::new(ChaCha20Rng::from_seed(seed))).fill_bytes(bytes);
    }

    fn take_output(&mut self, raw: bool) -> Result<Vec<u8>, Reason> {
        let mut output = std::mem::take(&mut self.output);
        if raw {
            return Ok(output);
        }
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let end = output.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1);
        output.truncate(end);
        let start = output.iter().position(|byte| !blank(byte)).unwrap_or(0);
        output.drain(..start);
        if output.is_empty() {
            return Ok(b"{}".to_vec());
        }
        let not_json = |message| Reason::NotJson { message };
        let text = std::str::from_utf8(&output).map_err(|error| not_json(error.to_string()))?;
        serde_json::from_str::<serde::de::IgnoredAny>(text)
            .map_err(|error| not_json(error.to_string()))?;
        Ok(output)
    }

    /// The first bytes of the log, as text.
    fn first_of_log(&self) -> String {
        let first = &self.log.bytes[..self.log.bytes.len().min(Failure::STDERR)];
        String::from_utf8_lossy(first).into_owned()
    }
}

/// How much a sandbox has of something that it can grow, in all its instances together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    limit: u64,
    used: u64,
    peak: u64,
    /// What was last allowed, until it is known to be there.
    growing: u64,
    /// Whether the guest was ever refused more.
    pub(crate) refused: bool,
}

impl Usage {
    const fn new(limit: u64) -> Self {
        Self { limit, used: 0, peak: 0, growing: 0, refused: false }
    }

    /// Whether one of them may grow from this to that. What is beyond its own maximum does not come about.
    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        let more = desired.saturating_sub(current) as u64;
        self.growing = 0;
        let sum = self.used.saturating_add(more);
        if sum > self.limit {
            self.refused = true;
            return false;
        }
        if maximum.is_none_or(|maximum| desired <= maximum) {
            (self.used, self.growing) = (sum, more);
            self.peak = self.peak.max(sum);
        }
        true
    }

    /// What was last allowed did not come about.
    const fn take_back(&mut self) {
        self.used = self.used.saturating_sub(self.growing);
        self.growing = 0;
    }
}

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.memory_bytes.grow(current, desired, maximum))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_bytes.take_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table_elements.grow(current, desired, maximum))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.table_elements.take_back();
        Ok(())
    }
}
