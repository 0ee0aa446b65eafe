//! What is kept about stacks, tenants and secrets, behind traits that say what is atomic and what is durable.
//!
//! - [`Stacks`] are the versions of stacks and which of them are active; a [`Catalogue`] is these and a tenant's
//!   [`SealedSecrets`], with what whoever takes documents through them needs besides.
//! - [`Tokens`] say who may do what; [`TokenCheck`] checks them. A [`Vault`] seals secrets; [`Secrets`] are those that are
//!   set and never shown.
//! - [`Traces`] are the texts of what happened to documents; a [`TraceStore`] takes new ones.
//! - [`Bindings`] are the names of plugins.
//! - [`State`] opens all of this, [`TenantState`] what of it is one tenant's.
//!
//! The wider traits are for those who serve documents, the narrower ones for everybody, through a server too. All
//! are used as trait objects. [`LocalState`] keeps everything in a folder, in SQLite files; a [`Location`] is such a
//! folder and a store of artifacts. What versions mean is for others: here they are files.
//!
//! ```
//! use compute_state::{File, LocalState, State, TenantName};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let state = LocalState::new(folder.path());
//! let catalogue = state.tenant(&TenantName::default())?.catalogue()?;
//!
//! let rule = File::new("100_GREET/hello.txcl", "EMIT .greeting = \"Hello\"");
//! let draft = catalogue.draft(&"greeter".parse()?, &[rule])?;
//! catalogue.activate(&[draft])?;
//! assert_eq!(catalogue.all_active()?[0].number, 1);
//! # Ok(())
//! # }
//! ```

mod bindings;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod local;
mod names;
mod secrets;
mod sqlite;
mod stacks;
mod state;
mod tokens;
mod traces;

pub use bindings::Bindings;
pub use error::{BoxError, StateError};
pub use local::{FileBindings, FolderTraces, LocalState, Location, tenant_folder, tenant_store};
pub use names::{StackName, StackNameError, TenantError, TenantName};
pub use secrets::{
    SealedSecrets, SecretError, SecretInfo, Secrets, Vault, VaultError, VaultSecrets,
    check_secret_name,
};
pub use sqlite::{SqliteCatalogue, SqliteTokens};
pub use stacks::{
    ActiveStack, Catalogue, Draft, File, RecordPolicies, RecordPolicy, Recorded, RecordedError,
    Shadow, Share, ShareError, Stacks, StacksError, Version, VersionInfo, manifest_hash,
};
pub use state::{
    CatalogueSizes, Copied, CopyError, Released, State, StateQuotas, TenantState, copy,
};
pub use tokens::{
    KeptToken, NewToken, ScopeError, TokenCheck, TokenInfo, TokenScope, Tokens, TokensError,
};
pub use traces::{TraceRoom, TraceStore, TraceText, Traces, TracesError, WriteText};
