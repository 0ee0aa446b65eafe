//! What was asked and answered of activations, and whether it could have happened one after the other.
//!
//! Each stack's active version is a register. A search that tries all orders does not end where many activations had no answer: each may
//! have been done at any time since, or not at all. Of these only how many there are of each version matters, and one is only needed
//! where somebody saw what it wrote; so it is kept what the register may hold, and not in which order that came about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use stateright::semantics::register::{RegisterOp, RegisterRet};

/// Something that was begun or ended, in the order in which it was.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Who begins to do what to which stack.
    Begun(u64, usize, RegisterOp<u32>),
    /// Who has the answer.
    Ended(u64, usize, RegisterRet<u32>),
}

/// What happened, in order.
#[derive(Default)]
pub(crate) struct History {
    events: Mutex<Vec<Event>>,
}

impl History {
    pub(crate) fn push(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a stack may be, after some events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Possible {
    /// The version that is active.
    active: u32,
    /// Which of those that will be answered, and are not yet, have happened.
    done: BTreeSet<u64>,
    /// How many of those that have no answer have happened, by version.
    lost: BTreeMap<u32, usize>,
}

/// What will be answered and has begun: a version that becomes active, or that was seen.
#[derive(Clone, Copy, Debug)]
enum Pending {
    Makes(u32),
    Sees(u32),
}

/// A stack, from event to event.
#[derive(Debug)]
struct Stack {
    possible: BTreeSet<Possible>,
    pending: BTreeMap<u64, Pending>,
    /// How many have begun that have no answer, by version.
    lost: BTreeMap<u32, usize>,
}

impl Stack {
    fn new(active: u32) -> Self {
        let first = Possible { active, done: BTreeSet::new(), lost: BTreeMap::new() };
        Self { possible: [first].into(), pending: BTreeMap::new(), lost: BTreeMap::new() }
    }

    /// What one may be after one more has happened.
    fn next(&self, from: &Possible) -> Vec<Possible> {
        let mut next = Vec::new();
        for (who, what) in &self.pending {
            if from.done.contains(who) {
                continue;
            }
            let mut one = from.clone();
            one.done.insert(*who);
            match *what {
                Pending::Makes(version) => one.active = version,
                Pending::Sees(version) if version == from.active => {}
                // One that nobody answered came just before.
                Pending::Sees(version) => {
                    let used = one.lost.entry(version).or_default();
                    *used += 1;
                    if *used > self.lost.get(&version).copied().unwrap_or(0) {
                        continue;
                    }
                    one.active = version;
                }
            }
            next.push(one);
        }
        next
    }

    /// This one has its answer, so it has happened. Whether that can be.
    fn end(&mut self, who: u64) -> bool {
        let mut all = std::mem::take(&mut self.possible);
        let mut left: Vec<_> = all.iter().cloned().collect();
        while let Some(one) = left.pop() {
            for next in self.next(&one) {
                if all.insert(next.clone()) {
                    left.push(next);
                }
            }
        }
        let happened = all.into_iter().filter_map(|mut one| one.done.remove(&who).then_some(one));
        let happened: Vec<_> = happened.collect();
        self.pending.remove(&who);
        // Where two are alike, the one that used fewer of those without an answer can do all that the other can.
        let needs_less = |one: &Possible, other: &Possible| {
            one != other
                && (one.active, &one.done) == (other.active, &other.done)
                && one.lost.iter().all(|(of, used)| other.lost.get(of).is_some_and(|n| n >= used))
        };
        self.possible = happened
            .iter()
            .filter(|one| !happened.iter().any(|other| needs_less(other, one)))
            .cloned()
            .collect();
        !self.possible.is_empty()
    }
}

/// What is wrong with it: which stacks' versions did not become active one after the other. What has no answer may have been done
/// at any time since it was begun, or not at all.
pub(crate) fn check(events: &[Event]) -> Vec<String> {
    let mut by_stack: BTreeMap<usize, Vec<&Event>> = BTreeMap::new();
    for event in events {
        let (Event::Begun(_, stack, _) | Event::Ended(_, stack, _)) = event;
        by_stack.entry(*stack).or_default().push(event);
    }
    let wrong = by_stack.into_iter().filter_map(|(stack, own)| {
        let at = impossible(&own)?;
        let told: Vec<_> = own[at.saturating_sub(40)..=at].iter().map(|one| format!("{one:?}")).collect();
        Some(format!(
            "the versions of stack {stack} did not become active one after the other: the last of these cannot be\n  {}",
            told.join("\n  ")
        ))
    });
    wrong.collect()
}

/// The first answer of one stack that cannot be.
fn impossible(events: &[&Event]) -> Option<usize> {
    let mut stack = Stack::new(1);
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Begun(who, _, what) => {
                let answer = events[at + 1..].iter().find_map(|one| match one {
                    Event::Ended(of, _, answer) if of == who => Some(answer),
                    _ => None,
                });
                match (what, answer) {
                    (RegisterOp::Write(version), Some(_)) => {
                        stack.pending.insert(*who, Pending::Makes(*version));
                    }
                    (RegisterOp::Write(version), None) => {
                        *stack.lost.entry(*version).or_default() += 1;
                    }
                    (RegisterOp::Read, Some(RegisterRet::ReadOk(version))) => {
                        stack.pending.insert(*who, Pending::Sees(*version));
                    }
                    (RegisterOp::Read, _) => {}
                }
            }
            Event::Ended(who, _, _) if !stack.end(*who) => return Some(at),
            Event::Ended(..) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
    use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester};

    use super::{Event, check};

    #[test]
    fn what_could_not_have_happened_is_found() {
        let write = |who, version| Event::Begun(who, 1, RegisterOp::Write(version));
        let written = |who| Event::Ended(who, 1, RegisterRet::WriteOk);
        let look = |who| Event::Begun(who, 1, RegisterOp::Read);
        let seen = |who, version| Event::Ended(who, 1, RegisterRet::ReadOk(version));
        // What had no answer may have been done later.
        let lost = [write(0, 5), write(1, 2), written(1), look(2), seen(2, 5), look(3), seen(3, 5)];
        assert!(check(&lost).is_empty());
        // What was answered is not forgotten, and nothing comes back.
        let forgotten = [write(0, 2), written(0), look(1), seen(1, 1)];
        assert_eq!(check(&forgotten).len(), 1);
        let back = [write(0, 2), look(1), seen(1, 2), look(2), seen(2, 1), written(0)];
        assert_eq!(check(&back).len(), 1);
    }

    /// Short histories by chance are judged as by a search through all orders.
    #[test]
    fn it_says_what_a_search_says() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut fine, mut wrong) = (0, 0);
        for _ in 0..20_000 {
            let mut events = Vec::new();
            let (mut open, mut who) = (Vec::new(), 0);
            for _ in 0..random.usize(4..14) {
                if random.bool() && open.len() < 4 {
                    let what = match random.u32(0..2) {
                        0 => RegisterOp::Read,
                        _ => RegisterOp::Write(random.u32(1..4)),
                    };
                    events.push(Event::Begun(who, 1, what.clone()));
                    open.push((who, what));
                    who += 1;
                } else if !open.is_empty() {
                    let (who, what) = open.swap_remove(random.usize(0..open.len()));
                    let answer = match what {
                        RegisterOp::Read => RegisterRet::ReadOk(random.u32(1..4)),
                        RegisterOp::Write(_) => RegisterRet::WriteOk,
                    };
                    // Some have none.
                    if random.u32(0..4) > 0 {
                        events.push(Event::Ended(who, 1, answer));
                    }
                }
            }
            let mut tester = LinearizabilityTester::new(Register(1));
            for event in events.clone() {
                match event {
                    Event::Begun(who, _, what) => drop(tester.on_invoke(who, what).unwrap()),
                    Event::Ended(who, _, answer) => drop(tester.on_return(who, answer).unwrap()),
                }
            }
            let is_fine = tester.is_consistent();
            assert_eq!(check(&events).is_empty(), is_fine, "{events:?}");
            *if is_fine { &mut fine } else { &mut wrong } += 1;
        }
        assert!(fine > 1000 && wrong > 1000, "{fine} and {wrong}");
    }
}
