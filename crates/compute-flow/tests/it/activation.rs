//! What must hold before a version becomes active.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use compute::{Algorithm, Artifact, BoxFuture, Ref};
use compute_flow::{ActivationError, ProblemCode, activate, complete, roll_out, shadow, validate};
use compute_state::{
    Catalogue as _, Draft, File, Rollout, Shadow, SqliteCatalogue, StackName, Stacks as _,
    StacksError, StateQuotas,
};
use compute_store::{Manifest, NewArtifact, Store, StoreError, Stored, SweepReport, Usage};
use futures_util::stream::BoxStream;
use jiff::Timestamp;

fn stack(name: &str) -> StackName {
    name.parse().unwrap()
}

fn files(text: &str) -> Vec<File> {
    vec![File::new("100_A/a.txcl", text), File::new("200/b.txcl", "EMIT .b = 1")]
}

#[test]
fn validation_names_stack_scope_rule_and_ref() {
    let store = compute_store::open("memory:").unwrap();
    let artifact = Artifact::new(Algorithm::Sha256, "identity", b"here".to_vec());
    let here = artifact.reference().clone();
    pollster::block_on(store.put(&NewArtifact::new(artifact))).unwrap();
    let check = |text: &str| {
        let files = files(text);
        let deadline = Instant::now() + Duration::from_secs(60);
        pollster::block_on(validate(&stack("a/b"), &files, &*store, deadline)).unwrap()
    };
    assert!(check(&format!("EXEC \"{here}\"")).is_ok());

    let missing = check("EXEC \"compute://sha256/gone\"").unwrap_err();
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].code, ProblemCode::MissingComputeArtifact);
    assert_eq!(
        missing[0].to_string(),
        "missing_compute_artifact: stack a/b, scope 100, rule a: the store has no compute://sha256/gone"
    );
    let unresolved = check("EXEC \"op://price\"").unwrap_err();
    assert_eq!(unresolved[0].code, ProblemCode::UnresolvedOpRef);
    assert!(unresolved[0].to_string().contains("stack a/b, scope 100, rule a: line 1, column 6"));
    assert_eq!(check("EMIT .a =").unwrap_err()[0].code, ProblemCode::InvalidRule);
}

/// A store in memory. What is asked of it is a moment at which another process does something.
struct Meanwhile<'a>(Arc<dyn Store>, &'a (dyn Fn() + Send + Sync));

impl fmt::Debug for Meanwhile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Store for Meanwhile<'_> {
    fn put<'a>(&'a self, new: &'a NewArtifact) -> BoxFuture<'a, Result<Manifest, StoreError>> {
        self.0.put(new)
    }

    fn get<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Stored, StoreError>> {
        self.0.get(reference)
    }

    fn head<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Manifest, StoreError>> {
        (self.1)();
        self.0.head(reference)
    }

    fn attachment<'a>(&'a self, of: &'a Ref) -> BoxFuture<'a, Result<bytes::Bytes, StoreError>> {
        self.0.attachment(of)
    }

    fn list(&self) -> BoxStream<'_, Result<Manifest, StoreError>> {
        self.0.list()
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        self.0.usage()
    }

    fn delete<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.delete(reference)
    }

    fn delete_attachment<'a>(&'a self, of: &'a Ref) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.delete_attachment(of)
    }

    fn sweep<'a>(
        &'a self,
        keep: &'a HashSet<Ref>,
        before: Timestamp,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<SweepReport, StoreError>> {
        self.0.sweep(keep, before, dry_run)
    }
}

fn open(path: &Path) -> SqliteCatalogue {
    SqliteCatalogue::open(path, StateQuotas::default()).unwrap()
}

#[test]
fn what_is_changed_while_it_is_checked_gets_no_document() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.sqlite");
    let (here, there) = (open(&path), open(&path));
    let store = compute_store::open("memory:").unwrap();
    let artifact = Artifact::new(Algorithm::Sha256, "identity", b"here".to_vec());
    let exec = format!("EXEC \"{}\"", artifact.reference());
    pollster::block_on(store.put(&NewArtifact::new(artifact))).unwrap();
    let name = stack("a/b");
    let [one, two] =
        ["", "\n"].map(|end| here.draft(&name, &files(&format!("{exec}{end}"))).unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    let breaks = |draft: &Draft| there.edit(draft, "200/b.txcl", Some("EMIT .b =")).unwrap();
    let mends = |draft: &Draft| there.edit(draft, "200/b.txcl", Some("EMIT .b = 1")).unwrap();
    let changed = |result: Result<(), ActivationError>| {
        let told = matches!(result, Err(ActivationError::Stacks(StacksError::Changed { .. })));
        assert!(told, "{result:?}");
    };

    let breaking = || breaks(&one);
    let store = Meanwhile(store, &breaking);
    changed(activate(std::slice::from_ref(&one), &here, &store, deadline));
    assert_eq!(here.active(&name).unwrap(), None);
    mends(&one);
    let store = Meanwhile(store.0, &|| ());
    activate(&[one], &here, &store, deadline).unwrap();

    let (share, by) = ("10%".parse().unwrap(), ".id".parse().unwrap());
    let rollout = Rollout { stack: name.clone(), number: two.number, share, by };
    let second = Shadow { stack: name.clone(), number: two.number, share };
    let breaking = || breaks(&two);
    let store = Meanwhile(store.0, &breaking);
    changed(roll_out(&rollout, &here, &store, deadline));
    mends(&two);
    changed(shadow(&second, &here, &store, deadline));
    assert_eq!(here.running().unwrap().rollouts, []);
    assert_eq!(here.shadows().unwrap(), []);
    mends(&two);
    let store = Meanwhile(store.0, &|| ());
    shadow(&second, &here, &store, deadline).unwrap();
    roll_out(&rollout, &here, &store, deadline).unwrap();
    complete(&two, &here, &store, deadline).unwrap();
    assert_eq!(here.running().unwrap().active[0].number, 2);
}
