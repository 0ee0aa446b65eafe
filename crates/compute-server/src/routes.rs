//! The routes: each takes its request apart, calls, and puts the answer together.

#![allow(unused_qualifications, reason = "what utoipa's macros write")]

mod access;
mod caller;
mod computes;
mod documents;
mod extract;
mod health;
mod jobs;
mod records;
mod run;
mod stacks;
mod traces;

use std::collections::HashSet;
use std::sync::LazyLock;

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use serde_json::Value;
use utoipa::OpenApi as _;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use jobs::Runner;
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
    paths(documents::process, documents::batch::lines),
    components(schemas(ProblemBody)),
    tags(
        (name = "invoke", description = "Run computes, and take documents through stacks"),
        (name = "computes", description = "Artifacts, by their digests"),
        (name = "stacks", description = "Stacks, their versions and drafts; a `/` in a stack's name is written `%2F`"),
        (name = "jobs", description = "Work that is kept until it has a result"),
        (name = "traces", description = "What happened to documents"),
        (name = "records", description = "What was run, so that it can be run again; and what is recorded"),
        (name = "access", description = "Tokens, the secrets that rules may name, who changed what, and what was used"),
        (name = "health", description = "Whether the server lives, and what it does")
    )
)]
struct Described;

/// The routes of a server.
pub fn router(server: Server) -> Router {
    let (routes, document) = described();
    let web = get(documents::web).post(documents::web).put(documents::web).patch(documents::web);
    let web = web.delete(documents::web).options(documents::web);
    let document = Bytes::from(document.to_string());
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
pub fn openapi() -> Value {
    described().1
}

/// Whether a route takes parameters in its query.
fn takes_query(method: &Method, path: &str) -> bool {
    static TAKE: LazyLock<HashSet<(String, String)>> = LazyLock::new(|| {
        let document = openapi();
        let paths = document["paths"].as_object().into_iter().flatten();
        let all = paths.flat_map(|(path, methods)| {
            methods.as_object().into_iter().flatten().map(move |(method, of)| (path, method, of))
        });
        let has = |of: &Value| {
            let parameters = of["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            parameters.iter().any(|parameter| parameter["in"] == "query")
        };
        all.filter(|(_, _, of)| has(of))
            .map(|(path, method, _)| (method.to_ascii_uppercase(), path.clone()))
            .collect()
    });
    TAKE.contains(&(method.as_str().to_owned(), path.to_owned()))
}

/// Says of each integer how large it may be, where its route did not: what the type holds that reads it. A schema that allows more
/// than that calls a request valid that is refused.
fn bound_integers(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        Value::Object(fields) => {
            let (least, most) = match fields.get("format").and_then(Value::as_str) {
                Some("u-int64") => (0.into(), u64::MAX.into()),
                Some("int64") => (i64::MIN.into(), i64::MAX.into()),
                Some("u-int32") => (0.into(), u32::MAX.into()),
                Some("int32") => (i32::MIN.into(), i32::MAX.into()),
                _ => return fields.values_mut().for_each(bound_integers),
            };
            fields.entry("minimum").or_insert(least);
            fields.entry("maximum").or_insert(most);
        }
        _ => {}
    }
}

fn described() -> (Router<Server>, Value) {
    let mut document = Described::openapi();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token of `compute token create`. A server with `--dev` asks for none.",
        ))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(scheme));
    let (routes, document) = OpenApiRouter::with_openapi(document)
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(run::run))
        .routes(routes!(run::batch::run_lines))
        .routes(routes!(run::once))
        .routes(routes!(computes::list))
        .routes(routes!(computes::put, computes::get, computes::head, computes::delete))
        .routes(routes!(computes::manifest))
        .routes(routes!(computes::attach))
        .routes(routes!(computes::attachment))
        .routes(routes!(stacks::list))
        .routes(routes!(stacks::show))
        .routes(routes!(stacks::diff))
        .routes(routes!(stacks::versions::draft))
        .routes(routes!(stacks::versions::show, stacks::versions::delete))
        .routes(routes!(stacks::versions::file, stacks::versions::write, stacks::versions::remove))
        .routes(routes!(stacks::versions::validate))
        .routes(routes!(stacks::versions::activate))
        .routes(routes!(stacks::versions::activate_all))
        .routes(routes!(traces::list))
        .routes(routes!(traces::show))
        .routes(routes!(stacks::shadows))
        .routes(routes!(stacks::shadow, stacks::set_shadow, stacks::remove_shadow))
        .routes(routes!(stacks::rollouts::list))
        .routes(routes!(stacks::rollouts::show, stacks::rollouts::set, stacks::rollouts::remove))
        .routes(routes!(stacks::rollouts::complete))
        .routes(routes!(records::list))
        .routes(routes!(records::export))
        .routes(routes!(records::show))
        .routes(routes!(records::policies, records::set, records::unset))
        .routes(routes!(records::set_of_stack, records::unset_of_stack))
        .routes(routes!(jobs::list, jobs::submit))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::retry))
        .routes(routes!(jobs::schedules::list))
        .routes(routes!(jobs::schedules::show, jobs::schedules::set, jobs::schedules::delete))
        .routes(routes!(access::secrets::list))
        .routes(routes!(access::secrets::set, access::secrets::delete))
        .routes(routes!(access::tokens::list, access::tokens::create))
        .routes(routes!(access::tokens::revoke))
        .routes(routes!(access::audit::list))
        .routes(routes!(access::usage::list))
        .split_for_parts();
    let mut document = serde_json::to_value(document).unwrap_or_default();
    bound_integers(&mut document);
    (routes, document)
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
