//! What tenants used, in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use compute_state::{DayUsage, StateError, TenantName, Usage, UsageLog, UsedToday};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, tz::Offset};

use super::lock;

#[derive(Debug, Default)]
pub(super) struct MemoryUsage(Mutex<BTreeMap<(TenantName, Date), [u64; Usage::FIELDS]>>);

impl UsageLog for MemoryUsage {
    fn add(&self, used: &[(TenantName, Usage)]) -> Result<Vec<UsedToday>, StateError> {
        let now = Timestamp::now();
        let day = Offset::UTC.to_datetime(now).date();
        let end =
            Offset::UTC.to_timestamp(day.checked_add(1.day()).unwrap().at(0, 0, 0, 0)).unwrap();
        let left = Duration::try_from(end.duration_since(now)).unwrap();
        let mut kept = lock(&self.0);
        let added = used.iter().map(|(tenant, used)| {
            let sums = kept.entry((tenant.clone(), day)).or_default();
            sums.iter_mut().zip(used.numbers()).for_each(|(sum, number)| *sum += number);
            UsedToday { used: Usage::of(*sums), left }
        });
        Ok(added.collect())
    }

    fn days(
        &self,
        tenant: &TenantName,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<Vec<DayUsage>, StateError> {
        let (from, to) = (from.unwrap_or(Date::MIN), to.unwrap_or(Date::MAX));
        let kept = lock(&self.0);
        let own = kept.iter().filter(|((of, day), _)| of == tenant && (from..=to).contains(day));
        let own = own.map(|((_, day), sums)| DayUsage { day: *day, used: Usage::of(*sums) });
        Ok(own.filter(|day| !day.used.is_none()).collect())
    }
}
