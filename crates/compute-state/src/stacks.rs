//! The versions of stacks: what is known of them, and what every keeper of them does.

mod deeds;
mod file;
mod policy;
mod rollout;

use std::fmt;

use compute::Ref;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{RELEASING, SealedSecrets, StackName, StateError};

pub use file::{File, manifest_hash};
pub use policy::{
    RecordPolicies, RecordPolicy, Recorded, RecordedError, Shadow, Share, ShareError,
};
pub use rollout::{Rollout, RolloutPath, RolloutPathError, Running};

/// The versions of stacks, and which of them are active: what a person or a program at work on them needs, on
/// this machine or through a server.
///
/// Each change is one transaction, seen whole or not at all by every reader, and durable when it is answered:
/// whoever dies leaves the old state or the new one. What was answered is seen by the next call of anybody.
/// All methods block.
pub trait Stacks: fmt::Debug + Send + Sync {
    /// All stacks, by name, as they are at one moment.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn stacks(&self) -> Result<Vec<ActiveStack>, StacksError>;

    /// All versions of a stack, the newest first, as they are at one moment.
    ///
    /// # Errors
    /// [`StacksError::NoStack`] if there is none of this name.
    fn versions(&self, stack: &StackName) -> Result<Vec<VersionInfo>, StacksError>;

    /// A version with its files, as they are at one moment.
    ///
    /// # Errors
    /// [`StacksError::NoVersion`] if the stack has none of this number.
    fn version(&self, stack: &StackName, number: u32) -> Result<Version, StacksError>;

    /// What is known of a version, without its files.
    ///
    /// # Errors
    /// [`StacksError::NoVersion`] if the stack has none of this number.
    fn info(&self, stack: &StackName, number: u32) -> Result<VersionInfo, StacksError> {
        Ok(self.version(stack, number)?.info)
    }

    /// The active version of a stack, if one is.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn active(&self, stack: &StackName) -> Result<Option<Version>, StacksError>;

    /// Keeps a version that is not active yet, with the next number. A version of the same files is taken as it is,
    /// whether it was active or not: the newest, if there are more.
    ///
    /// # Errors
    /// [`StacksError::Quota`] if there is too much already; nothing is kept then.
    fn draft(&self, stack: &StackName, files: &[File]) -> Result<Draft, StacksError>;

    /// Writes a file of a version that was never given documents, or takes it away.
    ///
    /// # Errors
    /// [`StacksError::Immutable`] if the version was, [`StacksError::NoVersion`] and
    /// [`StacksError::NoFile`] if there is none, [`StacksError::Quota`] if there is too much then.
    fn edit(&self, draft: &Draft, path: &str, text: Option<&str>) -> Result<(), StacksError>;

    /// Forgets a version that was never active.
    ///
    /// # Errors
    /// [`StacksError::Immutable`] if it was, [`StacksError::NoVersion`] if there is none.
    fn delete_draft(&self, draft: &Draft) -> Result<(), StacksError>;

    /// Forgets those of these versions that were never active; the others stay. A stack without versions goes, too.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn forget(&self, drafts: &[Draft]) -> Result<(), StacksError>;

    /// Makes versions active at one moment, all of them or none: no reader sees some of them. One that was active
    /// before is gone back to so. Each answers all documents of its stack then: a rollout of it ends in the same moment.
    /// What must hold first is for the caller to see to, who says by [`Draft::with_hash`] of which files it does; a
    /// server sees to it itself.
    ///
    /// # Errors
    /// [`StacksError::NoVersion`] if one of them isn't there, [`StacksError::Changed`] if one has other files by now; nothing is
    /// changed then.
    fn activate(&self, versions: &[Draft]) -> Result<(), StacksError>;

    /// What is recorded.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn record_policies(&self) -> Result<RecordPolicies, StacksError>;

    /// Says what is recorded of a stack's documents, or of all that says nothing of its own; without a policy, that it says
    /// nothing. It goes with the stack.
    ///
    /// # Errors
    /// [`StacksError::NoStack`] if there is none of this name.
    fn set_record_policy(
        &self,
        stack: Option<&StackName>,
        policy: Option<RecordPolicy>,
    ) -> Result<(), StacksError>;

    /// The versions that get documents besides the active ones, by stack: one of each at most.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn shadows(&self) -> Result<Vec<Shadow>, StacksError>;

    /// Gives a part of a stack's documents to this version as well, in place of another that got some. It never changes from then
    /// on, as one that was active: what it answers is counted as that of one version. With a hash, only if it is that of its files.
    ///
    /// # Errors
    /// [`StacksError::NoVersion`] if the stack has none of this number, [`StacksError::Changed`] if it has other files,
    /// [`StacksError::Quota`] if too many stacks have one.
    fn set_shadow(&self, shadow: &Shadow, hash: Option<&str>) -> Result<(), StacksError>;

    /// Gives a stack's documents to the active version alone.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn remove_shadow(&self, stack: &StackName) -> Result<(), StacksError>;

    /// The versions that answer a part of a stack's documents in place of the active one, by stack: one of each at most.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn rollouts(&self) -> Result<Vec<Rollout>, StacksError>;

    /// Has this version answer a part of a stack's documents in place of the active one, and in place of another that did. It
    /// never changes from then on, as one that was active. What must hold first is for the caller to see to, as for
    /// [`Stacks::activate`]: with a hash, only if it is that of its files.
    ///
    /// # Errors
    /// [`StacksError::NoVersion`] if the stack has none of this number, [`StacksError::NotBeside`] if no other version is
    /// active, [`StacksError::Changed`] if it has other files, [`StacksError::Quota`] if too many stacks have one.
    fn set_rollout(&self, rollout: &Rollout, hash: Option<&str>) -> Result<(), StacksError>;

    /// Makes the version active that answers a part of a stack's documents, which ends that, at one moment.
    ///
    /// # Errors
    /// [`StacksError::NoRollout`] if it is another version that does, or none; nothing is changed then.
    fn complete_rollout(&self, version: &Draft) -> Result<(), StacksError>;

    /// Has the active version answer all of a stack's documents, in place of this one, which answers a part.
    ///
    /// # Errors
    /// [`StacksError::NoRollout`] if it is another version that does, or none; nothing is changed then.
    fn remove_rollout(&self, version: &Draft) -> Result<(), StacksError>;
}

/// All that is kept of one tenant's stacks and secrets, for whoever takes documents through them.
pub trait Catalogue: Stacks + SealedSecrets {
    /// All versions that answer documents, as they are at one moment: the active ones, and those that answer a part in their
    /// place. Their files, which never change, are read one by one.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn running(&self) -> Result<Running, StacksError>;

    /// All active versions, by their stacks' names, as they are at one moment.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn all_active(&self) -> Result<Vec<VersionInfo>, StacksError> {
        Ok(self.running()?.active)
    }

    /// A number that grows whenever a version becomes active or gets a share of documents, a secret changes, or what else is done
    /// with documents, whoever changed it. Each document asks for it, so it takes microseconds, and waits for no writer. What somebody else changed in another process is in it
    /// within a second. Who reads it first, and then what it is
    /// about, has missed nothing that is older than the number.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn change_number(&self) -> Result<i64, StacksError>;

    /// Keeps a version as it was elsewhere: with its number, its times, and whether it is active; one that is there and has the
    /// same files is made so. Quotas are for what is new.
    ///
    /// # Errors
    /// [`StacksError::Taken`] if another version has its number; nothing is changed then.
    fn restore(&self, version: &Version) -> Result<(), StacksError>;

    /// Says that an artifact goes, unless a rule of a version names it: whether it may. Others who share what is kept forget it, and
    /// for two minutes keep no version that names it, nor a schedule, which keeps it from going, too. Whoever says so deletes it then, and says so once more.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn release(&self, artifact: &Ref) -> Result<bool, StacksError> {
        Ok(!self.refs()?.contains(artifact))
    }

    /// A version that names an artifact, the newest of its stack, if any does.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn naming(&self, artifact: &Ref) -> Result<Option<Draft>, StacksError>;

    /// Every ref that a rule of any version names, in order: what a garbage collection must keep.
    ///
    /// # Errors
    /// [`StacksError::State`].
    fn refs(&self) -> Result<Vec<Ref>, StacksError>;
}

/// A stack and its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActiveStack {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stack: StackName,
    /// The version that is active, if one is.
    pub active: Option<u32>,
    /// How many versions there are.
    pub versions: u32,
    /// When the active version became so.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub activated: Option<Timestamp>,
}

/// What is known of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionInfo {
    /// The stack.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stack: StackName,
    /// Its number, from 1.
    pub number: u32,
    /// The hash of its files.
    pub hash: String,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created: Timestamp,
    /// When it last became active, or when it first got documents otherwise if it never was: by a rollout, or as a shadow.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub activated: Option<Timestamp>,
    /// Whether it is active.
    pub active: bool,
    /// How many rules it has.
    pub rules: u32,
}

/// A version, with its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Version {
    /// What is known of it.
    pub info: VersionInfo,
    /// Its files, by path.
    #[serde(skip)]
    pub files: Vec<File>,
}

impl Version {
    /// A version that came from elsewhere.
    #[must_use]
    pub const fn new(info: VersionInfo, files: Vec<File>) -> Self {
        Self { info, files }
    }
}

/// A version by its number: one that is to be changed, activated or forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Draft {
    /// The stack.
    pub stack: StackName,
    /// Its number.
    pub number: u32,
    /// The hash that its files must have to become active; without one, they may be any.
    pub hash: Option<String>,
}

impl Draft {
    /// A version that is kept.
    #[must_use]
    pub const fn new(stack: StackName, number: u32) -> Self {
        Self { stack, number, hash: None }
    }

    /// The same version, whose files must have this hash.
    #[must_use]
    pub fn with_hash(mut self, hash: Option<&str>) -> Self {
        self.hash = hash.map(str::to_owned);
        self
    }
}

/// Versions cannot be read or written, or there is no such thing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StacksError {
    /// There is no such stack.
    #[error("there is no stack `{0}`")]
    NoStack(StackName),
    /// The stack has no such version.
    #[error("the stack `{stack}` has no version {number}")]
    NoVersion {
        /// The stack.
        stack: StackName,
        /// The number.
        number: u32,
    },
    /// The version has no such file.
    #[error("the version {number} of the stack `{stack}` has no file `{path}`")]
    NoFile {
        /// The stack.
        stack: StackName,
        /// The version.
        number: u32,
        /// The file's path.
        path: String,
    },
    /// The version was active, or got documents otherwise, and never changes.
    #[error(
        "the version {number} of the stack `{stack}` was given documents, so it never changes: make another"
    )]
    Immutable {
        /// The stack.
        stack: StackName,
        /// The number.
        number: u32,
    },
    /// The version has other files than those that were looked at.
    #[error(
        "the version {number} of the stack `{stack}` was changed while it was checked, and nothing else was done: try again"
    )]
    Changed {
        /// The stack.
        stack: StackName,
        /// The number.
        number: u32,
    },
    /// There is nothing that the version could get a part of.
    #[error(
        "version {number} of the stack `{stack}` can answer a part of its documents only beside another version that is active"
    )]
    NotBeside {
        /// The stack.
        stack: StackName,
        /// The number.
        number: u32,
    },
    /// The version does not answer a part of the stack's documents.
    #[error("the stack `{stack}` has no rollout of version {number}")]
    NoRollout {
        /// The stack.
        stack: StackName,
        /// The number.
        number: u32,
    },
    /// Another version has this number already.
    #[error("the stack `{stack}` has a version {number} already, with other files")]
    Taken {
        /// The stack.
        stack: StackName,
        /// The number.
        number: u32,
    },
    /// An artifact that it names goes at this moment.
    #[error("{0} was deleted a moment ago: upload it again, and try again in {minutes} minutes", minutes = RELEASING.as_mins())]
    Released(Ref),
    /// There is as much as there may be.
    #[error("there may be at most {limit} {what}")]
    Quota {
        /// Of what.
        what: &'static str,
        /// How many, or how many bytes.
        limit: u64,
    },
    /// What is kept cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}
