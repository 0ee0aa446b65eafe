//! The jobs and schedules of one tenant, of those of all.

use std::sync::Arc;

use super::{
    Job, JobFilter, JobId, JobInfo, JobQueue, Jobs, JobsError, NewJob, NewSchedule, Schedule,
    ScheduleInfo, ScheduleName, Schedules, SchedulesError, Submitted,
};
use crate::{StateError, TenantName};

/// The jobs and schedules of a tenant.
#[derive(Clone, Debug)]
pub struct TenantJobs {
    queue: Arc<dyn JobQueue>,
    tenant: TenantName,
}

impl TenantJobs {
    /// Those of this tenant.
    #[must_use]
    pub const fn new(queue: Arc<dyn JobQueue>, tenant: TenantName) -> Self {
        Self { queue, tenant }
    }
}

impl Jobs for TenantJobs {
    fn submit(&self, job: &NewJob) -> Result<Submitted, JobsError> {
        let submitted = self.queue.submit(&[(self.tenant.clone(), job.clone())])?;
        let none = || StateError::failed("a job", "it was neither submitted nor refused").into();
        submitted.into_iter().next().unwrap_or_else(|| Err(none()))
    }

    fn show(&self, id: &JobId) -> Result<Job, JobsError> {
        self.queue.show(&self.tenant, id)
    }

    fn list(&self, filter: &JobFilter) -> Result<Vec<JobInfo>, JobsError> {
        self.queue.list(&self.tenant, filter)
    }

    fn cancel(&self, id: &JobId) -> Result<JobInfo, JobsError> {
        self.queue.cancel(&self.tenant, id)
    }

    fn retry(&self, id: &JobId) -> Result<JobInfo, JobsError> {
        self.queue.retry(&self.tenant, id, JobId::new())
    }
}

impl Schedules for TenantJobs {
    fn set(&self, schedule: &NewSchedule) -> Result<ScheduleInfo, SchedulesError> {
        self.queue.set_schedule(&self.tenant, schedule)
    }

    fn show(&self, name: &ScheduleName) -> Result<Schedule, SchedulesError> {
        self.queue.schedule(&self.tenant, name)
    }

    fn list(&self) -> Result<Vec<ScheduleInfo>, SchedulesError> {
        self.queue.schedules(&self.tenant)
    }

    fn delete(&self, name: &ScheduleName) -> Result<(), SchedulesError> {
        self.queue.delete_schedule(&self.tenant, name)
    }
}
