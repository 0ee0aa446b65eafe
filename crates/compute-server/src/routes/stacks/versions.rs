//! Versions: drafts that change, and what becomes active.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use compute_flow::{mock_path, rule_path, served_path};
use compute_state::{Draft, File, Version, VersionInfo};

use crate::Problem;
use crate::http;
use crate::routes::caller::{Activate, Admitted, Caller, Read, Update};
use crate::routes::extract::{FilePath, Path, StackPath, VersionPath};
use crate::routes::{Answer, Refusals};
use crate::wire::{
    Activation, NewDraft, RuleFile, StackVersion, Validated, VersionFiles, Versions,
};

/// The largest body that describes a version, in bytes.
const MAX_DRAFT: u64 = 16 << 20;
/// How many files a version may have.
const MAX_FILES: usize = 20_000;
/// The largest rule, in bytes.
const MAX_RULE: u64 = 1 << 20;

/// That a file is where a rule is, or a fixture.
fn placed(path: &str, text: String) -> Answer<File> {
    let file = File::new(path, text);
    let is_placed =
        rule_path(path).is_some() || mock_path(path).is_some() || served_path(path).is_some();
    if is_placed && path.len() <= 300 {
        return Ok(file);
    }
    let shown: String = path.chars().take(100).collect();
    let detail = format!(
        "`{shown}` is not a rule's path, `<NNN[_label]>/<name>.txcl`, nor its fixture's, `<NNN[_label]>/<name>.mock-response.json`, nor `FILES/<path>`"
    );
    Err(Problem::bad("invalid_rule_path", detail))
}

async fn version(admitted: &Admitted, Draft { stack, number, .. }: Draft) -> Answer<Version> {
    Ok(admitted.run(move |tenant, _| tenant.catalogue.version(&stack, number)).await??)
}

async fn info(admitted: &Admitted, Draft { stack, number, .. }: Draft) -> Answer<VersionInfo> {
    Ok(admitted.run(move |tenant, _| tenant.catalogue.info(&stack, number)).await??)
}

/// Make a version that is not active yet
///
/// Of the same files there is one version: it is answered if there is one.
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/drafts", tag = "stacks", security(("token" = ["update"])),
    params(StackPath), request_body = NewDraft,
    responses((status = 201, body = VersionInfo), Refusals)
)]
pub(in crate::routes) async fn draft(
    caller: Caller<Update>,
    Path(path): Path<StackPath>,
    content: Body,
) -> Answer<(StatusCode, Json<VersionInfo>)> {
    let stack = path.name()?;
    let taken = caller.body(content, MAX_DRAFT).await?;
    let (new, _read): (NewDraft, _) = caller.json(taken).await?;
    let admitted = caller.admin().await?;
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
    let draft = admitted.run(move |tenant, _| tenant.catalogue.draft(&stack, &files)).await??;
    Ok((StatusCode::CREATED, Json(info(&admitted, draft).await?)))
}

/// A version and its files
#[utoipa::path(
    get, path = "/v1/stacks/{stack}/versions/{number}", tag = "stacks", security(("token" = ["read"])),
    params(VersionPath),
    responses((status = 200, body = VersionFiles), Refusals)
)]
pub(in crate::routes) async fn show(
    caller: Caller<Read>,
    Path(path): Path<VersionPath>,
) -> Answer<Response> {
    let draft = path.draft()?;
    let Draft { stack, number, .. } = draft;
    let memory = caller.memory.clone();
    let admitted = caller.admin().await?;
    let written = admitted.run(move |tenant, _| {
        let version = tenant.catalogue.version(&stack, number)?;
        let size = |file: &File| size_of_val(file) + file.path.len() + file.text.len();
        let _read = memory.charge(version.files.iter().map(size).sum())?;
        let file = |File { path, text }| RuleFile { path, text };
        let files = version.files.into_iter().map(file).collect();
        http::written(&memory, &VersionFiles { info: version.info, files })
    });
    written.await?
}

/// Forget a version that was never active
#[utoipa::path(
    delete, path = "/v1/stacks/{stack}/versions/{number}", tag = "stacks", security(("token" = ["update"])),
    params(VersionPath),
    responses((status = 204, description = "It is gone"), Refusals)
)]
pub(in crate::routes) async fn delete(
    caller: Caller<Update>,
    Path(path): Path<VersionPath>,
) -> Answer<StatusCode> {
    let draft = path.draft()?;
    let admitted = caller.admin().await?;
    admitted.run(move |tenant, _| tenant.catalogue.delete_draft(&draft)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// A file of a version
#[utoipa::path(
    get, path = "/v1/stacks/{stack}/versions/{number}/files/{scope}/{file}", tag = "stacks", security(("token" = ["read"])),
    params(FilePath),
    responses((status = 200, body = String, content_type = "text/plain"), Refusals)
)]
pub(in crate::routes) async fn file(
    caller: Caller<Read>,
    Path(path): Path<FilePath>,
) -> Answer<Response> {
    let (draft, path) = path.split()?;
    let path = placed(&path, String::new())?.path;
    let version = version(&caller.admin().await?, draft).await?;
    let found = version.files.into_iter().find(|file| file.path == path);
    let missing = || Problem::not_found(format!("the version has no file `{path}`"));
    let text = found.ok_or_else(missing)?.text;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// Write a file of a version that was never active
#[utoipa::path(
    put, path = "/v1/stacks/{stack}/versions/{number}/files/{scope}/{file}", tag = "stacks", security(("token" = ["update"])),
    params(FilePath),
    request_body(content = Option<String>, content_type = "text/plain", description = "The rule's text, at most 1 MiB"),
    responses((status = 200, body = VersionInfo), Refusals)
)]
pub(in crate::routes) async fn write(
    caller: Caller<Update>,
    Path(path): Path<FilePath>,
    content: Body,
) -> Answer<Json<VersionInfo>> {
    let (draft, path) = path.split()?;
    placed(&path, String::new())?;
    let taken = caller.body(content, MAX_RULE).await?;
    let text = String::from_utf8(taken.bytes.to_vec())
        .map_err(|_| Problem::bad("invalid_body", "the rule's text is not UTF-8"))?;
    change(&caller, draft, path, Some(text)).await
}

/// Take a file out of a version that was never active
#[utoipa::path(
    delete, path = "/v1/stacks/{stack}/versions/{number}/files/{scope}/{file}", tag = "stacks", security(("token" = ["update"])),
    params(FilePath),
    responses((status = 200, body = VersionInfo), Refusals)
)]
pub(in crate::routes) async fn remove(
    caller: Caller<Update>,
    Path(path): Path<FilePath>,
) -> Answer<Json<VersionInfo>> {
    let (draft, path) = path.split()?;
    change(&caller, draft, path, None).await
}

async fn change(
    caller: &Caller<Update>,
    draft: Draft,
    path: String,
    text: Option<String>,
) -> Answer<Json<VersionInfo>> {
    // What is made active at this moment is what was looked at: it is not, if it is changed meanwhile.
    let admitted = caller.admin().await?;
    let at = draft.clone();
    admitted.run(move |tenant, _| tenant.catalogue.edit(&at, &path, text.as_deref())).await??;
    Ok(Json(info(&admitted, draft).await?))
}

/// Whether a version could become active
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/versions/{number}/validate", tag = "stacks", security(("token" = ["read"])),
    params(VersionPath),
    responses((status = 200, body = Validated), Refusals)
)]
pub(in crate::routes) async fn validate(
    caller: Caller<Read>,
    Path(path): Path<VersionPath>,
) -> Answer<Response> {
    let draft = path.draft()?;
    let memory = caller.memory.clone();
    let admitted = caller.storing().await?;
    let deadline = admitted.deadline;
    let validated = admitted.run(move |tenant, _| {
        let problems =
            compute_flow::problems(&draft, &*tenant.catalogue, &*tenant.store, deadline)?;
        http::written(&memory, &Validated { valid: problems.is_empty(), problems })
    });
    validated.await?
}

/// Make a version active
///
/// If everything that it names is there; else nothing changes. An older version is gone back to so, too. It answers all documents of
/// its stack: a rollout of it ends at the same moment.
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/versions/{number}/activate", tag = "stacks", security(("token" = ["activate"])),
    params(VersionPath),
    responses((status = 200, body = Versions), Refusals)
)]
pub(in crate::routes) async fn activate(
    caller: Caller<Activate>,
    Path(path): Path<VersionPath>,
) -> Answer<Json<Versions>> {
    let draft = path.draft()?;
    Ok(Json(activated(&caller, vec![draft]).await?))
}

/// Make versions of several stacks active at one moment
///
/// If everything that all of them name is there; else nothing changes.
#[utoipa::path(
    post, path = "/v1/activate", tag = "stacks", security(("token" = ["activate"])),
    request_body = Activation, responses((status = 200, body = Versions), Refusals)
)]
pub(in crate::routes) async fn activate_all(
    caller: Caller<Activate>,
    content: Body,
) -> Answer<Json<Versions>> {
    let taken = caller.body(content, MAX_RULE).await?;
    let (Activation { versions }, _read) = caller.json(taken).await?;
    if versions.is_empty() {
        return Err(Problem::bad("invalid_body", "`versions` names none"));
    }
    let mut stacks = BTreeSet::new();
    if let Some(twice) = versions.iter().find(|one| !stacks.insert(&one.stack)) {
        let detail = format!("`versions` names the stack `{}` twice", twice.stack);
        return Err(Problem::bad("invalid_body", detail));
    }
    let draft = |one: StackVersion| Draft::new(one.stack, one.number);
    Ok(Json(activated(&caller, versions.into_iter().map(draft).collect()).await?))
}

async fn activated(caller: &Caller<Activate>, drafts: Vec<Draft>) -> Answer<Versions> {
    let admitted = caller.storing().await?;
    let _changing = admitted.tenant.changing.lock().await;
    let (all, deadline) = (drafts.clone(), admitted.deadline);
    let activated = admitted.run(move |tenant, _| {
        compute_flow::activate(&all, &*tenant.catalogue, &*tenant.store, deadline)
    });
    activated.await??;
    let mut active = Vec::new();
    for draft in drafts {
        active.push(info(&admitted, draft).await?);
    }
    Ok(Versions { versions: active })
}
