//! `resources/valid` and `resources/invalid`: a rule a file, and a snapshot of what it becomes. Bless with
//! `INSTA_UPDATE=always cargo test -p txcl`, and read the difference.

use std::path::{Path, PathBuf};

fn rules(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("resources").join(folder);
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "txcl"));
    files.sort();
    let name = |file: &Path| file.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|file| (name(file), std::fs::read_to_string(file).unwrap())).collect()
}

fn snapshot(folder: &str, name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => Path::new(env!("CARGO_MANIFEST_DIR")).join("resources").join(folder),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, { insta::assert_snapshot!(name, text) });
}

#[test]
fn valid_rules_are_printed_in_the_one_style() {
    for (name, source) in rules("valid") {
        let formatted = txcl::format(&source).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
        snapshot("valid", &name, &formatted);
        assert_eq!(txcl::format(&formatted).unwrap(), formatted, "{name}: formatted twice");
        assert_eq!(txcl::parse(&formatted).rule, txcl::parse(&source).rule, "{name}");
    }
}

#[test]
fn invalid_rules_are_told_as_their_author_needs() {
    for (name, source) in rules("invalid") {
        let diagnostics = txcl::parse(&source).diagnostics;
        assert!(!diagnostics.is_empty(), "{name} has no diagnostics");
        let file = format!("{name}.txcl");
        let shown: Vec<_> =
            diagnostics.iter().map(|one| one.render(&file, &source, false)).collect();
        for diagnostic in &diagnostics {
            assert!(!diagnostic.help.is_empty(), "{name}: {diagnostic} says not what to do");
            assert!(diagnostic.span.end <= source.len(), "{name}: {diagnostic:?}");
        }
        snapshot("invalid", &name, &shown.join("\n\n"));
    }
}
