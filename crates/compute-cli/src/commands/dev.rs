//! `compute dev`: whenever something changes, build, apply locally, and run the fixtures of what changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use notify::Watcher as _;

use super::test::{self, SETTLE, Suites};
use crate::args::{Cli, DevArgs};
use crate::context::Host;
use crate::failure::Failure;
use crate::state::Place;
use crate::{parallel, project};

pub(crate) fn dev(cli: &Cli, args: &DevArgs) -> Result<(), Failure> {
    let root = project::find(args.folder.as_deref())?.root;
    let place = Place::new(cli, args.state.state.as_deref())?;
    let host = Host::at(&place.store, 0, parallel::threads())?;

    let (sender, changes) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        if event.kind.is_create() || event.kind.is_modify() || event.kind.is_remove() {
            let _ = sender.send(event.paths);
        }
    })
    .map_err(|error| Failure::host(&error))?;
    let watched = watcher.watch(&root, notify::RecursiveMode::Recursive);
    watched.map_err(|error| Failure::host(&error))?;

    let mut suites = Suites::default();
    let mut changed: Option<BTreeSet<PathBuf>> = None;
    loop {
        round(cli, &place, &host, &root, &mut suites, changed.as_ref());
        anstream::eprintln!("waiting for changes in {}; ctrl-c ends it", root.display());
        let Some(paths) = next(&changes) else { return Ok(()) };
        changed = Some(paths);
    }
}

/// Applies, and runs fixtures. A mistake is told, and mended while this waits.
fn round(
    cli: &Cli,
    place: &Place,
    host: &Host,
    root: &Path,
    suites: &mut Suites,
    changed: Option<&BTreeSet<PathBuf>>,
) {
    let applied = super::apply::run(place, host, Some(root), false).map(|_| ());
    let tested = test::run_changed(cli, host, root, suites, changed);
    for failure in [applied, tested].into_iter().filter_map(Result::err) {
        failure.print();
    }
}

/// The files that change next; none if nobody watches any more.
fn next(changes: &mpsc::Receiver<Vec<PathBuf>>) -> Option<BTreeSet<PathBuf>> {
    loop {
        let mut paths: BTreeSet<_> = changes.recv().ok()?.into_iter().collect();
        while let Ok(more) = changes.recv_timeout(SETTLE) {
            paths.extend(more);
        }
        paths.retain(|path| !test::is_generated(path));
        if !paths.is_empty() {
            return Some(paths);
        }
    }
}
