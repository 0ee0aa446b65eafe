//! The description of the routes is the one that is committed.

use std::path::Path;

use serde_json::Value;

/// `COMPUTE_BLESS=1 cargo test -p compute-server` writes it.
#[test]
fn the_description_is_the_one_that_is_committed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut text = serde_json::to_string_pretty(&compute_server::openapi()).unwrap();
    text.push('\n');
    if std::env::var_os("COMPUTE_BLESS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == text,
        "openapi.json is not as the routes are: COMPUTE_BLESS=1 cargo test -p compute-server"
    );
}

#[tokio::test]
async fn the_description_is_served() {
    let home = crate::Home::new(crate::dev());
    let document = home.send("GET", "/openapi.json", "").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(
        document["paths"]["/v1/computes/{alg}/{digest}"]["put"]["responses"]["200"].is_object()
    );
    // What it names is in it.
    let text = document.to_string();
    for named in text.split("\"#/components/").skip(1) {
        let at = format!("/components/{}", named.split('"').next().unwrap());
        assert!(document.pointer(&at).is_some(), "{at}");
    }
    // Every route but those for machines asks for a token.
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let open = ["/healthz", "/readyz"].contains(&path.as_str());
            assert_eq!(operation.get("security").is_none(), open, "{method} {path}");
        }
    }
}

/// A client that makes requests of the description makes none that is refused for a number's size.
#[test]
fn each_integer_of_a_request_says_how_large_it_may_be() {
    fn integers(document: &Value, schema: &Value, at: &str, found: &mut usize) {
        match schema {
            Value::Array(items) => {
                items.iter().for_each(|item| integers(document, item, at, found))
            }
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    let named = document.pointer(&reference[1..]).unwrap();
                    return integers(document, named, &format!("{at} {reference}"), found);
                }
                let kind = fields.get("type").unwrap_or(&Value::Null);
                if kind == "integer"
                    || kind.as_array().is_some_and(|of| of.contains(&"integer".into()))
                {
                    let (least, most) = (fields.get("minimum"), fields.get("maximum"));
                    assert!(least.is_some() && most.is_some(), "{at}: {schema}");
                    *found += 1;
                }
                for (name, value) in fields {
                    integers(document, value, &format!("{at} {name}"), found);
                }
            }
            _ => {}
        }
    }
    let document = compute_server::openapi();
    let mut found = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            for part in ["parameters", "requestBody"] {
                let at = format!("{method} {path} {part}");
                integers(&document, &operation[part], &at, &mut found);
            }
        }
    }
    assert!(found > 30, "{found}");
}

/// A misspelt parameter is told, and not passed over.
#[tokio::test]
async fn a_parameter_that_no_route_has_is_refused() {
    let home = crate::Home::new(crate::dev());
    let document = home.send("GET", "/openapi.json", "").await.json();
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let of_query: Vec<_> =
                parameters.iter().filter(|parameter| parameter["in"] == "query").collect();
            // An answer without a body says no more than its status.
            if !path.starts_with("/v1/") || method == "head" {
                continue;
            }
            let path = path
                .replace("{alg}", "sha256")
                .replace("{digest}", &"0".repeat(64))
                .replace("{id}", "00000000-0000-7000-8000-000000000000")
                .replace("{stack}", "shop")
                .replace("{number}", "1")
                .replace("{scope}", "100")
                .replace("{file}", "rule.txcl")
                .replace("{name}", "one");
            let required = of_query.iter().filter(|parameter| parameter["required"] == true);
            let required: String =
                required.map(|one| format!("{}=1&", one["name"].as_str().unwrap())).collect();
            let answer =
                home.send(&method.to_uppercase(), &format!("{path}?{required}lats=1"), "").await;
            answer.is_problem(400, "invalid_query");
            tried += 1;
        }
    }
    assert!(tried >= 40, "{tried}");
}
