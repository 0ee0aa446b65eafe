//! Versions that answer a part of a stack's documents in place of the active ones.

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use compute_state::{Draft, Rollout, StackName};
use serde::Deserialize;
use utoipa::IntoParams;

use super::report;
use crate::Problem;
use crate::routes::caller::{Activate, Caller, Read};
use crate::routes::extract::{Path, Query, StackPath};
use crate::routes::{Answer, Refusals};
use crate::wire::{CompletedRollout, NewRollout, RolloutList, RolloutReport};

/// The largest body that says something of a rollout, in bytes.
const MAX_BODY: u64 = 4096;

/// The versions that answer a part of a stack's documents in place of the active ones
#[utoipa::path(get, path = "/v1/rollouts", tag = "stacks", security(("token" = ["read"])), responses((status = 200, body = RolloutList), Refusals))]
pub(in crate::routes) async fn list(caller: Caller<Read>) -> Answer<Json<RolloutList>> {
    let admitted = caller.admin().await?;
    let rollouts = admitted.run(|tenant, _| tenant.catalogue.rollouts()).await??;
    Ok(Json(RolloutList { rollouts }))
}

/// The version that answers a part of a stack's documents in place of the active one
///
/// If it is the stack's shadow as well, `shadow` says what it answered otherwise so far.
#[utoipa::path(
    get, path = "/v1/stacks/{stack}/rollout", tag = "stacks", security(("token" = ["read"])),
    params(StackPath), responses((status = 200, body = RolloutReport), Refusals)
)]
pub(in crate::routes) async fn show(
    caller: Caller<Read>,
    Path(path): Path<StackPath>,
) -> Answer<Json<RolloutReport>> {
    let stack = path.name()?;
    let admitted = caller.admin().await?;
    let found = admitted.run(move |tenant, _| {
        let running = tenant.catalogue.running()?;
        let active = running.active.iter().find(|one| one.stack == stack).map(|one| one.number);
        let mut rollouts = running.rollouts.into_iter().map(|(rollout, _)| rollout);
        let rollout = rollouts.find(|rollout| rollout.stack == stack).zip(active);
        let (rollout, active) = rollout.ok_or_else(|| no_rollout(&stack))?;
        let mut shadows = tenant.catalogue.shadows()?.into_iter();
        let shadow = shadows.find(|one| one.stack == stack && one.number == rollout.number);
        let shadow = shadow.map(|shadow| report(&shadow, tenant.shadows.of(&shadow)));
        let Rollout { number, share, by, .. } = rollout;
        Ok::<_, Problem>(RolloutReport { number, share, by, active, shadow })
    });
    Ok(Json(found.await??))
}

fn no_rollout(stack: &StackName) -> Problem {
    Problem::not_found(format!("the stack `{stack}` has no rollout"))
}

/// Have a version answer a part of a stack's documents in place of the active one
///
/// Those whose value at the path falls into the share: the same values always and everywhere, and those that had it keep it when the
/// share is raised. The version must be able to become active, and never changes from then on. There is one of each stack; it ends
/// when it is completed or taken back, and when any version of the stack becomes active.
#[utoipa::path(
    put, path = "/v1/stacks/{stack}/rollout", tag = "stacks", security(("token" = ["activate"])),
    params(StackPath), request_body = NewRollout,
    responses((status = 204, description = "It is set"), Refusals)
)]
pub(in crate::routes) async fn set(
    caller: Caller<Activate>,
    Path(path): Path<StackPath>,
    content: Body,
) -> Answer<StatusCode> {
    let stack = path.name()?;
    let NewRollout { number, share, by } = caller.body(content, MAX_BODY).await?.json()?;
    let rollout = Rollout { stack, number, share, by };
    let admitted = caller.storing().await?;
    let deadline = admitted.deadline;
    let _changing = admitted.tenant.changing.lock().await;
    let set = admitted.run(move |tenant, _| {
        compute_flow::roll_out(&rollout, &*tenant.catalogue, &*tenant.store, deadline)
    });
    set.await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Make the version active that answers a part of a stack's documents
///
/// At one moment, and only if it is this version that does.
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/rollout/complete", tag = "stacks", security(("token" = ["activate"])),
    params(StackPath), request_body = CompletedRollout,
    responses((status = 204, description = "It is active"), Refusals)
)]
pub(in crate::routes) async fn complete(
    caller: Caller<Activate>,
    Path(path): Path<StackPath>,
    content: Body,
) -> Answer<StatusCode> {
    let stack = path.name()?;
    let CompletedRollout { number } = caller.body(content, MAX_BODY).await?.json()?;
    let version = Draft::new(stack, number);
    let admitted = caller.storing().await?;
    let deadline = admitted.deadline;
    let _changing = admitted.tenant.changing.lock().await;
    let completed = admitted.run(move |tenant, _| {
        compute_flow::complete(&version, &*tenant.catalogue, &*tenant.store, deadline)
    });
    completed.await??;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct TakenBack {
    /// Only if it is this version that answers a part
    #[param(minimum = 1, maximum = 4294967295_u64)]
    number: Option<u32>,
}

/// Have the active version answer all of a stack's documents
///
/// With a number, only if it is that version that answers a part of them.
#[utoipa::path(
    delete, path = "/v1/stacks/{stack}/rollout", tag = "stacks", security(("token" = ["activate"])),
    params(StackPath, TakenBack), responses((status = 204, description = "There is none any more"), Refusals)
)]
pub(in crate::routes) async fn remove(
    caller: Caller<Activate>,
    Path(path): Path<StackPath>,
    Query(TakenBack { number }): Query<TakenBack>,
) -> Answer<StatusCode> {
    let stack = path.name()?;
    let admitted = caller.admin().await?;
    let removed = admitted.run(move |tenant, _| {
        let number = match number {
            Some(number) => number,
            None => {
                let mut rollouts = tenant.catalogue.rollouts()?.into_iter();
                let rollout = rollouts.find(|rollout| rollout.stack == stack);
                rollout.ok_or_else(|| no_rollout(&stack))?.number
            }
        };
        Ok::<_, Problem>(tenant.catalogue.remove_rollout(&Draft::new(stack, number))?)
    });
    removed.await??;
    Ok(StatusCode::NO_CONTENT)
}
