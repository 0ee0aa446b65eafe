//! `docs/txcl.md`: every example is a workspace that is applied and fired, every function's row is evaluated.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use crate::Home;

/// A block of the document: what stands after its fence, and its text.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((info.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The rules of a block, by path: one, or several with their paths in comments.
fn rules(text: &str) -> BTreeMap<String, String> {
    let mut rules = BTreeMap::new();
    let mut path = "OPS/doc/100/rule.txcl".to_owned();
    for line in text.lines() {
        match line.strip_prefix("# ").filter(|rest| rest.starts_with("OPS/")) {
            Some(other) => other.clone_into(&mut path),
            None => rules.entry(path.clone()).or_insert_with(String::new).extend([line, "\n"]),
        }
    }
    rules
}

fn document() -> String {
    fs::read_to_string(compute_guests::root().join("docs/txcl.md")).unwrap()
}

#[test]
fn the_examples_give_what_is_written() {
    let text = document();
    let blocks = blocks(&text);
    let mut ops = BTreeMap::new();
    let mut run = 0;
    for (at, (info, block)) in blocks.iter().enumerate() {
        if let Some(name) = info.strip_prefix("ts ") {
            ops.insert(name.to_owned(), block.clone());
        }
        if info != "txcl" {
            continue;
        }
        let home = Home::new();
        let folder = home.0.path().join("workspace");
        for (path, rule) in rules(block) {
            assert!(txcl::parse(&rule).is_ok(), "{rule}");
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, rule).unwrap();
            for (name, source) in &ops {
                fs::write(path.with_file_name(name), source).unwrap();
            }
        }
        let [Some((a, input)), Some((b, output))] = [blocks.get(at + 1), blocks.get(at + 2)] else {
            continue;
        };
        if (&**a, &**b) != ("json", "json") {
            continue;
        }
        home.stdout(&["apply", folder.to_str().unwrap()], b"");
        let given = home.stdout(&["fire", "doc", "--trace=off", "--input", input], b"");
        let [given, output]: [Value; 2] =
            [&given, output].map(|json| serde_json::from_str(json).unwrap());
        assert_eq!(given, output, "{block}");
        run += 1;
    }
    assert!(run >= 12, "only {run} examples were run");
}

#[test]
fn the_functions_give_what_is_written() {
    let mut told = BTreeSet::new();
    for line in document().lines() {
        let Some(row) = line.strip_prefix("| `&") else { continue };
        let (call, rest) = row.split_once("` | ").unwrap();
        let gives = rest.split_once('|').unwrap().0.trim().trim_matches('`');
        told.insert(call.split('(').next().unwrap().to_owned());
        let parsed = txcl::parse(&format!("EMIT .out = &{call}"));
        assert!(parsed.is_ok(), "{call}: {:?}", parsed.diagnostics);
        let mut out = json!({});
        let program = txcl::Program::new(&parsed.rule);
        program.emit(&json!({}), &mut out, &mut txcl::Context::default()).unwrap();
        if !gives.is_empty() {
            assert_eq!(out["out"], serde_json::from_str::<Value>(gives).unwrap(), "{call}");
        }
    }
    for function in txcl::functions() {
        assert!(told.contains(function.name), "docs/txcl.md does not tell of &{}", function.name);
    }
}
