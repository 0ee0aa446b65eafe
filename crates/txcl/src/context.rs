//! What evaluation may use: a clock, random numbers, and a bounded amount of memory.

use std::time::SystemTime;

use compute::{Account, Seed, json_size};
use jiff::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::{Budget, Span};

/// How many bytes one evaluation may make: 16 MiB.
const MAX_BYTES: usize = 16 << 20;
/// How deep the values may be that it makes; what JSON's readers take is 128.
const MAX_DEPTH: usize = 100;
/// About how many bytes are made, or read, between two looks at the time.
const STRIDE: usize = 256 << 10;
/// What one step costs besides the bytes it makes, compared with them.
const STEP: usize = 256;
/// How many bytes of a message are told.
const MAX_MESSAGE: usize = 500;

/// What the evaluation of one rule may use. The same context gives the same values.
#[derive(Clone, Debug)]
pub struct Context {
    now: Timestamp,
    seed: Seed,
    /// Made when it is first used: few rules use it.
    random: Option<Box<ChaCha20Rng>>,
    left: usize,
    /// What it shares with others.
    budget: Option<Budget>,
    /// What was done since the last look at the time.
    done: usize,
    /// Whether there was no time left when it last looked.
    is_over: bool,
}

impl Default for Context {
    /// The clock at the Unix epoch, and a seed of zeros.
    fn default() -> Self {
        Self::new(SystemTime::UNIX_EPOCH, Seed::new([0; 32]))
    }
}

impl Context {
    /// A context with this clock, which stands still, and this seed.
    #[must_use]
    pub fn new(now: SystemTime, seed: Seed) -> Self {
        Self {
            now: Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH),
            seed,
            random: None,
            left: MAX_BYTES,
            budget: None,
            done: 0,
            is_over: false,
        }
    }

    /// This context, within what it shares with others: what it makes is charged there besides, and it ends when
    /// that does.
    #[must_use]
    pub fn within(self, budget: &Budget) -> Self {
        Self { budget: Some(budget.clone()), ..self }
    }

    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let seed = *self.seed.as_bytes();
        let random = self.random.get_or_insert_with(|| Box::new(ChaCha20Rng::from_seed(seed)));
        random.fill_bytes(&mut bytes);
        bytes
    }

    /// Accounts for bytes that are about to be made.
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), String> {
        self.step(bytes)?;
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => {
                return Err(format!(
                    "the rule's values are larger than its limit of {MAX_BYTES} bytes"
                ));
            }
        }
        match &self.budget {
            Some(budget) if bytes > 0 => budget.charge(bytes).map_err(|stop| stop.to_string()),
            _ => Ok(()),
        }
    }

    /// Accounts for the time that a step takes over so many bytes. Now and then it looks whether there is any
    /// left.
    pub(crate) fn step(&mut self, bytes: usize) -> Result<(), String> {
        self.done = self.done.saturating_add(STEP).saturating_add(bytes);
        if self.done < STRIDE && !self.is_over {
            return Ok(());
        }
        self.done = 0;
        let checked = self.budget.as_ref().map_or(Ok(()), Budget::check);
        self.is_over = checked.is_err();
        checked.map_err(|stop| stop.to_string())
    }

    /// An account of what the rule may still make.
    pub(crate) fn rest(&self) -> Account {
        Account::new("the memory of the rule's values", self.left as u64)
    }

    /// Accounts for a value.
    pub(crate) fn charge_value(&mut self, value: &Value) -> Result<(), String> {
        let bytes = json_size(value, MAX_DEPTH)
            .ok_or_else(|| format!("the value is nested deeper than {MAX_DEPTH} levels"))?;
        self.charge(bytes)
    }

    /// A copy of a whole document, which is charged to what is shared alone: a rule's own limit is for what it
    /// makes.
    pub(crate) fn copy_shared(&mut self, value: &Value) -> Result<Value, String> {
        if let Some(budget) = &self.budget {
            let bytes = json_size(value, usize::MAX).unwrap_or(usize::MAX);
            budget.charge(bytes).map_err(|stop| stop.to_string())?;
            self.step(bytes)?;
        }
        Ok(value.clone())
    }

    /// A copy that is accounted for.
    pub(crate) fn copy(&mut self, value: &Value) -> Result<Value, String> {
        self.charge_value(value)?;
        Ok(value.clone())
    }
}

/// A value that could not be worked out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// Where it stands in the rule's text.
    pub span: Span,
    /// What is wrong.
    pub message: String,
}

impl EvalError {
    /// An error whose message does not repeat all of what a caller wrote.
    pub(crate) fn new(span: Span, mut message: String) -> Self {
        if message.len() > MAX_MESSAGE {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            message.push('…');
        }
        Self { span, message }
    }
}
