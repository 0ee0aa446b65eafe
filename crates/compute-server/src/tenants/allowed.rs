//! What a tenant may use in a time: requests and documents a second, its guests' time a day.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use compute_state::{Rated, UsedToday};

use crate::Allowance;
use crate::work::Rate;

/// How old what is known of a day may be, before it is asked for again. The server tells what was used more often than that.
const LOOK: Duration = Duration::from_secs(12);

/// Ends of a day that are nearer to one another are of the same day: they are told to the second, and late.
const ANOTHER_DAY: Duration = Duration::from_hours(12);

/// What one tenant may still use here.
#[derive(Debug)]
pub(crate) struct Allowed {
    allowance: Allowance,
    requests: Option<Mutex<Rate>>,
    documents: Option<Mutex<Rate>>,
    day: Mutex<Day>,
    /// Held by the line of a batch that waits until it may be sent: the others wait behind it.
    pub(crate) waiting: tokio::sync::Mutex<()>,
}

/// A tenant has used what it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("this tenant may send {limit} {what} a second on all servers together")]
    Rate { what: &'static str, limit: u32 },
    #[error(
        "this tenant's computes may run for {limit:?} a day (UTC) on all servers together, and have"
    )]
    Time { limit: Duration, left: Duration },
}

impl Refused {
    /// What it is counted as.
    pub(crate) const fn why(&self) -> &'static str {
        match self {
            Self::Rate { .. } => "rate",
            Self::Time { .. } => "time",
        }
    }
}

/// What is known of what a tenant used today on all servers.
#[derive(Debug)]
struct Day {
    /// In microseconds, but for what this server did not tell yet.
    wall_us: u64,
    /// When the day is over by the clock of whoever keeps it; nothing is known of another.
    ends: Option<Instant>,
    /// Whether all was used: it stays so until the day is over.
    is_spent: bool,
    /// When it is asked for again.
    looks: Instant,
}

impl Allowed {
    /// What this allows, if it bounds anything. What is shared with other servers is so in parts.
    pub(crate) fn new(allowance: Allowance, is_shared: bool, now: Instant) -> Option<Box<Self>> {
        if allowance == Allowance::default() {
            return None;
        }
        let rate = |limit| match is_shared {
            true => Mutex::new(Rate::shared(limit, now)),
            false => Mutex::new(Rate::whole(limit, now)),
        };
        Some(Box::new(Self {
            allowance,
            requests: allowance.requests.map(rate),
            documents: allowance.documents.map(rate),
            day: Mutex::new(Day { wall_us: 0, ends: None, is_spent: false, looks: now }),
            waiting: tokio::sync::Mutex::default(),
        }))
    }

    /// The rate of these, if it is bounded.
    pub(crate) fn rate(&self, of: Rated) -> Option<MutexGuard<'_, Rate>> {
        let rate = match of {
            Rated::Requests => &self.requests,
            Rated::Documents => &self.documents,
        };
        rate.as_ref().map(|rate| rate.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is said where there are too many of these.
    pub(crate) fn refused(&self, of: Rated) -> Refused {
        let (what, limit) = match of {
            Rated::Requests => ("requests", self.allowance.requests),
            Rated::Documents => ("documents", self.allowance.documents),
        };
        Refused::Rate { what, limit: limit.map_or(0, std::num::NonZero::get) }
    }

    /// That there is time left today, where `own` tells how many microseconds were used here that nobody was told of; and whether somebody
    /// must ask what the others used.
    pub(crate) fn has_time(
        &self,
        now: Instant,
        own: impl FnOnce() -> u64,
    ) -> (Result<(), Refused>, bool) {
        let Some(limit) = self.allowance.time else { return (Ok(()), false) };
        let mut day = self.day();
        let looks = day.looks <= now;
        if looks {
            day.looks = now + LOOK;
        }
        let left = day.left(now);
        let is_over = |wall_us: u64| u128::from(wall_us) >= limit.as_micros();
        if let Some(left) = left {
            day.is_spent |= is_over(day.wall_us.saturating_add(own()));
            let spent = day.is_spent.then_some(Refused::Time { limit, left });
            return (spent.map_or(Ok(()), Err), looks);
        }
        // It is another day, or the first time: what was used elsewhere is not known yet, and what was not told is at most of today.
        let spent = is_over(own()).then_some(Refused::Time { limit, left: LOOK });
        (spent.map_or(Ok(()), Err), looks)
    }

    /// Whether it is known that there is no time left today.
    pub(crate) fn is_spent(&self, now: Instant) -> bool {
        let day = self.day();
        day.is_spent && day.left(now).is_some()
    }

    /// Knows what was used today, as it was told to whoever asked at that moment: the answer may be of the day after.
    pub(crate) fn used(&self, asked: Instant, today: &UsedToday) {
        let mut day = self.day();
        let ends = (!today.left.is_zero()).then(|| asked + today.left);
        let is_same = |(old, new): (Instant, Instant)| {
            new.max(old).duration_since(new.min(old)) < ANOTHER_DAY
        };
        day.is_spent &= day.ends.zip(ends).is_some_and(is_same);
        day.ends = ends;
        (day.wall_us, day.looks) = (today.used.wall_us, asked + LOOK);
        let limit = self.allowance.time.map_or(u128::MAX, |limit| limit.as_micros());
        day.is_spent |= day.ends.is_some() && u128::from(day.wall_us) >= limit;
    }

    fn day(&self) -> MutexGuard<'_, Day> {
        self.day.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Day {
    /// How long it goes on, if it does.
    fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.ends?.checked_duration_since(now)?;
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use compute_state::{Usage, UsedToday};

    use super::{Allowed, LOOK, Refused};
    use crate::Allowance;

    #[test]
    fn a_day_that_was_spent_says_nothing_of_the_next() {
        let begun = Instant::now();
        let limit = Duration::from_secs(60);
        let allowance = Allowance { time: Some(limit), ..Allowance::default() };
        let allowed = Allowed::new(allowance, true, begun).unwrap();
        let told = |at: u64, wall: u64, left: u64| {
            let used = Usage { wall_us: wall * 1_000_000, ..Usage::default() };
            let today = UsedToday { used, left: Duration::from_secs(left) };
            allowed.used(begun + Duration::from_millis(at), &today);
        };
        let is_spent = |at: u64| allowed.is_spent(begun + Duration::from_millis(at));
        // Told to the second, a day seems to go on into the next, for a moment.
        told(0, 60, 100);
        assert!(is_spent(99_900));
        told(99_950, 0, 86_400);
        assert!(!is_spent(99_950));
        // So it does where whoever asked did so before midnight, and was answered after it.
        told(1_000_000, 60, 10);
        assert!(is_spent(1_009_000));
        told(1_009_000, 1, 86_400);
        assert!(!is_spent(1_009_000));
        // Of the same day, the end may be told a second later, or sooner.
        told(2_000_000, 60, 1000);
        for left in [999, 1001, 990] {
            told(2_000_000, 59, left);
            assert!(is_spent(2_000_000), "{left}");
        }
    }

    #[test]
    fn a_day_is_spent_until_it_is_over() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        assert!(Allowed::new(Allowance::default(), true, begun).is_none());
        let limit = Duration::from_secs(60);
        let allowance = Allowance { time: Some(limit), ..Allowance::default() };
        let allowed = Allowed::new(allowance, true, begun).unwrap();
        let has = |at, own: u64| allowed.has_time(after(at), || own * 1_000_000);
        let told = |at, wall: u64, left| {
            let used = Usage { wall_us: wall * 1_000_000, ..Usage::default() };
            allowed.used(after(at), &UsedToday { used, left: Duration::from_secs(left) });
        };
        // The first is let through, and somebody looks meanwhile; not each.
        assert_eq!(has(0, 0), (Ok(()), true));
        assert_eq!(has(0, 0), (Ok(()), false));
        assert_eq!(has(LOOK.as_secs(), 0), (Ok(()), true));
        // What is known and what was used here since count together.
        told(20, 50, 1000);
        assert_eq!(has(21, 9), (Ok(()), false));
        let spent = |left| Err(Refused::Time { limit, left: Duration::from_secs(left) });
        assert_eq!(has(22, 10), (spent(998), false));
        // It stays so, also while what was used is on its way.
        assert_eq!(has(23, 0), (spent(997), false));
        assert!(allowed.is_spent(after(23)));
        told(30, 59, 990);
        assert_eq!(has(30, 0), (spent(990), false));
        // Another day is another: what is known is of the last.
        assert!(!allowed.is_spent(after(1020)));
        assert_eq!(has(1020, 1), (Ok(()), true));
        told(1021, 60, 86_400);
        assert!(allowed.is_spent(after(1021)));
        // What is told of a day that is over by now says nothing.
        told(90_000, 60, 0);
        assert_eq!(has(90_000, 0), (Ok(()), false));
        // Where nobody can tell, what is used here is bounded all the same.
        assert!(has(90_001, 60).0.is_err());
        assert!(has(90_002, 59).0.is_ok());
    }
}
