//! Builds: the same everywhere, small, and clear about mistakes.

mod commonjs;

use crate::{HEAD, build, build_file, folder, join, mistakes, run};

const FILES: [(&str, &str); 4] = [
    ("package.json", "{\"type\":\"module\"}"),
    (
        "src/op.ts",
        "import { op } from \"@compute/op\";\nimport { a } from \"./a.js\";\nimport cjs from \"cjs\";\nexport default op(() => [a, cjs.name]);\n",
    ),
    ("src/a.ts", "export const a: number = 1;\n"),
    ("node_modules/cjs/index.js", "exports.name = __dirname === undefined ? 1 : 2;\n"),
];

#[test]
fn the_same_sources_give_the_same_digest_in_any_folder() {
    let digests: Vec<_> = (0..2)
        .map(|_| {
            let folder = folder(&FILES);
            let built = build_file(&folder.path().join("src/op.ts"));
            let map = String::from_utf8(built.source_map.to_vec()).unwrap();
            assert!(!map.contains(folder.path().to_str().unwrap()), "{map}");
            (built.artifact.digest().to_owned(), map)
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn a_trivial_op_is_small() {
    let built = build(&format!(
        "{HEAD}export default op(({{ input }}) => ({{ ...input, greeting: 'hi ' + input.name }}));"
    ));
    assert!(built.artifact.wasm().len() <= 2048, "{}", built.artifact.wasm().len());
    assert_eq!(built.modules.len(), 2, "{:?}", built.modules);
}

#[test]
fn what_is_not_used_is_not_there() {
    let small = build(&format!("{HEAD}export default op(() => 1);"));
    let unused = build(&format!(
        "{HEAD}import {{ s }} from \"@compute/op/schema\";\nexport const unused = () => s.string();\nexport default op(() => 1);"
    ));
    let used = build(&format!(
        "{HEAD}import {{ get }} from \"@compute/op/envelope\";\nexport default op(({{ input }}) => get(input, \"a\") ?? 1);"
    ));
    assert!(used.artifact.wasm().len() > small.artifact.wasm().len());
    assert!(unused.modules.iter().any(|module| module.path.ends_with("schema")));
}

#[test]
fn packages_are_found_as_bundlers_find_them() {
    let folder = folder(&[
        (
            "op.js",
            "import { op } from \"@compute/op\";\nimport where from \"two-ways\";\nimport data from \"./data.json\";\nimport { deep } from \"esm/deep\";\nexport default op(() => [where, data.n, deep]);\n",
        ),
        ("data.json", "{\"n\": 5}"),
        (
            "node_modules/two-ways/package.json",
            r#"{"name":"two-ways","main":"node.js","browser":"browser.js"}"#,
        ),
        ("node_modules/two-ways/node.js", "module.exports = require('fs') && 'node';"),
        ("node_modules/two-ways/browser.js", "module.exports = 'browser';"),
        (
            "node_modules/esm/package.json",
            r#"{"name":"esm","exports":{"./deep":{"node":"./no.js","import":"./deep.mjs"}}}"#,
        ),
        ("node_modules/esm/deep.mjs", "export const deep = 'esm';"),
    ]);
    let built = build_file(&folder.path().join("op.js"));
    let outcome = crate::call(&built, "{}", compute::Limits::default());
    assert_eq!(crate::value(&outcome), serde_json::json!(["browser", 5, "esm"]));
}

#[test]
fn typescript_is_all_there() {
    let source = format!(
        "{HEAD}enum Kind {{ A = \"a\", B = \"b\" }}\nabstract class Base<T> {{ constructor(protected readonly value: T) {{}} abstract show(): string }}\nclass Thing extends Base<number> {{ #x = 1; static s = 2; show(): string {{ return `${{this.value}}${{this.#x}}${{Thing.s}}` }} }}\nnamespace N {{ export const n = 3 }}\nconst sat = {{ k: Kind.B }} satisfies {{ k: Kind }};\nfunction* gen(): Generator<number> {{ yield 1; yield* [2] }}\nexport default op(async () => {{ const out: (string | number)[] = [new Thing(7).show(), N.n, sat.k]; for await (const x of gen()) out.push(x!); return out as unknown; }});"
    );
    assert_eq!(run(&source), serde_json::json!(["712", 3, "b", 1, 2]));
}

#[test]
fn mistakes_have_a_place_and_say_what_to_do() {
    let cases = [
        ("const x = ;", "op.ts:2:11", ""),
        (
            "import fs from \"node:fs\";\nfs.x;",
            "op.ts:2:",
            "`node:fs` is a module of Node.js, and a sandbox has no files",
        ),
        (
            "import { readFile } from \"fs/promises\";\nreadFile;",
            "op.ts:2:26",
            "`fs/promises` is a module of Node.js",
        ),
        (
            "import z from \"zodd\";\nz;",
            "op.ts:2:15",
            "there is no package `zodd` in node_modules; install it with `npm install zodd`",
        ),
        ("import { a } from \"./nope\";\na;", "op.ts:2:19", "there is no file `./nope`"),
        ("import { nope } from \"./b\";\nnope;", "op.ts:2:10", "nope"),
        ("let a = 1; let a = 2;", "op.ts:2:", "a"),
        ("const a = 1; a = 2;", "op.ts:2:", "a"),
    ];
    for (line, place, message) in cases {
        let source = format!("{HEAD}{line}\nexport default op(() => 1);\n");
        let errors = mistakes(&[("op.ts", &source), ("b.ts", "export const b = 1;\n")]);
        let text = join(&errors);
        let first = &errors[0];
        let got = format!("{}:{}:{}", first.file, first.line, first.column);
        assert!(got.starts_with(place), "{line}: {got}\n{text}");
        assert!(first.message.contains(message), "{line}: {text}");
        assert!(first.frame.contains(line.lines().next().unwrap()), "{text}");
    }
    let unknown =
        mistakes(&[("op.ts", "import { x } from \"@compute/op/nope\";\nexport default x;\n")]);
    assert!(join(&unknown).contains("`@compute/op/nope` is not in the SDK"), "{}", join(&unknown));
}

#[test]
fn an_import_that_leads_nowhere_says_what_is_missing() {
    let cases = [
        ("@compute/op/shema", "is not in the SDK"),
        ("@compute/ops", "the SDK is `@compute/op`"),
        ("npm:zod@4", "write `zod`, and install it with `npm install zod`"),
        ("@/lib/util", "`paths` of a tsconfig.json"),
        ("#int/x", "`imports` of the package.json"),
        ("@acme/tools/strings", "the package `@acme/tools` is not in node_modules"),
        ("left-pad", "`npm install left-pad`"),
    ];
    for (name, told) in cases {
        let source = format!("import x from \"{name}\";\n{HEAD}export default op(() => x);\n");
        let errors = mistakes(&[("op.ts", &source)]);
        let (first, text) = (&errors[0], join(&errors));
        assert!(first.message.contains(told), "{name}: {text}");
        assert_eq!((first.file.as_str(), first.line), ("op.ts", 1), "{name}: {text}");
    }
}

#[test]
fn imports_in_the_course_of_a_call_are_bundled_in() {
    let folder = folder(&[
        ("package.json", "{}"),
        ("lazy.ts", "export const v = 7;"),
        ("d.json", r#"{"x":3}"#),
        (
            "node_modules/dual/package.json",
            r#"{"name":"dual","exports":{"import":"./es.mjs","require":"./common.cjs"}}"#,
        ),
        ("node_modules/dual/es.mjs", "export default 'es';"),
        ("node_modules/dual/common.cjs", "module.exports = 'common';"),
        ("node_modules/asks/package.json", r#"{"name":"asks","main":"index.js"}"#),
        ("node_modules/asks/index.js", "module.exports = require('dual');"),
        (
            "op.ts",
            "import { op } from \"@compute/op\";\nimport asks from \"asks\";\nimport dual from \"dual\";\nconst top = await import(\"./lazy.ts\");\nexport default op(async () => [(await import(\"./lazy.ts\")).v, top.v, (await import(\"./d.json\")).default.x, (await import(\"dual\")).default, dual, asks]);",
        ),
    ]);
    let built = build_file(&folder.path().join("op.ts"));
    let outcome = crate::call(&built, "{}", compute::Limits::default());
    assert_eq!(crate::value(&outcome), serde_json::json!([7, 7, 3, "es", "es", "common"]));
}
