//! Secrets that rules may name: set and forgotten, and never given back.

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;

use crate::routes::caller::{Admin, Caller};
use crate::routes::extract::Path;
use crate::routes::{Answer, Refusals};
use crate::wire::{SecretList, SecretValue};

/// The largest body that sets a secret, in bytes.
const MAX_BODY: u64 = 256 << 10;

/// The names of the secrets
#[utoipa::path(get, path = "/v1/secrets", tag = "access", security(("token" = ["admin"])), responses((status = 200, body = SecretList), Refusals))]
pub(in crate::routes) async fn list(caller: Caller<Admin>) -> Answer<Json<SecretList>> {
    let admitted = caller.admin().await?;
    let secrets = admitted.run(|tenant, _| tenant.catalogue.secrets()).await??;
    Ok(Json(SecretList { secrets }))
}

/// Set a secret
///
/// It is sealed before it is kept. A rule's compute sees it if its `WITH secrets` names it.
#[utoipa::path(
    put, path = "/v1/secrets/{name}", tag = "access", security(("token" = ["admin"])),
    params(("name" = String, Path, pattern = "^[A-Za-z0-9._-]{1,128}$")),
    request_body = SecretValue, responses((status = 204, description = "It is set"), Refusals)
)]
pub(in crate::routes) async fn set(
    caller: Caller<Admin>,
    Path(name): Path<String>,
    content: Body,
) -> Answer<StatusCode> {
    let SecretValue { value } = caller.body(content, MAX_BODY).await?.json()?;
    let admitted = caller.admin().await?;
    admitted.run(move |tenant, _| tenant.set_secret(&name, &value)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Forget a secret
#[utoipa::path(
    delete, path = "/v1/secrets/{name}", tag = "access", security(("token" = ["admin"])),
    params(("name" = String, Path, pattern = "^[A-Za-z0-9._-]{1,128}$")), responses((status = 204, description = "It is gone"), Refusals)
)]
pub(in crate::routes) async fn delete(
    caller: Caller<Admin>,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    let admitted = caller.admin().await?;
    admitted.run(move |tenant, _| tenant.catalogue.delete_secret(&name)).await??;
    Ok(StatusCode::NO_CONTENT)
}
