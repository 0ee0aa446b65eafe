//! Where a command's stacks and artifacts are: the user's own, or those of a workspace's target.

use std::path::{Path, PathBuf};

use compute_flow::{Catalogue, Traces, Workspace};

use crate::args::Cli;
use crate::context;
use crate::failure::Failure;

/// Where a command's stacks and artifacts are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The store's URL.
    pub(crate) store: String,
    /// The folder of the catalogue and the traces.
    pub(crate) state: PathBuf,
}

impl Place {
    /// The place that the command line names, or the user's own.
    pub(crate) fn new(cli: &Cli, state: Option<&Path>) -> Result<Self, Failure> {
        let state = match state {
            Some(folder) => folder.to_owned(),
            None => context::data("state")?,
        };
        Ok(Self { store: context::store_url(cli)?, state })
    }

    /// The place that a workspace's file gives this name. What the command line says comes first.
    pub(crate) fn of_target(
        cli: &Cli,
        state: Option<&Path>,
        workspace: &Workspace,
        name: Option<&str>,
    ) -> Result<Self, Failure> {
        let mut place = Self::new(cli, state)?;
        let Some(name) = name else { return Ok(place) };
        let targets = &workspace.settings.targets;
        let Some(target) = targets.get(name) else {
            let known: Vec<_> = targets.keys().map(String::as_str).collect();
            let known = match &known[..] {
                [] => "compute.toml names none: [targets.NAME] has `state` and `store`".to_owned(),
                known => format!("compute.toml names {}", known.join(", ")),
            };
            return Err(Failure::usage(format!("there is no target `{name}`; {known}")));
        };
        if let (None, Some(folder)) = (state, &target.state) {
            place.state = workspace.root.join(folder);
        }
        if let (None, Some(url)) = (&cli.store, &target.store) {
            place.store = context::url_of(url, &workspace.root)?;
        }
        Ok(place)
    }

    /// The catalogue of stacks.
    pub(crate) fn catalogue(&self) -> Result<Catalogue, Failure> {
        Ok(Catalogue::open(&self.state.join("catalogue.sqlite"))?)
    }

    /// The traces of documents.
    pub(crate) fn traces(&self) -> Traces {
        Traces::new(self.state.join("traces"))
    }
}
