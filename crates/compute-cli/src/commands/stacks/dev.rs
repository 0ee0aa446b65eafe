//! `compute dev`: whenever something changes, build, apply locally, and run the fixtures of what changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::RecursiveMode;

use super::apply::Apply;
use crate::args::{Cli, DevArgs};
use crate::commands::ops::test::{self, Suites};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::host::Host;
use crate::parallel;
use crate::watch::Watch;
use crate::work::project;

pub(crate) fn dev(cli: &Cli, args: &DevArgs) -> Result<(), Failure> {
    let root = project::find(args.folder.as_deref())?.root;
    let home = home::at(home::place_for(cli, args.state.state.as_deref(), "dev")?);
    let host = Host::at(&home, 0, parallel::threads())?;

    let mut watch = Watch::new()?;
    watch.add(&root, RecursiveMode::Recursive)?;

    let mut suites = Suites::default();
    let mut changed: Option<BTreeSet<PathBuf>> = None;
    loop {
        round(&home, &host, &root, &mut suites, changed.as_ref());
        crate::show::tell!("waiting for changes in {}; ctrl-c ends it", root.display());
        let Some(paths) = watch.next() else { return Ok(()) };
        changed = Some(paths);
    }
}

/// Applies, and runs fixtures. A mistake is told, and mended while this waits.
fn round(
    home: &Arc<dyn Home>,
    host: &Host,
    root: &Path,
    suites: &mut Suites,
    changed: Option<&BTreeSet<PathBuf>>,
) {
    let workspace = project::find(Some(root));
    let applied = workspace
        .and_then(|one| super::apply::run(home, host, one, Apply::All, &|_| Ok(())))
        .map(|_| ());
    let tested = test::run_changed(host, root, suites, changed);
    for failure in [applied, tested].into_iter().filter_map(Result::err) {
        failure.print();
    }
}
