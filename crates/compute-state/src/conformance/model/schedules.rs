//! Schedules in memory.

use jiff::Timestamp;

use super::{Kept, ModelQueue, time};
use crate::{
    Deed, DueSchedule, Fired, Firing, NewSchedule, Schedule, ScheduleInfo, ScheduleName,
    ScheduleQueue, SchedulesError, StateError, TenantName,
};

impl Kept {
    /// Those whose time has come.
    pub(super) fn due(&self, now: Timestamp) -> Vec<DueSchedule> {
        let due = self.schedules.iter().filter(|(_, one)| one.info.next <= now);
        let due = due.map(|((tenant, name), Schedule { info, .. })| DueSchedule {
            tenant: tenant.clone(),
            name: name.clone(),
            cron: info.cron.clone(),
            time_zone: info.time_zone.clone(),
            catch_up: info.catch_up,
            next: info.next,
        });
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|one| one.next);
        due.truncate(DueSchedule::TOGETHER);
        due
    }
}

impl ScheduleQueue for ModelQueue {
    fn set_schedule(
        &self,
        tenant: &TenantName,
        schedule: &NewSchedule,
    ) -> Result<ScheduleInfo, SchedulesError> {
        let (mut kept, now) = self.lock();
        let key = (tenant.clone(), schedule.name.clone());
        let there = kept.schedules.get(&key).map(|one| one.info.clone());
        if there.is_none() {
            let own = kept.schedules.keys().filter(|(of, _)| of == tenant).count();
            self.quotas.hold_schedules(own as u64 + 1)?;
        }
        let new = schedule.set(there.as_ref(), time(now));
        kept.schedules.insert(key, new.clone());
        (self.log)(tenant, &Deed::schedule_set(schedule));
        Ok(new.info)
    }

    fn schedule(
        &self,
        tenant: &TenantName,
        name: &ScheduleName,
    ) -> Result<Schedule, SchedulesError> {
        let found = self.lock().0.schedules.get(&(tenant.clone(), name.clone())).cloned();
        found.ok_or_else(|| SchedulesError::NotFound(name.clone()))
    }

    fn schedules(&self, tenant: &TenantName) -> Result<Vec<ScheduleInfo>, SchedulesError> {
        let (kept, _) = self.lock();
        let own = kept.schedules.iter().filter(|((of, _), _)| of == tenant);
        Ok(own.map(|(_, one)| one.info.clone()).collect())
    }

    fn delete_schedule(
        &self,
        tenant: &TenantName,
        name: &ScheduleName,
    ) -> Result<(), SchedulesError> {
        let gone = self.lock().0.schedules.remove(&(tenant.clone(), name.clone()));
        gone.ok_or_else(|| SchedulesError::NotFound(name.clone()))?;
        (self.log)(tenant, &Deed::schedule_delete(name));
        Ok(())
    }

    fn fire(&self, firings: &[Firing]) -> Result<Vec<Fired>, StateError> {
        let (mut kept, now) = self.lock();
        let mut all = Vec::new();
        for firing in firings {
            let key = (firing.due.tenant.clone(), firing.due.name.clone());
            let found = kept.schedules.get(&key).filter(|one| one.info.is_as(&firing.due));
            let Some(schedule) = found.cloned() else {
                all.push(Fired::Not);
                continue;
            };
            let job = firing.job.as_ref().map(|begun| schedule.job(begun));
            let submitted = job.map(|job| self.submit_one(&mut kept, now, &key.0, &job));
            all.push(match submitted {
                Some(Ok(_)) => Fired::Submitted,
                _ => Fired::Advanced,
            });
            let refused = submitted.and_then(Result::err).map(|error| error.to_string());
            kept.schedules.insert(key, schedule.fired(firing, refused));
        }
        Ok(all)
    }

    fn kept_schedules(
        &self,
        after: Option<&(TenantName, ScheduleName)>,
    ) -> Result<Vec<(TenantName, Schedule)>, StateError> {
        let (kept, _) = self.lock();
        let following = kept.schedules.iter().filter(|(key, _)| Some(*key) > after);
        let page = following.map(|((tenant, _), one)| (tenant.clone(), one.clone()));
        Ok(page.take(Schedule::PAGE).collect())
    }

    fn restore_schedules(&self, schedules: &[(TenantName, Schedule)]) -> Result<(), StateError> {
        let (mut kept, _) = self.lock();
        for (tenant, one) in schedules {
            kept.schedules.insert((tenant.clone(), one.info.name.clone()), one.clone());
        }
        Ok(())
    }
}
