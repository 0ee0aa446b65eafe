//! Versions are kept, activated all or none, and survive whoever dies.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use compute_state::{
    Catalogue as _, Draft, File, SealedSecrets as _, SqliteCatalogue, StackName, Stacks as _,
    StacksError, StateQuotas, Vault, manifest_hash,
};
use jiff::{SignedDuration, Timestamp};

fn stack(name: &str) -> StackName {
    name.parse().unwrap()
}

fn open(path: &Path) -> Result<SqliteCatalogue, compute_state::StateError> {
    SqliteCatalogue::open(path, StateQuotas::default())
}

fn files(text: &str) -> Vec<File> {
    vec![File::new("100_A/a.txcl", text), File::new("200/b.txcl", "EMIT .b = 1")]
}

#[test]
fn versions_are_made_activated_and_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/catalogue.sqlite");
    let catalogue = open(&path).unwrap();
    let name = stack("shop/eu");
    assert!(matches!(catalogue.versions(&name), Err(StacksError::NoStack(_))));
    assert_eq!(catalogue.active(&name).unwrap(), None);

    let one = catalogue.draft(&name, &files("EXEC \"compute://sha256/1111\"")).unwrap();
    assert_eq!(one.number, 1);
    assert_eq!(catalogue.active(&name).unwrap(), None, "a draft is not active");
    catalogue.activate(std::slice::from_ref(&one)).unwrap();
    let two = catalogue.draft(&name, &files("EXEC \"compute://sha256/2222\"")).unwrap();
    catalogue.activate(&[two]).unwrap();
    // The same files are the same version.
    assert_eq!(catalogue.draft(&name, &files("EXEC \"compute://sha256/1111\"")).unwrap(), one);

    let active = catalogue.active(&name).unwrap().unwrap();
    assert_eq!((active.info.number, active.info.rules), (2, 2));
    assert_eq!(active.files, files("EXEC \"compute://sha256/2222\""));
    assert_eq!(active.info.hash, manifest_hash(&active.files));

    // Another process sees it, and rolls back.
    let other = open(&path).unwrap();
    other.activate(&[one]).unwrap();
    let active = catalogue.active(&name).unwrap().unwrap();
    assert_eq!(active.files, files("EXEC \"compute://sha256/1111\""), "byte for byte");
    let all = catalogue.all_active().unwrap();
    assert_eq!(all.len(), 1);
    let versions = catalogue.versions(&name).unwrap();
    assert_eq!(
        versions.iter().map(|one| (one.number, one.active)).collect::<Vec<_>>(),
        [(2, false), (1, true)]
    );
    let refs: Vec<_> = catalogue.refs().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(refs, ["compute://sha256/1111", "compute://sha256/2222"]);
}

#[test]
fn an_activation_is_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(&folder.path().join("c.sqlite")).unwrap();
    let draft = catalogue.draft(&stack("a"), &files("EMIT .a = 1")).unwrap();
    let mut absent = draft.clone();
    (absent.stack, absent.number) = (stack("b"), 7);
    let error = catalogue.activate(&[draft.clone(), absent]).unwrap_err();
    assert_eq!(error.to_string(), "the stack `b` has no version 7");
    assert_eq!(catalogue.active(&stack("a")).unwrap(), None);
    catalogue.forget(&[draft]).unwrap();
    assert_eq!(catalogue.stacks().unwrap(), []);
}

#[test]
fn what_was_active_is_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(&folder.path().join("c.sqlite")).unwrap();
    let draft = catalogue.draft(&stack("a"), &files("EMIT .a = 1")).unwrap();
    catalogue.activate(std::slice::from_ref(&draft)).unwrap();
    catalogue.forget(&[draft]).unwrap();
    assert_eq!(catalogue.stacks().unwrap()[0].active, Some(1));
}

#[test]
fn a_draft_changes_until_it_was_active() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(&folder.path().join("c.sqlite")).unwrap();
    let draft = catalogue.draft(&stack("a"), &files("EXEC \"compute://sha256/aa\"")).unwrap();
    let hash = |number| catalogue.version(&stack("a"), number).unwrap().info.hash;
    let first = hash(1);
    catalogue.edit(&draft, "200/more.txcl", Some("EXEC \"compute://sha256/bb\"")).unwrap();
    assert_ne!(hash(1), first);
    let refs = || -> Vec<String> {
        catalogue.refs().unwrap().iter().map(|one| one.digest().to_owned()).collect()
    };
    assert_eq!(refs(), ["aa", "bb"]);
    catalogue.edit(&draft, "200/more.txcl", None).unwrap();
    assert_eq!((hash(1), refs()), (first, vec!["aa".to_owned()]));
    let error = catalogue.edit(&draft, "200/more.txcl", None).unwrap_err();
    assert_eq!(error.to_string(), "the version 1 of the stack `a` has no file `200/more.txcl`");

    catalogue.activate(std::slice::from_ref(&draft)).unwrap();
    for refused in [
        catalogue.edit(&draft, "200/more.txcl", Some("")),
        catalogue.edit(&draft, "100/rule.txcl", None),
        catalogue.delete_draft(&draft),
    ] {
        assert!(
            refused.unwrap_err().to_string().contains("was given documents, so it never changes")
        );
    }
    let other = catalogue.draft(&stack("a"), &files("EMIT .b = 1")).unwrap();
    catalogue.delete_draft(&other).unwrap();
    assert!(catalogue.delete_draft(&other).is_err());
    assert_eq!(catalogue.versions(&stack("a")).unwrap().len(), 1);
}

#[test]
fn secrets_are_kept_sealed_and_seen_by_who_has_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.sqlite");
    let catalogue = open(&path).unwrap();
    let vault = Vault::new(&"a".repeat(64)).unwrap();
    let before = catalogue.change_number().unwrap();
    catalogue.set_secret(&vault, "API_KEY", "first-value").unwrap();
    catalogue.set_secret(&vault, "API_KEY", "hunter2-value").unwrap();
    assert_ne!(catalogue.change_number().unwrap(), before, "others must see it");
    let names: Vec<_> = catalogue.secrets().unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["API_KEY"]);
    assert_eq!(catalogue.open_secrets(&vault).unwrap()["API_KEY"], "hunter2-value");
    let other = Vault::new(&"b".repeat(64)).unwrap();
    let error = catalogue.open_secrets(&other).unwrap_err().to_string();
    assert!(error.contains("`API_KEY` was sealed with another key"), "{error}");
    for name in ["", "a b", "a/b", &"x".repeat(200)] {
        assert!(catalogue.set_secret(&vault, name, "value").is_err(), "{name}");
    }
    assert!(catalogue.set_secret(&vault, "A", &"x".repeat(70_000)).is_err());
    drop(catalogue);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|part| part == b"hunter2"), "in the clear");
    }
    let catalogue = open(&path).unwrap();
    catalogue.delete_secret("API_KEY").unwrap();
    assert!(catalogue.delete_secret("API_KEY").is_err());
}

#[test]
fn a_catalogue_of_a_later_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.sqlite");
    drop(open(&path).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let error = open(&path).unwrap_err();
    assert!(
        error.to_string().contains("the format 99; this program knows formats up to "),
        "{error}"
    );
}

/// Programs before let shadows be changed.
#[test]
fn a_shadow_of_an_earlier_program_changes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.sqlite");
    let catalogue = open(&path).unwrap();
    let [one, two, three] = ["EMIT .a = 1", "EMIT .a = 2", "EMIT .a = 3"]
        .map(|text| catalogue.draft(&stack("a"), &files(text)).unwrap());
    catalogue.activate(std::slice::from_ref(&one)).unwrap();
    let was = catalogue.info(&one.stack, one.number).unwrap();
    drop(catalogue);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("INSERT INTO shadows VALUES ('a', 2, 10)", []).unwrap();
    connection.pragma_update(None, "user_version", 6).unwrap();
    drop(connection);
    let catalogue = open(&path).unwrap();
    let info = catalogue.info(&two.stack, two.number).unwrap();
    let age = Timestamp::now().duration_since(info.activated.unwrap());
    assert!(age.abs() < SignedDuration::from_mins(10), "{info:?}");
    let error = catalogue.edit(&two, "1/a.txcl", None).unwrap_err();
    assert!(matches!(error, StacksError::Immutable { number: 2, .. }), "{error:?}");
    catalogue.delete_draft(&three).unwrap();
    assert_eq!(catalogue.info(&one.stack, one.number).unwrap(), was);
}

const CHILD: &str = "COMPUTE_STATE_TEST_CHILD";

/// Activates two stacks together, alternating versions, until it is killed.
#[test]
fn child_that_is_killed() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let catalogue = open(path.as_ref()).unwrap();
    let drafts = |text: &str| -> Vec<Draft> {
        ["a", "b"].map(|name| catalogue.draft(&stack(name), &files(text)).unwrap()).into()
    };
    for round in 0.. {
        catalogue.activate(&drafts(&format!("EMIT .round = {round}"))).unwrap();
    }
}

#[test]
fn whoever_dies_leaves_the_old_state_or_the_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.sqlite");
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "catalogue::child_that_is_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 + 13 * round));
        child.kill().unwrap();
        child.wait().unwrap();

        let catalogue = open(&path).unwrap();
        let active = catalogue.all_active().unwrap();
        if let [a, b] = &active[..] {
            assert_eq!(a.hash, b.hash, "both are of one round");
        } else {
            assert!(active.is_empty(), "both or none");
        }
        for one in active {
            let files = catalogue.version(&one.stack, one.number).unwrap().files;
            assert_eq!(one.hash, manifest_hash(&files), "no version is half there");
        }
    }
}
