//! Records at their boundary: kept and read back, run again, compared.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod determinism;
mod kept;
mod replay;
mod written;

use std::sync::{Arc, Mutex};

use compute::{
    Algorithm, Artifact, ArtifactMap, Env, Manager, Meta, OpCall, Record, RecordKeep, RecordKey,
    Recorder, Ref, RunOptions, Runner as _, Secrets,
};

/// A manager with one artifact of the engine that gives back its input.
fn manager() -> (Manager, Ref) {
    let artifact = Artifact::new(Algorithm::Sha256, "identity", b"anything".to_vec());
    let reference = artifact.reference().clone();
    (Manager::builder().resolver(ArtifactMap::from([artifact])).build(), reference)
}

fn key() -> RecordKey {
    RecordKey::new([7; 32])
}

/// The record of one run.
fn recorded(input: &[u8], options: &RunOptions, keep: RecordKeep) -> Record {
    let (manager, reference) = manager();
    let records = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&records);
    let take = move |record: Record| sink.lock().unwrap().push(record.sealed());
    let recorder = Recorder::new(Arc::new(manager), Arc::new(take), key()).keep(keep);
    recorder.run_blocking(&reference, input, options).unwrap();
    records.lock().unwrap().pop().unwrap()
}

/// Options of a call to an op with a secret.
fn with_secret(value: &str) -> RunOptions {
    let secrets: Secrets = [("KEY".to_owned(), value.to_owned())].into_iter().collect();
    let env: Env = [("region".to_owned(), "eu".into())].into_iter().collect();
    let meta = Meta { rid: "r-1".into(), op: "s/1/a".into(), ..Meta::default() };
    let op = OpCall { meta, env, secrets, always: true };
    RunOptions { op: Some(op), ..RunOptions::default() }
}
