//! Stacks: which there are, and how their versions differ.

pub(super) mod rollouts;
pub(super) mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use compute_replay::Group;
use compute_state::{File, Shadow, StackName};
use serde::Deserialize;
use similar::TextDiff;
use utoipa::IntoParams;

use super::caller::{Activate, Caller, Read};
use super::extract::{Path, Query, StackPath};
use super::{Answer, Refusals};
use crate::Problem;
use crate::http;
use crate::tenants::ShadowCounts;
use crate::wire::{
    FileDiff, NewShadow, ShadowGroup, ShadowList, ShadowReport, ShadowWay, Stacks, VersionDiff,
    Versions,
};

/// The largest body that sets a shadow, in bytes.
const MAX_BODY: u64 = 4096;
/// How large a file is of which lines are compared, in bytes: a rule is no larger.
const MAX_COMPARED: usize = 64 << 10;
/// How long the smallest difference of one file is looked for.
const DIFF: Duration = Duration::from_secs(1);

/// All stacks, and what is active
#[utoipa::path(get, path = "/v1/stacks", tag = "stacks", security(("token" = ["read"])), responses((status = 200, body = Stacks), Refusals))]
pub(super) async fn list(caller: Caller<Read>) -> Answer<Json<Stacks>> {
    let admitted = caller.admin().await?;
    let stacks = admitted.run(|tenant, _| tenant.catalogue.stacks()).await??;
    Ok(Json(Stacks { stacks }))
}

/// The versions of a stack
#[utoipa::path(
    get, path = "/v1/stacks/{stack}", tag = "stacks", security(("token" = ["read"])),
    params(StackPath), responses((status = 200, body = Versions), Refusals)
)]
pub(super) async fn show(
    caller: Caller<Read>,
    Path(path): Path<StackPath>,
) -> Answer<Json<Versions>> {
    let stack = path.name()?;
    let admitted = caller.admin().await?;
    let versions = admitted.run(move |tenant, _| tenant.catalogue.versions(&stack)).await??;
    Ok(Json(Versions { versions }))
}

/// The versions that get documents besides the active ones
#[utoipa::path(get, path = "/v1/shadows", tag = "stacks", security(("token" = ["read"])), responses((status = 200, body = ShadowList), Refusals))]
pub(super) async fn shadows(caller: Caller<Read>) -> Answer<Json<ShadowList>> {
    let admitted = caller.admin().await?;
    let shadows = admitted.run(|tenant, _| tenant.catalogue.shadows()).await??;
    Ok(Json(ShadowList { shadows }))
}

/// What a version answers that gets documents besides the active one
///
/// Counted since it was set, or since the server began.
#[utoipa::path(
    get, path = "/v1/stacks/{stack}/shadow", tag = "stacks", security(("token" = ["read"])),
    params(StackPath), responses((status = 200, body = ShadowReport), Refusals)
)]
pub(super) async fn shadow(
    caller: Caller<Read>,
    Path(path): Path<StackPath>,
) -> Answer<Json<ShadowReport>> {
    let stack = path.name()?;
    let admitted = caller.admin().await?;
    let report = admitted.run(move |tenant, _| {
        let shadows = tenant.catalogue.shadows()?;
        let shadow = shadows.into_iter().find(|shadow| shadow.stack == stack);
        let shadow = shadow.ok_or_else(|| no_shadow(&stack))?;
        let counts = tenant.shadows.of(&shadow);
        Ok::<_, Problem>(report(&shadow, counts))
    });
    Ok(Json(report.await??))
}

fn no_shadow(stack: &StackName) -> Problem {
    Problem::not_found(format!("the stack `{stack}` has no shadow"))
}

fn report(shadow: &Shadow, counts: ShadowCounts) -> ShadowReport {
    let summary = counts.summary.done();
    let way = |(before, after, documents)| ShadowWay { before, after, documents: documents as u64 };
    let group = |group: Group| ShadowGroup {
        place: group.place,
        documents: group.records as u64,
        ways: group.ways.into_iter().map(way).collect(),
        example: group.example,
    };
    ShadowReport {
        number: shadow.number,
        share: shadow.share,
        documents: summary.records as u64,
        same: summary.same as u64,
        different: summary.different as u64,
        incomparable: summary.incomparable as u64,
        skipped: counts.skipped,
        groups: summary.groups.into_iter().map(group).collect(),
    }
}

/// Give a part of a stack's documents to another version as well
///
/// It answers nobody: what it answers is compared with what the active version does, and counted. It is run where a place is
/// free that nobody waits for. The version must be able to become active, and never changes from then on.
#[utoipa::path(
    put, path = "/v1/stacks/{stack}/shadow", tag = "stacks", security(("token" = ["activate"])),
    params(StackPath), request_body = NewShadow,
    responses((status = 204, description = "It is set"), Refusals)
)]
pub(super) async fn set_shadow(
    caller: Caller<Activate>,
    Path(path): Path<StackPath>,
    content: Body,
) -> Answer<StatusCode> {
    let stack = path.name()?;
    let NewShadow { number, share } = caller.body(content, MAX_BODY).await?.json()?;
    let admitted = caller.storing().await?;
    let deadline = admitted.deadline;
    let _changing = admitted.tenant.changing.lock().await;
    let set = admitted.run(move |tenant, _| {
        if tenant.catalogue.info(&stack, number)?.active {
            let detail = format!(
                "version {number} of `{stack}` is the active one, and has nothing to be compared with"
            );
            return Err(Problem::new(StatusCode::CONFLICT, "conflict", detail));
        }
        let shadow = Shadow { stack, number, share };
        Ok(compute_flow::shadow(&shadow, &*tenant.catalogue, &*tenant.store, deadline)?)
    });
    set.await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a stack's documents to the active version alone
#[utoipa::path(
    delete, path = "/v1/stacks/{stack}/shadow", tag = "stacks", security(("token" = ["activate"])),
    params(StackPath), responses((status = 204, description = "There is none any more"), Refusals)
)]
pub(super) async fn remove_shadow(
    caller: Caller<Activate>,
    Path(path): Path<StackPath>,
) -> Answer<StatusCode> {
    let stack = path.name()?;
    let admitted = caller.admin().await?;
    let removed = admitted.run(move |tenant, _| {
        if !tenant.catalogue.shadows()?.iter().any(|shadow| shadow.stack == stack) {
            return Err(no_shadow(&stack));
        }
        Ok::<_, Problem>(tenant.catalogue.remove_shadow(&stack)?)
    });
    removed.await??;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Between {
    /// The older version
    #[param(minimum = 1, maximum = 4294967295_u64)]
    from: u32,
    /// The newer version
    #[param(minimum = 1, maximum = 4294967295_u64)]
    to: u32,
}

/// How two versions of a stack differ
#[utoipa::path(
    get, path = "/v1/stacks/{stack}/diff", tag = "stacks", security(("token" = ["read"])),
    params(StackPath, Between),
    responses((status = 200, body = VersionDiff), Refusals)
)]
pub(super) async fn diff(
    caller: Caller<Read>,
    Path(path): Path<StackPath>,
    Query(Between { from, to }): Query<Between>,
) -> Answer<Response> {
    let stack = path.name()?;
    let admitted = caller.admin().await?;
    let deadline = admitted.deadline;
    let memory = caller.memory.clone();
    let diff = admitted.run(move |tenant, _| {
        let old = tenant.catalogue.version(&stack, from)?.files;
        let new = tenant.catalogue.version(&stack, to)?.files;
        // Both, and what a difference says of them.
        let bytes: usize = old.iter().chain(&new).map(|file| file.text.len()).sum();
        let _charge = memory.charge(3 * bytes)?;
        let files = differences(old, new, (from, to), Some(deadline));
        http::written(&memory, &VersionDiff { files })
    });
    diff.await?
}

/// How the files of two versions differ. The nearer the deadline, the less it looks for the smallest difference; what
/// it finds is a difference in any case.
#[must_use]
pub fn differences(
    old: Vec<File>,
    new: Vec<File>,
    (from, to): (u32, u32),
    deadline: Option<Instant>,
) -> Vec<FileDiff> {
    let by_path = |files: Vec<File>| -> BTreeMap<String, String> {
        let shown = |file: File| match file.is_served() {
            // Base64 tells nobody anything.
            true => (
                file.path,
                format!(
                    "{} bytes in base64, SHA-256 {}\n",
                    file.text.len(),
                    compute::Ref::of(compute::Algorithm::Sha256, file.text.as_bytes()).digest()
                ),
            ),
            false => (file.path, file.text),
        };
        files.into_iter().map(shown).collect()
    };
    let (mut old, mut new) = (by_path(old), by_path(new));
    let paths: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    // A diff of two texts that have little in common takes as long as both lengths multiplied.
    let looks_until =
        |limit: Duration| deadline.map(|deadline| deadline.min(Instant::now() + limit));
    let mut differences = Vec::new();
    for path in paths {
        let (before, after) = (old.remove(&path), new.remove(&path));
        if before == after {
            continue;
        }
        let change = match (&before, &after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let mut config = TextDiff::configure();
        if let Some(until) = looks_until(DIFF) {
            config.deadline(until);
        }
        let large = |text: &str| text.len() > MAX_COMPARED;
        if large(&before) || large(&after) {
            // It is no rule that can become active.
            let diff = format!("a file of more than {MAX_COMPARED} bytes is not compared\n");
            differences.push(FileDiff { path, change: change.to_owned(), diff });
            continue;
        }
        let diff = config.diff_lines(&before, &after);
        let names = (format!("{path} (version {from})"), format!("{path} (version {to})"));
        let diff = diff.unified_diff().header(&names.0, &names.1).to_string();
        differences.push(FileDiff { path, change: change.to_owned(), diff });
    }
    differences
}
