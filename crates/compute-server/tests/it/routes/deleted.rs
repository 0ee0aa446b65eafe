//! Artifacts that go while something is stored or submitted that needs them: one or the other is refused.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use compute::Manager;
use compute_postgres::testing::Cluster;
use compute_postgres::{PostgresSettings, PostgresState};
use compute_server::{Server, Storage};
use compute_state::{Location, Vault};
use compute_wasm::{Compiler, compile_worker};
use serde_json::json;

use crate::isolation::linked;
use crate::{Home, dev, echo, path_of};

/// Where a compiler passes, once somebody looks that it is there and lets it go on. Where there is no gate, it goes on.
const GATED: &str = r#"if mv "$1/gate" "$1/passed"; then echo > "$1/begun"; read -r _ < "$1/passed"; fi
COMPUTE_SERVER_TEST_CHILD=1 "$0" --exact routes::deleted::child_that_compiles --nocapture --test-threads 2 | tail -c +17"#;

/// What it is then. Before it says anything, what runs tests says 16 bytes.
#[test]
fn child_that_compiles() {
    if std::env::var_os("COMPUTE_SERVER_TEST_CHILD").is_some() {
        std::process::exit(i32::from(compile_worker() != ExitCode::SUCCESS));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_links_to_nothing_that_went_while_it_was_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let gate = tempfile::tempdir().unwrap();
    let gate = gate.path();
    let program = std::env::current_exe().unwrap();
    let arguments = ["-c", GATED, program.to_str().unwrap(), gate.to_str().unwrap()];
    let arguments = arguments.map(str::to_owned).to_vec();
    let compiler = Compiler::Process { program: "/bin/sh".into(), arguments };
    let wasm = compute_wasm::Settings { compiler, ..compute_wasm::Settings::default() };
    let location = Location::new("memory:", folder.path());
    let vault = location.vault().unwrap();
    let manager = Manager::builder().engine("wasm", wasm.into());
    let server = Server::open(location, vault, manager, dev()).unwrap();
    let home = Arc::new(Home { folder, server });
    let [plugin, op] = linked();
    let path = format!("/v1/computes/{}", home.put(&plugin).await);

    let pipes = ["gate", "begun"].map(|name| gate.join(name));
    assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
    let (of_op, putting) = (format!("/v1/computes/{}", path_of(&op)), Arc::clone(&home));
    let put = of_op.clone();
    let mut put = tokio::spawn(async move { putting.send("PUT", &put, op).await });
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || tell.send(std::fs::read(&pipes[1])));
    tokio::select! {
        begun = told => drop(begun.unwrap().unwrap()),
        put = &mut put => panic!("it was not compiled: {}", put.unwrap().text()),
    }
    assert_eq!(home.send("DELETE", &path, "").await.status, 204);
    std::fs::write(gate.join("passed"), "\n").unwrap();
    put.await.unwrap().is_problem(422, "missing_link");
    assert_eq!(home.send("HEAD", &of_op, "").await.status, 404);
    // With it, both are there to stay.
    let [plugin, op] = linked();
    home.put(&plugin).await;
    home.put(&op).await;
    home.put(&op).await;
    home.send("DELETE", &path, "").await.is_problem(409, "referenced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_comes_while_its_artifact_goes_keeps_it() {
    let cluster = Cluster::start();
    let address = cluster.database("one");
    let state = Arc::new(PostgresState::open(&address, PostgresSettings::default()).unwrap());
    let vault = Vault::new(&"5a".repeat(32)).unwrap();
    let storage = Storage { store: "memory:".to_owned(), state, records: None, vault };
    let server = Server::open_on(storage, Manager::builder(), dev()).unwrap();
    let home = Home { folder: tempfile::tempdir().unwrap(), server };
    let path = home.put(&echo()).await;
    let reference = format!("compute://{path}");
    let later = json!({ "ref": "compute://sha256/other", "run_after": "2200-01-01T00:00:00Z" });
    let submitted = home.send("POST", "/v1/jobs", later.to_string()).await;
    assert_eq!(submitted.status, 202, "{}", submitted.text());
    // As if it was submitted when the artifact is said to go.
    cluster.sql(
        "one",
        "CREATE FUNCTION submits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             UPDATE compute.jobs SET target = NEW.ref WHERE tenant = NEW.tenant; RETURN NULL; END $$;
         CREATE TRIGGER submits AFTER INSERT ON compute.released FOR EACH ROW EXECUTE FUNCTION submits();",
    );
    let artifact = format!("/v1/computes/{path}");
    let refused = home.send("DELETE", &artifact, "").await;
    let problem = refused.is_problem(409, "referenced");
    let id = submitted.json()["id"].as_str().unwrap().to_owned();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(&id) && detail.ends_with(&reference), "{detail}");
    assert_eq!(home.send("HEAD", &artifact, "").await.status, 200);
    let cancelled = home.send("POST", &format!("/v1/jobs/{id}/cancel"), "").await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    assert_eq!(home.send("DELETE", &artifact, "").await.status, 204);
}

/// What is gone from a list runs no more, though its bytes could not be deleted.
#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_whose_bytes_stay_is_forgotten_all_the_same() {
    let (folder, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let location = Location::new(format!("file://{}", store.path().display()), folder.path());
    let vault = location.vault().unwrap();
    let server = Server::open(location, vault, Manager::builder(), dev()).unwrap();
    let home = Home { folder, server };
    let path = home.put(&echo()).await;
    let run = format!("/run/{path}");
    assert_eq!(home.send("POST", &run, "7").await.status, 200);
    let bytes = walk(store.path()).find(|file| file.ends_with(path.rsplit('/').next().unwrap()));
    let bytes = bytes.unwrap();
    std::fs::remove_file(&bytes).unwrap();
    std::fs::create_dir(&bytes).unwrap();
    std::fs::write(bytes.join("kept"), "").unwrap();
    let refused = home.send("DELETE", &format!("/v1/computes/{path}"), "").await;
    assert!(refused.status.is_server_error(), "{} {}", refused.status, refused.text());
    home.send("POST", &run, "7").await.is_problem(404, "missing_compute_artifact");
}

/// All files below a folder.
fn walk(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let mut folders = vec![folder.to_owned()];
    std::iter::from_fn(move || {
        let entries = std::fs::read_dir(folders.pop()?).unwrap().map(|one| one.unwrap().path());
        let (below, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        folders.extend(below);
        Some(files)
    })
    .flatten()
}
