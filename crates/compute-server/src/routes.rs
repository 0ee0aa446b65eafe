//! The routes: each takes its request apart, calls, and puts the answer together.

#![allow(unused_qualifications, reason = "what utoipa's macros write")]

mod caller;
mod computes;
mod documents;
mod extract;
mod health;
mod records;
mod run;
mod secrets;
mod stacks;
mod tokens;
mod traces;
mod versions;

use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use stacks::differences;

use crate::http;
use crate::observe::observe;
use crate::wire::ProblemBody;
use crate::{Problem, Server};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "compute",
        description = "Computes and stacks over HTTP. Every error is `application/problem+json` (RFC 9457) with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    // A stage has slashes in it, so its route is a wildcard, which OpenAPI has no word for. Nor has it one for a route that is
    // for whatever the web sends: `/web/{*path}`.
    paths(documents::process),
    components(schemas(ProblemBody)),
    tags(
        (name = "invoke", description = "Run computes, and take documents through stacks"),
        (name = "computes", description = "Artifacts, by their digests"),
        (name = "stacks", description = "Stacks, their versions and drafts; a `/` in a stack's name is written `%2F`"),
        (name = "traces", description = "What happened to documents"),
        (name = "records", description = "What was run, so that it can be run again; and what is recorded"),
        (name = "access", description = "Tokens, and the secrets that rules may name"),
        (name = "health", description = "Whether the server lives, and what it does")
    )
)]
struct Described;

/// The routes of a server.
pub fn router(server: Server) -> Router {
    let (routes, document) = described();
    let web = get(documents::web).post(documents::web).put(documents::web).patch(documents::web);
    let web = web.delete(documents::web).options(documents::web);
    let document = Bytes::from(document.to_json().unwrap_or_default());
    routes
        .route(
            "/openapi.json",
            get(move || async move {
                // All who ask for it share its bytes.
                let kind = [(header::CONTENT_TYPE, "application/json")];
                (Extension(http::Shared), kind, document.clone()).into_response()
            }),
        )
        .route(
            "/schemas/record.v1.json",
            get(|| async {
                let kind = [(header::CONTENT_TYPE, "application/schema+json")];
                (Extension(http::Shared), kind, compute::RECORD_JSON_SCHEMA).into_response()
            }),
        )
        .route("/stacks/{*stage}", post(documents::process))
        .route("/web/{*path}", web)
        .fallback(|| async { Problem::not_found("there is no such route") })
        .method_not_allowed_fallback(|| async {
            let detail = "this route does not take this method";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        })
        .layer(middleware::from_fn_with_state(server.clone(), observe))
        .with_state(server)
}

/// The routes' description: OpenAPI 3.1, as `/openapi.json` answers it.
#[must_use]
pub fn openapi() -> OpenApi {
    described().1
}

fn described() -> (Router<Server>, OpenApi) {
    let mut document = Described::openapi();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token of `compute token create`. A server with `--dev` asks for none.",
        ))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(scheme));
    OpenApiRouter::with_openapi(document)
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(run::run))
        .routes(routes!(run::once))
        .routes(routes!(computes::list))
        .routes(routes!(computes::put, computes::get, computes::head, computes::delete))
        .routes(routes!(computes::manifest))
        .routes(routes!(computes::attach))
        .routes(routes!(computes::attachment))
        .routes(routes!(stacks::list))
        .routes(routes!(stacks::show))
        .routes(routes!(stacks::diff))
        .routes(routes!(versions::draft))
        .routes(routes!(versions::show, versions::delete))
        .routes(routes!(versions::file, versions::write, versions::remove))
        .routes(routes!(versions::validate))
        .routes(routes!(versions::activate))
        .routes(routes!(versions::activate_all))
        .routes(routes!(traces::list))
        .routes(routes!(traces::show))
        .routes(routes!(stacks::shadows))
        .routes(routes!(stacks::shadow, stacks::set_shadow, stacks::remove_shadow))
        .routes(routes!(records::list))
        .routes(routes!(records::export))
        .routes(routes!(records::show))
        .routes(routes!(records::policies, records::set, records::unset))
        .routes(routes!(records::set_of_stack, records::unset_of_stack))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::set, secrets::delete))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .split_for_parts()
}

type Answer<T> = Result<T, Problem>;

/// What every route may answer instead.
struct Refusals;

impl utoipa::IntoResponses for Refusals {
    fn responses()
    -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        let schema = utoipa::openapi::Ref::from_schema_name("Problem");
        let content = utoipa::openapi::ContentBuilder::new().schema(Some(schema)).build();
        let response = utoipa::openapi::ResponseBuilder::new()
            .description("A problem")
            .content("application/problem+json", content)
            .build();
        [("default".to_owned(), response.into())].into()
    }
}

/// A header's value, read as something.
fn header<T: std::str::FromStr>(
    headers: &HeaderMap,
    name: &'static str,
    wanted: &str,
) -> Answer<Option<T>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wrong = || Problem::bad("invalid_header", format!("the header {name} must be {wanted}"));
    text.map(Some).ok_or_else(wrong)
}
