//! A rule's text and a document, both from an attacker: nothing falls over, and what is read is printed as
//! what it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use txcl::{Context, Program};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // What stands before the first NUL is the rule, what stands after it the document.
    let (source, document) = text.split_once('\0').unwrap_or((text, ""));
    let document: Value = serde_json::from_str(document).unwrap_or_else(|_| {
        json!({"a": 1, "b": "text", "c": [1, {"d": null}], "kind": "order", "_txc": {"step": 3}})
    });

    let parsed = txcl::parse(source);
    for diagnostic in &parsed.diagnostics {
        assert!(
            diagnostic.span.start <= diagnostic.span.end && diagnostic.span.end <= source.len()
        );
        let _ = diagnostic.render("rule.txcl", source, false);
        let _ = diagnostic.position(source);
    }
    let _ = txcl::scan_refs(source);
    let program = Program::new(&parsed.rule);
    let mut context = Context::default();
    let _ = program.matches(&document, &mut context);
    if let Ok(full) = program.prepare(&document, &mut context) {
        let mut failed = Vec::new();
        let _ = txcl::Control::read(&program.with(&full, &mut context, &mut failed));
        let mut response = document.clone();
        if let Ok(Some(selected)) = program.select(&full, &mut context, &mut failed) {
            let _ = selected.keep(&mut response, &mut context);
        }
        let _ = program.emit(&full, &mut response, &mut context);
        let _ = program.finish(&mut response, &mut context);
    }
    if parsed.is_ok() {
        let printed = parsed.rule.to_string();
        let again = txcl::parse(&printed);
        assert!(again.is_ok(), "{printed}");
        assert_eq!(again.rule, parsed.rule, "{printed}");
        let formatted = txcl::format(source).expect("it was parsed");
        assert_eq!(txcl::parse(&formatted).rule, parsed.rule, "{formatted}");
        assert_eq!(txcl::format(&formatted).as_ref(), Ok(&formatted));
    }
});
