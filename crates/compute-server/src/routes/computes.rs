//! Artifacts: uploaded, looked at, deleted.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use compute::{
    Algorithm, Artifact, Cancel, Limits, LoadedArtifact, Phase, Reason, Ref, Resolver as _,
    RunOptions, Status,
};
use compute_state::{AuditOf, Deed};
use compute_store::{MAX_BYTES, Manifest, NewArtifact, StoreError};
use futures_util::StreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::{Admitted, Caller, Read, Update};
use super::extract::{ArtifactPath, Path, Query};
use super::{Answer, Refusals};
use crate::jobs::Jobs;
use crate::telemetry::warn;
use crate::tenants::Tenant;
use crate::wire::{Attached, Computes, JobRequest, Uploaded};
use crate::{Problem, Server};

/// How long after it was released an artifact may be deleted: the state keeps what names it away for longer than that and the
/// deletion take.
const RELEASED: Duration = Duration::from_secs(30);
/// How many artifacts a list has.
const LISTED: usize = 1000;
/// How many attachments an artifact may have, and how long their names may be.
const MAX_ATTACHMENTS: usize = 16;
const MAX_NAME: usize = 64;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Upload {
    /// The engine that runs it
    #[serde(default = "wasm")]
    #[param(default = "wasm")]
    engine: String,
}

pub(super) fn wasm() -> String {
    "wasm".to_owned()
}

/// Store an artifact
///
/// Refused in this order: the token, the algorithm, the size, the digest, the module. It is compiled before it is
/// stored, so what could never run is refused, and the first call is fast.
#[utoipa::path(
    put, path = "/v1/computes/{alg}/{digest}", tag = "computes", security(("token" = ["update"])),
    params(ArtifactPath, Upload),
    request_body(content_type = "application/octet-stream", description = "The artifact, at most 32 MiB"),
    responses((status = 200, body = Uploaded), Refusals)
)]
pub(super) async fn put(
    caller: Caller<Update>,
    State(server): State<Server>,
    Path(path): Path<ArtifactPath>,
    Query(upload): Query<Upload>,
    content: Body,
) -> Answer<Json<Uploaded>> {
    let algorithm = Algorithm::from_name(&path.alg).ok_or_else(|| {
        let detail = format!("`{}` is not a digest algorithm; use sha256 or blake3", path.alg);
        Problem::bad("unsupported_digest_alg", detail)
    })?;
    let reference = path.reference()?;
    let taken = caller.body(content, MAX_BYTES).await;
    let taken = taken
        .map_err(|problem| if problem.code == "body_too_large" { too_large() } else { problem })?;
    let admitted = caller.upload().await?;
    let bytes = taken.bytes;
    let artifact = admitted
        .run(move |_, _| {
            let got = algorithm.hex_digest(&bytes);
            if got != path.digest {
                let detail = "the bytes have another digest than the path says";
                let problem = Problem::bad("digest_mismatch", detail);
                return Err(problem.with("want", path.digest).with("got", got));
            }
            Ok(Artifact::new(algorithm, upload.engine, bytes))
        })
        .await??;
    let mut new = NewArtifact::new(artifact.clone());
    new.links = links(&admitted, &artifact).await?;
    let limits = Limits { wall: Some(server.shared.settings.compile), ..Limits::default() };
    let size = artifact.wasm().len() as u64;
    let loaded = load(&admitted, artifact, limits).await?;
    let tenant = &admitted.tenant;
    let store = &*tenant.store;
    let mut room = tenant.usage.storing().await;
    // Compiling took its time: from now on nothing that it links to goes.
    have(tenant, &new.links).await?;
    let known = store.head(&reference).await.is_ok();
    if !known {
        room.grow(store, 1, size).await?;
    }
    let manifest = store.put(&new).await?;
    if !known {
        room.taken(1, size);
    }
    // The first call finds it ready.
    tenant.manager.keep(loaded);
    drop(taken.charge);
    Ok(Json(Uploaded {
        reference: manifest.reference,
        alg: manifest.alg,
        digest: manifest.digest,
        engine: manifest.engine,
        bytes: manifest.size,
    }))
}

pub(super) fn too_large() -> Problem {
    let detail = format!("an artifact has at most {MAX_BYTES} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "artifact_too_large", detail)
        .with("limit", MAX_BYTES)
}

/// Compiles an artifact, within these limits and as long as its caller waits for it.
pub(super) async fn load(
    admitted: &Admitted,
    artifact: Artifact,
    limits: Limits,
) -> Answer<LoadedArtifact> {
    let loaded = admitted.run(move |tenant, cancel| {
        let options = RunOptions { limits, cancel: Some(cancel.clone()), ..RunOptions::default() };
        tenant.manager.load(&artifact, &options)
    });
    loaded.await??.map_err(|failure| {
        let status = match failure.status() {
            // It waited for others, and nobody knows yet what is wrong with it.
            Status::WallLimit if !compiles(&failure) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Problem::new(status, "invalid_module", failure.to_string())
    })
}

/// Whether the time went into compiling.
const fn compiles(failure: &compute::Failure) -> bool {
    matches!(failure.reason, Reason::WallLimit { phase: Phase::Compile, .. })
}

/// What an artifact links to: that the tenant has all of it.
pub(super) async fn links(admitted: &Admitted, artifact: &Artifact) -> Answer<Vec<Ref>> {
    let of = artifact.clone();
    let links = admitted.run(move |tenant, _| tenant.manager.links(&of)).await??;
    have(&admitted.tenant, &links).await?;
    Ok(links)
}

/// That a tenant has what is linked to.
async fn have(tenant: &Tenant, links: &[Ref]) -> Answer<()> {
    for link in links {
        match tenant.resolver.contains(link).await {
            Ok(()) => {}
            Err(compute::Error::NotFound { .. }) => {
                let detail =
                    format!("the module links to {link}, which is not stored: put it first");
                let problem =
                    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "missing_link", detail);
                return Err(problem.with("ref", link.as_str()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether an artifact is stored
#[utoipa::path(
    head, path = "/v1/computes/{alg}/{digest}", tag = "computes", security(("token" = ["read"])),
    params(ArtifactPath),
    responses((status = 200, description = "It is"), (status = 404, description = "It is not"), (status = "default", description = "A problem, without its body"))
)]
pub(super) async fn head(caller: Caller<Read>, Path(path): Path<ArtifactPath>) -> Answer<Response> {
    let reference = path.reference()?;
    let manifest = caller.storing().await?.tenant.store.head(&reference).await?;
    let length = [(header::CONTENT_LENGTH, manifest.size.to_string())];
    Ok((length, constant(&manifest)).into_response())
}

/// The bytes of an artifact
///
/// They never change; the `etag` is their digest.
#[utoipa::path(
    get, path = "/v1/computes/{alg}/{digest}", tag = "computes", security(("token" = ["read"])),
    params(ArtifactPath),
    responses(
        (status = 200, content_type = "application/wasm", description = "The bytes"),
        (status = 304, description = "The caller has them: `if-none-match` names them"),
        Refusals
    )
)]
pub(super) async fn get(
    caller: Caller<Read>,
    Path(path): Path<ArtifactPath>,
    headers: HeaderMap,
) -> Answer<Response> {
    let reference = path.reference()?;
    let admitted = caller.storing().await?;
    let store = &admitted.tenant.store;
    let manifest = store.head(&reference).await?;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == etag(&manifest))) {
        return Ok((StatusCode::NOT_MODIFIED, constant(&manifest)).into_response());
    }
    let _read = caller.memory.charge(usize::try_from(manifest.size).unwrap_or(usize::MAX))?;
    let bytes = store.get(&reference).await?.artifact.wasm().clone();
    Ok((constant(&manifest), bytes).into_response())
}

fn etag(manifest: &Manifest) -> String {
    format!("\"{}-{}\"", manifest.alg, manifest.digest)
}

/// The headers of bytes that never change.
fn constant(manifest: &Manifest) -> [(header::HeaderName, String); 3] {
    let kind = match manifest.engine.as_str() {
        JobRequest::OUTPUT_ENGINE => "application/json",
        _ => "application/wasm",
    };
    [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned()),
        (header::ETAG, etag(manifest)),
    ]
}

/// What is known of an artifact
#[utoipa::path(
    get, path = "/v1/computes/{alg}/{digest}/manifest", tag = "computes", security(("token" = ["read"])),
    params(ArtifactPath),
    responses((status = 200, body = Manifest), Refusals)
)]
pub(super) async fn manifest(
    caller: Caller<Read>,
    Path(path): Path<ArtifactPath>,
) -> Answer<Json<Manifest>> {
    let reference = path.reference()?;
    Ok(Json(caller.storing().await?.tenant.store.head(&reference).await?))
}

#[derive(Deserialize)]
pub(super) struct AttachmentName {
    name: String,
}

/// Store something that belongs to an artifact, such as its source map
#[utoipa::path(
    put, path = "/v1/computes/{alg}/{digest}/attachments/{name}", tag = "computes", security(("token" = ["update"])),
    params(ArtifactPath, ("name" = String, Path, pattern = "^[A-Za-z0-9._-]{1,64}$")),
    request_body(content_type = "application/octet-stream", description = "At most 32 MiB"),
    responses((status = 200, body = Attached), Refusals)
)]
pub(super) async fn attach(
    caller: Caller<Update>,
    Path(path): Path<ArtifactPath>,
    Path(AttachmentName { name }): Path<AttachmentName>,
    content: Body,
) -> Answer<Json<Attached>> {
    let reference = path.reference()?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
        let detail = "an attachment's name has 1 to 64 letters, digits, `.`, `_` and `-`";
        return Err(Problem::bad("invalid_name", detail));
    }
    let taken = caller.body(content, MAX_BYTES).await?;
    // It puts bytes, which may take as long as those of an artifact.
    let admitted = caller.upload().await?;
    let tenant = &admitted.tenant;
    let store = &*tenant.store;
    let manifest = store.head(&reference).await?;
    let known = &manifest.attachments;
    if known.len() >= MAX_ATTACHMENTS && !known.contains_key(&name) {
        let detail = format!("an artifact has at most {MAX_ATTACHMENTS} attachments");
        return Err(Problem::new(StatusCode::CONFLICT, "too_many_attachments", detail));
    }
    let size = taken.bytes.len() as u64;
    let room = tenant.usage.room(store, 0, size).await?;
    let _read = caller.memory.charge(usize::try_from(manifest.size).unwrap_or(usize::MAX))?;
    let stored = store.get(&reference).await?;
    let mut new = NewArtifact::new(stored.artifact);
    new.links = stored.manifest.links;
    new.attachments.insert(name.clone(), taken.bytes);
    let manifest = store.put(&new).await?;
    room.taken(0, size);
    let attached = manifest.attachments.get(&name).cloned();
    let missing = || Problem::not_found("the attachment was replaced meanwhile");
    Ok(Json(Attached { reference: attached.ok_or_else(missing)? }))
}

/// The bytes of an attachment
#[utoipa::path(
    get, path = "/v1/attachments/{alg}/{digest}", tag = "computes", security(("token" = ["read"])),
    params(ArtifactPath),
    responses((status = 200, content_type = "application/octet-stream", description = "The bytes"), Refusals)
)]
pub(super) async fn attachment(
    caller: Caller<Read>,
    Path(path): Path<ArtifactPath>,
) -> Answer<Response> {
    let reference = path.reference()?;
    // How large it is shows only when it is there; it is no larger than this.
    let _read = caller.memory.charge(usize::try_from(MAX_BYTES).unwrap_or(usize::MAX))?;
    let bytes = caller.storing().await?.tenant.store.attachment(&reference).await?;
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, bytes).into_response())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    /// Go on after this ref: the `next` of the list before
    #[param(value_type = String, required = false, pattern = "^compute://[a-z0-9]{1,16}/[A-Za-z0-9_-]{1,128}$")]
    after: Option<Ref>,
}

/// The artifacts that are stored
///
/// A thousand at a time, in the order of their refs.
#[utoipa::path(
    get, path = "/v1/computes", tag = "computes", security(("token" = ["read"])),
    params(After), responses((status = 200, body = Computes), Refusals)
)]
pub(super) async fn list(
    caller: Caller<Read>,
    Query(After { after }): Query<After>,
) -> Answer<Json<Computes>> {
    let admitted = caller.storing().await?;
    // The first of them in order, and one more, whatever order they come in.
    let mut first = BTreeMap::new();
    let mut manifests = admitted.tenant.store.list();
    while let Some(one) = manifests.next().await {
        let Some(one) = undamaged(one)? else { continue };
        if after.as_ref().is_none_or(|after| one.reference > *after) {
            first.insert(one.reference.clone(), one);
            if first.len() > LISTED + 1 {
                first.pop_last();
            }
        }
    }
    let more = first.len() > LISTED;
    let computes: Vec<Manifest> = first.into_values().take(LISTED).collect();
    let next = computes.last().filter(|_| more).map(|one| one.reference.clone());
    Ok(Json(Computes { computes, next }))
}

/// What is known of an artifact; nothing if what is stored of it is damaged, which is for the operator to know.
fn undamaged(manifest: Result<Manifest, StoreError>) -> Result<Option<Manifest>, StoreError> {
    match manifest {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error @ StoreError::Damaged { .. }) => {
            warn(&error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Delete an artifact that nothing needs
///
/// Refused with 409 `referenced` while a version of a stack, a schedule or a job that has not ended names it, or another artifact links to it.
#[utoipa::path(
    delete, path = "/v1/computes/{alg}/{digest}", tag = "computes", security(("token" = ["update"])),
    params(ArtifactPath),
    responses((status = 204, description = "It is gone"), Refusals)
)]
pub(super) async fn delete(
    caller: Caller<Update>,
    Path(path): Path<ArtifactPath>,
) -> Answer<StatusCode> {
    let reference = path.reference()?;
    let jobs = Arc::clone(caller.jobs());
    let admitted = caller.storing().await?;
    // Once it has begun it ends, whether somebody waits for it or not: what is deleted is forgotten, too.
    let deleted = tokio::spawn(async move { delete_now(&admitted, jobs, reference).await });
    deleted.await.map_err(|error| Problem::internal(&error))?
}

async fn delete_now(admitted: &Admitted, jobs: Arc<Jobs>, reference: Ref) -> Answer<StatusCode> {
    let tenant = &admitted.tenant;
    let store = &*tenant.store;
    // No version that names it becomes active meanwhile.
    let _changing = tenant.changing.lock().await;
    let deleted = undamaged(store.head(&reference).await)?;
    let referenced = |detail: String| Err(Problem::new(StatusCode::CONFLICT, "referenced", detail));
    // Nothing is attached meanwhile to another.
    let _deleting = tenant.usage.deleting().await;
    let mut attached: HashSet<Ref> =
        deleted.into_iter().flat_map(|one| one.attachments.into_values()).collect();
    let mut manifests = store.list();
    while let Some(one) = manifests.next().await {
        let Some(one) = undamaged(one)? else { continue };
        if one.links.contains(&reference) {
            return referenced(format!("{} links to {reference}", one.reference));
        }
        if one.reference != reference {
            for other in one.attachments.values() {
                attached.remove(other);
            }
        }
    }
    let runs = {
        let reference = reference.clone();
        move |tenant: &Tenant, _: &Cancel| jobs.queue()?.naming(&tenant.name, &reference)
    };
    if let Some(by) = admitted.run(runs.clone()).await?? {
        return referenced(format!("{by} names {reference}"));
    }
    // Others that share the state keep no version that names it from now on, nor a schedule.
    let released = {
        let reference = reference.clone();
        move |tenant: &Tenant, _: &Cancel| tenant.catalogue.release(&reference)
    };
    let said = Instant::now();
    let by = {
        let reference = reference.clone();
        move |tenant: &Tenant, _: &Cancel| tenant.catalogue.naming(&reference)
    };
    let named = async || {
        let by = match admitted.run(by.clone()).await?? {
            Some(version) => format!("version {} of the stack `{}`", version.number, version.stack),
            None => "a new schedule".to_owned(),
        };
        Ok::<_, Problem>(format!("{by} names {reference}"))
    };
    if !admitted.run(released.clone()).await?? {
        return referenced(named().await?);
    }
    // What was submitted until then keeps it. A job that comes in the moment that is left finds nothing, as one that comes after it.
    if let Some(by) = admitted.run(runs).await?? {
        return referenced(format!("{by} names {reference}"));
    }
    // The store takes no part in a transaction: what is told is that it goes.
    let told = reference.clone();
    let told = move |tenant: &Tenant, _: &Cancel| {
        tenant
            .state
            .audit(AuditOf::Stacks)?
            .write(&Deed::artifact_delete(std::slice::from_ref(&told)))
    };
    admitted.run(told).await??;
    if said.elapsed() > RELEASED && !admitted.run(released.clone()).await?? {
        return referenced(named().await?);
    }
    let deleted = store.delete(&reference).await;
    // It may be gone though that failed midway. Whoever has loaded it since forgets it, too; if that cannot be told now, it was
    // told before.
    tenant.manager.forget(&reference);
    match admitted.run(released).await? {
        Ok(true) => {}
        Ok(false) => tracing::warn!(
            target: "request",
            "{reference} was deleted, and a version or a schedule was made meanwhile that names it: upload it again"
        ),
        Err(error) => warn(&error),
    }
    deleted?;
    for attachment in &attached {
        store.delete_attachment(attachment).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
