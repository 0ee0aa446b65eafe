//! Requests to a server, from an attacker who knows its OpenAPI document: whatever they are, each is answered,
//! none as the server's own failure, and what is refused is a problem with a code.
//!
//! An input is a few requests to one new server, each of which knows what the ones before were answered.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Unstructured;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use compute::{Algorithm, Limits, Manager};
use compute_flow::ProcessorSettings;
use compute_state::Location;
use compute_server::{Server, Settings, router};
use compute_wasm as _;
use http_body_util::BodyExt as _;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

/// How many requests there are in an input.
const REQUESTS: usize = 8;
/// How long one may take to be answered: every limit below is less.
const PATIENCE: Duration = Duration::from_secs(20);
/// How deep the values are that bodies are made of.
const DEPTH: usize = 5;

/// What stands in paths, queries and bodies, whatever is asked for.
const WORDS: &[&str] = &[
    "s",
    "t",
    "s/v",
    "sha256",
    "blake3",
    "1",
    "2",
    "0",
    "-1",
    "4294967295",
    "100",
    "100_A",
    "a.txcl",
    "100/a.txcl",
    "KEY",
    "wasm",
    "identity",
    "default",
    "admin",
    "run",
    "EMIT .a = 1",
    "EXEC \"op://x\"",
    "2026-01-31T12:00:00Z",
    "full",
    "off",
    "..",
    "%",
    "\0",
    "\u{1F600}",
    "op://echo",
    "1.5",
    "0000000000000000000000000000000000000000000000000000000000000000",
];
const HEADERS: &[&str] = &[
    "authorization",
    "host",
    "origin",
    "content-type",
    "content-length",
    "accept",
    "expect",
    "range",
    "if-none-match",
    "traceparent",
    "transfer-encoding",
    "x-compute-trace",
    "x-compute-deadline",
    "x-compute-rid",
    "x-compute-seed",
    "x-compute-now",
    "x-compute-fuel",
    "x-forwarded-for",
    "connection",
    "accept-encoding",
];

/// The server's own description, and what it is asked first.
static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(compute_server::openapi()).expect("it is JSON"));
static OPERATIONS: LazyLock<Vec<(Method, String, Value)>> = LazyLock::new(|| {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods").iter();
        methods.map(move |(method, operation)| {
            let method = method.to_uppercase().parse().expect("a method");
            (method, path.clone(), operation.clone())
        })
    });
    operations.collect()
});
/// A module that gives back its input.
static ECHO: LazyLock<Vec<u8>> = LazyLock::new(|| {
    wat::parse_str(include_str!("../../crates/compute-cli/tests/cmd/guests/echo.wat")).expect("WAT")
});
static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let mut input = Unstructured::new(input);
    if input.is_empty() {
        return Corpus::Reject;
    }
    RUNTIME.block_on(async {
        let home = Home::new().await;
        let mut seen = vec![Algorithm::Sha256.hex_digest(&ECHO)];
        for _ in 0..REQUESTS {
            let Ok(Some(request)) = request(&mut input, &seen) else { break };
            let answer = home.ask(request).await;
            remember(&answer, &mut seen);
        }
    });
    Corpus::Keep
});

/// A new server, with something to run and a stack.
struct Home {
    router: Router,
    /// Where its state is; it goes when this is dropped.
    _folder: tempfile::TempDir,
}

impl Home {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let location = Location::new("memory:", folder.path());
        let vault = location.vault().expect("a vault");
        let limits = Limits {
            memory: Some(4 << 20),
            wall: Some(Duration::from_millis(200)),
            output: Some(64 << 10),
            ..Limits::DEFAULT
        };
        let seconds = Duration::from_secs;
        let documents =
            ProcessorSettings { limits, deadline: seconds(1), ..ProcessorSettings::default() };
        let settings = Settings {
            dev: true,
            limits,
            documents,
            compile: seconds(10),
            body_timeout: seconds(1),
            ..Settings::default()
        };
        let engine = compute_wasm::Settings { sandboxes: 4, ..Default::default() };
        let manager = Manager::builder().engine("wasm", engine.into());
        let server = Server::open(location, vault, manager, settings).expect("a server");
        let home = Self { router: router(server), _folder: folder };

        let digest = Algorithm::Sha256.hex_digest(&ECHO);
        home.set_up(Method::PUT, &format!("/v1/computes/sha256/{digest}"), ECHO.clone()).await;
        let rule = format!("EXEC \"compute://sha256/{digest}\" EMIT .a = 1");
        let files = json!({ "files": [{ "path": "100/a.txcl", "text": rule }] });
        home.set_up(Method::POST, "/v1/stacks/s/drafts", files.to_string().into()).await;
        home.set_up(Method::POST, "/v1/stacks/s/versions/1/activate", Vec::new()).await;
        home
    }

    async fn set_up(&self, method: Method, path: &str, body: Vec<u8>) {
        let request = Request::builder().method(method).uri(path).body(Body::from(body));
        let (status, answer) = self.ask(request.expect("a request")).await;
        assert!(status.is_success(), "{path}: {}", String::from_utf8_lossy(&answer));
    }

    /// The answer to a request, which is one that may be given.
    async fn ask(&self, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        let what = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
        let (is_head, is_ready) =
            (request.method() == Method::HEAD, request.uri().path() == "/readyz");
        let answer = async {
            let answer = self.router.clone().oneshot(request).await.expect("it never fails");
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.unwrap_or_else(|error| panic!("{what}: {error}"));
            (parts, body.to_bytes().to_vec())
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let (parts, body) = answer.unwrap_or_else(|_| panic!("{what}: no answer"));
        let text = String::from_utf8_lossy(&body);
        assert!(
            !parts.status.is_server_error() || is_expected(parts.status, is_ready),
            "{what}: {} {text}",
            parts.status
        );
        if parts.status.as_u16() >= 400 {
            let kind = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
            assert_eq!(
                kind,
                Some(b"application/problem+json".as_slice()),
                "{what}: {} {text}",
                parts.status
            );
            if !is_head {
                let problem: Value = serde_json::from_slice(&body)
                    .unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
                assert_eq!(problem["status"], parts.status.as_u16(), "{what}: {problem}");
                assert!(
                    problem["code"].as_str().is_some_and(|code| !code.is_empty()),
                    "{what}: {problem}"
                );
            }
        }
        (parts.status, body)
    }
}

/// The failures that may be answered: a run took too long. A server that is not ready says so where it is asked.
fn is_expected(status: StatusCode, is_ready: bool) -> bool {
    status == StatusCode::GATEWAY_TIMEOUT || (is_ready && status == StatusCode::SERVICE_UNAVAILABLE)
}

/// Keeps what an answer names, for the requests that come after.
fn remember((_, body): &(StatusCode, Vec<u8>), seen: &mut Vec<String>) {
    let Ok(Value::Object(answer)) = serde_json::from_slice(body) else { return };
    for name in ["id", "token", "digest", "number", "rid", "next"] {
        match answer.get(name) {
            Some(Value::String(text)) => seen.push(text.clone()),
            Some(Value::Number(number)) => seen.push(number.to_string()),
            _ => {}
        }
    }
}

type Made<T> = arbitrary::Result<T>;

/// The next request of an input; none at its end, and for what HTTP has no words for.
fn request(input: &mut Unstructured<'_>, seen: &[String]) -> Made<Option<Request<Body>>> {
    if input.is_empty() {
        return Ok(None);
    }
    let (method, path, operation) = input.choose(&OPERATIONS)?;
    let method = if one_in(input, 16)? { any_method(input)? } else { method.clone() };
    let mut uri =
        if one_in(input, 32)? { format!("/{}", word(input, seen)?) } else { path.clone() };
    let mut query = Vec::new();
    let mut headers: Vec<(HeaderName, Vec<u8>)> = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default();
        let is_path = parameter["in"] == "path";
        if !is_path && input.arbitrary()? {
            continue;
        }
        let value = word(input, seen)?;
        match parameter["in"].as_str() {
            Some("path") => uri = uri.replace(&format!("{{{name}}}"), &encoded(&value)),
            Some("query") => query.push(format!("{name}={}", encoded(&value))),
            _ => headers.extend(name.parse().ok().map(|name| (name, value.into_bytes()))),
        }
    }
    if one_in(input, 16)? {
        query.push(encoded(&word(input, seen)?));
    }
    if !query.is_empty() {
        uri = format!("{uri}?{}", query.join("&"));
    }
    while one_in(input, 4)? {
        let name = HeaderName::from_static(input.choose(HEADERS)?);
        headers.push((name, header_value(input, seen)?));
    }
    let body = body(input, operation, seen)?;
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
        request = request.header(name, value);
    }
    Ok(request.body(body).ok())
}

fn one_in(input: &mut Unstructured<'_>, many: u8) -> Made<bool> {
    // At its end an input is all zeros: then nothing more is made.
    Ok(input.arbitrary::<u8>()? % many == 1)
}

fn any_method(input: &mut Unstructured<'_>) -> Made<Method> {
    let methods =
        ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"];
    Ok(input.choose(&methods)?.parse().unwrap_or_default())
}

/// Something that was seen, something that is known, or anything.
fn word(input: &mut Unstructured<'_>, seen: &[String]) -> Made<String> {
    Ok(match input.arbitrary::<u8>()? % 4 {
        0 => input.choose(seen)?.clone(),
        1 | 2 => (*input.choose(WORDS)?).to_owned(),
        _ => input.arbitrary::<&str>()?.chars().take(200).collect(),
    })
}

fn header_value(input: &mut Unstructured<'_>, seen: &[String]) -> Made<Vec<u8>> {
    let value = word(input, seen)?;
    Ok(match input.arbitrary::<u8>()? % 4 {
        0 => format!("Bearer {value}").into_bytes(),
        1 => b"localhost".to_vec(),
        _ => value.into_bytes(),
    })
}

/// As a path or a query has it; what needs no escape is left as it is.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// A body: what the operation asks for, something near to it, or anything.
fn body(input: &mut Unstructured<'_>, operation: &Value, seen: &[String]) -> Made<Body> {
    let content = &operation["requestBody"]["content"];
    if content.is_null() && !one_in(input, 16)? {
        return Ok(Body::empty());
    }
    if one_in(input, 8)? {
        return Ok(input.arbitrary::<&[u8]>()?.to_vec().into());
    }
    let json = &content["application/json"]["schema"];
    if json.is_object() {
        return Ok(value(input, json, seen, DEPTH)?.to_string().into());
    }
    Ok(match input.arbitrary::<u8>()? % 3 {
        0 => ECHO.clone().into(),
        1 => input.arbitrary::<&[u8]>()?.to_vec().into(),
        _ => word(input, seen)?.into(),
    })
}

/// A value as a schema has it, more or less.
fn value(
    input: &mut Unstructured<'_>,
    schema: &Value,
    seen: &[String],
    depth: usize,
) -> Made<Value> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        return value(input, &DOCUMENT["components"]["schemas"][name], seen, depth);
    }
    if let Some(list) =
        schema["oneOf"].as_array().or(schema["anyOf"].as_array()).filter(|list| !list.is_empty())
    {
        let schema = input.choose(list)?;
        return value(input, schema, seen, depth);
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        Value::Null => ["object", "array", "string", "integer", "boolean"].map(Value::from).into(),
        kind => vec![kind.clone()],
    };
    let kind = if one_in(input, 32)? {
        "null"
    } else {
        input.choose(&kinds)?.as_str().unwrap_or_default()
    };
    Ok(match kind {
        "object" if depth > 0 => {
            let mut map = Map::new();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                if !one_in(input, 6)? {
                    map.insert(name.clone(), value(input, schema, seen, depth - 1)?);
                }
            }
            while one_in(input, 4)? {
                let more = value(input, &schema["additionalProperties"], seen, depth - 1)?;
                map.insert(word(input, seen)?, more);
            }
            map.into()
        }
        "array" if depth > 0 => {
            let mut list = Vec::new();
            while input.arbitrary::<u8>()? % 2 == 1 && list.len() < 20 {
                list.push(value(input, &schema["items"], seen, depth - 1)?);
            }
            list.into()
        }
        "string" => text(input, schema, seen)?.into(),
        "integer" if input.arbitrary()? => input.arbitrary::<u8>()?.into(),
        "integer" => input.arbitrary::<i64>()?.into(),
        "number" => json!(input.arbitrary::<f64>()?),
        "boolean" => input.arbitrary::<bool>()?.into(),
        _ => Value::Null,
    })
}

fn text(input: &mut Unstructured<'_>, schema: &Value, seen: &[String]) -> Made<String> {
    let named = schema["enum"].as_array().cloned().unwrap_or_default();
    let known =
        named.iter().chain([&schema["example"]]).filter_map(Value::as_str).collect::<Vec<_>>();
    if !known.is_empty() && input.arbitrary()? {
        return Ok((*input.choose(&known)?).to_owned());
    }
    let word = word(input, seen)?;
    Ok(if one_in(input, 4)? { format!("compute://sha256/{word}") } else { word })
}
