//! What the host keeps for one sandbox while its guest runs.

mod places;

use std::sync::Arc;
use std::time::Instant;

use compute::{Call, Cancel, Event, Failure, Level, Log, LogLine, Reason};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use wasmtime::{Memory, ResourceLimiter};

use super::clock::Clock;
use super::stop::Stop;
use super::surroundings::{Opened, Surroundings};
use super::thrown::Thrown;
use super::usage::Usage;

pub(super) use places::Interrupt;

/// For how many ticks a guest that is past its deadline is asked to stop and say where it is. They are its
/// own: while its thread waits for a core, none passes.
const GRACE_TICKS: u8 = 3;
/// What the allocator's steps are: a text takes a multiple of it.
const ALLOCATION_STEP: usize = 16;
/// What an event takes besides the bytes of its name and data: its place in a list that grows by doubling,
/// and what two allocations are rounded up by.
const EVENT_BYTES: usize = 2 * size_of::<Event>() + 2 * ALLOCATION_STEP;

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
    pub(crate) log: Log,
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
    /// What else asks it to.
    pub(super) interrupts: Vec<Interrupt>,
    /// The files and the environment that it has: of a plugin that the operator vouches for.
    pub(crate) surroundings: Option<Arc<Surroundings>>,
    /// What it opened of the files.
    pub(crate) opened: Opened,
    /// For how many ticks more it is asked to.
    pub(super) grace: u8,
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
            interrupts: Vec::new(),
            surroundings: None,
            opened: Opened::default(),
            grace: GRACE_TICKS,
        }
    }

    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// Whether it says where it is when it is asked to stop.
    pub(super) fn can_say_where(&self) -> bool {
        self.interrupt_flag.is_some() || !self.interrupts.is_empty() || self.grace < GRACE_TICKS
    }

    /// Whether it runs on a plugin, whose functions are not the author's.
    pub(super) fn is_on_plugin(&self) -> bool {
        self.interrupt_flag.is_some() || self.surroundings.is_some()
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

    /// Whether the guest looked at nothing that is otherwise in another run on the same input.
    pub(crate) const fn is_pure(&self) -> bool {
        self.random.is_none() && !self.clock.wall_was_seen
    }

    pub(crate) fn take_output(&mut self, raw: bool) -> Result<Vec<u8>, Reason> {
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
