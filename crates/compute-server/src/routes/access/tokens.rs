//! Tokens of the caller's own tenant.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use compute_state::NewToken;

use crate::Server;
use crate::routes::caller::{Admin, Caller};
use crate::routes::extract::Path;
use crate::routes::{Answer, Refusals};
use crate::wire::{TokenList, TokenRequest};

/// The largest body that asks for a token, in bytes.
const MAX_BODY: u64 = 16 << 10;

/// The tokens of this tenant
#[utoipa::path(get, path = "/v1/tokens", tag = "access", security(("token" = ["admin"])), responses((status = 200, body = TokenList), Refusals))]
pub(in crate::routes) async fn list(
    caller: Caller<Admin>,
    State(server): State<Server>,
) -> Answer<Json<TokenList>> {
    let shared = Arc::clone(&server.shared);
    let admitted = caller.admin().await?;
    let tokens = admitted.run(move |tenant, _| shared.tokens.list(Some(&tenant.name))).await??;
    Ok(Json(TokenList { tokens }))
}

/// Make a token for this tenant
///
/// It is shown here, and never again.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "access", security(("token" = ["admin"])),
    request_body = TokenRequest, responses((status = 201, body = NewToken), Refusals)
)]
pub(in crate::routes) async fn create(
    caller: Caller<Admin>,
    State(server): State<Server>,
    content: Body,
) -> Answer<(StatusCode, Json<NewToken>)> {
    let shared = Arc::clone(&server.shared);
    let request = caller.body(content, MAX_BODY).await?.json()?;
    let TokenRequest { name, scopes, expires } = request;
    let admitted = caller.admin().await?;
    let new = admitted
        .run(move |tenant, _| shared.tokens.create(Some(&tenant.name), &name, &scopes, expires));
    Ok((StatusCode::CREATED, Json(new.await??)))
}

/// End a token of this tenant
#[utoipa::path(
    delete, path = "/v1/tokens/{id}", tag = "access", security(("token" = ["admin"])),
    params(("id" = String, Path, pattern = "^[0-9a-f]{16}$")), responses((status = 204, description = "It has ended"), Refusals)
)]
pub(in crate::routes) async fn revoke(
    caller: Caller<Admin>,
    State(server): State<Server>,
    Path(id): Path<String>,
) -> Answer<StatusCode> {
    let shared = Arc::clone(&server.shared);
    let admitted = caller.admin().await?;
    admitted.run(move |tenant, _| shared.tokens.revoke(&id, Some(&tenant.name))).await??;
    Ok(StatusCode::NO_CONTENT)
}
