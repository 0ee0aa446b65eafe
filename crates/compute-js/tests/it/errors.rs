//! What an author is told when an op fails: what happened, and at which line of theirs.

use std::time::Duration;

use compute::{Level, Limits, Status};

use compute_js::BuildOptions;

use crate::{HEAD, bench, build, call, call_loaded, failure, folder, told, trace};

/// An op whose fourth line is this one, with an interface above it that is gone once it is built.
fn op_with(line: &str) -> String {
    format!(
        "{HEAD}interface Input {{ a: number }}\nexport default op<Input>(async ({{ input }}) => {{\n  {line}\n}});\n"
    )
}

fn told_of(line: &str) -> String {
    let built = build(&op_with(line));
    told(&built, &call(&built, r#"{"a":1}"#, Limits::default()))
}

#[test]
fn a_throw_a_rejection_and_a_type_error_are_at_their_line() {
    assert_eq!(
        told_of(r#"throw new Error("no such order");"#),
        "Error: no such order [trapped] at op.ts:4:13"
    );
    assert_eq!(
        told_of(r#"await Promise.reject(new RangeError("far"));"#),
        "RangeError: far [trapped] at op.ts:4:28"
    );
    assert_eq!(
        told_of("return (input as any).b.c;"),
        "TypeError: cannot read property 'c' of undefined [trapped] at op.ts:4:27"
    );
}

#[test]
fn what_the_plugin_finds_is_at_the_handler() {
    assert_eq!(
        told_of("await new Promise(() => {});"),
        "Error: the handler's promise never settled: nothing is left that could settle it [trapped] at op.ts:3:26"
    );
    assert_eq!(
        told_of("input.a;"),
        "Error: the handler returned nothing; return a JSON value, or null [trapped] at op.ts:3:26"
    );
    assert_eq!(
        told_of("return () => 1;"),
        "Error: the handler returned a function, which JSON cannot hold [trapped] at op.ts:3:26"
    );
}

#[test]
fn a_deadline_shows_where_the_op_was() {
    let cases = [
        "while (true) JSON.stringify(input);",
        "while (true) { if (input) continue; }",
        "return /^(a+)+$/.test('a'.repeat(40) + 'b');",
        "while (true) { if (/(x+x+)+y/.test('x'.repeat(20))) return 1; }",
        "return 'x'.repeat(50).replace(/(x+x+)+y/g, '');",
    ];
    let limits = Limits { wall: Some(Duration::from_millis(100)), ..Limits::default() };
    for case in cases {
        let built = build(&op_with(case));
        let outcome = call_loaded(&built, "{}", limits);
        assert_eq!(outcome.status(), Status::WallLimit);
        let told = told(&built, &outcome);
        assert!(told.contains("the wall limit of 100ms was reached while the guest ran"), "{told}");
        let place = trace(&built, failure(&outcome)).place;
        let place = place.unwrap_or_else(|| panic!("it says where it was: {case}"));
        assert_eq!((place.file.as_str(), place.line), ("op.ts", 4), "{case}");
    }
}

#[test]
fn deep_recursion_and_memory_are_at_their_line() {
    let built =
        build(&op_with("const deep = (n: number): number => deep(n + 1) + 1; return deep(0);"));
    let outcome = call(&built, "{}", Limits::default());
    let text = told(&built, &outcome);
    assert!(text.starts_with("RangeError: Maximum call stack size exceeded"), "{text}");
    assert!(text.contains("at op.ts:4:"), "{text}");

    let built = build(&op_with(
        "const all: string[] = []; while (true) all.push('x'.repeat(100000) + all.length);",
    ));
    let outcome = call(&built, "{}", Limits { memory: Some(16 << 20), ..Limits::default() });
    assert_eq!(outcome.status(), Status::MemoryLimit);
    let text = told(&built, &outcome);
    assert!(text.contains("beyond its limit of 16777216 bytes"), "{text}");
}

#[test]
fn what_is_thrown_and_is_no_error_is_shown() {
    assert_eq!(
        told_of("throw \"just a text\";"),
        "the guest threw just a text [trapped] at nowhere"
    );
    assert_eq!(told_of("throw { code: 7 };"), "the guest threw {\"code\":7} [trapped] at nowhere");
    assert_eq!(told_of("throw null;"), "the guest threw null [trapped] at nowhere");
}

#[test]
fn a_failure_at_the_top_level_is_the_guests_on_each_call() {
    let built = build(&format!(
        "{HEAD}const limit: number = JSON.parse(\"nope\");\nexport default op(() => limit);\n"
    ));
    for _ in 0..2 {
        let outcome = call(&built, "{}", Limits::default());
        assert!(
            told(&built, &outcome).starts_with("SyntaxError: ")
                && told(&built, &outcome).ends_with("at op.ts:2:28"),
            "{}",
            told(&built, &outcome)
        );
    }
}

#[test]
fn a_default_export_that_is_no_op_says_so() {
    let cases = [
        ("export default 3;", "the default export was not made with op(…)"),
        ("export const x = 3;", "the module has no default export"),
        (
            "import { op } from \"@compute/op\"; export default op(3 as any);",
            "op(…) takes a function, and got number",
        ),
    ];
    for (source, expected) in cases {
        let built = build(source);
        let outcome = call(&built, "{}", Limits::default());
        let text = failure(&outcome).to_string();
        assert!(text.starts_with("TypeError: ") && text.contains(expected), "{text}");
    }
}

#[test]
fn a_function_alone_is_an_op() {
    let cases = [
        "({ input }) => ({ hi: input.name })",
        "async function ({ input }) { return { hi: input.name }; }",
    ];
    for source in cases {
        let built = build(&format!("export default {source};"));
        let outcome = call(&built, r#"{"name":"Ada"}"#, Limits::default());
        assert_eq!(outcome.result.unwrap(), br#"{"hi":"Ada"}"#);
    }
}

#[test]
fn a_result_with_a_forgotten_await_says_where() {
    let cases = [
        ("({ a: { b: [1, Promise.resolve(5)] } })", "a promise at a.b[1], which"),
        ("[crypto.subtle.digest('SHA-256', new Uint8Array(1))]", "a promise at [0], which"),
        ("({ total: 10n })", "cannot be written as JSON: BigInt"),
        ("((o) => (o.o = o))({})", "cannot be written as JSON: circular reference"),
    ];
    for (result, expected) in cases {
        let built = build(&format!("{HEAD}export default op(() => {result});"));
        let outcome = call(&built, "{}", Limits::default());
        let told = told(&built, &outcome);
        assert!(told.contains(expected) && told.contains(" at op.ts:2:"), "{told}");
    }
    let built =
        build(&format!("{HEAD}export default op(() => JSON.stringify([Promise.resolve(1)]));"));
    let outcome = call(&built, "{}", Limits::default());
    assert_eq!(outcome.result.unwrap(), br#""[{}]""#);
}

#[test]
fn the_stack_is_the_authors_and_names_libraries_too() {
    let folder = folder(&[
        ("package.json", "{}"),
        (
            "src/op.ts",
            "import { op } from \"@compute/op\";\nimport { check } from \"./check\";\nimport { lib } from \"lib\";\nexport default op(({ input }) => lib(() => check(input)));\n",
        ),
        (
            "src/check.ts",
            "export function check(input: unknown): never {\n  throw new TypeError(\"bad input\");\n}\n",
        ),
        ("node_modules/lib/package.json", r#"{"name":"lib","version":"1.0.0","main":"index.js"}"#),
        ("node_modules/lib/index.js", "exports.lib = function lib(run) {\n  return run();\n};\n"),
    ]);
    let built = crate::build_file(&folder.path().join("src/op.ts"));
    let outcome = call(&built, "{}", Limits::default());
    let trace = trace(&built, failure(&outcome));
    let files: Vec<_> =
        trace.stack.iter().map(|frame| format!("{}:{}", frame.file, frame.line)).collect();
    assert_eq!(
        files,
        ["src/check.ts:2", "src/op.ts:4", "node_modules/lib/index.js:2", "src/op.ts:4"]
    );
    let frame = trace.place.unwrap().frame(false).unwrap();
    assert!(frame.contains("2 |   throw new TypeError(\"bad input\");"), "{frame}");
}

#[test]
fn logs_have_levels_and_events_have_data() {
    let built = build(&format!(
        "{HEAD}export default op(({{ log, emit }}) => {{\n  log.debug(\"d\"); log.info(\"n %d of %s\", 3, \"x\", {{ a: [1] }}); console.warn(\"w\"); console.error(new Error(\"e\").message);\n  emit(\"order.paid\", {{ id: 7 }}); emit(\"done\"); return 1;\n}});"
    ));
    let outcome = call(&built, "{}", Limits::default());
    let lines: Vec<_> =
        outcome.log.lines.iter().map(|line| (line.level, line.text.as_str())).collect();
    assert_eq!(
        lines,
        [
            (Level::Debug, "d"),
            (Level::Info, "n 3 of x { a: [ 1 ] }"),
            (Level::Warn, "w"),
            (Level::Error, "e")
        ]
    );
    assert_eq!(outcome.events[0].name, "order.paid");
    assert_eq!(outcome.events[0].data.get(), "{\"id\":7}");
    assert_eq!(outcome.events[1].data.get(), "null");
}

#[test]
fn the_log_writer_is_told_the_request() {
    use std::sync::{Arc, Mutex};

    use compute::{Log, Meta, OpCall, Ref, RunOptions, Runner as _};

    let built = build(&format!(
        "{HEAD}export default op(({{ log }}) => {{ log.info(\"hi\"); return 1; }});"
    ));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let writer = {
        let seen = Arc::clone(&seen);
        move |_: &Ref, rid: &str, log: &Log| {
            seen.lock().unwrap().push((rid.to_owned(), log.lines[0].text.clone()));
        }
    };
    let options = RunOptions {
        limits: crate::LIMITS,
        log: Some(Arc::new(writer)),
        op: Some(OpCall {
            meta: Meta { rid: "req-1".into(), ..Meta::default() },
            ..OpCall::default()
        }),
        ..RunOptions::default()
    };
    bench().manager.run_blocking(built.artifact.reference(), b"{}", &options).unwrap();
    assert_eq!(*seen.lock().unwrap(), [("req-1".to_owned(), "hi".to_owned())]);
}

/// Handlers that fail, each at the line that `// here` marks: plain, and with `--minify`.
#[test]
fn each_failure_is_at_its_line() {
    let programs: Vec<_> = include_str!("failures.txt").split("\n-----\n").collect();
    assert!(programs.len() >= 80, "{}", programs.len());
    let mut wrong = Vec::new();
    for program in programs {
        for minify in [false, true] {
            let folder = folder(&[("op.ts", &op_with(program))]);
            let options = BuildOptions { minify, ..BuildOptions::default() };
            let file = folder.path().join("op.ts");
            let built = compute_js::build(&file, &options, &bench().manager).unwrap();
            bench().artifacts.insert(built.artifact.clone());
            let outcome = call(&built, r#"{"a":1}"#, Limits::default());
            let line = program.lines().position(|line| line.contains("// here")).unwrap() + 4;
            let place = outcome.result.as_ref().err().and_then(|error| trace(&built, error).place);
            if place.as_ref().map(|place| place.line) != u32::try_from(line).ok() {
                let told = outcome.result.as_ref().err().map(|_| told(&built, &outcome));
                wrong.push(format!(
                    "{program}\n  minified: {minify}, told: {told:?}, line {line}\n"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn causes_and_the_errors_of_several_are_told_with_their_places() {
    let built =
        build(&op_with(r#"throw new Error("cannot load", { cause: new TypeError("refused") });"#));
    let outcome = call(&built, r#"{"a":1}"#, Limits::default());
    let failure = failure(&outcome).to_string();
    assert!(
        failure.starts_with("Error: cannot load\n  [cause]: TypeError: refused\n      at "),
        "{failure}"
    );
    let map = compute_js_plugin::SourceMap::read(&built.source_map).unwrap();
    assert!(map.text(&failure).contains("(op.ts:4:"), "{}", map.text(&failure));
    let several = op_with(
        "return Promise.any([Promise.reject(new Error('a down')), Promise.reject(new Error('b down'))]);",
    );
    let built = build(&several);
    let told = told(&built, &call(&built, r#"{"a":1}"#, Limits::default()));
    assert!(
        told.contains("[error]: Error: a down") && told.contains("[error]: Error: b down"),
        "{told}"
    );
    assert!(told.ends_with(" at op.ts:3:26"), "{told}");
}
