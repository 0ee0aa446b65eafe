//! This machine, or a store that it reaches.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use compute::{Record, RecordHead, RecordQuery};
use compute_flow::ActivationError;
use compute_replay::{FoundRecord, FoundRecords, find_record, find_records, read_record};
use compute_state::{
    Catalogue, Draft, SecretError, SecretInfo, Secrets, Stacks, TenantName, Tokens, Traces,
};
use compute_store::Store;

use super::place::Place;
use super::{Home, NotActive, damaged, none, parted};
use crate::args::Cli;
use crate::failure::Failure;
use crate::user;

/// How long it may take to check what is to become active.
const ACTIVATION: Duration = Duration::from_secs(600);

/// A place on this machine.
#[derive(Debug)]
pub(super) struct Local(pub(super) Place);

impl Home for Local {
    fn store(&self) -> Result<Arc<dyn Store>, Failure> {
        self.0.open_store()
    }

    fn stacks(&self) -> Result<Arc<dyn Stacks>, Failure> {
        Ok(self.0.catalogue(&TenantName::default())?)
    }

    fn activate(&self, drafts: &[Draft]) -> Result<(), NotActive> {
        let (catalogue, store) = (self.stacks()?, self.store()?);
        let deadline = Instant::now() + ACTIVATION;
        compute_flow::activate(drafts, &*catalogue, &*store, deadline).map_err(
            |error| match error {
                ActivationError::Problems(problems) => NotActive::Problems(problems),
                ActivationError::Stacks(error) => NotActive::Failure(error.into()),
                ActivationError::Store(error) => NotActive::Failure(error.into()),
                error => NotActive::Failure(Failure::usage_of(&error)),
            },
        )
    }

    fn secrets(
        &self,
        tenant: Option<&TenantName>,
        key_file: Option<&Path>,
    ) -> Result<Arc<dyn Secrets>, Failure> {
        let sealed = self.0.catalogue(&tenant.cloned().unwrap_or_default())?;
        let (place, key_file) = (self.0.clone(), key_file.map(Path::to_owned));
        Ok(Arc::new(LocalSecrets { sealed, place, key_file }))
    }

    fn tokens(&self) -> Result<Arc<dyn Tokens>, Failure> {
        Ok(self.0.tokens()?)
    }

    fn traces(&self) -> Result<Arc<dyn Traces>, Failure> {
        Ok(self.0.traces()?)
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
        Some(&self.0)
    }
}

impl Local {
    /// What a server on this state has recorded for its first tenant.
    fn found(&self, query: &RecordQuery, last: usize) -> Result<Vec<FoundRecord>, Failure> {
        self.looked_for(|folder| find_records(folder, query, last, &mut || true))
    }

    /// What is found in the folder of these records.
    fn looked_for(
        &self,
        find: impl FnOnce(&Path) -> io::Result<FoundRecords>,
    ) -> Result<Vec<FoundRecord>, Failure> {
        let folder = self.0.server_folder()?.join("records");
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
    sealed: Arc<dyn Catalogue>,
    place: Place,
    key_file: Option<PathBuf>,
}

impl Secrets for LocalSecrets {
    fn list(&self) -> Result<Vec<SecretInfo>, SecretError> {
        self.sealed.secrets()
    }

    fn set(&self, name: &str, value: &str) -> Result<(), SecretError> {
        let vault = self.place.vault(self.key_file.as_deref())?;
        self.sealed.set_secret(&vault, name, value)
    }

    fn delete(&self, name: &str) -> Result<(), SecretError> {
        self.sealed.delete_secret(name)
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
    Ok(match state {
        Some(state) => Place::new(store, state),
        None => Place::new(store, &user::data("state")?),
    })
}
