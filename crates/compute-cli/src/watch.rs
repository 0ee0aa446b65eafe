//! Waits for files to change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::failure::Failure;

/// For how long nothing must change before a change is told: editors write a file in several steps.
const SETTLE: Duration = Duration::from_millis(20);
/// For how long a change waits at most, while something is written all the time.
const LATEST: Duration = Duration::from_secs(1);

/// Waits for files to change.
#[derive(Debug)]
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    changes: Receiver<Vec<PathBuf>>,
}

impl Watch {
    pub(crate) fn new() -> Result<Self, Failure> {
        let (sender, changes) = channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let Ok(Event { kind, paths, .. }) = event else { return };
            if kind.is_create() || kind.is_modify() || kind.is_remove() {
                let _ = sender.send(paths);
            }
        });
        Ok(Self { watcher: watcher.map_err(|error| Failure::host(&error))?, changes })
    }

    /// Also waits for files in this folder; with those below it, if asked.
    pub(crate) fn add(&mut self, folder: &Path, mode: RecursiveMode) -> Result<(), Failure> {
        self.watcher.watch(folder, mode).map_err(|error| Failure::host(&error))
    }

    /// The files that change next. What builds and git write does not count.
    pub(crate) fn next(&self) -> Option<BTreeSet<PathBuf>> {
        loop {
            let mut paths: BTreeSet<_> = self.changes.recv().ok()?.into_iter().collect();
            let first = Instant::now();
            while first.elapsed() < LATEST
                && let Ok(more) = self.changes.recv_timeout(SETTLE)
            {
                paths.extend(more);
            }
            paths.retain(|path| !is_generated(path));
            if !paths.is_empty() {
                return Some(paths);
            }
        }
    }
}

fn is_generated(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "dist" || part.as_os_str() == ".git")
}
