//! A server's schedules.

use compute_api::{ScheduleHead, ScheduleRequest};
use compute_state::{
    JobWork, NewSchedule, Schedule, ScheduleInfo, ScheduleName, Schedules, SchedulesError,
    StateError,
};
use serde_json::value::RawValue;

use super::{absent, state};
use crate::blocking::Client;

fn read(head: ScheduleHead) -> Result<ScheduleInfo, SchedulesError> {
    let unread = || StateError::failed("the server", "it says not what a schedule's jobs do");
    Ok(head.info().ok_or_else(unread)?)
}

fn request(schedule: &NewSchedule) -> Result<ScheduleRequest, SchedulesError> {
    let (reference, stack) = match &schedule.work {
        JobWork::Run(reference) => (Some(reference.clone()), None),
        JobWork::Document(stage) => (None, Some(stage.clone())),
        JobWork::Tell(_) => (None, None),
    };
    // Nothing, or blanks, are no JSON.
    let text = String::from_utf8_lossy(schedule.input.trim_ascii()).into_owned();
    let input = (!text.is_empty()).then(|| RawValue::from_string(text)).transpose();
    let input = input.map_err(|error| StateError::failed("the input of a schedule", error))?;
    Ok(ScheduleRequest {
        cron: schedule.times.text().to_owned(),
        time_zone: Some(schedule.times.time_zone().to_owned()),
        reference,
        stack,
        input,
        priority: Some(schedule.priority),
        attempts: Some(schedule.attempts),
        fuel: schedule.fuel,
        catch_up: schedule.catch_up,
    })
}

impl Schedules for Client {
    fn set(&self, schedule: &NewSchedule) -> Result<ScheduleInfo, SchedulesError> {
        let set = self.set_schedule(&schedule.name, &request(schedule)?);
        read(set.map_err(state::<SchedulesError>)?)
    }

    fn show(&self, name: &ScheduleName) -> Result<Schedule, SchedulesError> {
        let none = || SchedulesError::NotFound(name.clone());
        let answer = self.schedule(name).map_err(|error| absent(error, none))?;
        let input = answer.input.map(|input| String::from(Box::<str>::from(input)));
        Ok(Schedule { info: read(answer.head)?, input: input.unwrap_or_default().into_bytes() })
    }

    fn list(&self) -> Result<Vec<ScheduleInfo>, SchedulesError> {
        let heads = self.schedules().map_err(state::<SchedulesError>)?;
        heads.into_iter().map(read).collect()
    }

    fn delete(&self, name: &ScheduleName) -> Result<(), SchedulesError> {
        let none = || SchedulesError::NotFound(name.clone());
        self.delete_schedule(name).map_err(|error| absent(error, none))
    }
}
