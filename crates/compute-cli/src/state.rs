//! Where a command's stacks and artifacts are: on this machine, or on a server.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use compute_client::ErrorKind;
use compute_client::blocking::Client;
use compute_flow::{ActivationError, Workspace};
use compute_state::{
    ActiveStack, Catalogue, Draft, File, Place, StackName, StacksError, Version, VersionInfo,
};
use compute_store::Store;

use crate::args::Cli;
use crate::connect::{connect, found};
use crate::context;
use crate::failure::Failure;

/// How long it may take to check what is to become active.
const ACTIVATION: Duration = Duration::from_secs(600);

/// Where a command's stacks and artifacts are.
#[derive(Clone, Debug)]
pub(crate) enum Home {
    /// On this machine, or in a store that it reaches.
    Here(Place),
    /// On a server.
    There(Client),
}

impl Home {
    /// The one that the command line names, or the user's own.
    pub(crate) fn new(cli: &Cli, state: Option<&Path>) -> Result<Self, Failure> {
        match &cli.server {
            Some(url) => Ok(Self::There(connect(url, None)?)),
            None => place(cli, state).map(Self::Here),
        }
    }

    /// The one that a workspace's file gives this name. What the command line says comes first.
    pub(crate) fn of_target(
        cli: &Cli,
        state: Option<&Path>,
        workspace: &Workspace,
        name: Option<&str>,
    ) -> Result<Self, Failure> {
        let Some(name) = name else { return Self::new(cli, state) };
        let targets = &workspace.settings.targets;
        let Some(target) = targets.get(name) else {
            let known: Vec<_> = targets.keys().map(String::as_str).collect();
            let known = match &known[..] {
                [] => {
                    "compute.toml names none: [targets.NAME] has `server`, or `state` and `store`"
                        .to_owned()
                }
                known => format!("compute.toml names {}", known.join(", ")),
            };
            return Err(Failure::usage(format!("there is no target `{name}`; {known}")));
        };
        if let (None, Some(url)) = (&cli.server, &target.server) {
            return Ok(Self::There(connect(url, target.token_env.as_deref())?));
        }
        if cli.server.is_some() {
            return Self::new(cli, state);
        }
        let mut place = place(cli, state)?;
        if let (None, Some(folder)) = (state, &target.state) {
            place.state = workspace.root.join(folder);
        }
        if let (None, Some(url)) = (&cli.store, &target.store) {
            place.store = context::url_of(url, &workspace.root)?;
        }
        Ok(Self::Here(place))
    }

    /// The store of artifacts.
    pub(crate) fn open_store(&self) -> Result<Arc<dyn Store>, Failure> {
        match self {
            Self::Here(place) => Ok(place.open_store()?),
            Self::There(client) => Ok(Arc::new(client.store())),
        }
    }

    /// The stacks.
    pub(crate) fn stacks(&self) -> Result<Stacks, Failure> {
        Ok(match self {
            Self::Here(place) => Stacks::Here(place.catalogue()?, self.clone()),
            Self::There(client) => Stacks::There(client.clone()),
        })
    }
}

/// The place on this machine, for a command that has no use for a server.
pub(crate) fn here(cli: &Cli, state: Option<&Path>, command: &str) -> Result<Place, Failure> {
    if cli.server.is_some() {
        return Err(Failure::usage(format!(
            "`compute {command}` works on this machine, and not on a server: leave out --server (COMPUTE_SERVER)"
        )));
    }
    place(cli, state)
}

fn place(cli: &Cli, state: Option<&Path>) -> Result<Place, Failure> {
    let state = match state {
        Some(folder) => folder.to_owned(),
        None => context::data("state")?,
    };
    Ok(Place::new(context::store_url(cli)?, state))
}

/// The versions of stacks, and which are active.
#[derive(Debug)]
pub(crate) enum Stacks {
    Here(Arc<dyn Catalogue>, Home),
    There(Client),
}

/// Why versions do not become active.
pub(crate) enum NotActive {
    /// What keeps them from it; nothing was changed.
    Problems(Vec<compute_flow::Problem>),
    /// Something else.
    Failure(Failure),
}

impl From<Failure> for NotActive {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Stacks {
    pub(crate) fn all(&self) -> Result<Vec<ActiveStack>, Failure> {
        match self {
            Self::Here(catalogue, _) => Ok(catalogue.stacks()?),
            Self::There(client) => Ok(client.stacks()?),
        }
    }

    /// The versions of a stack; if there is no such stack, the error names one like it.
    pub(crate) fn versions(&self, stack: &StackName) -> Result<Vec<VersionInfo>, Failure> {
        let versions = match self {
            Self::Here(catalogue, _) => match catalogue.versions(stack) {
                Err(StacksError::NoStack(_)) => None,
                versions => Some(versions?),
            },
            Self::There(client) => found(client.versions(stack))?,
        };
        versions.ok_or_else(|| {
            let names = self.all().unwrap_or_default();
            let names = names.iter().map(|one| one.stack.as_str());
            crate::commands::no_stack(stack.as_str(), names)
                .unwrap_or_else(|| StacksError::NoStack(stack.clone()).into())
        })
    }

    pub(crate) fn version(&self, stack: &StackName, number: u32) -> Result<Version, Failure> {
        match self {
            Self::Here(catalogue, _) => Ok(catalogue.version(stack, number)?),
            Self::There(client) => Ok(client.version(stack, number)?),
        }
    }

    /// The active version of a stack, if one is.
    pub(crate) fn active(&self, stack: &StackName) -> Result<Option<Version>, Failure> {
        match self {
            Self::Here(catalogue, _) => Ok(catalogue.active(stack)?),
            Self::There(client) => {
                let versions = found(client.versions(stack))?.unwrap_or_default();
                let active = versions.iter().find(|one| one.active);
                active.map(|one| Ok(client.version(stack, one.number)?)).transpose()
            }
        }
    }

    /// Keeps a version that is not active yet.
    pub(crate) fn draft(&self, stack: &StackName, files: &[File]) -> Result<Draft, Failure> {
        match self {
            Self::Here(catalogue, _) => Ok(catalogue.draft(stack, files)?),
            Self::There(client) => {
                Ok(Draft::new(stack.clone(), client.create_draft(stack, files)?.number))
            }
        }
    }

    /// Forgets versions that were never active.
    pub(crate) fn forget(&self, drafts: &[Draft]) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue, _) => Ok(catalogue.forget(drafts)?),
            Self::There(client) => {
                for draft in drafts {
                    match client.delete_version(&draft.stack, draft.number) {
                        // One that was active before stays.
                        Err(error) if error.kind() != ErrorKind::Immutable => {
                            return Err(error.into());
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
        }
    }

    /// Makes versions active at one moment, if everything that they name is there.
    pub(crate) fn activate(&self, drafts: &[Draft]) -> Result<(), NotActive> {
        let (catalogue, home) = match self {
            Self::Here(catalogue, home) => (catalogue, home),
            Self::There(client) => {
                let Err(error) = client.activate_all(drafts) else { return Ok(()) };
                let problems = error.problem().and_then(|problem| problem.activation_problems());
                return Err(
                    problems.map_or_else(|| NotActive::Failure(error.into()), NotActive::Problems)
                );
            }
        };
        let store = home.open_store()?;
        let deadline = Instant::now() + ACTIVATION;
        compute_flow::activate(drafts, &**catalogue, &*store, deadline).map_err(|error| match error
        {
            ActivationError::Problems(problems) => NotActive::Problems(problems),
            ActivationError::Stacks(error) => NotActive::Failure(error.into()),
            ActivationError::Store(error) => NotActive::Failure(error.into()),
            error => NotActive::Failure(Failure::usage_of(&error)),
        })
    }
}
