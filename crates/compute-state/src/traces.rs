//! What happened to documents, as it is kept: an id and a text, which whoever wrote it understands.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::StateError;
use crate::error::BoxError;

/// Traces as those who read them see them, on this machine or through a server. All methods block.
pub trait Traces: fmt::Debug + Send + Sync {
    /// The ids of the newest traces, the oldest first. Each is one that [`Traces::read_text`] takes, while the
    /// trace is kept.
    ///
    /// # Errors
    /// [`TracesError::State`].
    fn ids(&self) -> Result<Vec<String>, TracesError>;

    /// The text of the trace of this id, or of the one whose id begins so. It is read whole even if the trace is
    /// deleted or written anew meanwhile.
    ///
    /// # Errors
    /// [`TracesError::NotFound`] if there is none, or more than one.
    fn read_text(&self, id: &str) -> Result<TraceText, TracesError>;

    /// The texts of the newest traces that are wanted, the oldest first. Each that may be among them is asked about by its
    /// id; one that has gone since is left out.
    ///
    /// # Errors
    /// [`TracesError::State`].
    fn newest(
        &self,
        last: usize,
        wanted: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Vec<(String, TraceText)>, TracesError> {
        let ids = self.ids()?;
        let skipped = ids.len().saturating_sub(last);
        let mut texts = Vec::new();
        for (at, id) in ids.into_iter().enumerate() {
            if wanted(&id) && at >= skipped {
                match self.read_text(&id) {
                    Ok(text) => texts.push((id, text)),
                    Err(TracesError::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(texts)
    }

    /// The folder in which new traces appear as files, if there is one to watch.
    fn folder(&self) -> Option<&Path> {
        None
    }
}

/// Traces, for whoever makes them.
pub trait TraceStore: Traces {
    /// Keeps the text that the function writes, in place of what was kept under this id: readers see the old text
    /// or the new one, who reads by this object at once, and others within a second. Any text is an id, and none reaches what is not a trace. The oldest traces are deleted where
    /// there are too many, sooner or later. It need not be durable when it is answered.
    ///
    /// # Errors
    /// [`TracesError::TooLarge`] if it is larger than all traces together may be; nothing is kept then.
    fn write(&self, id: &str, text: &mut WriteText<'_>) -> Result<(), TracesError>;

    /// The same for a trace that nobody asked for, of what went well: where many come, one may be left out ([`TraceRoom`]).
    ///
    /// # Errors
    /// As [`TraceStore::write`].
    fn write_some(&self, id: &str, text: &mut WriteText<'_>) -> Result<(), TracesError> {
        self.write(id, text)
    }
}

/// How many traces that nobody asked for are written each second where many come. A thousand are kept, so more would push each
/// other out in seconds, and cost more than what they are about.
const EACH_SECOND: f64 = 100.0;
/// How many at once.
const AT_ONCE: f64 = 1000.0;

/// Room for traces that nobody asked for: of one tenant, in one process, 1,000 at once and 100 each second.
#[derive(Debug)]
pub struct TraceRoom(Mutex<(f64, Instant)>);

impl Default for TraceRoom {
    fn default() -> Self {
        Self(Mutex::new((AT_ONCE, Instant::now())))
    }
}

impl TraceRoom {
    /// Takes room for one, if there is some.
    pub fn take(&self) -> bool {
        let mut room = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, since) = *room;
        let now = Instant::now();
        let left = (left + now.duration_since(since).as_secs_f64() * EACH_SECOND).min(AT_ONCE);
        let is_room = left >= 1.0;
        *room = (if is_room { left - 1.0 } else { left }, now);
        is_room
    }
}

/// A trace's text, as it is read.
pub type TraceText = Box<dyn Read + Send + Sync>;

/// Writes a trace's text.
pub type WriteText<'a> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'a;

/// A trace that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// There is no trace of this id.
    #[error("there is no trace `{0}`")]
    NotFound(String),
    /// The trace is larger than all may be.
    #[error("a trace has at most {limit} bytes")]
    TooLarge {
        /// How many bytes all traces together may have.
        limit: u64,
    },
    /// What is kept under this id is not a trace.
    #[error("the trace `{id}` cannot be read")]
    Broken {
        /// Its id.
        id: String,
        /// Why.
        source: BoxError,
    },
    /// What is kept cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}
