//! The description of the routes is the one that is committed.

use std::path::Path;

/// `COMPUTE_BLESS=1 cargo test -p compute-server` writes it.
#[test]
fn the_description_is_the_one_that_is_committed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut text = compute_server::openapi().to_pretty_json().unwrap();
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
    // Every route but those for machines asks for a token.
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let open = ["/healthz", "/readyz"].contains(&path.as_str());
            assert_eq!(operation.get("security").is_none(), open, "{method} {path}");
        }
    }
}
