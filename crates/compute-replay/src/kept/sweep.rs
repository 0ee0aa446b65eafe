//! Logs that nobody writes to: what is too old in them goes, too.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};

use super::segments::{LogSettings, Segments};

/// How many folders are looked through at once: those that write wait meanwhile.
const FOLDERS: usize = 100;

/// Which folders a [`super::RecordWriter`] looks through for records that are too old, whoever wrote them.
pub struct LogSweep {
    find: Box<dyn Fn() -> Vec<PathBuf> + Send>,
    settings: LogSettings,
    /// Those whose turn is still to come.
    left: VecDeque<PathBuf>,
}

impl LogSweep {
    /// A sweep of the folders that this finds: it is asked again each time when all were looked through.
    pub fn new(settings: LogSettings, find: impl Fn() -> Vec<PathBuf> + Send + 'static) -> Self {
        Self { find: Box::new(find), settings, left: VecDeque::new() }
    }

    /// Looks through the next of them, but for those that somebody writes to.
    pub(super) fn some(&mut self, is_open: impl Fn(&Path) -> bool) {
        if self.left.is_empty() {
            self.left = (self.find)().into();
        }
        let next = self.left.len().min(FOLDERS);
        for folder in self.left.drain(..next).filter(|folder| !is_open(folder)) {
            // What cannot be deleted now is tried the next time.
            let _ = Segments::new(folder, self.settings).forget_old();
        }
    }
}

impl fmt::Debug for LogSweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSweep").field("settings", &self.settings).finish_non_exhaustive()
    }
}
