//! Who asks for it is told that a job has ended, and that it is us who tell.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compute_server::{Settings, run_jobs};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{problem, submit, wait};
use crate::batches::moody;
use crate::{Home, dev, echo};

/// What came: its headers, and its body.
#[derive(Debug)]
struct Came {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(one, _)| one == name);
        &found.unwrap_or_else(|| panic!("no {name}")).1
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Somebody who is told, and answers with these, one after the other.
fn receiver(answers: &'static [&'static str]) -> (String, mpsc::Receiver<Came>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut headers, mut line) = (Vec::new(), String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some((name, value)) = line.split_once(':') {
                    headers.push((name.to_lowercase(), value.trim().to_owned()));
                }
                line.clear();
            }
            let length = headers.iter().find(|(name, _)| name == "content-length").unwrap();
            let mut body = vec![0; length.1.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let rest = "content-length: 0\r\nconnection: close\r\n";
            write!(stream, "HTTP/1.1 {answer}\r\n{rest}\r\n").unwrap();
            tell.send(Came { headers, body }).unwrap();
        }
    });
    (origin, told)
}

fn home(origin: &str) -> Home {
    home_of(origin, dev())
}

fn home_of(origin: &str, settings: Settings) -> Home {
    let Home { folder, server } = Home::new(settings);
    let server = server.with_webhooks([origin.parse().unwrap()]);
    Home { folder, server }
}

async fn set_secret(home: &Home, name: &str, value: &str) {
    let body = json!({ "value": value }).to_string();
    let set = home.send("PUT", &format!("/v1/secrets/{name}"), body).await;
    assert!(set.status.is_success(), "{}", set.text());
}

/// The job that tells of the end of another.
async fn teller(home: &Home) -> Value {
    let listed = home.send("GET", "/v1/jobs", "").await.json();
    let tells = listed["jobs"].as_array().unwrap().iter().find(|job| job.get("tells").is_some());
    wait(home, tells.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_it_is_told() {
    let (origin, told) = receiver(&["503 Away", "204 No Content", "200 OK"]);
    let home = home(&origin);
    let reference = format!("compute://{}", home.put(&echo()).await);
    let key = STANDARD.encode(b"a key of the receiver's");
    set_secret(&home, "hook", &format!("whsec_{key}")).await;
    run_jobs(&home.server).unwrap();
    let url = format!("{origin}/done?who=me");
    let webhook = json!({"url": url, "secret": "hook"});
    let asked = json!({"ref": reference, "input": {"a": 1}, "webhook": webhook});
    let job = submit(&home, &asked).await;

    let [first, second] = [told.recv().unwrap(), told.recv().unwrap()];
    for came in [&first, &second] {
        assert_eq!(came.header("content-type"), "application/json");
        assert_eq!(came.header("webhook-id"), first.header("webhook-id"));
        let signed = [
            came.header("webhook-id").as_bytes(),
            b".",
            came.header("webhook-timestamp").as_bytes(),
            b".",
            &came.body,
        ];
        let mut mac = Hmac::<Sha256>::new_from_slice(b"a key of the receiver's").unwrap();
        signed.iter().for_each(|part| mac.update(part));
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(came.header("webhook-signature"), signature);
    }
    let (said, shown) = (second.json(), wait(&home, &job).await);
    assert_eq!((&said["type"], &said["timestamp"]), (&json!("job.done"), &shown["ended"]));
    assert_eq!(said["data"], shown);
    let tells = teller(&home).await;
    // What is in the query is not everybody's.
    assert_eq!((&tells["tells"], &tells["tried"]), (&json!(format!("{origin}/done")), &json!(2)));
    assert_eq!((&tells["state"], &tells["output"]), (&json!("done"), &json!({"status": 204})));

    // What somebody ends is told as well.
    let asked = json!({"stack": "s", "run_after_ms": 3_600_000, "webhook": webhook});
    let job = submit(&home, &asked).await;
    let path = format!("/v1/jobs/{}/cancel", job["id"].as_str().unwrap());
    assert_eq!(home.send("POST", &path, "").await.status, 200);
    let said = told.recv().unwrap().json();
    assert_eq!((&said["type"], &said["data"]["id"]), (&json!("job.cancelled"), &job["id"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_no_more_is_told_once() {
    let (origin, told) = receiver(&["410 Gone"]);
    let home = home(&origin);
    set_secret(&home, "hook", "plain").await;
    run_jobs(&home.server).unwrap();
    let webhook = json!({"url": origin, "secret": "hook"});
    submit(&home, &json!({"stack": "none", "webhook": webhook})).await;
    assert_eq!(told.recv().unwrap().json()["type"], "job.failed");
    let tells = teller(&home).await;
    assert_eq!(
        (&tells["state"], &tells["error"]["code"]),
        (&json!("failed"), &json!("webhook_failed"))
    );
}

/// Nobody has this server ask others than those that its operator allows: neither directly nor where they send it.
#[tokio::test(flavor = "multi_thread")]
async fn others_are_not_told() {
    let (other, never) = receiver(&["200 OK"]);
    let moved: &'static str =
        Box::leak(format!("307 Moved\r\nlocation: {other}/").into_boxed_str());
    let (origin, told) = receiver(Box::leak(Box::new([moved])));
    let home = home(&origin);
    run_jobs(&home.server).unwrap();
    for (url, status, code) in [
        (&*other, 403, "webhook_not_allowed"),
        ("http://169.254.169.254/latest", 403, "webhook_not_allowed"),
        ("file:///etc/passwd", 400, "invalid_webhook"),
    ] {
        let asked = json!({"stack": "s", "webhook": {"url": url, "secret": "hook"}});
        problem(&home.send("POST", "/v1/jobs", asked.to_string()).await, status, code);
    }
    let webhook = json!({"url": origin, "secret": "hook"});
    // Without the secret nothing is told: it may be set, and the job that tells tried again.
    submit(&home, &json!({"stack": "none", "webhook": webhook})).await;
    let until = |state: &'static str| {
        let home = &home;
        async move {
            loop {
                let listed = home.send("GET", "/v1/jobs", "").await.json();
                let jobs = listed["jobs"].as_array().unwrap();
                let tells = jobs.iter().find(|job| job.get("tells").is_some());
                if let Some(job) = tells.filter(|job| job["state"] == state) {
                    return job["id"].as_str().unwrap().to_owned();
                }
                tokio::task::yield_now().await;
            }
        }
    };
    let id = until("failed").await;
    let shown = home.send("GET", &format!("/v1/jobs/{id}"), "").await.json();
    assert_eq!(shown["error"]["code"], "not_found", "{shown}");
    set_secret(&home, "hook", "plain").await;
    assert_eq!(home.send("POST", &format!("/v1/jobs/{id}/retry"), "").await.status, 200);
    told.recv().unwrap();
    until("scheduled").await;
    never.try_recv().unwrap_err();
}

/// Though all of them are taken for long.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_waits_for_no_place_of_jobs() {
    let (origin, told) = receiver(&["204 No Content"]);
    let mut settings = Settings { max_jobs: 1, ..dev() };
    settings.limits.wall = Some(Duration::from_secs(60));
    let home = home_of(&origin, settings);
    let reference = format!("compute://{}", home.put(&moody()).await);
    set_secret(&home, "hook", "a key").await;
    run_jobs(&home.server).unwrap();
    let spins = submit(&home, &json!({"ref": reference, "input": "spins"})).await;
    let at = |job: &Value, what: &str| format!("/v1/jobs/{}{what}", job["id"].as_str().unwrap());
    while home.send("GET", &at(&spins, ""), "").await.json()["state"] != "running" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let webhook = json!({"url": origin, "secret": "hook"});
    let job = submit(&home, &json!({"ref": reference, "input": 1, "webhook": webhook})).await;
    assert_eq!(home.send("POST", &at(&job, "/cancel"), "").await.status, 200);
    let came = tokio::task::spawn_blocking(move || told.recv_timeout(Duration::from_secs(30)));
    let came = came.await.unwrap().expect("it is told while another job runs");
    assert_eq!(came.json()["type"], "job.cancelled");
    assert_eq!(home.send("GET", &at(&spins, ""), "").await.json()["state"], "running");
    home.send("POST", &at(&spins, "/cancel"), "").await;
}
