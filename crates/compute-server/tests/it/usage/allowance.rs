//! What a tenant may use in a time is bounded, of one and not of another.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use compute::Manager;
use compute_postgres::testing::Cluster;
use compute_postgres::{PostgresSettings, PostgresState};
use compute_server::{Allowance, Server, Settings, Storage, router, run_jobs};
use compute_state::{File, State, TokenScope, Vault};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::access::{ask, token};
use crate::{Answer, Home, echo, path_of, spin};

fn allows(allowance: Allowance) -> Settings {
    let mut settings = Settings { allowance, ..Settings::default() };
    settings.limits.wall = Some(Duration::from_millis(400));
    settings
}

fn tokens<const N: usize>(home: &Home, names: [&str; N]) -> [String; N] {
    names.map(|name| token(home, name, &[TokenScope::Admin]))
}

async fn send(server: &Server, token: &str, method: &str, path: &str, body: &str) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("Bearer {token}"));
    let request = request.header("content-type", "application/x-ndjson");
    let request = request.body(Body::from(body.to_owned())).unwrap();
    Answer::read(router(server.clone()).oneshot(request).await.unwrap()).await
}

/// Asks the same again and again until it is refused, and gives back how often it was not.
async fn until_refused(server: &Server, token: &str, path: &str, code: &str) -> (usize, Value) {
    let method = if path.starts_with("/v1/") { "GET" } else { "POST" };
    for taken in 0..5000 {
        let answer = send(server, token, method, path, "{}").await;
        if answer.status == 429 {
            let problem = answer.is_problem(429, code);
            let again = problem["retry_after"].as_u64().unwrap_or(1).to_string();
            assert_eq!(answer.header("retry-after"), again);
            return (taken, problem);
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    panic!("{path} is never refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_a_second_are_bounded_for_each_tenant() {
    let home =
        Home::new(allows(Allowance { requests: NonZeroU32::new(20), ..Allowance::default() }));
    let [acme, other, operator] = tokens(&home, ["acme", "other", "default"]);
    let begun = Instant::now();
    let (mut taken, problem) =
        until_refused(&home.server, &acme, "/v1/stacks", "rate_exceeded").await;
    let told = "this tenant may send 20 requests a second on all servers together";
    assert_eq!((&problem["detail"], &problem["limit"]), (&json!(told), &json!(20)));
    assert!(taken >= 20, "{taken}");
    // Every route is one, whatever it needs.
    until_refused(&home.server, &acme, "/v1/secrets", "rate_exceeded").await;
    ask(&home, &other, "GET", "/v1/stacks", "").await.json();
    while begun.elapsed() < Duration::from_millis(500) {
        let answer = ask(&home, &acme, "GET", "/v1/stacks", "").await;
        taken += usize::from(answer.status == 200);
    }
    assert!(taken as f64 <= 20.0 * (1.0 + begun.elapsed().as_secs_f64()), "{taken}");
    let metrics = ask(&home, &operator, "GET", "/metrics", "").await.text();
    let counted = metrics.lines().find(|line| line.starts_with("compute_refused_total"));
    let counted = counted.unwrap_or_else(|| panic!("{metrics}"));
    assert!(counted.contains("tenant=\"acme\"") && counted.contains("why=\"rate\""), "{counted}");
    // What is refused is a request all the same.
    loop {
        let answer = ask(&home, &acme, "GET", "/v1/usage", "").await;
        if answer.status == 200 {
            assert!(super::sums(&answer.json()).requests > taken as u64);
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_a_second_are_bounded_and_lines_wait() {
    let documents =
        |limit| allows(Allowance { documents: NonZeroU32::new(limit), ..Allowance::default() });
    let home = Home::new(documents(5));
    let [acme, other] = tokens(&home, ["acme", "other"]);
    for tenant in ["acme", "other"] {
        let tenant = home.location().local_state().tenant(&tenant.parse().unwrap());
        let catalogue = tenant.unwrap().catalogue().unwrap();
        let rule = File::new("100/rule.txcl", "EMIT .went = true");
        let draft = catalogue.draft(&"s".parse().unwrap(), &[rule]).unwrap();
        catalogue.activate(&[draft]).unwrap();
    }
    for path in ["/stacks/s", "/web/s"] {
        let (_, problem) = until_refused(&home.server, &acme, path, "rate_exceeded").await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("this tenant may send 5 documents a second"), "{detail}");
    }
    assert_eq!(ask(&home, &other, "POST", "/stacks/s", "{}").await.status, 200);
    assert_eq!(ask(&home, &acme, "GET", "/v1/stacks", "").await.status, 200);
    // Lines are taken as fast as that and none is refused; two batches share it.
    let quick = home.another(documents(100));
    let begun = Instant::now();
    let lines = "{}\n".repeat(100);
    let batch = || send(&quick, &other, "POST", "/stacks/s/batch", &lines);
    let (one, two) = tokio::join!(batch(), batch());
    for answer in [one, two] {
        let text = answer.text();
        assert_eq!(text.lines().count(), 100);
        assert!(text.lines().all(|line| line.contains("\"went\":true")), "{text}");
    }
    // A bucket has a second's worth, of which a quarter is left to those who do not wait.
    assert!(begun.elapsed() >= Duration::from_millis(1240), "{:?}", begun.elapsed());
    // What a job takes through a stack is not counted, so it is not refused.
    run_jobs(&home.server).unwrap();
    let job = json!({ "stack": "s", "input": {} }).to_string();
    let job = ask(&home, &acme, "POST", "/v1/jobs", job).await.json();
    until_refused(&home.server, &acme, "/stacks/s", "rate_exceeded").await;
    let wait = format!("/v1/jobs/{}?wait_ms=30000", job["id"].as_str().unwrap());
    assert_eq!(ask(&home, &acme, "GET", &wait, "").await.json()["state"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_day_is_bounded_on_all_servers() {
    let limit = Duration::from_millis(300);
    let allowance = Allowance { time: Some(limit), ..Allowance::default() };
    let home = Home::new(allows(allowance));
    let [acme, other, operator] = tokens(&home, ["acme", "other", "default"]);
    let (run, spins) = [echo(), spin()].map(|module| format!("/run/{}", path_of(&module))).into();
    for token in [&acme, &other] {
        for module in [echo(), spin()] {
            let path = format!("/v1/computes/{}", path_of(&module));
            assert_eq!(ask(&home, token, "PUT", &path, module).await.status, 200);
        }
    }
    // One run takes more than all: it ends, and none begins after it.
    assert_eq!(ask(&home, &acme, "POST", &spins, "{}").await.status, 504);
    let (_, problem) = until_refused(&home.server, &acme, &run, "quota_exceeded").await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("this tenant's computes may run for 300ms a day"), "{detail}");
    assert!((1..=86_401).contains(&problem["retry_after"].as_u64().unwrap()), "{problem}");
    until_refused(&home.server, &acme, "/stacks/none", "quota_exceeded").await;
    let lines = send(&home.server, &acme, "POST", &format!("{run}/batch"), "1\n2\n").await;
    assert_eq!(lines.text().matches("\"code\":\"quota_exceeded\"").count(), 2, "{}", lines.text());
    // All else goes on, and so do others.
    assert_eq!(ask(&home, &acme, "GET", "/v1/usage", "").await.status, 200);
    assert_eq!(ask(&home, &other, "POST", &run, "{}").await.status, 200);
    let metrics = ask(&home, &operator, "GET", "/metrics", "").await.text();
    assert!(metrics.contains("why=\"time\""), "{metrics}");

    // Another server lets through what comes before it knows.
    let elsewhere = home.another(allows(allowance));
    for module in [echo(), spin()] {
        let path = format!("/v1/computes/{}", path_of(&module));
        let request = Request::put(path).header("authorization", format!("Bearer {acme}"));
        let put = router(elsewhere.clone()).oneshot(request.body(Body::from(module)).unwrap());
        assert_eq!(put.await.unwrap().status(), 200);
    }
    let (taken, _) = until_refused(&elsewhere, &acme, &run, "quota_exceeded").await;
    assert!(taken >= 1);
    // The jobs of such a tenant wait, and those of others do not.
    run_jobs(&home.server).unwrap();
    let submit = async |token: &str| {
        let job = json!({ "ref": format!("compute://{}", path_of(&echo())), "input": {} });
        let job = ask(&home, token, "POST", "/v1/jobs", job.to_string()).await.json();
        format!("/v1/jobs/{}", job["id"].as_str().unwrap())
    };
    let waits = submit(&acme).await;
    for _ in 0..3 {
        let done = format!("{}?wait_ms=30000", submit(&other).await);
        assert_eq!(ask(&home, &other, "GET", &done, "").await.json()["state"], "done");
    }
    let waits = ask(&home, &acme, "GET", &waits, "").await.json();
    assert_eq!((&waits["state"], &waits["tried"]), (&json!("waiting"), &json!(0)), "{waits}");
}

/// Two servers on one database.
struct Fleet {
    cluster: Cluster,
    servers: [Server; 2],
    token: String,
}

impl Fleet {
    fn new(allowance: Allowance) -> Self {
        let cluster = Cluster::start();
        let address = cluster.database("one");
        let state = || -> Arc<dyn State> {
            let settings = PostgresSettings { connections: 4, ..PostgresSettings::default() };
            Arc::new(PostgresState::open(&address, settings).unwrap())
        };
        let scopes = [TokenScope::Admin].into();
        let made = state().tokens().unwrap().create(None, "test", &scopes, None);
        let servers = [state(), state()].map(|state| {
            let vault = Vault::new(&"5a".repeat(32)).unwrap();
            let storage = Storage { store: "memory:".to_owned(), state, records: None, vault };
            Server::open_on(storage, Manager::builder(), allows(allowance)).unwrap()
        });
        Self { cluster, servers, token: made.unwrap().token }
    }

    /// Asks one of them. How many it took.
    async fn taken(&self, server: usize) -> u32 {
        let server = &self.servers[server];
        let answer = send(server, &self.token, "GET", "/v1/stacks", "").await;
        u32::from(answer.status != 429)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_on_one_database_share_a_rate() {
    const LIMIT: u32 = 32;
    let fleet = Fleet::new(Allowance { requests: NonZeroU32::new(LIMIT), ..Allowance::default() });
    let begun = Instant::now();
    let mut all = 0;
    // Without asking each has two a second, and a second of all at once. Whoever is busy alone gets far more, and so does the other then.
    for server in 0..2 {
        let (alone, mut own) = (Instant::now(), 0);
        while f64::from(own) <= 6.0 * (1.0 + alone.elapsed().as_secs_f64()) {
            own += fleet.taken(server).await;
            assert!(alone.elapsed() < Duration::from_secs(60), "{own}");
        }
        all += own;
    }
    // Both at once, until the parts have gone round.
    let parts = "SELECT count(*), min(part) > 0.2, sum(part) < 1.000001 FROM compute.shares";
    while fleet.cluster.sql("one", parts).trim() != "2|t|t" {
        for asked in 0..100 {
            all += fleet.taken(asked % 2).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    // A second of it on each, and what comes meanwhile.
    let most = f64::from(LIMIT) * (2.0 + (1.0 + 2.0 / 16.0) * begun.elapsed().as_secs_f64());
    assert!(f64::from(all) <= most, "{all} in {:?}", begun.elapsed());
    // Without the database each goes on by itself, and refuses what is too much.
    fleet.cluster.crash();
    for server in 0..2 {
        for wanted in [0, 1, 0] {
            let waits = Instant::now();
            while fleet.taken(server).await != wanted {
                assert!(waits.elapsed() < Duration::from_secs(60));
            }
        }
    }
}
