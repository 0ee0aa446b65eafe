//! Artifacts: uploaded, looked at, deleted.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use compute::{Algorithm, Artifact, Limits};
use compute_store::{MAX_BYTES, Manifest, NewArtifact};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::extract::{Path, Query};
use super::{Answer, body, reference};
use crate::{Problem, Server};

/// How many artifacts a list has.
const LISTED: usize = 1000;

#[derive(Deserialize)]
pub(super) struct Upload {
    #[serde(default = "wasm")]
    engine: String,
}

fn wasm() -> String {
    "wasm".to_owned()
}

#[derive(Serialize)]
pub(super) struct Uploaded {
    #[serde(rename = "ref")]
    reference: String,
    alg: String,
    digest: String,
    engine: String,
    bytes: u64,
}

/// Checks, compiles and stores an artifact, in this order of refusals: the algorithm, the size, the digest,
/// the module.
pub(super) async fn put(
    State(server): State<Server>,
    Path((alg, digest)): Path<(String, String)>,
    Query(upload): Query<Upload>,
    headers: HeaderMap,
    content: Body,
) -> Answer<Json<Uploaded>> {
    let algorithm = Algorithm::from_name(&alg).ok_or_else(|| {
        let detail = format!("`{alg}` is not a digest algorithm; use sha256 or blake3");
        Problem::bad("unsupported_digest_alg", detail)
    })?;
    let wanted = reference(&alg, &digest)?;
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > MAX_BYTES) {
        return Err(too_large());
    }
    let bytes = body(content, MAX_BYTES, server.shared.settings.body)
        .await
        .map_err(|problem| if problem.code == "body_too_large" { too_large() } else { problem })?;
    let place = server.shared.admission.enter("uploads").await?;
    let manifest = blocking::unblock(move || {
        let got = algorithm.hex_digest(&bytes);
        if got != wanted.digest() {
            let detail = "the bytes have another digest than the path says";
            let problem = Problem::bad("digest_mismatch", detail);
            return Err(problem.with("want", wanted.digest()).with("got", got));
        }
        let artifact = Artifact::new(algorithm, upload.engine, bytes);
        let stored = store(&server, artifact);
        drop(place);
        stored
    })
    .await?;
    Ok(Json(Uploaded {
        reference: manifest.reference.to_string(),
        alg: manifest.alg,
        digest: manifest.digest,
        engine: manifest.engine,
        bytes: manifest.size,
    }))
}

fn too_large() -> Problem {
    let detail = format!("an artifact has at most {MAX_BYTES} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "artifact_too_large", detail)
        .with("limit", MAX_BYTES)
}

/// Compiles an artifact, so that what could never run is refused and the first call is fast, and stores it.
fn store(server: &Server, artifact: Artifact) -> Answer<Manifest> {
    let shared = &server.shared;
    let reference = artifact.reference().clone();
    let mut new = NewArtifact::new(artifact.clone());
    new.links = shared.manager.links(&artifact)?;
    shared.arriving.insert(artifact);
    let limits = Limits { wall: Some(shared.settings.compile), ..Limits::default() };
    let loaded = shared.manager.preload(&reference, limits);
    shared.arriving.remove(&reference);
    match loaded? {
        Ok(()) => {}
        Err(failure) => {
            let detail = failure.to_string();
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_module", detail));
        }
    }
    Ok(pollster::block_on(shared.store.put(&new))?)
}

pub(super) async fn head(
    State(server): State<Server>,
    Path((alg, digest)): Path<(String, String)>,
) -> Answer<Response> {
    let manifest = server.shared.store.head(&reference(&alg, &digest)?).await?;
    let length = [(header::CONTENT_LENGTH, manifest.size.to_string())];
    Ok((length, constant(&manifest)).into_response())
}

pub(super) async fn get(
    State(server): State<Server>,
    Path((alg, digest)): Path<(String, String)>,
) -> Answer<Response> {
    let stored = server.shared.store.get(&reference(&alg, &digest)?).await?;
    Ok((constant(&stored.manifest), stored.artifact.wasm().clone()).into_response())
}

/// The headers of bytes that never change.
fn constant(manifest: &Manifest) -> [(header::HeaderName, String); 3] {
    [
        (header::CONTENT_TYPE, "application/wasm".to_owned()),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
        (header::ETAG, format!("\"{}-{}\"", manifest.alg, manifest.digest)),
    ]
}

pub(super) async fn list(State(server): State<Server>) -> Answer<Response> {
    let listed: Vec<Manifest> = server.shared.store.list().take(LISTED + 1).try_collect().await?;
    let more = listed.len() > LISTED;
    Ok(Json(json!({ "computes": &listed[..listed.len().min(LISTED)], "more": more }))
        .into_response())
}

/// Deletes what no version of a stack needs.
pub(super) async fn delete(
    State(server): State<Server>,
    Path((alg, digest)): Path<(String, String)>,
) -> Answer<StatusCode> {
    let reference = reference(&alg, &digest)?;
    let shared = server.shared;
    shared.store.head(&reference).await?;
    let catalogue = std::sync::Arc::clone(&shared.catalogue);
    let named = blocking::unblock(move || catalogue.refs()).await?;
    if named.contains(&reference) {
        let detail = format!("a version of a stack names {reference}");
        return Err(Problem::new(StatusCode::CONFLICT, "referenced", detail));
    }
    shared.store.delete(&reference).await?;
    Ok(StatusCode::NO_CONTENT)
}
