//! Schedules: set over HTTP, and fired once, however many servers there are.

use std::time::Duration;

use compute_server::{Settings, run_jobs};
use compute_state::{
    CatchUp, CronTimes, JobFilter, JobQueue, JobWork, NewSchedule, State as _, TenantName,
    TokenScope,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{Answer, Home, dev};

fn problem(answer: &Answer, status: u16, code: &str) {
    let told = (answer.status.as_u16(), &answer.json()["code"]);
    assert_eq!(told, (status, &json!(code)), "{}", answer.text());
}

fn queue(home: &Home) -> std::sync::Arc<dyn JobQueue> {
    home.location().local_state().jobs().unwrap()
}

/// Keeps a schedule in the state of a home whose time came at this moment.
fn keep(home: &Home, name: &str, cron: &str, catch_up: CatchUp, next: Timestamp) {
    let times = CronTimes::new(cron, "UTC").unwrap();
    let work = JobWork::Document("clock".to_owned());
    let new = NewSchedule::new(name.parse().unwrap(), times, work, b"{\"n\": 1}".to_vec());
    let mut kept = NewSchedule { catch_up, ..new }.set(None, next);
    kept.info.next = next;
    queue(home).restore_schedules(&[(TenantName::default(), kept)]).unwrap();
}

/// What is said of a schedule once its time is to come.
async fn fired(home: &Home, name: &str) -> serde_json::Value {
    loop {
        let shown = home.send("GET", &format!("/v1/schedules/{name}"), "").await.json();
        if shown["next"].as_str().unwrap().parse::<Timestamp>().unwrap() > Timestamp::now() {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_comes_is_one_job_however_many_servers_there_are() {
    let home = Home::new(dev());
    home.apply("clock", "EMIT .now = &now(nanos)");
    let other = home.another(dev());
    let long_ago = Timestamp::now() - SignedDuration::from_hours(50);
    let missed: Timestamp = "2020-03-01T04:30:00Z".parse().unwrap();
    let minute = Timestamp::from_second(Timestamp::now().as_second() / 60 * 60).unwrap();
    keep(&home, "often", "* * * * *", CatchUp::Skip, long_ago);
    keep(&home, "skip", "30 4 1 3 *", CatchUp::Skip, missed);
    keep(&home, "once", "30 4 1 3 *", CatchUp::Once, missed);
    for server in [&home.server, &other] {
        run_jobs(server).unwrap();
    }
    let once = fired(&home, "once").await;
    let last: Timestamp = once["last"].as_str().unwrap().parse().unwrap();
    assert!(
        last > missed && once["last"].as_str().unwrap().ends_with("-03-01T04:30:00Z"),
        "{once}"
    );
    let job = format!("/v1/jobs/{}?wait_ms=30000", once["last_job"].as_str().unwrap());
    let job = home.send("GET", &job, "").await.json();
    assert_eq!(job["state"], "done", "{job}");
    // Its clock shows the time that it is for, and its input is the schedule's.
    let nanos = i64::try_from(last.as_nanosecond()).unwrap();
    assert_eq!(job["output"], json!({"n": 1, "now": nanos}));
    let skip = fired(&home, "skip").await;
    assert!(skip["last_error"].as_str().unwrap().contains("missed"), "{skip}");
    assert_eq!((&skip["last"], &skip["next"]), (&serde_json::Value::Null, &once["next"]));
    let often = fired(&home, "often").await;
    let at: Timestamp = often["last"].as_str().unwrap().parse().unwrap();
    assert!(at >= minute, "{often}");
    // Each was fired once: there is one job for each that was not missed, or a minute later one more.
    let all = JobFilter { state: None, before: None, most: 1000 };
    let jobs = queue(&home).list(&TenantName::default(), &all).unwrap();
    let minutes = (at.as_second() - minute.as_second()) / 60;
    assert_eq!(jobs.len() as i64, 2 + minutes, "{jobs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_place_for_jobs_fires_all_the_same() {
    let mut settings = Settings { max_jobs: 1, ..dev() };
    settings.limits.wall = Some(Duration::from_secs(60));
    let home = Home::new(settings);
    home.apply("clock", "EMIT .now = &now(nanos)");
    let reference = format!("compute://{}", home.put(&crate::batches::moody()).await);
    run_jobs(&home.server).unwrap();
    let spins = json!({"ref": reference, "input": "spins"}).to_string();
    let spins = home.send("POST", "/v1/jobs", spins).await.json();
    while home.server.load().0 == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let minute = Timestamp::from_second(Timestamp::now().as_second() / 60 * 60).unwrap();
    keep(&home, "s", "* * * * *", CatchUp::Skip, minute);
    let shown = fired(&home, "s").await;
    assert!(shown["last_job"].is_string(), "{shown}");
    let path = |id: &serde_json::Value| format!("/v1/jobs/{}", id.as_str().unwrap());
    assert_eq!(home.send("GET", &path(&spins["id"]), "").await.json()["state"], "running");
    assert_eq!(home.send("GET", &path(&shown["last_job"]), "").await.json()["state"], "waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_set_shown_listed_and_deleted() {
    let home = Home::new(dev());
    let body = json!({"cron": "30 6 * * MON-FRI", "time_zone": "Europe/Berlin", "stack": "s", "input": null, "catch_up": "once"});
    let set = home.send("PUT", "/v1/schedules/nightly", body.to_string()).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let head = set.json();
    assert_eq!((&head["name"], &head["catch_up"]), (&json!("nightly"), &json!("once")));
    let shown = home.send("GET", "/v1/schedules/nightly", "").await;
    assert!(shown.text().contains("\"input\":null"), "{}", shown.text());
    assert_eq!(shown.json()["next"], head["next"]);
    let plain = json!({"cron": "@daily", "ref": format!("compute://sha256/{}", "0".repeat(64))});
    let plain = home.send("PUT", "/v1/schedules/A", plain.to_string()).await.json();
    let told = [&plain["time_zone"], &plain["catch_up"], &plain["priority"], &plain["attempts"]];
    assert_eq!(told, [&json!("UTC"), &json!("skip"), &json!(5), &json!(5)]);
    let listed = home.send("GET", "/v1/schedules", "").await.json();
    assert_eq!(listed, json!({"schedules": [plain, head]}));
    assert_eq!(home.send("DELETE", "/v1/schedules/A", "").await.status, 204);
    for method in ["GET", "DELETE"] {
        problem(&home.send(method, "/v1/schedules/A", "").await, 404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_for_whoever_may_activate() {
    let home = Home::new(Settings::default());
    let token = |tenant, scopes: &[TokenScope]| {
        format!("Bearer {}", crate::access::token(&home, tenant, scopes))
    };
    let may = token("one", &[TokenScope::Activate, TokenScope::Read]);
    let may_not = token("one", &[TokenScope::Run, TokenScope::Read]);
    let other = token("two", &[TokenScope::Activate, TokenScope::Read]);
    let body = json!({"cron": "@daily", "stack": "s"}).to_string();
    let send = async |token: &str, method: &str, body: &str| {
        let headers = [("authorization", token)];
        home.send_with(method, "/v1/schedules/s", &headers, body.to_owned()).await
    };
    problem(&send(&may_not, "PUT", &body).await, 403, "forbidden");
    assert_eq!(send(&may, "PUT", &body).await.status, 200);
    assert_eq!(send(&may_not, "GET", "").await.status, 200);
    problem(&send(&may_not, "DELETE", "").await, 403, "forbidden");
    problem(&send(&other, "GET", "").await, 404, "not_found");
    problem(&send(&other, "DELETE", "").await, 404, "not_found");
    assert_eq!(send(&may, "DELETE", "").await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told() {
    let home = Home::new(dev());
    for (body, code) in [
        (json!({"cron": "@daily"}), "invalid_body"),
        (json!({"stack": "s"}), "invalid_body"),
        (json!({"cron": "@daily", "stack": "a b"}), "invalid_stage"),
        (json!({"cron": "* * * *", "stack": "s"}), "invalid_schedule"),
        (json!({"cron": "0 * * * * *", "stack": "s"}), "invalid_schedule"),
        (json!({"cron": "0 0 30 2 *", "stack": "s"}), "invalid_schedule"),
        (json!({"cron": "@daily", "stack": "s", "time_zone": "Berlin"}), "invalid_schedule"),
        (json!({"cron": "@daily", "stack": "s", "priority": 10}), "invalid_body"),
        (json!({"cron": "@daily", "stack": "s", "attempts": 0}), "invalid_body"),
        (json!({"cron": "@daily", "stack": "s", "fuel": 0}), "invalid_body"),
        (json!({"cron": "@daily", "stack": "s", "catch_up": "all"}), "invalid_body"),
        (json!({"cron": "@daily", "stack": "s", "tz": "UTC"}), "invalid_body"),
    ] {
        problem(&home.send("PUT", "/v1/schedules/s", body.to_string()).await, 400, code);
    }
    let body = json!({"cron": "@daily", "stack": "s"}).to_string();
    let long = format!("/v1/schedules/{}", "a".repeat(65));
    problem(&home.send("PUT", &long, body.clone()).await, 400, "invalid_name");
    problem(&home.send("PUT", "/v1/schedules/a.b", body).await, 400, "invalid_name");
    let input =
        |size| json!({"cron": "@daily", "stack": "s", "input": "x".repeat(size)}).to_string();
    problem(&home.send("PUT", "/v1/schedules/s", input(64 << 10)).await, 413, "body_too_large");
    assert_eq!(home.send("PUT", "/v1/schedules/s", input((64 << 10) - 2)).await.status, 200);
}
