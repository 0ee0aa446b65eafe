//! Every store does the same: one suite for memory, files and a real S3 server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod conformance;
mod files;
mod s3;

use std::sync::Arc;

use compute::{Algorithm, Artifact};
use compute_store::{NewArtifact, Store, StoreError};

#[test]
fn memory_conforms() {
    conformance::all(&mut || compute_store::open("memory:").unwrap());
}

#[test]
fn files_conform() {
    let mut folders = Vec::new();
    conformance::all(&mut || {
        folders.push(tempfile::tempdir().unwrap());
        files::open(folders.last().unwrap().path())
    });
}

#[test]
fn what_is_no_store_is_told_why() {
    for (url, why) in [
        ("nonsense", "relative URL without a base"),
        ("ftp://host/x", "its scheme `ftp` is unknown"),
        ("file://relative", "a file URL has three slashes"),
    ] {
        let error = compute_store::open(url).unwrap_err();
        assert!(
            matches!(error, StoreError::Url { .. }) && error.to_string().contains(why),
            "{error}"
        );
    }
}

fn artifact(bytes: &str) -> NewArtifact {
    NewArtifact::new(Artifact::new(Algorithm::Sha256, "wasm", bytes.as_bytes().to_vec()))
}

fn put(store: &Arc<dyn Store>, new: &NewArtifact) -> compute_store::Manifest {
    pollster::block_on(store.put(new)).unwrap()
}
