//! All that is kept, and what of it is one tenant's: where a server or a command gets its parts from.

mod copy;
mod shares;
mod usage;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use compute::Ref;

use crate::{
    AuditLog, AuditOf, Catalogue, JobQueue, JobsError, SchedulesError, StacksError, StateError,
    TenantName, TokenCheck, TraceStore,
};

pub use copy::{Copied, CopyError, copy};
pub use shares::{Rated, Shares, WantedShare};
pub use usage::{DayUsage, USAGE_DAYS, Usage, UsageLog, UsedToday};

/// All that is kept of stacks, tenants and secrets. Nothing of a tenant's is reached from another's.
pub trait State: fmt::Debug + Send + Sync {
    /// What is kept of a tenant. Any name has something; what was never written is empty. Nothing is opened yet.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be told whether it can be opened.
    fn tenant(&self, tenant: &TenantName) -> Result<Arc<dyn TenantState>, StateError>;

    /// Opens the tokens of all tenants.
    ///
    /// # Errors
    /// [`StateError`] if they cannot be opened.
    fn tokens(&self) -> Result<Arc<dyn TokenCheck>, StateError>;

    /// Opens the jobs of all tenants.
    ///
    /// # Errors
    /// [`StateError`] if they cannot be opened.
    fn jobs(&self) -> Result<Arc<dyn JobQueue>, StateError>;

    /// Opens what all tenants used.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be opened.
    fn usage(&self) -> Result<Arc<dyn UsageLog>, StateError>;

    /// Opens the parts that nodes have of what they share. What is one process's own shares nothing: there are none.
    ///
    /// # Errors
    /// [`StateError`] if they cannot be opened.
    fn shares(&self) -> Result<Option<Arc<dyn Shares>>, StateError> {
        Ok(None)
    }

    /// The tenants of whom something is kept, by name.
    ///
    /// # Errors
    /// [`StateError`] if they cannot be read.
    fn tenants(&self) -> Result<Vec<TenantName>, StateError>;

    /// Where it is, for people.
    fn location(&self) -> String;

    /// Has this called with each artifact that another process which shares it says has gone ([`Catalogue::release`]), at least once,
    /// maybe more often, within a second.
    fn on_release(&self, told: Box<Released>) {
        drop(told);
    }

    /// How long whoever keeps it has not answered, if it does not now. What is known is used meanwhile; changes fail.
    fn away_for(&self) -> Option<Duration> {
        None
    }

    /// How long what is known may be used where it cannot be read anew: 5 minutes.
    fn stale(&self) -> Duration {
        Duration::from_secs(300)
    }
}

/// Is told that an artifact of a tenant has gone.
pub type Released = dyn Fn(&TenantName, &Ref) + Send + Sync;

/// What is kept of one tenant. Each part is opened when it is first asked for, and made if there is none: keep this, or
/// what you get. Two that were opened see each other's changes.
pub trait TenantState: fmt::Debug + Send + Sync {
    /// Opens the stacks and the secrets.
    ///
    /// # Errors
    /// [`StateError`] if they cannot be opened.
    fn catalogue(&self) -> Result<Arc<dyn Catalogue>, StateError>;

    /// Opens the traces of documents.
    ///
    /// # Errors
    /// [`StateError`] if they cannot be opened.
    fn traces(&self) -> Result<Arc<dyn TraceStore>, StateError>;

    /// Opens the log of who changed what.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be opened.
    fn audit(&self, of: AuditOf) -> Result<Arc<dyn AuditLog>, StateError>;
}

/// How much one tenant may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateQuotas {
    /// How many stacks: 1,000.
    pub stacks: u64,
    /// How many versions that were never active: 1,000.
    pub drafts: u64,
    /// How many bytes all files of versions that were never active have: 256 MiB.
    pub draft_bytes: u64,
    /// How many bytes the files of one version have, with their paths: 16 MiB.
    pub version_bytes: u64,
    /// How many versions one stack has: 10,000.
    pub versions: u64,
    /// How many bytes all files have, with their paths: 1 GiB.
    pub bytes: u64,
    /// How many stacks have a version that gets documents besides the active one: 10.
    pub shadows: u64,
    /// How many stacks have a version that answers a part of their documents: 10.
    pub rollouts: u64,
    /// How many secrets: 1,000.
    pub secrets: u32,
    /// How many bytes all of them may have, sealed: 1 MiB.
    pub secret_bytes: u64,
    /// How many tokens: 1,000.
    pub tokens: u32,
    /// How many entries of each log of who changed what; the oldest go: 100,000.
    pub audit_entries: u64,
    /// How many traces, about; the oldest are deleted: 1,000.
    pub traces: usize,
    /// How many bytes of traces, about: 256 MiB.
    pub trace_bytes: u64,
    /// How many jobs that have not ended: 100,000.
    pub jobs: u64,
    /// How many jobs that have ended, about; those that ended first are deleted: 100,000. Where there are more than twice as many, none is
    /// submitted.
    pub ended_jobs: u64,
    /// How many bytes the inputs and results of all jobs have: 1 GiB. Where there are nearly as many ([`StateQuotas::kept_job_bytes`]), those
    /// that ended first are deleted; beyond it none is submitted.
    pub job_bytes: u64,
    /// How many schedules: 100.
    pub schedules: u64,
}

/// How much there is in a tenant's catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CatalogueSizes {
    /// How many bytes the files of a version have.
    pub version_bytes: u64,
    /// How many stacks there are.
    pub stacks: u64,
    /// How many versions that were never active.
    pub drafts: u64,
    /// How many bytes their files have.
    pub draft_bytes: u64,
    /// How many versions the stack has.
    pub versions: u64,
    /// How many bytes the files of all versions have.
    pub bytes: u64,
}

impl StateQuotas {
    /// How many bytes of jobs there may be after those that ended first were deleted: an eighth less than there may be at most, so that there
    /// is room for new ones.
    #[must_use]
    pub const fn kept_job_bytes(&self) -> u64 {
        self.job_bytes - self.job_bytes / 8
    }

    /// That this is no more than there may be.
    ///
    /// # Errors
    /// [`StacksError::Quota`].
    pub fn hold(&self, sizes: &CatalogueSizes) -> Result<(), StacksError> {
        let limits = [
            ("bytes of files of a version", sizes.version_bytes, self.version_bytes),
            ("stacks", sizes.stacks, self.stacks),
            ("versions that were never active", sizes.drafts, self.drafts),
            (
                "bytes of files of versions that were never active",
                sizes.draft_bytes,
                self.draft_bytes,
            ),
            ("versions of a stack", sizes.versions, self.versions),
            ("bytes of files", sizes.bytes, self.bytes),
        ];
        let beyond = limits.into_iter().find(|(_, size, limit)| size > limit);
        beyond.map_or(Ok(()), |(what, _, limit)| Err(StacksError::Quota { what, limit }))
    }
}

impl StateQuotas {
    /// That a tenant that has so many jobs that have not ended may have one more, if the bytes of all are this many then.
    ///
    /// # Errors
    /// [`JobsError::Quota`].
    pub const fn hold_jobs(&self, jobs: u64, bytes: u64) -> Result<(), JobsError> {
        if jobs >= self.jobs {
            return Err(JobsError::Quota { what: "jobs that have not ended", limit: self.jobs });
        }
        if bytes > self.job_bytes {
            let what = "bytes of inputs and results of jobs";
            return Err(JobsError::Quota { what, limit: self.job_bytes });
        }
        Ok(())
    }

    /// That a tenant that has so many jobs that have ended may submit one more: those that are too many go, but maybe not as fast as more end.
    ///
    /// # Errors
    /// [`JobsError::Quota`].
    pub const fn hold_ended_jobs(&self, ended: u64) -> Result<(), JobsError> {
        let limit = self.ended_jobs.saturating_mul(2);
        if ended > limit {
            let what = "jobs that have ended and are not deleted yet";
            return Err(JobsError::Quota { what, limit });
        }
        Ok(())
    }

    /// That a tenant may have so many schedules.
    ///
    /// # Errors
    /// [`SchedulesError::Quota`].
    pub const fn hold_schedules(&self, schedules: u64) -> Result<(), SchedulesError> {
        if schedules > self.schedules {
            return Err(SchedulesError::Quota(self.schedules));
        }
        Ok(())
    }
}

impl Default for StateQuotas {
    fn default() -> Self {
        Self {
            stacks: 1000,
            drafts: 1000,
            draft_bytes: 256 << 20,
            version_bytes: 16 << 20,
            versions: 10_000,
            bytes: 1 << 30,
            shadows: 10,
            rollouts: 10,
            secrets: 1000,
            secret_bytes: 1 << 20,
            tokens: 1000,
            audit_entries: 100_000,
            traces: 1000,
            trace_bytes: 256 << 20,
            jobs: 100_000,
            ended_jobs: 100_000,
            job_bytes: 1 << 30,
            schedules: 100,
        }
    }
}
