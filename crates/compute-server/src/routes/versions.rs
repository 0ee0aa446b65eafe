//! Versions: drafts that change, and what becomes active.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use compute_flow::{Draft, File, StackName, Version, VersionInfo};
use serde_json::json;

use super::caller::{Activate, Caller, Read, Update};
use super::extract::Path;
use super::stacks::name;
use super::{Answer, Refusals};
use crate::tenants::Tenant;
use crate::wire::{
    Activation, NewDraft, RuleFile, StackVersion, Validated, VersionFiles, Versions,
};
use crate::{Problem, Server};

/// The largest body that describes a version, in bytes.
const MAX_DRAFT: u64 = 16 << 20;
/// How many files a version may have.
const MAX_FILES: usize = 20_000;
/// The largest rule, in bytes.
const MAX_RULE: u64 = 1 << 20;

/// A version number in a path: what is none is none.
fn number(text: &str) -> Answer<u32> {
    text.parse().map_err(|_| Problem::bad("invalid_path", "a version is a number from 1"))
}

/// That a file is where a rule is.
fn placed(path: &str, text: String) -> Answer<File> {
    let file = File::new(path, text);
    if file.place().is_some() && path.len() <= 300 {
        return Ok(file);
    }
    let shown: String = path.chars().take(100).collect();
    let detail = format!("`{shown}` is not a rule's path: `<NNN[_label]>/<name>.txcl`");
    Err(Problem::bad("invalid_rule_path", detail))
}

async fn info(tenant: &Arc<Tenant>, stack: StackName, number: u32) -> Answer<Version> {
    let tenant = Arc::clone(tenant);
    Ok(blocking::unblock(move || tenant.catalogue.version(&stack, number)).await?)
}

/// Make a version that is not active yet
///
/// Of the same files there is one version: it is answered if there is one.
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/drafts", tag = "stacks", security(("token" = ["update"])),
    params(("stack" = String, Path)), request_body = NewDraft,
    responses((status = 201, body = VersionInfo), Refusals)
)]
pub(super) async fn draft(
    caller: Caller<Update>,
    State(server): State<Server>,
    Path(stack): Path<String>,
    content: Body,
) -> Answer<(StatusCode, Json<VersionInfo>)> {
    let stack = name(&stack)?;
    let shared = &server.shared;
    let taken = shared.budget.take(content, MAX_DRAFT, shared.settings.body).await?;
    let new: NewDraft = taken.json()?;
    if new.files.len() > MAX_FILES {
        let detail = format!("a version has at most {MAX_FILES} files");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_files", detail));
    }
    let mut files: Vec<File> = Vec::with_capacity(new.files.len());
    let mut seen = std::collections::HashSet::new();
    for RuleFile { path, text } in new.files {
        if !seen.insert(path.clone()) {
            return Err(Problem::bad("invalid_body", format!("there are two files `{path}`")));
        }
        files.push(placed(&path, text)?);
    }
    let tenant = Arc::clone(&caller.tenant);
    let of = stack.clone();
    let draft = blocking::unblock(move || tenant.catalogue.draft(&of, &files)).await?;
    let version = info(&caller.tenant, stack, draft.number).await?;
    Ok((StatusCode::CREATED, Json(version.info)))
}

/// A version and its files
#[utoipa::path(
    get, path = "/v1/stacks/{stack}/versions/{number}", tag = "stacks", security(("token" = ["read"])),
    params(("stack" = String, Path), ("number" = u32, Path, minimum = 1)),
    responses((status = 200, body = VersionFiles), Refusals)
)]
pub(super) async fn show(
    caller: Caller<Read>,
    Path((stack, version)): Path<(String, String)>,
) -> Answer<Json<VersionFiles>> {
    let version = info(&caller.tenant, name(&stack)?, number(&version)?).await?;
    let file = |File { path, text }| RuleFile { path, text };
    Ok(Json(VersionFiles {
        info: version.info,
        files: version.files.into_iter().map(file).collect(),
    }))
}

/// Forget a version that was never active
#[utoipa::path(
    delete, path = "/v1/stacks/{stack}/versions/{number}", tag = "stacks", security(("token" = ["update"])),
    params(("stack" = String, Path), ("number" = u32, Path, minimum = 1)),
    responses((status = 204, description = "It is gone"), Refusals)
)]
pub(super) async fn delete(
    caller: Caller<Update>,
    Path((stack, version)): Path<(String, String)>,
) -> Answer<StatusCode> {
    let draft = Draft::new(name(&stack)?, number(&version)?);
    let tenant = caller.tenant;
    blocking::unblock(move || tenant.catalogue.delete_draft(&draft)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A file of a version
#[utoipa::path(
    get, path = "/v1/stacks/{stack}/versions/{number}/files/{scope}/{file}", tag = "stacks", security(("token" = ["read"])),
    params(("stack" = String, Path), ("number" = u32, Path, minimum = 1), ("scope" = String, Path, description = "`<NNN[_label]>`"), ("file" = String, Path, description = "`<name>.txcl`")),
    responses((status = 200, body = String, content_type = "text/plain"), Refusals)
)]
pub(super) async fn file(
    caller: Caller<Read>,
    Path((stack, version, scope, file)): Path<(String, String, String, String)>,
) -> Answer<Response> {
    let version = info(&caller.tenant, name(&stack)?, number(&version)?).await?;
    let path = placed(&format!("{scope}/{file}"), String::new())?.path;
    let found = version.files.into_iter().find(|file| file.path == path);
    let missing = || Problem::not_found(format!("the version has no file `{path}`"));
    let text = found.ok_or_else(missing)?.text;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// Write a file of a version that was never active
#[utoipa::path(
    put, path = "/v1/stacks/{stack}/versions/{number}/files/{scope}/{file}", tag = "stacks", security(("token" = ["update"])),
    params(("stack" = String, Path), ("number" = u32, Path, minimum = 1), ("scope" = String, Path, description = "`<NNN[_label]>`"), ("file" = String, Path, description = "`<name>.txcl`")),
    request_body(content = String, content_type = "text/plain", description = "The rule's text, at most 1 MiB"),
    responses((status = 200, body = VersionInfo), Refusals)
)]
pub(super) async fn write(
    caller: Caller<Update>,
    State(server): State<Server>,
    Path((stack, version, scope, file)): Path<(String, String, String, String)>,
    content: Body,
) -> Answer<Json<VersionInfo>> {
    let draft = Draft::new(name(&stack)?, number(&version)?);
    let path = format!("{scope}/{file}");
    placed(&path, String::new())?;
    let shared = &server.shared;
    let taken = shared.budget.take(content, MAX_RULE, shared.settings.body).await?;
    let text = String::from_utf8(taken.bytes.to_vec())
        .map_err(|_| Problem::bad("invalid_body", "the rule's text is not UTF-8"))?;
    change(caller.tenant, draft, path, Some(text)).await
}

/// Take a file out of a version that was never active
#[utoipa::path(
    delete, path = "/v1/stacks/{stack}/versions/{number}/files/{scope}/{file}", tag = "stacks", security(("token" = ["update"])),
    params(("stack" = String, Path), ("number" = u32, Path, minimum = 1), ("scope" = String, Path, description = "`<NNN[_label]>`"), ("file" = String, Path, description = "`<name>.txcl`")),
    responses((status = 200, body = VersionInfo), Refusals)
)]
pub(super) async fn remove(
    caller: Caller<Update>,
    Path((stack, version, scope, file)): Path<(String, String, String, String)>,
) -> Answer<Json<VersionInfo>> {
    let draft = Draft::new(name(&stack)?, number(&version)?);
    change(caller.tenant, draft, format!("{scope}/{file}"), None).await
}

async fn change(
    tenant: Arc<Tenant>,
    draft: Draft,
    path: String,
    text: Option<String>,
) -> Answer<Json<VersionInfo>> {
    let (of, at) = (Arc::clone(&tenant), draft.clone());
    blocking::unblock(move || of.catalogue.edit(&at, &path, text.as_deref())).await?;
    Ok(Json(info(&tenant, draft.stack, draft.number).await?.info))
}

/// Whether a version could become active
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/versions/{number}/validate", tag = "stacks", security(("token" = ["read"])),
    params(("stack" = String, Path), ("number" = u32, Path, minimum = 1)),
    responses((status = 200, body = Validated), Refusals)
)]
pub(super) async fn validate(
    caller: Caller<Read>,
    Path((stack, version)): Path<(String, String)>,
) -> Answer<Json<Validated>> {
    let problems = problems(&caller.tenant, name(&stack)?, number(&version)?).await?;
    Ok(Json(Validated { valid: problems.is_empty(), problems }))
}

async fn problems(
    tenant: &Arc<Tenant>,
    stack: StackName,
    number: u32,
) -> Answer<Vec<compute_flow::Problem>> {
    let version = info(tenant, stack.clone(), number).await?;
    let store = Arc::clone(&tenant.shelf.store);
    // Reading many rules takes a while.
    let validated = blocking::unblock(move || {
        pollster::block_on(compute_flow::validate(&stack, &version.files, &*store))
    });
    Ok(validated.await?.err().unwrap_or_default())
}

/// Make a version active
///
/// If everything that it names is there; else nothing changes. An older version is gone back to so, too.
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/versions/{number}/activate", tag = "stacks", security(("token" = ["activate"])),
    params(("stack" = String, Path), ("number" = u32, Path, minimum = 1)),
    responses((status = 200, body = Versions), Refusals)
)]
pub(super) async fn activate(
    caller: Caller<Activate>,
    Path((stack, version)): Path<(String, String)>,
) -> Answer<Json<Versions>> {
    let one = StackVersion { stack: name(&stack)?, number: number(&version)? };
    Ok(Json(activated(&caller.tenant, vec![one]).await?))
}

/// Make versions of several stacks active at one moment
///
/// If everything that all of them name is there; else nothing changes.
#[utoipa::path(
    post, path = "/v1/activate", tag = "stacks", security(("token" = ["activate"])),
    request_body = Activation, responses((status = 200, body = Versions), Refusals)
)]
pub(super) async fn activate_all(
    caller: Caller<Activate>,
    State(server): State<Server>,
    content: Body,
) -> Answer<Json<Versions>> {
    let shared = &server.shared;
    let taken = shared.budget.take(content, MAX_RULE, shared.settings.body).await?;
    let Activation { versions } = taken.json()?;
    if versions.is_empty() {
        return Err(Problem::bad("invalid_body", "`versions` names none"));
    }
    Ok(Json(activated(&caller.tenant, versions).await?))
}

async fn activated(tenant: &Arc<Tenant>, versions: Vec<StackVersion>) -> Answer<Versions> {
    let mut found = Vec::new();
    for StackVersion { stack, number } in &versions {
        found.extend(problems(tenant, stack.clone(), *number).await?);
    }
    if let Some(first) = found.first() {
        let problem =
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, first.code.name(), first.to_string());
        return Err(problem.with("problems", json!(found)));
    }
    let drafts: Vec<_> =
        versions.iter().map(|one| Draft::new(one.stack.clone(), one.number)).collect();
    let catalogue = Arc::clone(tenant);
    blocking::unblock(move || catalogue.catalogue.activate(&drafts)).await?;
    let mut active = Vec::new();
    for StackVersion { stack, number } in versions {
        active.push(info(tenant, stack, number).await?.info);
    }
    Ok(Versions { versions: active })
}
