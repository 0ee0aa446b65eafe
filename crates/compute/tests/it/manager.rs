//! The manager: what it does with options, and what it says when it cannot run a ref.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use compute::{
    Algorithm, Artifact, ArtifactMap, BoxFuture, Error, ErrorKind, Limits, Manager, Metrics,
    NoRunner, Ref, Resolver, RunOptions, Runner, Seed, Status, engine_names, open_engine,
};

fn artifact(engine: &str) -> Artifact {
    Artifact::new(Algorithm::Sha256, engine, b"anything".to_vec())
}

fn run(manager: &Manager, input: &[u8], options: &RunOptions) -> Result<Vec<u8>, Error> {
    let outcome = manager.run_blocking(artifact("").reference(), input, options)?;
    Ok(outcome.result.expect("it succeeds"))
}

#[test]
fn an_engine_of_another_crate_is_found_by_its_name() {
    assert_eq!(engine_names(), ["identity", "reverse"]);
    let manager = Manager::builder().resolver(ArtifactMap::from([artifact("reverse")])).build();
    assert_eq!(run(&manager, b"12", &RunOptions::default()).unwrap(), b"21");
}

#[test]
fn an_unknown_engine_is_an_error_that_lists_the_known() {
    let manager = Manager::builder().resolver(ArtifactMap::from([artifact("lua")])).build();
    let error = run(&manager, b"", &RunOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no engine `lua`; the engines here are: identity, reverse"
    );
    assert!(open_engine("lua", &compute::EngineConfig::default()).is_err());
}

#[test]
fn the_identity_engine_echoes() {
    let manager = Manager::builder().resolver(ArtifactMap::from([artifact("identity")])).build();
    assert_eq!(run(&manager, b"[1]", &RunOptions::default()).unwrap(), b"[1]");
    assert_eq!(run(&manager, b"", &RunOptions::default()).unwrap(), b"{}");
}

#[test]
fn runners_are_held_behind_one_type() {
    let manager = Manager::builder().resolver(ArtifactMap::from([artifact("identity")])).build();
    let runners: [Box<dyn Runner>; 2] = [Box::new(manager), Box::new(NoRunner)];
    let reference = artifact("identity").reference().clone();
    let ran = runners.map(|runner| {
        let options = RunOptions::default();
        pollster::block_on(runner.run(&reference, b"[1]".as_slice().into(), options)).is_ok()
    });
    assert_eq!(ran, [true, false]);
}

#[test]
fn what_is_missing_is_told_apart() {
    let reference = artifact("identity").reference().clone();
    let nothing = Manager::builder().build().run_blocking(&reference, b"", &RunOptions::default());
    assert!(matches!(nothing, Err(Error::NoResolver { .. })));
    let absent = Manager::builder().resolver(ArtifactMap::default()).build();
    let absent = absent.run_blocking(&reference, b"", &RunOptions::default()).unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    let none = NoRunner.run_blocking(&reference, b"", &RunOptions::default()).unwrap_err();
    assert_eq!(none.to_string(), format!("cannot run {reference}: no runner is set"));
}

#[derive(Debug)]
struct Broken;

impl Resolver for Broken {
    fn resolve<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Artifact, Error>> {
        Box::pin(async { Err(Error::unresolved(reference.clone(), "the disk is on fire")) })
    }
}

#[derive(Debug)]
struct Silent;

impl Resolver for Silent {
    fn resolve<'a>(&'a self, _reference: &'a Ref) -> BoxFuture<'a, Result<Artifact, Error>> {
        Box::pin(std::future::pending())
    }
}

#[derive(Debug)]
struct Panicking;

impl Resolver for Panicking {
    fn resolve<'a>(&'a self, _reference: &'a Ref) -> BoxFuture<'a, Result<Artifact, Error>> {
        panic!("a resolver with a bug")
    }
}

#[test]
fn a_broken_resolver_keeps_its_cause() {
    let manager = Manager::builder().resolver(Broken).build();
    let error = run(&manager, b"", &RunOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the disk is on fire");
}

#[test]
fn a_resolver_that_panics_does_not_leave_its_callers_waiting() {
    let manager = Manager::builder().resolver(Panicking).build();
    // A panic that prints where it came from takes its time.
    let limits = Limits { wall: Some(Duration::from_secs(60)), ..Limits::default() };
    let error = run(&manager, b"", &RunOptions::with_limits(limits)).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("panicked"));
}

#[test]
fn the_deadline_covers_the_fetch_and_no_metrics_are_sent_for_it() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let manager = Manager::builder()
        .resolver(Silent)
        .metrics(move |_: &Ref, metrics: &Metrics| sink.lock().unwrap().push(metrics.status))
        .build();
    let limits = Limits { wall: Some(Duration::from_millis(30)), ..Limits::default() };
    let outcome = manager
        .run_blocking(artifact("").reference(), b"", &RunOptions::with_limits(limits))
        .unwrap();
    assert_eq!(
        outcome.result.unwrap_err().to_string(),
        "the wall limit of 30ms was reached while the artifact was fetched"
    );
    assert_eq!(outcome.metrics.status, Status::WallLimit);
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn each_option_given_replaces_the_default_and_zero_means_the_default() {
    let manager = Manager::builder()
        .resolver(ArtifactMap::from([artifact("identity")]))
        .limits(Limits { memory: Some(1 << 20), output: Some(10), ..Limits::default() })
        .build();
    let seed = Seed::new([3; 32]);
    let limits = Limits { seed: Some(seed), memory: Some(0), ..Limits::default() };
    let outcome = manager
        .run_blocking(artifact("").reference(), b"[1]", &RunOptions::with_limits(limits))
        .unwrap();
    assert_eq!(outcome.bounds.seed, seed);
    assert_eq!(outcome.bounds.memory, 1 << 20);
    assert_eq!(outcome.bounds.wall, Duration::from_millis(250));
    assert_eq!(outcome.bounds.fuel, None);
    assert_eq!(outcome.bounds.output, 10);
    let long =
        manager.run_blocking(artifact("").reference(), b"[1,2,3,4,5]", &RunOptions::default());
    assert_eq!(long.unwrap().status(), Status::OutputLimit);
}

#[test]
fn metrics_are_sent_once_for_each_run() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let manager = Manager::builder()
        .resolver(ArtifactMap::from([artifact("identity")]))
        .metrics(move |reference: &Ref, metrics: &Metrics| {
            sink.lock().unwrap().push((reference.clone(), metrics.status));
        })
        .build();
    run(&manager, b"", &RunOptions::default()).unwrap();
    let small = RunOptions::with_limits(Limits { output: Some(1), ..Limits::default() });
    manager.run_blocking(artifact("").reference(), b"[1]", &small).unwrap();
    let reference = artifact("").reference().clone();
    assert_eq!(
        *seen.lock().unwrap(),
        [(reference.clone(), Status::Ok), (reference, Status::OutputLimit)]
    );
}

#[test]
fn secrets_and_seeds_print_as_they_should() {
    let secrets: compute::Secrets = [("key".to_owned(), "s3cret".to_owned())].into_iter().collect();
    assert_eq!(format!("{secrets:?}"), "[\"key\"]");
    let seed = Seed::new([0xab; 32]);
    assert_eq!(seed.to_string().parse::<Seed>().unwrap(), seed);
    assert_eq!(
        "ab".parse::<Seed>().unwrap_err().to_string(),
        "a seed is 64 hex digits; this has 2 characters"
    );
}
