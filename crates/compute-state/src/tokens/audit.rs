//! Who changed what: entries that each carry the hash of the one before, and whoever acts at this moment.
//!
//! A change and its entry are written in one transaction. The chain of hashes shows an entry that was altered, taken out or put in.
//! Whoever can write all that is kept can make the whole chain anew, or cut off its end: that shows only to whoever kept a hash
//! elsewhere ([`AuditHead::hash`]).

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::StateError;

/// The longest subject of an entry, in bytes; of a longer one its beginning and its hash are kept.
const MAX_SUBJECT: usize = 3 << 10;
/// How many bytes of it are kept then.
const SHORTENED: usize = 1 << 10;

/// The log of what was changed of one tenant's, in the order in which it was done. All methods block.
pub trait AuditLog: fmt::Debug + Send + Sync {
    /// At most so many entries, the oldest first: those after this number, or without one the newest.
    ///
    /// # Errors
    /// [`StateError`].
    fn page(&self, after: Option<u64>, most: usize) -> Result<AuditPage, StateError>;

    /// Writes an entry of what is done elsewhere: that an artifact goes, which others keep. Changes of what is kept here have theirs
    /// without this.
    ///
    /// # Errors
    /// [`StateError`].
    fn write(&self, deed: &Deed) -> Result<(), StateError>;

    /// Keeps entries as they were elsewhere, where the last that went there is `gone`. Those that are here already stay.
    ///
    /// # Errors
    /// [`StateError`]; entries that do not follow those that are here are [`StateError::Failed`].
    fn restore(&self, gone: &AuditHead, entries: &[AuditEntry]) -> Result<(), StateError>;
}

/// What a log is about. Each has a chain of its own, as each may be kept in a place of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditOf {
    /// Stacks, what is recorded, secrets, artifacts.
    Stacks,
    /// Tokens.
    Tokens,
    /// Schedules.
    Schedules,
}

impl AuditOf {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stacks, Self::Tokens, Self::Schedules];

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stacks => "stacks",
            Self::Tokens => "tokens",
            Self::Schedules => "schedules",
        }
    }
}

/// Who changes something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// Whoever can write what is kept, without a server.
    #[default]
    Local,
    /// Whoever asks a server for development without a token.
    Dev,
    /// Whoever has this token.
    Token {
        /// Its id.
        id: String,
        /// What it is for.
        name: String,
    },
    /// A schedule whose time came, of a job that it submitted.
    Schedule {
        /// Its name.
        name: String,
    },
}

thread_local! {
    /// Who acts on this thread; nobody if it copies what others did.
    static ACTING: RefCell<Option<Arc<Actor>>> = RefCell::new(Some(Arc::default()));
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.pad("local"),
            Self::Dev => f.pad("dev"),
            Self::Token { id, name } if name.is_empty() => f.pad(id),
            Self::Token { id, name } => f.pad(&format!("{id} ({name})")),
            Self::Schedule { name } => f.pad(&format!("schedule {name}")),
        }
    }
}

impl Actor {
    /// As it is kept with what it did.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whoever this text is of; nobody, if a later version of this program wrote it.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Does this, and says of all changes that it makes on this thread that this one made them.
    pub fn acts<T>(self: Arc<Self>, work: impl FnOnce() -> T) -> T {
        acting(Some(self), work)
    }
}

/// Copies what is kept: what was done is told by the entries that are copied with it.
pub(crate) fn unlogged<T>(work: impl FnOnce() -> T) -> T {
    acting(None, work)
}

fn acting<T>(actor: Option<Arc<Actor>>, work: impl FnOnce() -> T) -> T {
    /// Puts back who acted before, whatever happens.
    struct Before(Option<Arc<Actor>>);

    impl Drop for Before {
        fn drop(&mut self) {
            ACTING.set(self.0.take());
        }
    }

    let _before = Before(ACTING.replace(actor));
    work()
}

/// What is done: its name and what it is done to. It has names, numbers and hashes, and never a secret or a token.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    of: AuditOf,
    who: Option<Arc<Actor>>,
    what: &'static str,
    subject: Value,
}

impl Deed {
    /// What whoever acts on this thread does.
    #[must_use]
    pub fn new(of: AuditOf, what: &'static str, subject: Value) -> Self {
        Self { of, who: ACTING.with_borrow(Clone::clone), what, subject }
    }

    /// In which log it is written.
    #[must_use]
    pub const fn of(&self) -> AuditOf {
        self.of
    }

    /// Its entry after this head; nothing if it is one that is copied.
    #[must_use]
    pub fn entry(&self, head: &AuditHead, time: Timestamp) -> Option<AuditEntry> {
        let mut entry = AuditEntry {
            number: head.number + 1,
            time: Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time),
            who: Actor::clone(self.who.as_ref()?),
            what: self.what.to_owned(),
            subject: shortened(&self.subject),
            hash: String::new(),
        };
        entry.hash = entry.hash_after(&head.hash);
        Some(entry)
    }
}

fn shortened(subject: &Value) -> Box<RawValue> {
    let text = subject.to_string();
    if text.len() <= MAX_SUBJECT {
        return raw(subject);
    }
    let hash = hex::encode(Sha256::digest(text.as_bytes()));
    raw(&json!({ "beginning": &text[..text.floor_char_boundary(SHORTENED)], "sha256": hash }))
}

fn raw(subject: &Value) -> Box<RawValue> {
    to_raw_value(subject).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Something that was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// When, by the clock of whoever keeps it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub time: Timestamp,
    /// Who did it.
    pub who: Actor,
    /// What was done, such as `activate`.
    pub what: String,
    // Taken apart, it may take twenty times as much memory as its text.
    /// What it was done to: names, numbers and hashes.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub subject: Box<RawValue>,
    /// The SHA-256 of the hash of the entry before (64 zeros before the first), in hex, and this entry without `hash`, as canonical
    /// JSON (RFC 8785).
    #[serde(default)]
    pub hash: String,
}

#[derive(Serialize)]
struct Unhashed<'a> {
    number: u64,
    time: Timestamp,
    who: &'a Actor,
    what: &'a str,
    subject: &'a Value,
}

impl PartialEq for AuditEntry {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.text() == other.text()
    }
}

impl AuditEntry {
    /// An entry as it is kept: its text and its hash.
    ///
    /// # Errors
    /// [`StateError::Failed`] if the text is none of an entry.
    pub fn read(number: u64, text: &str, hash: String) -> Result<Self, StateError> {
        let read: Result<Self, _> = serde_json::from_str(text);
        let entry = read.map_err(|error| {
            let what = format!(
                "the entry {number} of the audit log cannot be read: it was altered, or is of a newer version"
            );
            StateError::failed(what, error)
        })?;
        Ok(Self { hash, ..entry })
    }

    /// The text that is hashed, and that is kept.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { number, time, who, what, subject, .. } = self;
        let subject = &serde_json::from_str(subject.get()).unwrap_or_default();
        let entry = Unhashed { number: *number, time: *time, who, what, subject };
        serde_json_canonicalizer::to_string(&entry).unwrap_or_default()
    }

    /// What its hash must be after an entry of this hash.
    #[must_use]
    pub fn hash_after(&self, hash: &str) -> String {
        let hashed = Sha256::new().chain_update(hash).chain_update(self.text());
        hex::encode(hashed.finalize())
    }

    /// The head of a log whose last entry it is.
    #[must_use]
    pub fn head(&self) -> AuditHead {
        AuditHead { number: self.number, hash: self.hash.clone() }
    }
}

/// The last entry of a log, or the last of those that went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditHead {
    /// Its number; 0 if there is none.
    pub number: u64,
    /// Its hash.
    pub hash: String,
}

impl Default for AuditHead {
    fn default() -> Self {
        Self { number: 0, hash: "0".repeat(64) }
    }
}

impl AuditHead {
    /// The head once this entry follows, if it does.
    ///
    /// # Errors
    /// [`AuditBroken`] if it is not the next, or is not what its hash says.
    pub fn followed_by(&self, entry: &AuditEntry) -> Result<Self, AuditBroken> {
        if entry.number == self.number + 1 && entry.hash == entry.hash_after(&self.hash) {
            return Ok(entry.head());
        }
        Err(AuditBroken { number: self.number + 1, found: entry.number })
    }

    /// Those of the entries of another log that follow this head.
    ///
    /// # Errors
    /// [`StateError::Failed`] if they do not.
    pub fn new_of<'a>(&self, entries: &'a [AuditEntry]) -> Result<&'a [AuditEntry], StateError> {
        let known = entries.partition_point(|entry| entry.number <= self.number);
        let mut head = self.clone();
        for entry in &entries[known..] {
            let next = head.followed_by(entry);
            head = next.map_err(|broken| StateError::failed("the audit log", broken))?;
        }
        Ok(&entries[known..])
    }
}

/// An entry does not follow the one before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the entry {number} of the audit log is not the one that was written: it or the one before was altered, or entries were taken out (found {found})"
)]
pub struct AuditBroken {
    /// The number of the first that does not fit.
    pub number: u64,
    /// The number of what is in its place.
    pub found: u64,
}

/// Entries of a log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditPage {
    /// The last of the entries that went, as there are too many; the oldest that is kept follows it.
    pub gone: AuditHead,
    /// The last entry that there is.
    pub head: AuditHead,
    /// The entries, the oldest first.
    pub entries: Vec<AuditEntry>,
}

/// All entries of a log that are kept, page by page, each checked. What was seen to be next is told with each.
///
/// # Errors
/// What reading a page gives, or [`AuditBroken`].
pub fn verify<E: From<AuditBroken>>(
    mut page: impl FnMut(Option<u64>) -> Result<AuditPage, E>,
    mut told: impl FnMut(&AuditHead),
) -> Result<AuditHead, E> {
    // From the last that went on; if more go meanwhile, from there.
    let mut head = page(None)?.gone;
    told(&head);
    loop {
        let next = page(Some(head.number))?;
        if next.gone.number > head.number {
            head = next.gone;
        }
        if next.entries.is_empty() {
            let is_end = next.head.number <= head.number;
            let broken = AuditBroken { number: head.number + 1, found: next.head.number };
            return if is_end { Ok(head) } else { Err(broken.into()) };
        }
        for entry in &next.entries {
            head = head.followed_by(entry)?;
            told(&head);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use serde_json::json;

    use super::{Actor, AuditBroken, AuditHead, AuditOf, AuditPage, Deed, raw, unlogged, verify};

    fn chain(deeds: u64) -> AuditPage {
        let mut page = AuditPage::default();
        for number in 1..=deeds {
            let deed = Deed::new(AuditOf::Stacks, "activate", json!({ "number": number }));
            let entry = deed.entry(&page.head, Timestamp::UNIX_EPOCH).unwrap();
            page.head = entry.head();
            page.entries.push(entry);
        }
        page
    }

    fn verified(kept: &AuditPage) -> Result<AuditHead, AuditBroken> {
        let page = |after: Option<u64>| {
            let after = after.unwrap_or(0);
            let entries = kept.entries.iter().filter(|one| one.number > after).take(2);
            Ok(AuditPage { entries: entries.cloned().collect(), ..kept.clone() })
        };
        verify(page, |_| {})
    }

    #[test]
    fn what_is_altered_is_told() {
        let kept = chain(5);
        assert_eq!(verified(&kept).unwrap(), kept.head);
        for at in 0..5 {
            let number = at as u64 + 1;
            let mut altered = kept.clone();
            altered.entries[at].subject = raw(&json!({ "number": 9 }));
            assert_eq!(verified(&altered).unwrap_err().number, number);
            altered = kept.clone();
            altered.entries[at].who = Actor::Dev;
            assert_eq!(verified(&altered).unwrap_err().number, number);
            // Its own hash made anew: the next does not follow it.
            if at < 4 {
                let before =
                    if at == 0 { AuditHead::default() } else { kept.entries[at - 1].head() };
                altered.entries[at].hash = altered.entries[at].hash_after(&before.hash);
                assert_eq!(verified(&altered).unwrap_err().number, number + 1);
            }
            altered = kept.clone();
            altered.entries.remove(at);
            assert_eq!(verified(&altered).unwrap_err().number, number);
        }
    }

    #[test]
    fn an_entry_says_who_acts_and_no_more_than_there_is_room_for() {
        let actor = Arc::new(Actor::Token { id: "1f".to_owned(), name: "ci".to_owned() });
        let deed = || Deed::new(AuditOf::Tokens, "x", json!({ "é": "é\u{0}".repeat(100_000) }));
        let who = |deed: Deed| deed.entry(&AuditHead::default(), Timestamp::now());
        let entry = Arc::clone(&actor).acts(|| who(deed())).unwrap();
        assert_eq!(entry.who, *actor);
        assert!(entry.text().len() < 4096, "{}", entry.text().len());
        assert_eq!(who(deed()).unwrap().who, Actor::Local);
        assert_eq!(unlogged(|| who(deed())), None);
        // It is read as it was written.
        let read = super::AuditEntry::read(1, &entry.text(), entry.hash.clone()).unwrap();
        assert_eq!(read, entry);
    }
}
