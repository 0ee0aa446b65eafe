//! Where a command's stacks and artifacts are: on this machine, or on a server.

mod jobs;
mod local;
mod place;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use compute::{Record, RecordHead, RecordQuery, with_causes};
use compute_client::blocking::Client;
use compute_flow::Workspace;
use compute_state::{
    AuditOf, AuditPage, DayUsage, Draft, Rollout, Schedules, Secrets, Shadow, StackName, Stacks,
    StacksError, TenantName, Tokens, Traces, VersionInfo,
};
use compute_store::Store;
use jiff::civil::Date;

use crate::args::Cli;
use crate::failure::Failure;
use crate::user;
pub(crate) use jobs::HomeJobs;
use local::Local;
pub(crate) use local::place_for;
pub(crate) use place::{Place, named_key};
use server::{Remote, connect};

/// Where a command's stacks and artifacts are, and what it can do there: they are one tenant's.
pub(crate) trait Home: fmt::Debug + Send + Sync {
    /// The store of artifacts.
    fn store(&self) -> Result<Arc<dyn Store>, Failure>;

    /// The versions of stacks.
    fn stacks(&self) -> Result<Arc<dyn Stacks>, Failure>;

    /// Makes versions active at one moment, if everything that they name is there.
    fn activate(&self, drafts: &[Draft]) -> Result<(), NotActive>;

    /// Has a version answer a part of a stack's documents in place of the active one, if everything that it names is there.
    fn roll_out(&self, rollout: &Rollout) -> Result<(), NotActive>;

    /// Gives a version a part of a stack's documents besides the active one, if everything that it names is there.
    fn shadow(&self, shadow: &Shadow) -> Result<(), NotActive>;

    /// Makes the version active that answers a part of a stack's documents.
    fn complete(&self, version: &Draft) -> Result<(), NotActive>;

    /// The secrets. What seals them here is in the environment, in this file, or beside them.
    fn secrets(&self, key_file: Option<&Path>) -> Result<Arc<dyn Secrets>, Failure>;

    /// The schedules.
    fn schedules(&self) -> Result<Arc<dyn Schedules>, Failure>;

    /// The tokens.
    fn tokens(&self) -> Result<Arc<dyn Tokens>, Failure>;

    /// Who changed what: at most so many entries, those after this number, or without one the newest.
    fn audit(&self, of: AuditOf, after: Option<u64>, most: usize) -> Result<AuditPage, Failure>;

    /// What was used on the days from one to another.
    fn usage(&self, from: Option<Date>, to: Option<Date>) -> Result<Vec<DayUsage>, Failure>;

    /// The traces of documents.
    fn traces(&self) -> Result<Arc<dyn Traces>, Failure>;

    /// The jobs.
    fn jobs(&self) -> Result<HomeJobs, Failure>;

    /// The newest records that are wanted and kept there, the oldest of them first.
    fn record_heads(&self, query: &RecordQuery, last: usize) -> Result<Vec<RecordHead>, Failure>;

    /// The same, whole; and what is wrong with those of them that cannot be read.
    fn records(
        &self,
        query: &RecordQuery,
        last: usize,
    ) -> Result<(Vec<Record>, Vec<String>), Failure>;

    /// The record of this id, of one that begins so, or of the request of this id.
    fn record(&self, id: &str) -> Result<Record, Failure>;

    /// The server, if it is one that does the work itself.
    fn server(&self) -> Option<&Client> {
        None
    }

    /// The place, if the command does the work itself.
    fn place(&self) -> Option<&Place> {
        None
    }
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

/// The one that the command line names, or the user's own.
pub(crate) fn of(cli: &Cli, state: Option<&Path>) -> Result<Arc<dyn Home>, Failure> {
    of_tenant(cli, state, None)
}

/// The same, of this tenant: without one, of the first, or of that of the token.
pub(crate) fn of_tenant(
    cli: &Cli,
    state: Option<&Path>,
    tenant: Option<&TenantName>,
) -> Result<Arc<dyn Home>, Failure> {
    Ok(match &cli.server {
        Some(_) if tenant.is_some() => {
            return Err(Failure::usage(
                "on a server, everything is of the tenant of your token: leave out --tenant, or use --state where the server's is",
            ));
        }
        Some(url) => Arc::new(Remote(connect(url, None)?)),
        None => {
            Arc::new(Local::new(local::place(cli, state)?, tenant.cloned().unwrap_or_default()))
        }
    })
}

/// Secrets, by name: each, or why it cannot be opened.
pub(crate) type OpenedSecrets = BTreeMap<String, Result<String, String>>;

/// Those of the secrets of these names that are set on this machine, whatever the home: a server gives none. Without names, all.
/// Nothing is made for it, no key either.
pub(crate) fn secrets_here(
    cli: &Cli,
    home: &dyn Home,
    state: Option<&Path>,
    names: Option<&BTreeSet<String>>,
) -> Result<OpenedSecrets, Failure> {
    let place = match home.place() {
        Some(place) => place.clone(),
        None => local::place(cli, state)?,
    };
    if names.is_some_and(BTreeSet::is_empty) || !place.is_there() {
        return Ok(BTreeMap::new());
    }
    let mut sealed = place.catalogue(&TenantName::default())?.sealed_secrets()?;
    sealed.retain(|name, _| names.is_none_or(|names| names.contains(name)));
    if sealed.is_empty() {
        return Ok(BTreeMap::new());
    }
    let vault = place.vault_if_made();
    let open = |(name, sealed): (String, Vec<u8>)| {
        let opened = match &vault {
            Ok(Some(vault)) => vault.open(&name, &sealed).map_err(|error| with_causes(&error)),
            Ok(None) => Err(format!(
                "the secret `{name}` is sealed, and the key that it was sealed with is not here: use that key, or give it with --secret {name}=…"
            )),
            Err(error) => {
                Err(format!("the secret `{name}` cannot be opened: {}", with_causes(error)))
            }
        };
        (name, opened)
    };
    Ok(sealed.into_iter().map(open).collect())
}

/// The secrets that are set here; none of a server's.
pub(crate) fn set_secrets(home: &dyn Home) -> Result<BTreeMap<String, String>, Failure> {
    let Some(place) = home.place() else { return Ok(BTreeMap::new()) };
    // What was never made has none, and is not made for this.
    if !place.is_there() {
        return Ok(BTreeMap::new());
    }
    let catalogue = place.catalogue(&TenantName::default())?;
    // The vault is made where there is none: not for nothing.
    if catalogue.secrets()?.is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(catalogue.open_secrets(&place.vault(None)?)?)
}

/// That everything that a version names is there, wherever that is.
pub(crate) fn has_all(home: &dyn Home, version: &Draft) -> Result<(), NotActive> {
    local::has_all(version, &*home.stacks()?, &*home.store()?)
}

/// One that a command works on itself.
pub(crate) fn at(place: Place) -> Arc<dyn Home> {
    Arc::new(Local::new(place, TenantName::default()))
}

/// The store that the command names, or the user's own.
pub(crate) fn open_store(cli: &Cli) -> Result<Arc<dyn Store>, Failure> {
    of(cli, None)?.store()
}

/// The one that a workspace's file gives this name. What the command line says comes first.
pub(crate) fn of_target(
    cli: &Cli,
    state: Option<&Path>,
    workspace: &Workspace,
    name: Option<&str>,
) -> Result<Arc<dyn Home>, Failure> {
    let Some(name) = name else { return of(cli, state) };
    let targets = &workspace.settings.targets;
    let Some(target) = targets.get(name) else {
        let known: Vec<_> = targets.keys().map(String::as_str).collect();
        let known = match &known[..] {
            [] => "the workspace's file names none: [targets.NAME] of compute.toml has `server`, or `state` and `store`"
                .to_owned(),
            known => format!("the workspace's file names {}", known.join(", ")),
        };
        return Err(Failure::usage(format!("there is no target `{name}`; {known}")));
    };
    // What the command line says comes before what the file says.
    if cli.server.is_some() || (state.is_some() && target.server.is_some()) {
        return of(cli, state);
    }
    if target.server.is_none()
        && target.state.is_none()
        && target.store.is_none()
        && state.is_none()
    {
        return Err(Failure::usage(format!(
            "the target `{name}` says no place: `url` of txco.yaml, or `server`, or `state` and `store`, of compute.toml; \
             `--state FOLDER` applies it here"
        )));
    }
    if let Some(url) = &target.server {
        return Ok(Arc::new(Remote(connect(url, target.token_env.as_deref())?)));
    }
    // A folder is in the workspace; a database is where it is.
    let of_target =
        target.state.as_deref().map(|named| match compute_postgres::is_address(named) {
            true => Path::new(named).to_owned(),
            false => workspace.root.join(named),
        });
    let mut place = local::place(cli, state.or(of_target.as_deref()))?;
    if let (None, Some(url)) = (&cli.store, &target.store) {
        place.store = user::url_of(url, &workspace.root)?;
    }
    Ok(at(place))
}

/// The versions of a stack; if there is no such stack, the error names one like it.
pub(crate) fn versions(
    stacks: &dyn Stacks,
    stack: &StackName,
) -> Result<Vec<VersionInfo>, Failure> {
    stacks.versions(stack).map_err(|error| match error {
        StacksError::NoStack(_) => {
            let all = stacks.stacks().unwrap_or_default();
            let names = all.iter().map(|one| one.stack.as_str());
            no_stack(stack.as_str(), names).unwrap_or_else(|| error.into())
        }
        error => error.into(),
    })
}

/// That there is no such stack, and which there are; nothing if there is none at all.
pub(crate) fn no_stack<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<Failure> {
    let known: Vec<_> = known.collect();
    let hint = match txcl::nearest(name, &known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => return None,
        None => format!("there are {}", known.join(", ")),
    };
    Some(Failure::usage(format!("there is no stack `{name}`; {hint}")))
}

/// That there is no record of this id.
fn none(id: &str) -> Failure {
    Failure::usage(format!(
        "there is no record `{id}`, and no file of that name; `compute record ls` lists those that are kept, \
         `compute record policy` says which are"
    ))
}

/// Tells of records that cannot be read.
fn damaged(lines: u64, place: &str) {
    if lines > 0 {
        let lines = crate::show::count(lines as usize, "record");
        crate::show::tell!(
            "warning: {lines} in {place} cannot be read: what wrote them was stopped, or they were changed, or are of another version"
        );
    }
}

/// Records that could be read, and what is wrong with the others: one that cannot be read keeps nobody from the rest.
fn parted(read: impl Iterator<Item = Result<Record, Failure>>) -> (Vec<Record>, Vec<String>) {
    let (mut records, mut unread) = (Vec::new(), Vec::new());
    for one in read {
        match one {
            Ok(record) => records.push(record),
            Err(failure) => {
                crate::show::tell!("warning: {failure}");
                unread.push(failure.to_string());
            }
        }
    }
    (records, unread)
}
