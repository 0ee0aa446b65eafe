//! How much a tenant may send in a second: a bucket of tokens that fills at this node's rate. It knows no clock and no database: it is told
//! the time, and which part of the limit the node has, and is the same in the simulation.

#[cfg(test)]
mod simulation;

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Which part of a limit every node has without asking: one in so many.
pub(crate) const FLOOR: f64 = 16.0;
/// Which part of a bucket lines of batches, which wait, leave to those who do not.
const LEFT: f64 = 0.25;

/// A limit, as far as it is this node's.
#[derive(Debug)]
pub(crate) struct Rate {
    limit: f64,
    /// What is this node's without asking.
    floor: f64,
    /// How many tokens come in a second.
    rate: f64,
    /// Until when the node has more than what is free, if it has.
    until: Option<Instant>,
    tokens: f64,
    at: Instant,
    /// How many were asked for since when.
    asked: f64,
    since: Instant,
    /// Whether somebody tells the others how much is asked for.
    is_told: bool,
}

/// Whether there was a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// If there was none, how long until there is one.
    pub(crate) wait: Option<Duration>,
    /// Whether somebody must tell the others from now on.
    pub(crate) wants: bool,
}

/// Whoever asks for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// It goes away without one.
    Once,
    /// It waits for one.
    Waits,
}

impl Rate {
    /// Of so many a second, all of them this node's.
    pub(crate) fn whole(limit: NonZeroU32, now: Instant) -> Self {
        let limit = f64::from(limit.get());
        Self::new(limit, limit, now)
    }

    /// Of so many a second, which this node shares with others.
    pub(crate) fn shared(limit: NonZeroU32, now: Instant) -> Self {
        let limit = f64::from(limit.get());
        Self::new(limit, limit / FLOOR, now)
    }

    fn new(limit: f64, floor: f64, now: Instant) -> Self {
        let (at, since, tokens) = (now, now, room(limit));
        let (rate, until, asked, is_told) = (floor, None, 0.0, false);
        Self { limit, floor, rate, until, tokens, at, asked, since, is_told }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Instant, asks: Asks) -> Taken {
        self.fill(now);
        let wants = self.ask(now);
        let room = room(self.limit);
        let left = match asks {
            Asks::Once => 0.0,
            Asks::Waits => (room * LEFT).min(room - 1.0),
        };
        let missing = 1.0 + left - self.tokens;
        if missing <= 0.0 {
            self.tokens -= 1.0;
            return Taken { wait: None, wants };
        }
        let wait = Duration::try_from_secs_f64(missing / self.rate).unwrap_or(Duration::MAX);
        Taken { wait: Some(wait), wants }
    }

    /// Counts that one was asked for. Whether that is so much that the others must know, and nobody tells them.
    fn ask(&mut self, now: Instant) -> bool {
        if self.floor >= self.limit || self.is_told {
            self.asked += 1.0;
            return false;
        }
        if now.saturating_duration_since(self.since) > SECOND {
            (self.asked, self.since) = (0.0, now);
        }
        self.asked += 1.0;
        self.is_told = self.asked > self.floor / 2.0;
        self.is_told
    }

    /// How many a second were asked for since this was last called, to be told to the others: no more than there may be of all, so that
    /// who sends far too much to one node leaves something to the others; and nothing, if what is free is plenty.
    pub(crate) fn demand(&mut self, now: Instant) -> f64 {
        let time = now.saturating_duration_since(self.since).max(SECOND).as_secs_f64();
        let demand = self.asked / time;
        (self.asked, self.since) = (0.0, now);
        if demand > self.floor / 2.0 { demand.min(self.limit) } else { 0.0 }
    }

    /// From now on the node has this part of the limit, until then.
    pub(crate) fn leased(&mut self, now: Instant, part: f64, until: Instant) {
        self.fill(now);
        self.until = (part > 0.0).then_some(until);
        self.flow_at((self.limit * part).max(self.floor));
    }

    /// Nobody tells the others any more.
    pub(crate) const fn untold(&mut self) {
        self.is_told = false;
    }

    /// Lets come what has come by now. Of a part whose lease has ended, half goes on: while nobody can ask, nobody gets more of it.
    fn fill(&mut self, now: Instant) {
        if let Some(until) = self.until.filter(|until| *until <= now) {
            self.flow(until);
            self.until = None;
            self.flow_at((self.rate / 2.0).max(self.floor));
        }
        self.flow(now);
    }

    fn flow(&mut self, now: Instant) {
        let time = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + time * self.rate).min(room(self.limit));
        self.at = self.at.max(now);
    }

    /// What is in the bucket stays as it is: a larger part begins with nothing more.
    const fn flow_at(&mut self, rate: f64) {
        self.rate = rate;
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// How many tokens a bucket has room for: those of a second of the whole limit, and one at the least. So what comes at one moment and not
/// too often is taken wherever it comes.
const fn room(limit: f64) -> f64 {
    limit.max(1.0)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::{Duration, Instant};

    use super::{Asks, Rate, Taken};

    const fn of(limit: u32) -> NonZeroU32 {
        NonZeroU32::new(limit).unwrap()
    }

    fn taken(rate: &mut Rate, now: Instant, asks: Asks) -> usize {
        (0..10_000).take_while(|_| rate.take(now, asks).wait.is_none()).count()
    }

    fn ask(rate: &mut Rate, often: usize, now: Instant) {
        for _ in 0..often {
            rate.take(now, Asks::Once);
        }
    }

    #[test]
    fn a_bucket_has_a_second_and_fills_again() {
        let begun = Instant::now();
        let after = |millis| begun + Duration::from_millis(millis);
        let mut rate = Rate::whole(of(100), begun);
        assert_eq!(taken(&mut rate, begun, Asks::Once), 100);
        let none = Taken { wait: Some(Duration::from_millis(10)), wants: false };
        assert_eq!(rate.take(begun, Asks::Once), none);
        assert_eq!(taken(&mut rate, after(505), Asks::Once), 50);
        assert_eq!(taken(&mut rate, after(60_000), Asks::Once), 100);
        // A clock that seems to go back gives nothing.
        assert_eq!(taken(&mut rate, after(50_000), Asks::Once), 0);
        // Who waits leaves a quarter to the others.
        assert_eq!(taken(&mut rate, after(90_000), Asks::Waits), 75);
        let wait = rate.take(after(90_000), Asks::Waits).wait.unwrap();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(11), "{wait:?}");
        assert_eq!(taken(&mut rate, after(90_000), Asks::Once), 25);
        // Of few, each is had in the end.
        let mut rate = Rate::whole(of(1), begun);
        for second in 0..5 {
            assert_eq!(taken(&mut rate, after(second * 1000), Asks::Waits), 1);
        }
    }

    #[test]
    fn a_part_is_leased_and_half_of_it_goes_on_without() {
        let begun = Instant::now();
        let after = |millis| begun + Duration::from_millis(millis);
        let mut rate = Rate::shared(of(160), begun);
        let wants: Vec<_> = (0..12).map(|_| rate.take(begun, Asks::Once)).collect();
        // Six are more than half of the ten that are free; that is said once.
        let told = wants.iter().position(|taken| taken.wants);
        assert_eq!((told, wants.iter().filter(|taken| taken.wants).count()), (Some(5), 1));
        assert!(wants.iter().all(|taken| taken.wait.is_none()), "a second of all is there");
        assert!((rate.demand(begun) - 12.0).abs() < 1e-9);
        rate.leased(begun, 0.5, after(3000));
        assert_eq!(taken(&mut rate, begun, Asks::Once), 148);
        assert_eq!(taken(&mut rate, after(500), Asks::Once), 40);
        assert_eq!(taken(&mut rate, after(2900), Asks::Once), 160);
        // What came until it ended comes, and then half as much a second.
        assert_eq!(taken(&mut rate, after(3100), Asks::Once), 12);
        assert_eq!(taken(&mut rate, after(60_000), Asks::Once), 160);
        rate.leased(after(60_000), 0.0, after(63_000));
        assert_eq!(taken(&mut rate, after(70_000), Asks::Once), 100);
        // Whoever sends far too much wants no more than all, and whoever sends little wants nothing.
        ask(&mut rate, 1000, after(70_500));
        rate.demand(after(70_500));
        ask(&mut rate, 1000, after(71_000));
        assert!((rate.demand(after(71_500)) - 160.0).abs() < 1e-9);
        ask(&mut rate, 5, after(72_000));
        assert!(rate.demand(after(72_500)) <= 0.0);
        rate.untold();
        let wants = (0..20).map(|second| rate.take(after(80_000 + second * 300), Asks::Once).wants);
        assert!(!wants.collect::<Vec<_>>().contains(&true), "three a second");
    }
}
