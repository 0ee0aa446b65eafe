//! What was asked and answered of activations, and whether it could have happened one after the other.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester};

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

/// What is wrong with it: which stacks' versions did not become active one after the other. What has no answer may have been done
/// at any time since it was begun, or not at all.
pub(crate) fn check(events: &[Event]) -> Vec<String> {
    let mut stacks: BTreeMap<usize, LinearizabilityTester<u64, Register<u32>>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for event in events {
        let stack = match event {
            Event::Begun(_, stack, _) | Event::Ended(_, stack, _) => *stack,
        };
        let tester = stacks.entry(stack).or_insert_with(|| LinearizabilityTester::new(Register(1)));
        let taken = match event.clone() {
            Event::Begun(who, _, what) => tester.on_invoke(who, what).map(drop),
            Event::Ended(who, _, answer) => tester.on_return(who, answer).map(drop),
        };
        if let Err(error) = taken {
            wrong.push(format!("the history of stack {stack} is none: {error}"));
        }
    }
    for (stack, tester) in stacks {
        if !tester.is_consistent() {
            let own = events.iter().filter(|event| {
                matches!(event, Event::Begun(_, of, _) | Event::Ended(_, of, _) if *of == stack)
            });
            let own: Vec<_> = own.map(|event| format!("{event:?}")).collect();
            wrong.push(format!(
                "the versions of stack {stack} did not become active one after the other:\n  {}",
                own.join("\n  ")
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use stateright::semantics::register::{RegisterOp, RegisterRet};

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
}
