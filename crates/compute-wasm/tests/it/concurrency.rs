//! Many at once: one load for many callers, waiting for a place, cancelling, and an honest guest among
//! spinning ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use compute::{
    Algorithm, Artifact, ArtifactMap, BoxFuture, Cancel, EngineConfig, Error, Limits, Manager,
    Metrics, Ref, Resolver, RunOptions, Runner as _, Status,
};
use compute_wasm::Settings;

use crate::{failure, manager, output, preload};

const SPIN: &str = include_str!("../../../../guests/spin.wat");

fn limits(wall: Duration) -> RunOptions {
    RunOptions::with_limits(Limits { wall: Some(wall), ..Limits::default() })
}

/// A manager that knows the spinning guest and the echo, both loaded.
fn spin_and_echo(settings: Settings) -> (Manager, Ref, Ref) {
    let artifacts = [compute_guests::wasm(SPIN), compute_guests::echo(2)]
        .map(|wasm| Artifact::new(Algorithm::Sha256, "wasm", wasm));
    let [spin, echo] = [0, 1].map(|at: usize| artifacts[at].reference().clone());
    let manager = Manager::builder()
        .resolver(ArtifactMap::from(artifacts.clone()))
        .engine("wasm", EngineConfig::from(settings))
        .build();
    artifacts.iter().for_each(|artifact| preload(&manager, artifact, Limits::default()));
    (manager, spin, echo)
}

#[test]
fn eight_spinning_guests_do_not_stop_a_ninth() {
    let (manager, spin, echo) = spin_and_echo(Settings::default());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let outcome = manager.run_blocking(&spin, b"{}", &limits(Duration::from_secs(3)));
                assert_eq!(outcome.unwrap().status(), Status::WallLimit);
            });
        }
        std::thread::sleep(Duration::from_millis(100));
        for _ in 0..20 {
            let outcome = manager.run_blocking(&echo, b"[9]", &limits(Duration::from_secs(2)));
            assert_eq!(output(&outcome.unwrap()), "[9]");
        }
    });
}

#[test]
fn a_call_without_a_place_waits_and_its_deadline_counts() {
    let (manager, spin, echo) = spin_and_echo(Settings { sandboxes: 1, ..Settings::default() });
    std::thread::scope(|scope| {
        let spinning = scope.spawn(|| {
            let outcome = manager.run_blocking(&spin, b"{}", &limits(Duration::from_millis(600)));
            outcome.unwrap().status()
        });
        std::thread::sleep(Duration::from_millis(100));
        let outcome =
            manager.run_blocking(&echo, b"{}", &limits(Duration::from_millis(50))).unwrap();
        assert_eq!(
            failure(&outcome),
            "the wall limit of 50ms was reached in the queue [wall-limit]"
        );
        // One that can wait gets its turn.
        let outcome =
            manager.run_blocking(&echo, b"[1]", &limits(Duration::from_secs(30))).unwrap();
        assert_eq!(output(&outcome), "[1]");
        assert!(outcome.metrics.phases.queue > Duration::ZERO);
        assert_eq!(spinning.join().unwrap(), Status::WallLimit);
    });
}

#[test]
fn a_caller_can_cancel() {
    let (manager, spin, _) = spin_and_echo(Settings::default());
    let cancel = Cancel::new();
    let options = RunOptions { cancel: Some(cancel.child()), ..limits(Duration::from_secs(60)) };
    std::thread::scope(|scope| {
        let run = scope.spawn(|| manager.run_blocking(&spin, b"{}", &options).unwrap());
        std::thread::sleep(Duration::from_millis(50));
        cancel.cancel();
        let outcome = run.join().unwrap();
        assert_eq!(
            failure(&outcome),
            "the caller cancelled the run while the guest ran [cancelled]"
        );
        assert!(outcome.metrics.wall < Duration::from_secs(30));
    });
}

#[test]
fn dropping_the_future_cancels() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let artifact = Artifact::new(Algorithm::Sha256, "wasm", compute_guests::wasm(SPIN));
    let spin = artifact.reference().clone();
    let manager = Manager::builder()
        .resolver(ArtifactMap::from([artifact.clone()]))
        .metrics(move |_: &Ref, metrics: &Metrics| sender.send(metrics.status).unwrap())
        .build();
    preload(&manager, &artifact, Limits::default());
    let mut run = manager.run(&spin, bytes::Bytes::new(), limits(Duration::from_secs(60)));
    // Polled once, so that it has begun.
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(run.as_mut().poll(&mut context).is_pending());
    std::thread::sleep(Duration::from_millis(50));
    drop(run);
    assert_eq!(receiver.recv_timeout(Duration::from_secs(30)), Ok(Status::Cancelled));
}

#[test]
fn the_async_form_gives_the_same() {
    let (manager, reference) = manager(compute_guests::echo(2));
    let run = manager.run(&reference, bytes::Bytes::from_static(b"[1]"), RunOptions::default());
    assert_eq!(output(&pollster::block_on(run).unwrap()), "[1]");
}

/// Counts how often it is asked.
#[derive(Debug)]
struct Counting {
    artifact: Artifact,
    asked: Arc<AtomicU32>,
}

impl Resolver for Counting {
    fn resolve<'a>(&'a self, _reference: &'a Ref) -> BoxFuture<'a, Result<Artifact, Error>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(self.artifact.clone())))
    }
}

#[test]
fn many_callers_of_a_cold_artifact_cause_one_load() {
    let artifact = Artifact::new(Algorithm::Sha256, "wasm", compute_guests::transform_wasm("rust"));
    let reference = artifact.reference().clone();
    let asked = Arc::new(AtomicU32::new(0));
    let manager =
        Manager::builder().resolver(Counting { artifact, asked: Arc::clone(&asked) }).build();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let outcome =
                    manager.run_blocking(&reference, b"{}", &limits(Duration::from_secs(60)));
                output(&outcome.unwrap());
            });
        }
    });
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn a_slow_load_does_not_hold_up_others() {
    let slow = Artifact::new(Algorithm::Sha256, "wasm", compute_guests::transform_wasm("go"));
    let quick = Artifact::new(Algorithm::Sha256, "wasm", compute_guests::echo(2));
    let references = [slow.reference().clone(), quick.reference().clone()];
    let manager = Manager::builder().resolver(ArtifactMap::from([slow, quick])).loads(4).build();
    let run = |reference: &Ref| {
        let outcome = manager.run_blocking(reference, b"{}", &limits(Duration::from_secs(60)));
        output(&outcome.unwrap());
        Instant::now()
    };
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| run(&references[0]));
        std::thread::sleep(Duration::from_millis(20));
        let quick = run(&references[1]);
        assert!(quick < slow.join().unwrap(), "the quick one waited for the slow one");
    });
}

#[test]
fn what_is_loaded_is_bounded_in_bytes() {
    let artifacts = [2, 3, 4, 5]
        .map(|pages| Artifact::new(Algorithm::Sha256, "wasm", compute_guests::echo(pages)));
    let references = artifacts.clone().map(|artifact| artifact.reference().clone());
    let build = |bytes| {
        Manager::builder().resolver(ArtifactMap::from(artifacts.clone())).cache_bytes(bytes).build()
    };
    let run = |manager: &Manager, reference| {
        let outcome = manager.run_blocking(reference, b"[1]", &limits(Duration::from_secs(60)));
        assert_eq!(output(&outcome.unwrap()), "[1]");
    };
    let manager = build(1 << 30);
    run(&manager, &references[0]);
    let (_, one) = manager.loaded();
    let manager = build(one * 5 / 2);
    for reference in &references {
        run(&manager, reference);
    }
    assert_eq!(manager.loaded(), (2, one * 2));
    // Nothing fits, and everything still runs.
    let manager = build(1);
    run(&manager, &references[0]);
    assert_eq!(manager.loaded(), (0, 0));
}
