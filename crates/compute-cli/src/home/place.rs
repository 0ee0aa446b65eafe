//! Where stacks and artifacts are kept that a command works on itself: in a folder of this machine, or in a database.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use compute_postgres::{PostgresSettings, PostgresState, is_address, without_password};
use compute_state::{
    Catalogue, LocalState, State, StateError, TenantName, TokenCheck, TraceStore, Vault, VaultError,
};
use compute_store::Store;

use crate::failure::{Failure, SECRET_KEY};
use crate::user;

/// Where stacks and artifacts are kept.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The store's URL.
    pub(crate) store: String,
    state: StatePlace,
    settings: PostgresSettings,
    /// Opened when it is first asked for.
    opened: Arc<OnceLock<Opened>>,
}

/// Where all but artifacts are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum StatePlace {
    Folder(PathBuf),
    Postgres(String),
}

#[derive(Clone, Debug)]
enum Opened {
    Folder(Arc<LocalState>),
    Postgres(Arc<PostgresState>),
}

impl Place {
    /// This store's artifacts, with the state in this folder, or at this address of a database.
    pub(crate) fn new(store: String, state: &Path) -> Result<Self, Failure> {
        let text = state.to_str().unwrap_or_default();
        let state = match text.split_once("://") {
            Some(_) if is_address(text) => StatePlace::Postgres(text.to_owned()),
            Some((scheme, _)) => {
                let scheme: String = scheme.chars().take(40).collect();
                return Err(Failure::usage(format!(
                    "`{scheme}://` is no place for a state: it is a folder, or postgres://USER@HOST/DATABASE"
                )));
            }
            None if text.starts_with("postgres:") || text.starts_with("postgresql:") => {
                return Err(Failure::usage(format!(
                    "`{}` is no address: write postgres://USER@HOST/DATABASE",
                    text.chars().take(40).collect::<String>()
                )));
            }
            None => StatePlace::Folder(state.to_owned()),
        };
        Ok(Self { store, state, settings: PostgresSettings::default(), opened: Arc::default() })
    }

    /// The same, where a database is used so.
    pub(crate) fn with_settings(self, settings: PostgresSettings) -> Self {
        Self { settings, opened: Arc::default(), ..self }
    }

    /// The state's folder, if it is one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match &self.state {
            StatePlace::Folder(folder) => Some(folder),
            StatePlace::Postgres(_) => None,
        }
    }

    /// Whether anything was ever kept there, as far as that can be told without making it.
    pub(crate) fn is_there(&self) -> bool {
        self.folder().is_none_or(|folder| LocalState::new(folder).is_there())
    }

    /// Whether stacks or secrets of a tenant may be there: who reads those of one that is not there must not make it.
    pub(crate) fn has(&self, tenant: &TenantName) -> bool {
        self.folder().is_none_or(|folder| LocalState::new(folder).has(tenant))
    }

    pub(crate) fn open_store(&self) -> Result<Arc<dyn Store>, Failure> {
        Ok(compute_store::open(&self.store)?)
    }

    fn opened(&self) -> Result<&Opened, StateError> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let opened = match &self.state {
            StatePlace::Folder(folder) => Opened::Folder(Arc::new(LocalState::new(folder))),
            StatePlace::Postgres(address) => {
                Opened::Postgres(Arc::new(PostgresState::open(address, self.settings)?))
            }
        };
        Ok(self.opened.get_or_init(|| opened))
    }

    /// All that is kept but artifacts.
    pub(crate) fn state(&self) -> Result<Arc<dyn State>, StateError> {
        Ok(match self.opened()? {
            Opened::Folder(state) => Arc::clone(state) as _,
            Opened::Postgres(state) => Arc::clone(state) as _,
        })
    }

    /// The stacks and the secrets of a tenant.
    pub(crate) fn catalogue(&self, tenant: &TenantName) -> Result<Arc<dyn Catalogue>, Failure> {
        Ok(self.state()?.tenant(tenant)?.catalogue()?)
    }

    pub(crate) fn tokens(&self) -> Result<Arc<dyn TokenCheck>, Failure> {
        Ok(self.state()?.tokens()?)
    }

    /// The traces of a tenant's documents.
    pub(crate) fn traces(&self, tenant: &TenantName) -> Result<Arc<dyn TraceStore>, Failure> {
        Ok(self.state()?.tenant(tenant)?.traces()?)
    }

    /// Where the state is, for people.
    pub(crate) fn shown(&self) -> String {
        match &self.state {
            StatePlace::Folder(folder) => folder.display().to_string(),
            StatePlace::Postgres(address) => without_password(address),
        }
    }

    /// That this is the key of all who share the state; the first who says so decides.
    pub(crate) fn check_key(&self, vault: &Vault) -> Result<(), VaultError> {
        match self.opened()? {
            Opened::Folder(_) => Ok(()),
            Opened::Postgres(state) => state.check_key(vault),
        }
    }

    /// What seals the secrets here: the key in the environment, in this file, or beside them.
    pub(crate) fn vault(&self, file: Option<&Path>) -> Result<Vault, VaultError> {
        let vault = self.new_vault(file)?;
        self.check_key(&vault).map(|()| vault)
    }

    /// The same, though it may not be the one that those who share the state have.
    pub(crate) fn new_vault(&self, file: Option<&Path>) -> Result<Vault, VaultError> {
        let named = named_key()?;
        if named.is_none() {
            self.check_key_file(file)?;
        }
        let named = match (named, file) {
            (None, Some(file)) => Some(Vault::from_file(file)?),
            (named, _) => named,
        };
        match (self.opened()?, named) {
            (_, Some(vault)) => Ok(vault),
            (Opened::Folder(state), None) => state.vault(),
            (Opened::Postgres(state), None) => Err(VaultError::NoKey(state.location())),
        }
    }

    /// That the key is there if there are secrets: a new one would open none of them.
    fn check_key_file(&self, file: Option<&Path>) -> Result<(), VaultError> {
        let file = match (file, self.opened()?) {
            (Some(file), _) => file.to_owned(),
            (None, Opened::Folder(state)) => state.key_file(),
            (None, Opened::Postgres(_)) => return Ok(()),
        };
        if file.exists() {
            return Ok(());
        }
        let state = self.state()?;
        for tenant in state.tenants()? {
            let secrets = state.tenant(&tenant)?.catalogue()?.secrets();
            if !secrets.map_err(|error| StateError::failed("the secrets", error))?.is_empty() {
                return Err(VaultError::Gone { state: self.shown(), file });
            }
        }
        Ok(())
    }

    /// The same, but that no key is made: nothing where there is none.
    pub(crate) fn vault_if_made(&self) -> Result<Option<Vault>, VaultError> {
        match (self.opened()?, named_key()?) {
            (Opened::Folder(_), Some(vault)) => Ok(Some(vault)),
            (Opened::Folder(state), None) => state.vault_if_made(),
            (Opened::Postgres(state), Some(vault)) => state.check_key(&vault).map(|()| Some(vault)),
            (Opened::Postgres(_), None) => Ok(None),
        }
    }

    /// The folder for what a server on this machine keeps here: what it records.
    pub(crate) fn server_folder(&self) -> Result<PathBuf, Failure> {
        match &self.state {
            StatePlace::Folder(folder) => Ok(folder.clone()),
            StatePlace::Postgres(_) => user::data("server"),
        }
    }
}

/// What the environment says that secrets are sealed with.
pub(crate) fn named_key() -> Result<Option<Vault>, VaultError> {
    let key = std::env::var(SECRET_KEY).ok().filter(|key| !key.is_empty());
    key.map(|key| Vault::new(&key)).transpose()
}
