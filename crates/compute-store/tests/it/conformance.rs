//! What every store must do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use compute::{Algorithm, Artifact, Error, Manager, Ref, RunOptions, Runner as _};
use compute_store::{GcOptions, MAX_BYTES, NewArtifact, Store, StoreError, StoreResolver, gc};
use futures_util::StreamExt as _;
use pollster::block_on;

use crate::{artifact, put};

type Open<'a> = &'a mut dyn FnMut() -> Arc<dyn Store>;

/// Runs the whole suite, each test on an empty store.
pub(crate) fn all(open: Open<'_>) {
    for test in [
        what_is_put_is_there,
        putting_twice_changes_nothing,
        conflicts_are_refused,
        wrong_bytes_are_refused,
        attachments_are_kept_and_added,
        absent_is_not_found,
        writers_of_one_artifact_all_succeed,
        deleted_is_gone,
        garbage_is_what_no_root_leads_to,
        what_it_keeps_is_counted,
        a_manager_resolves_from_it,
    ] {
        test(&open());
    }
}

fn what_is_put_is_there(store: &Arc<dyn Store>) {
    for alg in Algorithm::ALL {
        let new = NewArtifact::new(Artifact::new(alg, "wasm", b"some bytes".to_vec()));
        let reference = new.artifact.reference().clone();
        let manifest = put(store, &new);
        assert_eq!(manifest.reference, reference);
        assert_eq!((manifest.engine.as_str(), manifest.size), ("wasm", 10));
        assert_eq!(
            (manifest.alg.as_str(), manifest.digest.as_str()),
            (reference.alg(), reference.digest())
        );
        assert_eq!(block_on(store.head(&reference)).unwrap(), manifest);
        let stored = block_on(store.get(&reference)).unwrap();
        assert_eq!(stored.manifest, manifest);
        assert_eq!(&stored.artifact.wasm()[..], b"some bytes");
    }
    assert_eq!(listed(store).len(), 2);
}

fn listed(store: &Arc<dyn Store>) -> BTreeSet<Ref> {
    let manifests: Vec<_> = block_on(store.list().collect());
    manifests.into_iter().map(|manifest| manifest.unwrap().reference).collect()
}

fn putting_twice_changes_nothing(store: &Arc<dyn Store>) {
    let first = put(store, &artifact("same"));
    assert_eq!(put(store, &artifact("same")), first);
    assert_eq!(listed(store).len(), 1);
}

fn conflicts_are_refused(store: &Arc<dyn Store>) {
    put(store, &artifact("bytes"));
    let other = NewArtifact::new(Artifact::new(Algorithm::Sha256, "lua", b"bytes".to_vec()));
    let error = block_on(store.put(&other)).unwrap_err();
    assert!(
        error.to_string().ends_with("with the engine `wasm` and not with the engine `lua`"),
        "{error}"
    );
    let mut linked = artifact("bytes");
    linked.links.push(other.artifact.reference().clone());
    assert!(matches!(block_on(store.put(&linked)), Err(StoreError::Conflict { .. })));
}

fn wrong_bytes_are_refused(store: &Arc<dyn Store>) {
    let reference = Ref::of(Algorithm::Sha256, b"right");
    let wrong =
        NewArtifact::new(Artifact::unverified(reference.clone(), "wasm", b"wrong".to_vec()));
    assert!(matches!(
        block_on(store.put(&wrong)),
        Err(StoreError::Digest(Error::DigestMismatch { .. }))
    ));
    let md5 = Ref::parse("compute://md5/abc").unwrap();
    let unknown = NewArtifact::new(Artifact::unverified(md5, "wasm", b"x".to_vec()));
    assert!(matches!(
        block_on(store.put(&unknown)),
        Err(StoreError::Digest(Error::UnsupportedAlgorithm { .. }))
    ));
    let large = vec![0; usize::try_from(MAX_BYTES).unwrap() + 1];
    let large = NewArtifact::new(Artifact::new(Algorithm::Sha256, "wasm", large));
    assert!(matches!(block_on(store.put(&large)), Err(StoreError::TooLarge { .. })));
    assert!(listed(store).is_empty());
    assert!(matches!(block_on(store.head(&reference)), Err(StoreError::NotFound { .. })));
}

fn attachments_are_kept_and_added(store: &Arc<dyn Store>) {
    let mut new = artifact("op");
    new.attachments.insert("source-map".into(), Bytes::from_static(b"{}"));
    put(store, &new);
    let mut more = artifact("op");
    more.attachments.insert("source".into(), Bytes::from_static(b"export"));
    let manifest = put(store, &more);
    assert_eq!(manifest.attachments.keys().collect::<Vec<_>>(), ["source", "source-map"]);
    let map = block_on(store.attachment(&manifest.attachments["source-map"])).unwrap();
    assert_eq!(&map[..], b"{}");
    assert_eq!(block_on(store.head(&manifest.reference)).unwrap(), manifest);
    // Without attachments, they stay.
    assert_eq!(put(store, &artifact("op")), manifest);
}

fn absent_is_not_found(store: &Arc<dyn Store>) {
    for text in [
        "compute://sha256/00",
        "compute://md5/00",
        &format!("compute://sha256/{}", "a".repeat(5000)),
    ] {
        let reference = Ref::parse(text).unwrap();
        for error in [
            block_on(store.get(&reference)).map(|_| ()).unwrap_err(),
            block_on(store.head(&reference)).map(|_| ()).unwrap_err(),
            block_on(store.delete(&reference)).unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
        }
    }
    let attachment = Ref::of(Algorithm::Sha256, b"nothing");
    assert!(matches!(block_on(store.attachment(&attachment)), Err(StoreError::NotFound { .. })));
}

fn writers_of_one_artifact_all_succeed(store: &Arc<dyn Store>) {
    let manifests: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| put(store, &artifact("contended")))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let stored = block_on(store.get(&manifests[0].reference)).unwrap();
    assert!(manifests.iter().all(|manifest| manifest == &stored.manifest));
}

fn deleted_is_gone(store: &Arc<dyn Store>) {
    let reference = put(store, &artifact("short-lived")).reference;
    block_on(store.delete(&reference)).unwrap();
    assert!(matches!(block_on(store.get(&reference)), Err(StoreError::NotFound { .. })));
    assert!(listed(store).is_empty());
    // And may come back.
    put(store, &artifact("short-lived"));
    block_on(store.get(&reference)).unwrap();
}

fn garbage_is_what_no_root_leads_to(store: &Arc<dyn Store>) {
    let plugin = put(store, &artifact("plugin")).reference;
    let mut op = artifact("op");
    op.links.push(plugin.clone());
    op.attachments.insert("source-map".into(), Bytes::from_static(b"kept"));
    let op = put(store, &op).reference;
    let mut old = artifact("old");
    old.attachments.insert("source-map".into(), Bytes::from_static(b"garbage"));
    let old = put(store, &old);
    // Storages tell time in milliseconds or, S3, in seconds.
    std::thread::sleep(Duration::from_millis(1100));
    let options = |dry_run, min_age| GcOptions {
        roots: vec![op.clone()],
        min_age,
        dry_run,
        ..GcOptions::default()
    };

    let young = block_on(gc(&**store, &options(false, Duration::from_secs(3600)))).unwrap();
    assert_eq!((young.swept.artifacts.len(), young.swept.young), (0, 1));

    let dry = block_on(gc(&**store, &options(true, Duration::ZERO))).unwrap();
    assert_eq!(dry.swept.artifacts, std::slice::from_ref(&old.reference));
    assert_eq!(listed(store).len(), 3);

    let swept = block_on(gc(&**store, &options(false, Duration::ZERO))).unwrap();
    assert_eq!(swept, dry);
    assert_eq!((swept.kept, swept.swept.attachments.len()), (2, 1));
    assert_eq!(listed(store), BTreeSet::from([plugin, op.clone()]));
    let kept = block_on(store.head(&op)).unwrap();
    block_on(store.attachment(&kept.attachments["source-map"])).unwrap();
    assert!(block_on(store.attachment(&old.attachments["source-map"])).is_err());

    // A mistyped root deletes nothing.
    let all = GcOptions { min_age: Duration::ZERO, ..GcOptions::default() };
    let wrong = GcOptions { roots: vec![old.reference.clone()], ..all.clone() };
    assert!(matches!(block_on(gc(&**store, &wrong)), Err(StoreError::NotFound { .. })));
    // What is needed may be missing; not all of it, as in another store.
    let needed = GcOptions { needed: vec![op.clone(), old.reference.clone()], ..all.clone() };
    let report = block_on(gc(&**store, &needed)).unwrap();
    assert_eq!((report.missing, report.swept.artifacts), (vec![old.reference.clone()], vec![]));
    let other = GcOptions { needed: vec![old.reference], ..all };
    assert!(matches!(block_on(gc(&**store, &other)), Err(StoreError::NotFound { .. })));
    assert_eq!(listed(store).len(), 2);
}

fn what_it_keeps_is_counted(store: &Arc<dyn Store>) {
    let before = block_on(store.usage()).unwrap();
    let mut new = artifact("counted");
    new.attachments.insert("notes".into(), Bytes::from(vec![1; 5000]));
    let size = new.artifact.wasm().len() as u64;
    put(store, &new);
    let after = block_on(store.usage()).unwrap();
    assert_eq!(after.artifacts, before.artifacts + 1);
    // The manifest takes some, too.
    assert!(after.bytes > before.bytes + size + 5000, "{before:?} {after:?}");
    put(store, &new);
    assert_eq!(block_on(store.usage()).unwrap(), after);
    for digest in ["a".repeat(300), "a".repeat(64)] {
        let nowhere = Ref::parse(&format!("compute://sha256/{digest}")).unwrap();
        let missing = block_on(store.attachment(&nowhere)).unwrap_err();
        assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
    }
}

fn a_manager_resolves_from_it(store: &Arc<dyn Store>) {
    let new = NewArtifact::new(Artifact::new(Algorithm::Sha256, "identity", b"x".to_vec()));
    let reference = put(store, &new).reference;
    let manager = Manager::builder()
        .resolver(StoreResolver::new(Arc::clone(store)))
        .limits(compute::Limits { wall: Some(Duration::from_secs(30)), ..Default::default() })
        .build();
    let outcome = manager.run_blocking(&reference, b"[1]", &RunOptions::default()).unwrap();
    assert_eq!(outcome.result.unwrap(), b"[1]");
    let absent = Ref::of(Algorithm::Sha256, b"absent");
    let error = manager.run_blocking(&absent, b"", &RunOptions::default()).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }));
}
