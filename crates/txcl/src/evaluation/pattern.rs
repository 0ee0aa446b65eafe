//! Regular expressions whose memory is known and whose time is bounded.
//!
//! A small one becomes a table with its first match, which needs no memory to match with. The others are matched
//! by a table that is made on the way, in a bounded cache of the thread's, step by step, so that a deadline is
//! seen.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use regex_automata::dfa::{Automaton as _, dense};
use regex_automata::hybrid;
use regex_automata::nfa::thompson::{self, NFA, State, WhichCaptures};
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind, Span};
use regex_syntax::hir::{Hir, HirKind};

use super::translate::{MAX_REPEATED, translate};

/// The longest regular expression, in bytes: 8 KiB.
pub const MAX_PATTERN: usize = 8 << 10;
/// The longest text that is matched, in bytes: 1 MiB. A comparison of a longer one is false.
pub const MAX_HAYSTACK: usize = 1 << 20;
/// How many bytes one regular expression may have, compiled: 1 MiB.
pub const MAX_COMPILED: usize = 1 << 20;
/// How many bytes all of one rule may have, compiled: 2 MiB.
const MAX_RULE: usize = 2 << 20;
/// How many bytes all of one stack may have, compiled: 32 MiB.
const MAX_STACK: usize = 32 << 20;
/// How many bytes one table may have.
const MAX_TABLE: usize = 64 << 10;
/// Of how many states a table is tried.
const MAX_TABLE_STATES: usize = 1000;
/// How many bytes all tables of the process may have.
const MAX_TABLES: usize = 64 << 20;
/// How many bytes one cache may have.
const MAX_CACHE: usize = 256 << 10;
/// How many bytes the caches of one thread may have.
const MAX_CACHES: usize = 2 << 20;
/// How long a text is in which it pays to look for what a match begins with.
const LONG: usize = 256;
/// How much is done between two looks at the time: bytes times states.
const STRIDE: usize = 1 << 18;

/// How much memory regular expressions may still take: those of a rule, or those of a stack.
#[derive(Clone, Debug)]
pub struct RegexBudget {
    limit: usize,
    left: usize,
}

impl RegexBudget {
    /// What those of one rule may take: 2 MiB.
    #[must_use]
    pub const fn rule() -> Self {
        Self { limit: MAX_RULE, left: MAX_RULE }
    }

    /// What those of all rules of a stack may take: 32 MiB.
    #[must_use]
    pub const fn stack() -> Self {
        Self { limit: MAX_STACK, left: MAX_STACK }
    }

    /// Takes what a rule took, if there is as much.
    pub const fn take(&mut self, rule: &Self) -> bool {
        match self.left.checked_sub(rule.used()) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Takes all that is left.
    pub const fn use_up(&mut self) {
        self.left = 0;
    }

    /// The most bytes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// The bytes that were taken.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.limit - self.left
    }
}

/// Why a regular expression cannot be used.
#[derive(Debug)]
pub(crate) enum PatternError {
    /// It is none.
    Syntax(String),
    /// It is too long, or takes too much memory, in words.
    TooLarge(String),
    /// Those of one rule take too much memory.
    Budget(usize),
}

/// A regular expression, made ready.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    /// What its caches are found by.
    id: u64,
    nfa: NFA,
    /// What finds the texts that a match begins with.
    prefix: Option<Prefilter>,
    /// Made by the first match: most rules of a large stack meet none.
    engine: OnceLock<Engine>,
}

#[derive(Debug)]
enum Engine {
    Table(Table),
    Lazy(Box<hybrid::dfa::DFA>),
    /// By its states alone.
    States,
}

impl Pattern {
    /// Compiles a pattern. What it takes is taken from the budget.
    pub(crate) fn new(pattern: &str, budget: &mut RegexBudget) -> Result<Self, PatternError> {
        if pattern.len() > MAX_PATTERN {
            let text = format!("it has {} bytes; the most is {MAX_PATTERN}", pattern.len());
            return Err(PatternError::TooLarge(text));
        }
        if budget.left == 0 {
            return Err(PatternError::Budget(budget.limit));
        }
        let pattern = translate(pattern).map_err(PatternError::Syntax)?;
        let hir =
            syntax::parse(&pattern).map_err(|error| PatternError::Syntax(error.to_string()))?;
        if !counts_fit(&hir, MAX_REPEATED) {
            let text =
                format!("its repetitions within one another count to more than {MAX_REPEATED}");
            return Err(PatternError::Syntax(text));
        }
        let limit = MAX_COMPILED.min(budget.left);
        let config =
            thompson::Config::new().which_captures(WhichCaptures::None).nfa_size_limit(Some(limit));
        let built = thompson::Compiler::new().configure(config).build_from_hir(&hir);
        let nfa = match built {
            Ok(nfa) if nfa.memory_usage() <= limit => nfa,
            Err(error) if error.size_limit().is_none() => {
                return Err(PatternError::Syntax(error.to_string()));
            }
            _ => {
                // It cost as much as if it had been made.
                budget.left -= limit;
                return Err(if limit == MAX_COMPILED {
                    let text = format!("compiled, it takes more than {MAX_COMPILED} bytes");
                    PatternError::TooLarge(text)
                } else {
                    PatternError::Budget(budget.limit)
                });
            }
        };
        let prefix = Prefilter::from_hir_prefix(MatchKind::LeftmostFirst, &hir);
        let more = prefix.as_ref().map_or(0, Prefilter::memory_usage);
        budget.left = budget.left.saturating_sub(nfa.memory_usage() + more);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Self(Arc::new(Compiled { id, nfa, prefix, engine: OnceLock::new() })))
    }

    /// Whether it is found in a text; nothing if the text is too long for it, or `go_on` says that there is no time.
    /// `go_on` is told how much was done since, in bytes and states.
    pub(crate) fn is_match(
        &self,
        text: &str,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Option<bool> {
        if text.len() > MAX_HAYSTACK {
            return None;
        }
        let (text, of) = (text.as_bytes(), &*self.0);
        // What stands before the first of them is no part of a match.
        let whole = Span { start: 0, end: text.len() };
        let start = match &of.prefix {
            Some(prefix) if text.len() >= LONG => match prefix.find(text, whole) {
                Some(found) => found.start,
                None => return go_on(text.len() / 16).then_some(false),
            },
            _ => 0,
        };
        let input = Input::new(text).range(start..).earliest(true);
        let engine = of.engine.get_or_init(|| Engine::new(&of.nfa));
        let found = match engine {
            Engine::Table(table) => {
                let found = table.dfa.try_search_fwd(&input);
                if !go_on(text.len()) {
                    return None;
                }
                found.map(|found| found.is_some()).map_err(|_| Unanswered::Quit)
            }
            Engine::Lazy(table) => {
                let stride = (STRIDE / of.nfa.states().len().max(1)).clamp(16, 4096);
                with_cache(of.id, table, |cache| lazily(table, cache, &input, stride, go_on))
            }
            Engine::States => Err(Unanswered::Quit),
        };
        match found {
            Ok(found) => Some(found),
            Err(Unanswered::Stopped) => None,
            Err(Unanswered::Quit) => by_states(&of.nfa, text, start, go_on),
        }
    }
}

/// Whether no repetition counts to more than this, also with those that it is within.
fn counts_fit(hir: &Hir, most: u32) -> bool {
    match hir.kind() {
        HirKind::Repetition(repetition) => match repetition.max.unwrap_or(repetition.min) {
            0 if repetition.max.is_some() => true,
            count => count <= most && counts_fit(&repetition.sub, most / count.max(1)),
        },
        HirKind::Capture(capture) => counts_fit(&capture.sub, most),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().all(|part| counts_fit(part, most))
        }
        _ => true,
    }
}

/// A table, and its share of what all of them may take.
#[derive(Debug)]
struct Table {
    dfa: Box<dense::DFA<Vec<u32>>>,
    bytes: usize,
}

/// The bytes that all tables have.
static TABLES: AtomicUsize = AtomicUsize::new(0);

impl Table {
    fn new(nfa: &NFA) -> Option<Self> {
        let fits = |used: usize| (used + MAX_TABLE <= MAX_TABLES).then_some(used + MAX_TABLE);
        TABLES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        let config = dense::Config::new()
            .accelerate(false)
            .unicode_word_boundary(true)
            .dfa_size_limit(Some(MAX_TABLE))
            .determinize_size_limit(Some(MAX_TABLE));
        let built = dense::Builder::new().configure(config).build_from_nfa(nfa);
        let bytes = built.as_ref().map_or(0, dense::DFA::memory_usage).min(MAX_TABLE);
        TABLES.fetch_sub(MAX_TABLE - bytes, Ordering::Relaxed);
        Some(Self { dfa: Box::new(built.ok()?), bytes })
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        TABLES.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Engine {
    fn new(nfa: &NFA) -> Self {
        if nfa.states().len() <= MAX_TABLE_STATES
            && let Some(table) = Table::new(nfa)
        {
            return Self::Table(table);
        }
        Self::lazy(nfa)
    }

    fn lazy(nfa: &NFA) -> Self {
        let config = hybrid::dfa::Config::new()
            .unicode_word_boundary(true)
            .cache_capacity(MAX_CACHE)
            .skip_cache_capacity_check(true);
        let lazy = hybrid::dfa::Builder::new().configure(config).build_from_nfa(nfa.clone());
        lazy.map_or(Self::States, |lazy| Self::Lazy(Box::new(lazy)))
    }
}

/// Why a table gave no answer.
enum Unanswered {
    /// There is no time.
    Stopped,
    /// It cannot tell: words of other letters than ASCII's.
    Quit,
}

fn lazily(
    table: &hybrid::dfa::DFA,
    cache: &mut hybrid::dfa::Cache,
    input: &Input<'_>,
    stride: usize,
    go_on: &mut dyn FnMut(usize) -> bool,
) -> Result<bool, Unanswered> {
    let mut at = table.start_state_forward(cache, input).map_err(|_| Unanswered::Quit)?;
    for part in input.haystack()[input.start()..].chunks(stride) {
        for byte in part {
            at = table.next_state(cache, at, *byte).map_err(|_| Unanswered::Quit)?;
            if at.is_tagged() {
                if at.is_match() {
                    return Ok(true);
                }
                if at.is_dead() {
                    return Ok(false);
                }
                if at.is_quit() {
                    return Err(Unanswered::Quit);
                }
            }
        }
        // What a byte costs is between one step and one for each state: the most is counted.
        if !go_on(STRIDE) {
            return Err(Unanswered::Stopped);
        }
    }
    let end = table.next_eoi_state(cache, at).map_err(|_| Unanswered::Quit)?;
    Ok(end.is_match())
}

/// Follows all states at once: slow, but it needs no more memory than there are states.
fn by_states(
    nfa: &NFA,
    text: &[u8],
    start: usize,
    go_on: &mut dyn FnMut(usize) -> bool,
) -> Option<bool> {
    let count = nfa.states().len();
    let mut follow = Follow { nfa, text, seen: vec![0; count], round: 0, todo: Vec::new() };
    let (mut now, mut next) = (Vec::new(), Vec::new());
    follow.round += 1;
    if follow.enter(nfa.start_unanchored(), start, &mut now) {
        return Some(true);
    }
    let mut cost = 0;
    for (at, byte) in text.iter().enumerate().skip(start) {
        cost += now.len() + 1;
        if cost > STRIDE / 16 {
            if !go_on(cost) {
                return None;
            }
            cost = 0;
        }
        follow.round += 1;
        for state in now.drain(..) {
            let to = match nfa.state(state) {
                State::ByteRange { trans } => trans.matches_byte(*byte).then_some(trans.next),
                State::Sparse(all) => all.matches_byte(*byte),
                State::Dense(all) => all.matches_byte(*byte),
                _ => None,
            };
            if let Some(to) = to
                && follow.enter(to, at + 1, &mut next)
            {
                return Some(true);
            }
        }
        if next.is_empty() {
            return Some(false);
        }
        std::mem::swap(&mut now, &mut next);
    }
    Some(false)
}

struct Follow<'a> {
    nfa: &'a NFA,
    text: &'a [u8],
    /// In which round a state was last seen.
    seen: Vec<usize>,
    round: usize,
    todo: Vec<StateID>,
}

impl Follow<'_> {
    /// Enters a state and all that it leads to without a byte. Says whether the match is there.
    fn enter(&mut self, state: StateID, at: usize, into: &mut Vec<StateID>) -> bool {
        self.todo.push(state);
        while let Some(state) = self.todo.pop() {
            if std::mem::replace(&mut self.seen[state], self.round) == self.round {
                continue;
            }
            match self.nfa.state(state) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => into.push(state),
                State::Look { look, next } => {
                    if self.nfa.look_matcher().matches(*look, self.text, at) {
                        self.todo.push(*next);
                    }
                }
                State::Union { alternates } => self.todo.extend(alternates.iter().copied()),
                State::BinaryUnion { alt1, alt2 } => self.todo.extend([*alt2, *alt1]),
                State::Capture { next, .. } => self.todo.push(*next),
                State::Fail => {}
                State::Match { .. } => return true,
            }
        }
        false
    }
}

/// The caches of one thread, bounded together.
#[derive(Default)]
struct Caches {
    slots: Vec<Slot>,
    bytes: usize,
    clock: u64,
}

struct Slot {
    id: u64,
    cache: hybrid::dfa::Cache,
    bytes: usize,
    used: u64,
}

thread_local! {
    static CACHES: RefCell<Caches> = RefCell::default();
}

fn with_cache<T>(
    id: u64,
    table: &hybrid::dfa::DFA,
    then: impl FnOnce(&mut hybrid::dfa::Cache) -> T,
) -> T {
    CACHES.with_borrow_mut(|caches| {
        caches.clock += 1;
        let at = caches.slots.iter().position(|slot| slot.id == id).unwrap_or_else(|| {
            let slot = Slot { id, cache: table.create_cache(), bytes: 0, used: 0 };
            caches.slots.push(slot);
            caches.slots.len() - 1
        });
        let slot = &mut caches.slots[at];
        slot.used = caches.clock;
        let result = then(&mut slot.cache);
        let bytes = slot.cache.memory_usage() + size_of::<Slot>();
        caches.bytes = caches.bytes + bytes - std::mem::replace(&mut slot.bytes, bytes);
        while caches.bytes > MAX_CACHES
            && let Some((oldest, _)) =
                caches.slots.iter().enumerate().min_by_key(|(_, slot)| slot.used)
        {
            caches.bytes -= caches.slots.swap_remove(oldest).bytes;
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::{
        CACHES, Engine, MAX_CACHES, MAX_HAYSTACK, Pattern, PatternError, RegexBudget, by_states,
    };

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text, &mut RegexBudget::rule()).unwrap()
    }

    #[test]
    fn every_way_of_matching_gives_the_same() {
        let cases = [
            ("^ord-\\d+$", "ord-17", true),
            ("^ord-\\d+$", "ord-17x", false),
            ("", "", true),
            ("b", "abc", true),
            ("^$", "", true),
            ("^$", "x", false),
            ("c$", "abc", true),
            ("(?i)STRASSE|\u{fc}ber", "\u{dc}BER", true),
            ("\\bword\\b", "a word.", true),
            // Letters of words are ASCII's.
            ("\\bword\\b", "\u{e9}word", true),
            ("\\bword\\b", "\u{e9} word \u{e9}", true),
            ("\\w+@\\w+", "\u{e9}\u{e8}@x", false),
            ("(?m)^b", "a\nb", true),
            ("(?m)^b", "a\nc", false),
            ("a{3,}b{0,200}c", "xaaabbbbbc", true),
            ("[01]*1[01]{100}c", &"01".repeat(200), false),
            ("\\p{Greek}{4}", "\u{3b1}\u{3b2}\u{3b3}\u{3b4}", true),
            ("\\B", "", true),
            (".", "\n", false),
        ];
        for (text, haystack, expected) in cases {
            let pattern = pattern(text);
            assert_eq!(pattern.is_match(haystack, &mut |_| true), Some(expected), "{text}");
            let by_states = by_states(&pattern.0.nfa, haystack.as_bytes(), 0, &mut |_| true);
            assert_eq!(by_states, Some(expected), "{text} by its states");
            let lazy = Pattern::new(text, &mut RegexBudget::rule()).unwrap();
            lazy.0.engine.set(Engine::lazy(&lazy.0.nfa)).unwrap();
            assert_eq!(lazy.is_match(haystack, &mut |_| true), Some(expected), "{text} lazily");
        }
    }

    #[test]
    fn a_long_match_sees_the_time() {
        let mut text = "01".repeat(MAX_HAYSTACK / 2);
        for hostile in ["[01]*1[01]{1000}c", "\\b[01]*1[01]{300}c\u{e9}"] {
            let pattern = pattern(hostile);
            let mut looks = 0;
            let began = std::time::Instant::now();
            let mut last = began;
            let mut longest = std::time::Duration::ZERO;
            let found = pattern.is_match(&text, &mut |_| {
                looks += 1;
                longest = longest.max(last.elapsed());
                last = std::time::Instant::now();
                looks < 20
            });
            assert_eq!((found, looks), (None, 20));
            assert!(longest < std::time::Duration::from_millis(500), "{longest:?}");
        }
        text.push('x');
        assert_eq!(pattern("x").is_match(&text, &mut |_| true), None, "too long");
    }

    #[test]
    fn what_is_compiled_is_bounded_and_so_are_caches() {
        let mut budget = RegexBudget::rule();
        let too_large = Pattern::new(r"\p{L}{1000}", &mut budget).unwrap_err();
        assert!(matches!(too_large, PatternError::TooLarge(_)), "{too_large:?}");
        let long = Pattern::new(&"a".repeat(10_000), &mut budget).unwrap_err();
        assert!(matches!(long, PatternError::TooLarge(_)), "{long:?}");
        let mut budget = RegexBudget::rule();
        let all: Vec<_> =
            (0..1000).map(|n| Pattern::new(&format!(".{{0,70}}{n}"), &mut budget)).collect();
        assert!(matches!(all.last(), Some(Err(PatternError::Budget(2_097_152)))));
        assert!(budget.used() <= budget.limit());
        for pattern in all.into_iter().flatten() {
            assert!(pattern.is_match(&"x9\u{e9}".repeat(1000), &mut |_| true).is_some());
        }
        CACHES.with_borrow(|caches| {
            let bytes: usize = caches.slots.iter().map(|slot| slot.bytes).sum();
            assert!(bytes == caches.bytes && bytes <= MAX_CACHES, "{bytes}");
        });
    }
}
