//! Packages of CommonJS: sloppy, and what they require of a machine.

use serde_json::json;

use crate::{build_file, call, folder, join, mistakes, value};

const OP: &str =
    "import { op } from \"@compute/op\";\nimport it from \"it\";\nexport default op(() => it());\n";

fn run(module: &str) -> serde_json::Value {
    let folder = folder(&[("op.ts", OP), ("node_modules/it/index.js", module)]);
    let built = build_file(&folder.path().join("op.ts"));
    value(&call(&built, "{}", compute::Limits::default()))
}

#[test]
fn commonjs_is_sloppy_unless_it_says_otherwise() {
    let cases = [
        // Names that nothing declares, `this` of a plain call, `with`, octal numbers, arguments that are their parameters.
        ("total = 0; module.exports = () => { total += 2; return total; };", json!(2)),
        ("module.exports = () => (function () { return this === globalThis; })();", json!(true)),
        (
            "module.exports = () => [010, 09, '\\033[0m\\0', 'a\\1', '\\\\01'];",
            json!([8, 9, "\u{1b}[0m\0", "a\u{1}", "\\01"]),
        ),
        ("module.exports = () => (function (a) { arguments[0] = 9; return a; })(1);", json!(9)),
        (
            "module.exports = () => { const frozen = Object.freeze({ a: 1 }); frozen.a = 2; return frozen.a; };",
            json!(1),
        ),
        // Behind comments and a hashbang; what is strict in it stays so.
        ("#!/usr/bin/env node\n/* a */ // b\nloose = 5; module.exports = () => loose;", json!(5)),
        (
            "exports = module.exports = () => [plain(), strict()]; function plain() { return this !== undefined; } function strict() { 'use strict'; return this === undefined; }",
            json!([true, true]),
        ),
        (
            "'use strict'; module.exports = () => { try { undeclared = 1; } catch (error) { return error.name; } };",
            json!("ReferenceError"),
        ),
        (
            "/* license */ 'other'; \"use strict\";\nmodule.exports = () => (function () { return this === undefined; })();",
            json!(true),
        ),
        (
            "module.exports = () => { class A { m() { return this === undefined; } } const { m } = new A(); return m(); };",
            json!(true),
        ),
    ];
    for (module, expected) in cases {
        assert_eq!(run(module), expected, "{module}");
    }
}

#[test]
fn a_file_that_is_named_commonjs_may_use_with() {
    let folder = folder(&[
        (
            "op.ts",
            "import { op } from \"@compute/op\";\nimport it from \"./it.cjs\";\nexport default op(() => it());\n",
        ),
        ("it.cjs", "module.exports = () => { with ({ inner: 3 }) { return inner + 010; } };"),
    ]);
    let built = build_file(&folder.path().join("op.ts"));
    assert_eq!(value(&call(&built, "{}", compute::Limits::default())), 11);
}

#[test]
fn modules_stay_strict_whatever_they_name() {
    let folder = folder(&[
        ("op.ts", OP),
        ("node_modules/it/package.json", r#"{"name":"it","module":"m.mjs"}"#),
        (
            "node_modules/it/m.mjs",
            "const exports = 1; export default () => { try { undeclared = exports; return 'sloppy'; } catch { return 'strict'; } };",
        ),
    ]);
    let built = build_file(&folder.path().join("op.ts"));
    assert_eq!(value(&call(&built, "{}", compute::Limits::default())), "strict");
}

#[test]
fn what_is_required_at_once_and_not_there_fails_the_build() {
    let needed = [
        "var fs = require('fs');\nmodule.exports = () => fs;",
        "const { join } = require('path'), { connect } = require(\"node:net\");\nmodule.exports = () => connect;",
        "(function () { var os = require('os'); module.exports = () => os; })();",
        "module.exports = make(require('child_process'));\nfunction make(a) { return () => a; }",
    ];
    for module in needed {
        let errors = mistakes(&[
            (
                "op.ts",
                "import { op } from \"@compute/op\";\nimport it from \"./lib\";\nexport default op(() => it());\n",
            ),
            ("lib.ts", "import it from \"outer\";\nexport default it;\n"),
            ("package.json", "{}"),
            ("node_modules/outer/index.js", "module.exports = require('it');"),
            ("node_modules/it/index.js", module),
        ]);
        let text = join(&errors);
        assert_eq!(errors[0].file, "node_modules/it/index.js", "{text}");
        assert_eq!(errors[0].line, 1, "{text}");
        assert!(text.contains("is a module of Node.js, and a sandbox has no files"), "{text}");
        let chain = ["node_modules/outer/index.js", "lib.ts", "op.ts"];
        assert_eq!(errors[0].importers, chain, "{text}");
        assert!(text.contains("imported by lib.ts\n  imported by op.ts"), "{text}");
    }
}

#[test]
fn what_is_required_perhaps_fails_when_it_is() {
    let module = "
        var fs; try { fs = require('fs'); } catch (error) { fs = { why: error.message }; }
        var os = typeof process === 'object' && process.platform === 'win32' ? require('os') : null;
        var net = globalThis.nothing && require('net');
        if (globalThis.nothing) require('tls');
        exports = module.exports = () => {
            try { return require('child_process'); } catch (error) { return [fs.why, os, error.message].map(String); }
        };";
    let said = run(module);
    assert!(said[0].as_str().unwrap().starts_with("`fs` is a module of Node.js"), "{said}");
    assert_eq!(said[1], "null");
    assert!(said[2].as_str().unwrap().starts_with("`child_process` is a module"), "{said}");
}

#[test]
fn an_import_that_leads_nowhere_says_by_whom() {
    let errors = mistakes(&[
        (
            "op.ts",
            "import { op } from \"@compute/op\";\nimport it from \"it\";\nexport default op(() => it);\n",
        ),
        ("package.json", "{}"),
        ("node_modules/it/index.mjs", "import { connect } from \"net\"; export default connect;"),
        ("node_modules/it/package.json", r#"{"name":"it","main":"index.mjs"}"#),
    ]);
    let text = join(&errors);
    assert_eq!(errors[0].importers, ["op.ts"], "{text}");
    assert_eq!(
        (errors[0].file.as_str(), errors[0].line),
        ("node_modules/it/index.mjs", 1),
        "{text}"
    );
}

#[test]
fn what_is_required_is_the_half_that_node_js_takes() {
    let folder = folder(&[
        ("op.ts", OP),
        (
            "node_modules/it/index.js",
            "const two = require('two'); module.exports = () => typeof two === 'function' ? two() : Object.keys(two);",
        ),
        (
            "node_modules/two/package.json",
            r#"{"name":"two","main":"main.js","module":"module.mjs"}"#,
        ),
        ("node_modules/two/main.js", "module.exports = () => 'main';"),
        ("node_modules/two/module.mjs", "export default () => 'module';"),
    ]);
    let built = build_file(&folder.path().join("op.ts"));
    assert_eq!(value(&call(&built, "{}", compute::Limits::default())), "main");
}

#[test]
fn what_is_not_installed_has_node_js_s_code_where_it_is_optional() {
    let module = "
        const codes = [];
        for (const load of [() => require('not-installed'), () => require('fs'), () => require('./nowhere')]) {
            try { load(); } catch (error) { codes.push(error.code); }
        }
        module.exports = () => codes;";
    assert_eq!(run(module), json!(["MODULE_NOT_FOUND", "MODULE_NOT_FOUND", "MODULE_NOT_FOUND"]));
    let errors = mistakes(&[
        ("op.ts", OP),
        (
            "node_modules/it/index.js",
            "const a = require('not-installed');\nmodule.exports = () => a;",
        ),
    ]);
    let text = join(&errors);
    assert!(text.contains("there is no package `not-installed` in node_modules"), "{text}");
    assert_eq!(
        (errors[0].file.as_str(), errors[0].line),
        ("node_modules/it/index.js", 1),
        "{text}"
    );
}

#[test]
fn frames_of_the_bundler_show_the_file_as_it_is() {
    let errors = mistakes(&[
        ("op.ts", OP),
        ("node_modules/it/index.js", "module.exports = () => { with ({}) { return 1; } };"),
    ]);
    let text = join(&errors);
    assert!(!text.contains("__compute"), "{text}");
    assert_eq!((errors[0].line, errors[0].column), (1, 26), "{text}");
}

#[test]
fn what_stands_deep_within_something_else_is_built_or_told() {
    let sum = format!("export default op(({{ input }}) => {});", ["input.a"; 5000].join("+"));
    let calls = format!("export default op(({{ input }}) => input{});", ".a(1)".repeat(3000));
    let head = "import { op } from \"@compute/op\";\n";
    for source in [sum, calls] {
        let folder = folder(&[("op.js", &format!("{head}{source}"))]);
        match crate::try_build(&folder.path().join("op.js")) {
            Ok(_) | Err(compute_js::BuildError::Source(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
