//! Tells whoever asked for it that a job has ended.

use axum::http::StatusCode;
use compute_state::{ClaimedJob, EndNotice, JobResult, JobsError, Webhook};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::super::Answer;
use super::super::super::caller::{Caller, Run};
use super::{failed, json, no_memory, not_begun};
use crate::jobs::{Verdict, WebhookTold};
use crate::wire::{JobAnswer, JobDetails};
use crate::{Problem, Server};

/// What is told, as Standard Webhooks has it.
#[derive(Serialize)]
struct Told<T> {
    #[serde(rename = "type")]
    kind: String,
    timestamp: String,
    data: T,
}

pub(super) async fn tell(
    server: &Server,
    caller: &Caller<Run>,
    job: &ClaimedJob,
    webhook: &Webhook,
) -> Verdict {
    let details = JobDetails::default();
    let webhooks = &server.shared.jobs.webhooks;
    let url = match webhooks.check(webhook) {
        Ok(url) => url,
        // Another server may allow it, or this one once it is told to.
        Err(problem) => {
            return Verdict::Passing(JobResult::new(json(&problem.members()), json(&details)));
        }
    };
    let Ok(notice) = serde_json::from_slice::<EndNotice>(&job.input) else {
        return failed(
            Problem::bad("invalid_body", "it does not say which job has ended"),
            &details,
        );
    };
    let secret = match secret(caller, webhook).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            let name = webhook.secret();
            let why = format!(
                "there is no secret `{name}` to sign with: `compute secret set {name}`, then retry this job"
            );
            return failed(Problem::not_found(why), &details);
        }
        Err(problem) => return not_begun(problem),
    };
    let body = match body(caller, notice).await {
        Ok(body) => body,
        Err(problem) => return not_begun(problem),
    };
    let _charge = match caller.memory.charge(body.len()) {
        Ok(charge) => charge,
        Err(over) => return no_memory(over),
    };
    // Of one end it is the same each time, and of another end of the same job another.
    let id = format!("{}-{}", job.lease.id, notice.ended().as_millisecond());
    let told = tokio::select! {
        told = webhooks.tell(url, &id, &secret, body) => told,
        () = server.drains() => return Verdict::NoRoom,
    };
    match told {
        WebhookTold::Taken(status) => Verdict::Done(JobResult::new(
            json(&json!({ "status": status.as_u16() })),
            json(&details),
        )),
        WebhookTold::NotNow(why) => {
            failed(Problem::new(StatusCode::BAD_GATEWAY, "webhook_failed", why), &details)
        }
        WebhookTold::Never(why) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            failed(Problem::new(status, "webhook_failed", why), &details)
        }
    }
}

/// The secret that signs.
async fn secret(caller: &Caller<Run>, webhook: &Webhook) -> Answer<Option<String>> {
    let name = webhook.secret().to_owned();
    let admitted = caller.admin_now().await?;
    let live = admitted.run(|tenant, _| tenant.live()).await?;
    Ok(live.map_err(Problem::from)?.secrets.0.get(&name).cloned())
}

/// The job as whoever asks for it gets it, or what is known of its end if it is not there any more, or goes on again.
async fn body(caller: &Caller<Run>, notice: EndNotice) -> Answer<Vec<u8>> {
    let state = notice.state().map_or("ended", |state| state.name());
    let (kind, timestamp) = (format!("job.{state}"), notice.ended().to_string());
    let ended = notice.ended();
    let shown = caller.ask(move |queue, tenant| match queue.show(tenant, &notice.job) {
        Err(JobsError::NotFound(_)) => Ok(None),
        shown => shown.map(Some),
    });
    let job = shown.await?.filter(|job| job.info.ended == Some(ended));
    let data: Value = match job {
        Some(job) => return Ok(json(&Told { kind, timestamp, data: JobAnswer::from(job) })),
        None => json!({ "id": notice.job, "state": state, "ended": timestamp }),
    };
    Ok(json(&Told { kind, timestamp, data }))
}
