//! What only files can suffer: damage, dead writers, hands that move things.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use compute::Ref;
use compute_store::{GcOptions, Store, StoreError, gc};
use futures_util::StreamExt as _;
use pollster::block_on;

use crate::{artifact, put};

pub(crate) fn open(folder: &Path) -> Arc<dyn Store> {
    compute_store::open(&format!("file://{}", folder.display())).unwrap()
}

fn bytes_of(folder: &Path, reference: &Ref) -> PathBuf {
    folder.join(reference.store_key())
}

fn manifest_of(folder: &Path, reference: &Ref) -> PathBuf {
    folder.join(format!("{}.json", reference.store_key()))
}

#[test]
fn the_layout_is_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let reference = put(&open(folder.path()), &artifact("bytes")).reference;
    assert_eq!(fs::read(bytes_of(folder.path(), &reference)).unwrap(), b"bytes");
    let manifest = fs::read(manifest_of(folder.path(), &reference)).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["ref"], reference.as_str());
    assert_eq!(manifest["engine"], "wasm");
    assert_eq!(manifest["size"], 5);
}

#[test]
fn altered_bytes_are_never_given_and_a_put_repairs_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let reference = put(&store, &artifact("bytes")).reference;
    fs::write(bytes_of(folder.path(), &reference), "other").unwrap();
    assert!(matches!(block_on(store.get(&reference)), Err(StoreError::Digest(_))));
    put(&store, &artifact("bytes"));
    assert_eq!(&block_on(store.get(&reference)).unwrap().artifact.wasm()[..], b"bytes");
}

#[test]
fn missing_bytes_and_spoilt_manifests_are_damage_and_a_put_repairs_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let reference = put(&store, &artifact("bytes")).reference;
    let other = put(&store, &artifact("other")).reference;
    let foreign = fs::read(manifest_of(folder.path(), &other)).unwrap();
    let (bytes, manifest) =
        (bytes_of(folder.path(), &reference), manifest_of(folder.path(), &reference));
    let damages: [&dyn Fn(); 4] = [
        &|| fs::remove_file(&bytes).unwrap(),
        &|| fs::write(&manifest, "{\"ref\":").unwrap(),
        &|| fs::write(&manifest, "").unwrap(),
        &|| fs::write(&manifest, &foreign).unwrap(),
    ];
    for damage in damages {
        damage();
        let error = block_on(store.get(&reference)).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        put(&store, &artifact("bytes"));
        block_on(store.get(&reference)).unwrap();
    }
}

#[test]
fn a_writer_killed_at_any_step_leaves_nothing_half_visible() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let reference = artifact("bytes").artifact.reference().clone();
    let bytes = bytes_of(folder.path(), &reference);
    fs::create_dir_all(bytes.parent().unwrap()).unwrap();
    // Killed while it wrote: a staged file. Killed between its two objects: bytes and no manifest.
    fs::write(format!("{}#1", bytes.display()), "by").unwrap();
    assert!(matches!(block_on(store.get(&reference)), Err(StoreError::NotFound { .. })));
    fs::write(&bytes, "bytes").unwrap();
    assert!(matches!(block_on(store.get(&reference)), Err(StoreError::NotFound { .. })));
    assert_eq!(block_on(store.list().count()), 0);
    // Its successor succeeds all the same, and what it left is swept.
    put(&store, &artifact("bytes"));
    block_on(store.get(&reference)).unwrap();
    fs::write(bytes.with_file_name("00"), "no manifest").unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let options =
        GcOptions { roots: vec![reference], min_age: Duration::ZERO, ..GcOptions::default() };
    assert_eq!(block_on(gc(&*store, &options)).unwrap().swept.remains, 2);
    assert_eq!(fs::read_dir(bytes.parent().unwrap()).unwrap().count(), 2);
}

#[test]
fn one_damaged_artifact_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let damaged = put(&store, &artifact("damaged")).reference;
    put(&store, &artifact("whole"));
    fs::write(manifest_of(folder.path(), &damaged), "nonsense").unwrap();
    let listed: Vec<_> = block_on(store.list().collect());
    assert_eq!(listed.iter().filter(|manifest| manifest.is_ok()).count(), 1);
    assert_eq!(listed.len(), 2);
}
