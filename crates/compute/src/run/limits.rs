//! What a run may use, and what makes it repeatable: its clock and its seed.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest as _, Sha256};

use crate::Profile;

const MIB: u64 = 1 << 20;

/// What one run may use, each limit optional.
///
/// An absent limit, and one of zero, means the default: the manager's, then that of
/// [`Limits::DEFAULT`]. None ever means "unbounded".
///
/// ```
/// use std::time::Duration;
/// use compute::Limits;
///
/// let call = Limits { wall: Some(Duration::from_millis(50)), ..Limits::default() };
/// let bounds = call.or(Limits::COMMAND_LINE).bounds();
/// assert_eq!(bounds.wall, Duration::from_millis(50));
/// assert_eq!(bounds.memory, 64 << 20);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, in bytes.
    pub memory: Option<u64>,
    /// Wall time for everything after the call is accepted: queueing, fetch, compile, instantiate,
    /// guest and output.
    pub wall: Option<Duration>,
    /// Fuel, in WebAssembly instructions. A run without a fuel limit is not metered.
    pub fuel: Option<u64>,
    /// Call stack of the guest, in bytes, rounded to a step: see [`Profile`].
    pub stack: Option<u64>,
    /// Elements in each table.
    pub table_elements: Option<u64>,
    /// Output, in bytes.
    pub output: Option<u64>,
    /// Log that is kept, in bytes; what the guest writes beyond it is counted and dropped.
    pub log: Option<u64>,
    /// What the guest's wall clock shows at the start. The default is the Unix epoch.
    pub now: Option<SystemTime>,
    /// What the guest's random bytes come from. The default is a fresh one for each run.
    pub seed: Option<Seed>,
}

impl Limits {
    /// The limits that hold where nobody sets another: those of a server.
    pub const DEFAULT: Self = Self {
        memory: Some(32 * MIB),
        wall: Some(Duration::from_millis(250)),
        fuel: None,
        stack: Some(Profile::MAX_STACK),
        table_elements: Some(100_000),
        output: Some(4 * MIB),
        log: Some(64 << 10),
        now: Some(SystemTime::UNIX_EPOCH),
        seed: None,
    };

    /// The limits on the command line: more memory and time than in a server.
    pub const COMMAND_LINE: Self =
        Self { memory: Some(64 * MIB), wall: Some(Duration::from_secs(5)), ..Self::DEFAULT };

    /// These limits, and where one is absent or zero, the other's.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        fn set(limit: Option<u64>) -> Option<u64> {
            limit.filter(|&value| value > 0)
        }
        Self {
            memory: set(self.memory).or(other.memory),
            wall: self.wall.filter(|wall| !wall.is_zero()).or(other.wall),
            fuel: set(self.fuel).or(other.fuel),
            stack: set(self.stack).or(other.stack),
            table_elements: set(self.table_elements).or(other.table_elements),
            output: set(self.output).or(other.output),
            log: set(self.log).or(other.log),
            now: self.now.or(other.now),
            seed: self.seed.or(other.seed),
        }
    }

    /// The limits of one run: every default filled in, the seed drawn.
    #[must_use]
    pub fn bounds(self) -> Bounds {
        let limits = self.or(Self::DEFAULT);
        let or_zero = Option::unwrap_or_default;
        Bounds {
            memory: or_zero(limits.memory),
            wall: limits.wall.unwrap_or_default(),
            fuel: limits.fuel.filter(|&fuel| fuel > 0),
            stack: or_zero(limits.stack),
            table_elements: or_zero(limits.table_elements),
            output: or_zero(limits.output),
            log: or_zero(limits.log),
            now: limits.now.unwrap_or(SystemTime::UNIX_EPOCH),
            seed: limits.seed.unwrap_or_else(Seed::random),
        }
    }
}

/// The limits, the clock and the seed that one run had: with the ref and the input, what it takes to
/// repeat the run exactly. The fields mean what they mean in [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Linear memory, in bytes.
    pub memory: u64,
    /// Wall time from acceptance to answer.
    pub wall: Duration,
    /// Fuel, if the run is metered.
    pub fuel: Option<u64>,
    /// Call stack of the guest, in bytes.
    pub stack: u64,
    /// Elements in each table.
    pub table_elements: u64,
    /// Output, in bytes.
    pub output: u64,
    /// Log that is kept, in bytes.
    pub log: u64,
    /// What the guest's wall clock shows at the start.
    pub now: SystemTime,
    /// What the guest's random bytes come from.
    pub seed: Seed,
}

impl Bounds {
    /// What an engine must know of these bounds when it loads an artifact.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        Profile::new(self.fuel.is_some(), self.stack)
    }
}

/// The 32 bytes that a run's random stream comes from; written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A fresh seed that nobody can foresee.
    #[must_use]
    pub fn random() -> Self {
        thread_local! {
            // A system call for each run would cost more than the rest of a run's bookkeeping, so the
            // system's randomness seeds one cryptographic stream per thread.
            static STREAM: std::cell::RefCell<ChaCha20Rng> = std::cell::RefCell::new({
                let mut key = [0; 32];
                match getrandom::fill(&mut key) {
                    Ok(()) => ChaCha20Rng::from_seed(key),
                    #[expect(clippy::panic, reason = "no fallback would be safe, as in std's HashMap")]
                    Err(error) => panic!("the system gives no random bytes: {error}"),
                }
            });
        }
        let mut bytes = [0; 32];
        STREAM.with_borrow_mut(|stream| stream.fill_bytes(&mut bytes));
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The seed of one line of a batch that has this one, counted from 1: the SHA-256 of the text `SEED/LINE`. So a line can be
    /// repeated alone.
    ///
    /// ```
    /// use compute::Seed;
    ///
    /// // printf '%064d/%d' 0 7 | sha256sum
    /// let seventh = Seed::new([0; 32]).of_line(7).to_string();
    /// assert_eq!(seventh, "0e3ded2a586d44c473e62d28edf12d48b0cb67aae9d553621a20fb0a8f89229d");
    /// ```
    #[must_use]
    pub fn of_line(&self, line: u64) -> Self {
        Self(Sha256::digest(format!("{self}/{line}")).into())
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seed({self})")
    }
}

impl FromStr for Seed {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Self, SeedError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| SeedError { length: text.chars().count() })?;
        Ok(Self(bytes))
    }
}

/// A text that is not a seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a seed is 64 hex digits; this has {length} characters{}", if *.length == 64 { ", not all of them hex" } else { "" })]
pub struct SeedError {
    length: usize,
}
