//! Places are bounded, turns are fair, and whoever is too many is sent away at once.

use std::sync::Arc;
use std::time::Duration;

use compute_server::{Admission, Settings};

use crate::{Home, echo, spin};

#[tokio::test]
async fn callers_take_turns_and_nobody_holds_all_places() {
    let admission = Admission::new(3, 2, 10);
    let first = admission.enter("a").await.unwrap();
    let second = admission.enter("a").await.unwrap();
    // A third of the same caller waits, another caller does not.
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let wait = |caller: &'static str, name: &'static str| {
        let (admission, order) = (admission.clone(), Arc::clone(&order));
        tokio::spawn(async move {
            let place = admission.enter(caller).await.unwrap();
            order.lock().unwrap().push(name);
            place
        })
    };
    let a3 = wait("a", "a3");
    tokio::task::yield_now().await;
    let third = admission.enter("b").await.unwrap();
    let (a4, b2) = (wait("a", "a4"), wait("b", "b2"));
    while admission.load().1 < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(admission.load(), (3, 3));
    drop(first);
    let a3 = a3.await.unwrap();
    drop(third);
    let b2 = b2.await.unwrap();
    drop((second, a3, b2));
    drop(a4.await.unwrap());
    assert_eq!(*order.lock().unwrap(), ["a3", "b2", "a4"]);
    assert_eq!(admission.load(), (0, 0));
}

#[tokio::test]
async fn a_full_queue_sends_away_and_those_who_left_hold_no_place() {
    let admission = Admission::new(1, 1, 2);
    let place = admission.enter("a").await.unwrap();
    let waiting: Vec<_> = ["a", "c"]
        .map(|caller| {
            let admission = admission.clone();
            tokio::spawn(async move { admission.enter(caller).await.map(drop) })
        })
        .into();
    while admission.load().1 < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(admission.enter("b").await.unwrap_err().queued, 2);
    for one in &waiting {
        one.abort();
    }
    for one in waiting {
        assert!(one.await.unwrap_err().is_cancelled());
    }
    // They are gone, so there is room in the queue, and the place comes to whoever waits now.
    let next = tokio::spawn({
        let admission = admission.clone();
        async move { admission.enter("b").await.map(drop) }
    });
    while admission.load().1 != 1 {
        tokio::task::yield_now().await;
    }
    drop(place);
    next.await.unwrap().unwrap();
    assert_eq!(admission.load(), (0, 0));
}

#[tokio::test]
async fn no_caller_fills_the_queue_and_thousands_may_leave_it_at_once() {
    let admission = Admission::new(1, 1, 100_000);
    let place = admission.enter("a").await.unwrap();
    let mut waiting: Vec<_> = (0..50_000).map(|_| Box::pin(admission.enter("a"))).collect();
    for one in &mut waiting {
        assert!(futures_util::poll!(one).is_pending());
    }
    // Half of the queue is one caller's; the other half is there for others.
    assert!(admission.enter("a").await.is_err());
    let mut other = Box::pin(admission.enter("b"));
    assert!(futures_util::poll!(&mut other).is_pending());
    drop(waiting);
    assert_eq!(admission.load(), (1, 1));
    drop(place);
    drop(other.await.unwrap());
    assert_eq!(admission.load(), (0, 0));
    assert!(admission.try_enter("a").is_some());
}

#[tokio::test]
async fn who_waits_at_its_own_share_keeps_free_places_from_nobody() {
    let admission = Admission::new(4, 2, 10);
    let held = [admission.enter("a").await.unwrap(), admission.enter("a").await.unwrap()];
    let mut third = Box::pin(admission.enter("a"));
    assert!(futures_util::poll!(&mut third).is_pending());
    assert!(admission.try_enter("a").is_none());
    let other = admission.try_enter("b").unwrap();
    let last = admission.try_enter("c").unwrap();
    let mut waits = Box::pin(admission.enter("b"));
    assert!(futures_util::poll!(&mut waits).is_pending());
    // A place that is given back is whose turn it is, and nobody else's for a moment.
    drop(last);
    assert!(admission.try_enter("c").is_none());
    drop(waits.await.unwrap());
    drop((held, other));
    drop(third.await.unwrap());
    assert_eq!(admission.load(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_answers_429_and_works_again() {
    let mut settings =
        Settings { max_concurrency: 1, max_tenant_concurrency: 1, max_queue: 1, ..crate::dev() };
    settings.limits.wall = Some(Duration::from_secs(2));
    let home = Arc::new(Home::new(settings));
    let spin = format!("/run/{}", home.put(&spin()).await);
    let echo = format!("/run/{}", home.put(&echo()).await);
    // One works until its deadline, one waits until its own, one is sent away.
    let spins: Vec<_> = (0..3)
        .map(|_| {
            let (home, spin) = (Arc::clone(&home), spin.clone());
            tokio::spawn(async move { home.send("POST", &spin, "{}").await })
        })
        .collect();
    let mut answers = Vec::new();
    for spin in spins {
        answers.push(spin.await.unwrap());
    }
    answers.sort_by_key(|answer| answer.status.as_u16());
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [429, 504, 504]);
    answers[0].is_problem(429, "busy");
    assert_eq!(answers[0].header("retry-after"), "1");
    assert_eq!(home.send("POST", &echo, "{}").await.status, 200);
}
