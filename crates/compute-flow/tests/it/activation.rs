//! What must hold before a version becomes active.

use std::time::{Duration, Instant};

use compute::{Algorithm, Artifact};
use compute_flow::{ProblemCode, validate};
use compute_state::{File, StackName};
use compute_store::NewArtifact;

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
