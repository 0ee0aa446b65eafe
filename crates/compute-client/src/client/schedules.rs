//! Schedules: jobs that are submitted when their time comes, again and again.

use compute_api::{ScheduleAnswer, ScheduleHead, ScheduleList, ScheduleName, ScheduleRequest};

use super::ApiClient;
use crate::mode::Mode;
use crate::request::Request;

impl<M: Mode> ApiClient<M> {
    /// The schedules, by name.
    pub fn schedules(&self) -> M::Answer<'_, Vec<ScheduleHead>> {
        self.call(Request::get(["v1", "schedules"]).json_as(|ScheduleList { schedules }| schedules))
    }

    /// A schedule, with the input of its jobs.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is none.
    pub fn schedule(&self, name: &ScheduleName) -> M::Answer<'_, ScheduleAnswer> {
        self.call(Request::get(["v1", "schedules", name.as_str()]).json())
    }

    /// Sets a schedule, in the place of the one of this name.
    ///
    /// Fails with [`ErrorKind::Quota`](crate::ErrorKind::Quota) if there are too many.
    pub fn set_schedule(
        &self,
        name: &ScheduleName,
        schedule: &ScheduleRequest,
    ) -> M::Answer<'_, ScheduleHead> {
        self.call(Request::put(["v1", "schedules", name.as_str()]).json_body(schedule).json())
    }

    /// Deletes a schedule. Jobs that it submitted go on.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is none.
    pub fn delete_schedule(&self, name: &ScheduleName) -> M::Answer<'_, ()> {
        self.call(Request::delete(["v1", "schedules", name.as_str()]).done())
    }
}
