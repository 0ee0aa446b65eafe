//! Finds the rules of a scope that may match a document, without asking each of them.
//!
//! Many rules ask for one value of one path: `.kind == "order"`. Those are found by the value that the
//! document has there.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use txcl::Path;

use super::StackRule;

/// Where rules are by what they ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// For each path, the rules that ask for a value there.
    by_path: Vec<(Path, HashMap<Key, Vec<usize>>)>,
    /// The rules that ask for nothing that can be looked up.
    rest: Vec<usize>,
}

/// A written value that rules ask for, by its type: what a document has is read as each of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Text(String),
    /// The bits of a float, which is no zero below 0.
    Number(u64),
    Bool(bool),
}

impl Key {
    fn of(value: &Value) -> Option<Self> {
        match value {
            // What a list or an object may be as a text is not looked up.
            Value::String(text) if text.starts_with(['[', '{']) => None,
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Bool(bool) => Some(Self::Bool(*bool)),
            Value::Number(number) => number.as_f64().map(Self::number),
            _ => None,
        }
    }

    fn number(number: f64) -> Self {
        Self::Number((number + 0.0).to_bits())
    }
}

impl Index {
    pub(crate) fn new(rules: &[StackRule]) -> Self {
        let mut by_path: BTreeMap<Path, HashMap<Key, Vec<usize>>> = BTreeMap::new();
        let mut rest = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            let required = rule.program.required();
            match required.and_then(|(path, value)| Some((path, Key::of(value)?))) {
                Some((path, key)) => {
                    let keys = by_path.entry(path.clone()).or_default();
                    keys.entry(key).or_default().push(at);
                }
                None => rest.push(at),
            }
        }
        Self { by_path: by_path.into_iter().collect(), rest }
    }

    /// The places of the rules that may match, in order.
    pub(crate) fn candidates(&self, document: &Value) -> Vec<usize> {
        let mut found = self.rest.clone();
        for (path, keys) in &self.by_path {
            let value = path.get(document).unwrap_or(&Value::Null);
            let text = txcl::text_of(value).map(|text| Key::Text(text.into_owned()));
            let read = [
                text,
                Some(Key::number(txcl::number_of(value))),
                Some(Key::Bool(txcl::bool_of(value))),
            ];
            found.extend(read.iter().flatten().filter_map(|key| keys.get(key)).flatten());
        }
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use compute_state::File;
    use serde_json::{Value, json};

    use crate::rules::Stack;

    /// The names of the rules that may match.
    fn candidates(rules: &[(&str, &str)], document: &Value) -> Vec<String> {
        let files: Vec<_> = rules
            .iter()
            .map(|(name, when)| {
                File::new(format!("1/{name}.txcl"), format!("WHEN {when} EMIT .x = 1"))
            })
            .collect();
        let stack = Stack::compile("s".parse().expect("a name"), &files).expect("rules");
        stack.scopes()[0].candidates(document).map(|rule| rule.name.clone()).collect()
    }

    #[test]
    fn rules_are_found_by_what_they_ask_for() {
        let rules = [
            ("a", ".kind == \"x\" && .n > 1"),
            ("b", ".kind == \"y\""),
            ("c", ".n > 1"),
            ("d", ".n == 3"),
            ("e", ".ok == false"),
            ("f", ".kind == \"x\" || .n == 1"),
            ("g", "!.kind == \"x\""),
            ("h", ".kind == \"\""),
        ];
        let always = ["c", "f", "g"];
        let expect = |document: Value, more: &[&str]| {
            let mut names: Vec<_> = always.iter().chain(more).copied().collect();
            names.sort_unstable();
            assert_eq!(candidates(&rules, &document), names, "{document}");
        };
        expect(json!({"kind": "x", "n": 2, "ok": true}), &["a"]);
        expect(json!({"kind": "y", "n": 3, "ok": false}), &["b", "d", "e"]);
        expect(json!({"kind": "z", "n": 3.0, "ok": true}), &["d"]);
        expect(json!({"kind": "z", "n": 3.5, "ok": true}), &[]);
        expect(json!({"kind": "z", "n": "3", "ok": "true"}), &["d"]);
        expect(json!({"n": 1}), &["e", "h"]);
        expect(json!({"kind": null, "n": [3], "ok": "false"}), &["e", "h"]);
    }
}
