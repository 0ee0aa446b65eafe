//! The tables: made once, by one of many; whose rows are whose; which program may use them.

use compute_postgres::testing::Cluster;
use compute_postgres::{PostgresSettings, PostgresState};
use compute_state::{
    File, JobWork, NewJob, SecretError, State as _, StateError, Vault, VaultError,
};

fn open(address: &str) -> Result<PostgresState, StateError> {
    PostgresState::open(address, PostgresSettings::default())
}

#[test]
fn many_make_them_at_once_and_one_does() {
    let cluster = Cluster::start();
    let address = cluster.database("one");
    std::thread::scope(|scope| {
        let opened: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&address))).collect();
        for one in opened {
            one.join().unwrap().unwrap();
        }
    });
    assert_eq!(cluster.sql("one", "SELECT version FROM compute.format"), "1\n");
}

#[test]
fn those_of_a_newer_program_are_left_alone() {
    let cluster = Cluster::start();
    let address = cluster.database("one");
    open(&address).unwrap();
    cluster.sql("one", "UPDATE compute.format SET version = 9");
    let error = open(&address).unwrap_err();
    assert!(matches!(error, StateError::Newer { found: 9, known: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("has the format 9; this program knows"), "{error}");
}

#[test]
fn a_statement_that_does_not_say_whose_it_is_gets_nothing() {
    let cluster = Cluster::start();
    let address = cluster.database("one");
    let state = open(&address).unwrap();
    for tenant in ["acme", "other"] {
        let catalogue = state.tenant(&tenant.parse().unwrap()).unwrap().catalogue().unwrap();
        let files = [File::new("1/a.txcl", "EXEC \"compute://sha256/aa\"")];
        let draft = catalogue.draft(&"s".parse().unwrap(), &files).unwrap();
        catalogue.activate(&[draft]).unwrap();
        let job = NewJob::new(JobWork::Document("s".to_owned()), Vec::new());
        state.jobs().unwrap().submit(&[(tenant.parse().unwrap(), job)]).unwrap();
    }
    // As the owner of the tables, who is no superuser.
    let count = |tenant: &str, table: &str| {
        let said = cluster.sql(
            "one",
            &format!(
                "SET ROLE compute; SELECT set_config('compute.tenant', '{tenant}', false); SELECT count(*) FROM compute.{table}"
            ),
        );
        said.lines().last().unwrap().to_owned()
    };
    for table in ["stacks", "versions", "files", "refs", "jobs", "job_counts"] {
        assert_eq!(["", "acme", "nobody"].map(|of| count(of, table)), ["0", "1", "0"], "{table}");
    }
}

#[test]
fn all_nodes_have_one_key() {
    let cluster = Cluster::start();
    let address = cluster.database("one");
    let [one, two] = ["1", "2"].map(|digit| Vault::new(&digit.repeat(64)).unwrap());
    let (here, there) = (open(&address).unwrap(), open(&address).unwrap());
    let of = |state: &PostgresState| state.tenant(&"acme".parse().unwrap()).unwrap().catalogue();
    let (mine, theirs) = (of(&here).unwrap(), of(&there).unwrap());
    here.check_key(&one).unwrap();
    let error = there.check_key(&two).unwrap_err();
    assert!(matches!(&error, VaultError::OtherKey { tenant: None, .. }), "{error:?}");
    // While there are no secrets it is the one of whoever sets one.
    theirs.set_secret(&two, "A", "value").unwrap();
    there.check_key(&two).unwrap();
    theirs.delete_secret("A").unwrap();
    // One that began with another key seals nothing that the others cannot open.
    mine.set_secret(&one, "A", "value").unwrap();
    there.check_key(&one).unwrap();
    let error = there.check_key(&two).unwrap_err();
    assert!(
        matches!(&error, VaultError::OtherKey { tenant: Some(tenant), .. } if tenant == "acme"),
        "{error:?}"
    );
    let error = theirs.set_secret(&two, "B", "value").unwrap_err();
    assert!(matches!(error, SecretError::Vault(VaultError::OtherKey { .. })), "{error:?}");
    assert_eq!(theirs.open_secrets(&one).unwrap().len(), 1);
    // Nobody needs a key to forget them, and then another may be taken.
    theirs.delete_secret("A").unwrap();
    theirs.set_secret(&two, "B", "value").unwrap();
    there.check_key(&two).unwrap();
    let error = mine.set_secret(&one, "A", "value").unwrap_err();
    assert!(matches!(error, SecretError::Vault(VaultError::OtherKey { .. })), "{error:?}");
}

#[test]
fn what_is_wrong_is_told() {
    let cluster = Cluster::start();
    let address = cluster.database("one");
    for (address, told) in [
        (address.replace("/one?", "/none?"), "database \"none\" does not exist"),
        (address.replace("compute@", "stranger@"), "role \"stranger\" does not exist"),
        ("postgres://u@127.0.0.1:9/d".to_owned(), "127.0.0.1:9"),
        ("postgres://u@/d".to_owned(), "names no host"),
    ] {
        let error = open(&address).unwrap_err();
        let said = compute::with_causes(&error);
        assert!(said.contains(told), "{address}: {said}");
    }
    // One that may not make a schema.
    cluster.sql("postgres", "CREATE DATABASE closed");
    let error = open(&cluster.address("closed")).unwrap_err();
    let said = compute::with_causes(&error);
    assert!(said.contains("permission denied for database closed"), "{said}");
}
