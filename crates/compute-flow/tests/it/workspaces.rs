//! The contract's §5: `conformance/workspaces.json` holds trees of files and what they are.

use std::collections::BTreeMap;
use std::fs;

use compute_flow::{Op, Workspace, WorkspaceRule};
use serde::Deserialize;

use crate::conformance::cases;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    tree: BTreeMap<String, String>,
    from: Option<String>,
    rules: Option<Vec<String>>,
    ops: Option<BTreeMap<String, Option<String>>>,
    unused: Option<Vec<String>>,
    error: Option<String>,
}

#[test]
fn workspaces() {
    for case in cases::<Case>("workspaces.json") {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in &case.tree {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let from = folder.path().join(case.from.as_deref().unwrap_or(""));
        let name = &case.name;
        let read = Workspace::find(&from).and_then(|root| Workspace::read(&root));
        let workspace = match (read, &case.error) {
            (Ok(workspace), None) => {
                assert_eq!(workspace.misplaced, [""; 0], "{name}");
                workspace
            }
            (Ok(workspace), Some(part)) if !workspace.misplaced.is_empty() => {
                let told = workspace.misplaced.join("\n");
                assert!(told.contains(part.as_str()), "{name}: {told}");
                continue;
            }
            (Err(error), Some(part)) => {
                assert!(error.to_string().contains(part.as_str()), "{name}: {error}");
                continue;
            }
            (read, error) => panic!("{name}: {read:?}, and should be {error:?}"),
        };
        let id = |rule: &WorkspaceRule| format!("{}/{}/{}", rule.stack, rule.scope, rule.name);
        let shown = |path: &std::path::Path| workspace.shown(path).to_string();
        if let Some(rules) = &case.rules {
            assert_eq!(workspace.rules.iter().map(id).collect::<Vec<_>>(), *rules, "{name}");
        }
        if let Some(ops) = &case.ops {
            let means = |rule: &WorkspaceRule| match rule.op.as_ref().unwrap() {
                Op::File(file) => Some(shown(file)),
                Op::Url(url) => Some(url.clone()),
                Op::Missing(..) => None,
            };
            let given: BTreeMap<_, _> =
                workspace.rules.iter().map(|rule| (id(rule), means(rule))).collect();
            assert_eq!(given, *ops, "{name}");
        }
        if let Some(unused) = &case.unused {
            let given: Vec<_> = workspace.unused.iter().map(|path| shown(path)).collect();
            assert_eq!(given, *unused, "{name}");
        }
    }
}
