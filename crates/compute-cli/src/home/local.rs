//! This machine, or a store that it reaches.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use compute::{Record, RecordHead, RecordQuery};
use compute_flow::ActivationError;
use compute_replay::{FoundRecord, FoundRecords, find_record, find_records, read_record};
use compute_state::{
    AuditOf, AuditPage, Catalogue, DayUsage, Draft, Rollout, Schedules, SecretError, SecretInfo,
    Secrets, Shadow, Stacks, TenantJobs, TenantName, Tokens, Traces, tenant_store,
};
use compute_store::Store;
use jiff::civil::Date;

use super::place::Place;
use super::{Home, HomeJobs, NotActive, damaged, none, parted};
use crate::args::Cli;
use crate::failure::Failure;
use crate::user;

/// How long it may take to check what is to become active.
const ACTIVATION: Duration = Duration::from_secs(600);

/// What one tenant has in a place on this machine.
#[derive(Debug)]
pub(super) struct Local {
    place: Place,
    tenant: TenantName,
}

impl Home for Local {
    fn store(&self) -> Result<Arc<dyn Store>, Failure> {
        Ok(compute_store::open(&tenant_store(&self.place.store, &self.tenant))?)
    }

    fn stacks(&self) -> Result<Arc<dyn Stacks>, Failure> {
        Ok(self.place.catalogue(&self.tenant)?)
    }

    fn activate(&self, drafts: &[Draft]) -> Result<(), NotActive> {
        let (catalogue, store) = (self.stacks()?, self.store()?);
        let deadline = Instant::now() + ACTIVATION;
        compute_flow::activate(drafts, &*catalogue, &*store, deadline).map_err(not_active)
    }

    fn roll_out(&self, rollout: &Rollout) -> Result<(), NotActive> {
        let (catalogue, store) = (self.stacks()?, self.store()?);
        let deadline = Instant::now() + ACTIVATION;
        compute_flow::roll_out(rollout, &*catalogue, &*store, deadline).map_err(not_active)
    }

    fn shadow(&self, shadow: &Shadow) -> Result<(), NotActive> {
        let (catalogue, store) = (self.stacks()?, self.store()?);
        let deadline = Instant::now() + ACTIVATION;
        compute_flow::shadow(shadow, &*catalogue, &*store, deadline).map_err(not_active)
    }

    fn complete(&self, version: &Draft) -> Result<(), NotActive> {
        let (catalogue, store) = (self.stacks()?, self.store()?);
        let deadline = Instant::now() + ACTIVATION;
        compute_flow::complete(version, &*catalogue, &*store, deadline).map_err(not_active)
    }

    fn secrets(&self, key_file: Option<&Path>) -> Result<Arc<dyn Secrets>, Failure> {
        let (place, key_file) = (self.place.clone(), key_file.map(Path::to_owned));
        Ok(Arc::new(LocalSecrets { place, tenant: self.tenant.clone(), key_file }))
    }

    fn schedules(&self) -> Result<Arc<dyn Schedules>, Failure> {
        Ok(Arc::new(self.own_jobs()?))
    }

    fn tokens(&self) -> Result<Arc<dyn Tokens>, Failure> {
        Ok(self.place.tokens()?)
    }

    fn audit(&self, of: AuditOf, after: Option<u64>, most: usize) -> Result<AuditPage, Failure> {
        Ok(self.place.state()?.tenant(&self.tenant)?.audit(of)?.page(after, most)?)
    }

    fn usage(&self, from: Option<Date>, to: Option<Date>) -> Result<Vec<DayUsage>, Failure> {
        Ok(self.place.state()?.usage()?.days(&self.tenant, from, to)?)
    }

    fn traces(&self) -> Result<Arc<dyn Traces>, Failure> {
        Ok(self.place.traces(&self.tenant)?)
    }

    fn jobs(&self) -> Result<HomeJobs, Failure> {
        Ok(HomeJobs::Kept(self.own_jobs()?))
    }

    fn record_heads(&self, query: &RecordQuery, last: usize) -> Result<Vec<RecordHead>, Failure> {
        Ok(self.found(query, last)?.into_iter().map(|one| one.head).collect())
    }

    fn records(
        &self,
        query: &RecordQuery,
        last: usize,
    ) -> Result<(Vec<Record>, Vec<String>), Failure> {
        Ok(parted(self.found(query, last)?.iter().map(read)))
    }

    fn record(&self, id: &str) -> Result<Record, Failure> {
        let found = self.looked_for(|folder| find_record(folder, id, &mut || true))?;
        match &found[..] {
            [one] => read(one),
            [] => Err(none(id)),
            _ => Err(Failure::usage(format!(
                "several records begin with `{id}`, or are of that request: say more of the id"
            ))),
        }
    }

    fn place(&self) -> Option<&Place> {
        Some(&self.place)
    }
}

pub(super) fn has_all(
    version: &Draft,
    stacks: &dyn Stacks,
    store: &dyn Store,
) -> Result<(), NotActive> {
    let deadline = Instant::now() + ACTIVATION;
    let problems = compute_flow::problems(version, stacks, store, deadline).map_err(not_active)?;
    if problems.is_empty() { Ok(()) } else { Err(NotActive::Problems(problems)) }
}

fn not_active(error: ActivationError) -> NotActive {
    NotActive::Failure(match error {
        ActivationError::Problems(problems) => return NotActive::Problems(problems),
        ActivationError::Stacks(error) => error.into(),
        ActivationError::Store(error) => error.into(),
        error => Failure::usage_of(&error),
    })
}

impl Local {
    pub(super) const fn new(place: Place, tenant: TenantName) -> Self {
        Self { place, tenant }
    }

    fn own_jobs(&self) -> Result<TenantJobs, Failure> {
        Ok(TenantJobs::new(self.place.state()?.jobs()?, self.tenant.clone()))
    }

    /// What a server on this state has recorded for its first tenant.
    fn found(&self, query: &RecordQuery, last: usize) -> Result<Vec<FoundRecord>, Failure> {
        self.looked_for(|folder| find_records(folder, query, last, &mut || true))
    }

    /// What is found in the folder of these records.
    fn looked_for(
        &self,
        find: impl FnOnce(&Path) -> io::Result<FoundRecords>,
    ) -> Result<Vec<FoundRecord>, Failure> {
        let folder = self.place.server_folder()?.join("records");
        let found = find(&folder).map_err(|error| {
            Failure::Host(format!("the records in {}: {error}", folder.display()))
        })?;
        damaged(found.damaged, &folder.display().to_string());
        Ok(found.records)
    }
}

fn read(found: &FoundRecord) -> Result<Record, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::Host(format!("the record {}: {error}", found.head.id))
    };
    let mut json = Vec::new();
    let opened = found.open().and_then(|mut file| file.read_to_end(&mut json));
    opened.map_err(|error| failed(&error))?;
    read_record(&json).map_err(|error| failed(&error))
}

/// Secrets whose key is looked for when one is to be sealed: to list and forget them takes none.
#[derive(Debug)]
struct LocalSecrets {
    place: Place,
    tenant: TenantName,
    key_file: Option<PathBuf>,
}

impl LocalSecrets {
    fn sealed(&self) -> Result<Arc<dyn Catalogue>, SecretError> {
        Ok(self.place.state()?.tenant(&self.tenant)?.catalogue()?)
    }
}

impl Secrets for LocalSecrets {
    fn list(&self) -> Result<Vec<SecretInfo>, SecretError> {
        if !self.place.has(&self.tenant) {
            return Ok(Vec::new());
        }
        self.sealed()?.secrets()
    }

    fn set(&self, name: &str, value: &str) -> Result<(), SecretError> {
        // Whoever keeps it sees whether it may be this key.
        let vault = self.place.new_vault(self.key_file.as_deref())?;
        self.sealed()?.set_secret(&vault, name, value)
    }

    fn delete(&self, name: &str) -> Result<(), SecretError> {
        if !self.place.has(&self.tenant) {
            return Err(SecretError::none(name));
        }
        self.sealed()?.delete_secret(name)
    }
}

/// The place that a command works on itself which has no use for a server.
pub(crate) fn place_for(cli: &Cli, state: Option<&Path>, command: &str) -> Result<Place, Failure> {
    if cli.server.is_some() {
        return Err(Failure::usage(format!(
            "`compute {command}` works on this machine, and not on a server: leave out --server (COMPUTE_SERVER)"
        )));
    }
    place(cli, state)
}

pub(super) fn place(cli: &Cli, state: Option<&Path>) -> Result<Place, Failure> {
    let store = user::store_url(cli)?;
    match state {
        Some(state) => Place::new(store, state),
        None => Place::new(store, &user::data("state")?),
    }
}
