//! One call: a fresh sandbox, the guest in it, and what comes out.

use std::sync::Arc;
use std::time::Instant;

use compute::{
    Bounds, Call, Cancel, Error, Event, Failure, Instance, Level, Log, LogLine, Metrics, Outcome,
    Phase, Reason,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use wasmtime::{Memory, ResourceLimiter, Store, StoreContextMut, UpdateDeadline};

use crate::NAME;
use crate::engine::Shared;
use crate::failure::{Stop, reason};
use crate::host::Thrown;
use crate::program::{Entry, Program};
use crate::threads;
use crate::wasi::Clock;

/// For how many ticks a guest that is past its deadline is asked to stop and say where it is. They are its
/// own: while its thread waits for a core, none passes.
const GRACE_TICKS: u8 = 3;
/// What a log line counts for beyond its text.
const LOG_LINE_BYTES: u64 = 8;

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
        size_of::<Self>()
    }

    fn takes_envelope(&self) -> bool {
        self.takes_envelope
    }
}

impl Instance for Loaded {
    fn invoke(&self, input: &[u8], call: &Call<'_>) -> Result<Outcome, Error> {
        self.check_bounds(call.bounds)?;
        let running = self.shared.ticker.running();
        let running = running.map_err(|error| Error::engine(NAME, error.to_string()))?;
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
        drop(running);
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
        metrics.peak_memory = state.peak_memory;
        metrics.fuel = call.bounds.fuel.zip(left).map(|(limit, left)| limit.saturating_sub(left));
        let mut outcome = Outcome::new(*call.bounds, result, metrics);
        outcome.log = std::mem::take(&mut state.log);
        outcome.events = std::mem::take(&mut state.events);
        Ok(outcome)
    }

    fn size(&self) -> usize {
        self.program.size()
    }

    fn takes_envelope(&self) -> bool {
        self.takes_envelope
    }
}

impl Loaded {
    /// Makes a sandbox, in the pool that this thread keeps to or, where that is full, in another.
    fn instantiate(&self, input: &[u8], call: &Call<'_>) -> wasmtime::Result<Sandbox> {
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
    ) -> wasmtime::Result<Sandbox> {
        let begun = Instant::now();
        let mut store = Store::new(self.program.engine(shard)?, State::new(input, call));
        store.limiter(|state| state);
        store.epoch_deadline_callback(tick);
        store.set_epoch_deadline(1);
        let fueled = call.bounds.fuel.map_or(Ok(()), |fuel| store.set_fuel(fuel));
        let entry = fueled.and_then(|()| self.program.instantiate(shard, &mut store));
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

struct Sandbox {
    store: Store<State>,
    entry: wasmtime::Result<Entry>,
    begun: Instant,
}

impl Sandbox {
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
fn start(store: &mut Store<State>, entry: &Entry) -> wasmtime::Result<()> {
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
    /// Bytes of log lines.
    logged: u64,
    /// Whether stdin, stdout and stderr are still open.
    pub(crate) open: [bool; 3],
    pub(crate) clock: Clock,
    seed: compute::Seed,
    random: Option<Box<ChaCha20Rng>>,
    memory_limit: u64,
    pub(crate) memory_refused: bool,
    peak_memory: u64,
    table_limit: u64,
    pub(crate) table_refused: bool,
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
            memory_limit: bounds.memory,
            memory_refused: false,
            peak_memory: 0,
            table_limit: bounds.table_elements,
            table_refused: false,
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

    /// Adds an event's bytes to the output, and says whether there is room for them.
    pub(crate) fn count_event(&mut self, bytes: usize) -> bool {
        self.event_bytes = self.event_bytes.saturating_add(bytes);
        self.event_bytes as u64 <= self.output_limit
    }

    pub(crate) fn log_line(&mut self, level: Level, text: &[u8]) {
        let kept = self.take_log_room(text.len());
        if kept == 0 && !text.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&text[..kept]).into_owned();
        self.log.lines.push(LogLine { level, text });
    }

    /// How many of so many bytes the log still takes. Each line counts for some bytes more than it has.
    fn take_log_room(&mut self, bytes: usize) -> usize {
        let room = self.log_limit.saturating_sub(self.logged);
        let kept = usize::try_from(room).unwrap_or(usize::MAX).min(bytes);
        self.logged += kept as u64 + LOG_LINE_BYTES;
        self.log.dropped += (bytes - kept) as u64;
        kept
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
        let room = self.log_limit.saturating_sub(self.log.bytes.len() as u64);
        let kept = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
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

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let desired_bytes = desired as u64;
        if desired_bytes > self.memory_limit {
            self.memory_refused = true;
            return Ok(false);
        }
        if maximum.is_none_or(|maximum| desired <= maximum) {
            self.peak_memory = self.peak_memory.max(desired_bytes);
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let refused = desired as u64 > self.table_limit;
        self.table_refused |= refused;
        Ok(!refused)
    }
}
