//! One call: a fresh sandbox, the guest in it, and what comes out.

use std::sync::Arc;
use std::time::Instant;

use compute::{
    Bounds, Call, Error, Failure, Instance, Log, LogLine, Metrics, Origin, Outcome, Phase, Reason,
    SharedPart,
};

use crate::NAME;
use crate::code::{GuestStore, Slots, Ticker, on_guest_stack, thread_number};
use crate::guest::{State, Stop, reason};
use crate::module::{Caps, NOTES_REQUEST};
use crate::program::{Entry, Program};

/// What loaded modules need of their engine.
pub(crate) struct Shared {
    pub(crate) caps: Caps,
    pub(crate) slots: Slots,
    pub(crate) ticker: Arc<Ticker>,
}

/// An artifact that can be called.
pub(crate) struct Loaded {
    pub(crate) shared: Arc<Shared>,
    pub(crate) program: Program,
    pub(crate) takes_envelope: bool,
    pub(crate) origin: Arc<Origin>,
}

/// An artifact whose own code failed while it was prepared: it fails so on each call.
pub(crate) struct FailedToLoad {
    pub(crate) failure: Failure,
    pub(crate) log: Log,
    pub(crate) takes_envelope: bool,
}

impl Instance for FailedToLoad {
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
        on_guest_stack(self.stack(), || self.run(input, call))
            .map_err(|error| Error::engine(NAME, format!("{error:#}")))?
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

    fn origin(&self) -> Option<&Arc<Origin>> {
        Some(&self.origin)
    }

    fn wanted_memory(&self) -> u64 {
        self.program.surroundings().map_or(0, |around| around.memory)
    }

    fn notes_request(&self) -> bool {
        let plugin = self.program.plugin();
        plugin
            .is_some_and(|plugin| plugin.shape.exports.iter().any(|one| one.name == NOTES_REQUEST))
    }
}

impl Loaded {
    /// The guest's call stack, in bytes.
    fn stack(&self) -> u64 {
        self.program.engines().profile().stack()
    }

    fn run(&self, input: &[u8], call: &Call<'_>) -> Result<Outcome, Error> {
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
        let is_op = matches!(entry, Ok(Entry::Call(_)));
        let ran = entry.and_then(|entry| start(&mut store, &entry));
        let left = call.bounds.fuel.and(store.get_fuel().ok());
        let mut state = store.into_data();
        self.shared.slots.free();
        let guest = Instant::now();

        let result = match ran {
            Ok(()) => state.take_output(call.raw),
            Err(error) => match error.downcast_ref::<Stop>() {
                // An op answers by returning.
                Some(Stop::Exit(0)) if !is_op => state.take_output(call.raw),
                _ => match reason(&error, &state, call, phase, self.stack()) {
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
        outcome.pure = state.is_pure();
        Ok(outcome)
    }

    /// Makes a sandbox, in the pool that this thread keeps to or, where that is full, in another.
    fn instantiate(&self, input: &[u8], call: &Call<'_>) -> wasmtime::Result<Sandbox<'_>> {
        let shards = self.program.engines().shards();
        let own = thread_number() % shards;
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
        let (engines, state) = (self.program.engines(), State::new(input, call));
        let mut store = GuestStore::new(engines, shard, state, call.bounds.fuel)?;
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
