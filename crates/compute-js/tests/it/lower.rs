//! What the bundler leaves, and is lowered before it: decorators, accessors, namespaces in several blocks, loose numbers.

use std::path::{Path, PathBuf};

use serde_json::json;

use compute::Limits;

use crate::{build_file, call, folder, told, value};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/lower").join(name)
}

fn answer(name: &str) -> serde_json::Value {
    value(&call(&build_file(&file(name)), "{}", Limits::default()))
}

#[test]
fn decorators_are_those_of_the_standard() {
    let mut answer = answer("decorators.ts");
    let log = answer.as_array_mut().unwrap().remove(19);
    assert_eq!(
        answer,
        json!([
            8,
            8,
            12,
            "NaN",
            120,
            "p",
            9,
            4,
            42,
            "xy",
            8,
            2,
            5,
            "R",
            "P",
            "Q",
            1,
            2,
            true,
            ["f", "g"]
        ])
    );
    let expected = [
        "eval class",
        "eval m",
        "eval s",
        "eval comp",
        "eval priv",
        "s:method:two:true:false",
        "m:method:one:false:false",
        "comp:method:xy:false:false",
        "priv:field:#secret:false:true",
        "class:class:P:undefined:undefined",
        "init s function",
        "init class function",
    ];
    assert_eq!(log.as_array().unwrap()[..expected.len()], expected);
}

#[test]
fn a_place_in_a_decorated_class_is_the_authors() {
    let built = build_file(&file("line.ts"));
    let told = told(&built, &call(&built, "{}", Limits::default()));
    assert!(told.ends_with("line.ts:6:24"), "{told}");
}

#[test]
fn legacy_decorators_run_for_static_fields_too() {
    let source = std::fs::read_to_string(file("legacy.ts")).unwrap();
    for define in ["false", "true"] {
        let config = format!(
            r#"{{"compilerOptions":{{"experimentalDecorators":true,"useDefineForClassFields":{define}}}}}"#
        );
        let folder = folder(&[("op.ts", &source), ("tsconfig.json", &config)]);
        let answer =
            value(&call(&build_file(&folder.path().join("op.ts")), "{}", Limits::default()));
        let seen = answer[0].as_array().unwrap();
        for call in [
            json!(["function", "s", "u"]),
            json!(["object", "f", "u"]),
            json!(["object", "m", "object"]),
            json!(["function", "undefined", "u"]),
        ] {
            assert_eq!(seen.iter().filter(|one| **one == call).count(), 1, "{define}: {answer}");
        }
        assert_eq!(answer[1], 3);
    }
}

#[test]
fn a_namespace_has_the_names_of_all_its_blocks() {
    assert_eq!(answer("namespaces.ts"), json!([16, 7, 2, 3, 3, 3, 2]));
}

#[test]
fn numbers_with_white_space_behind_them_are_numbers() {
    assert_eq!(answer("numbers.ts"), json!([12, 12, 3, 31, true, true, null, 0, 2, 1, 0, 1000]));
}

#[test]
fn what_cannot_be_lowered_says_so() {
    let source = "import { op } from \"@compute/op\";\nconst d = (v: any) => v;\nclass A { @d #m() {} }\nexport default op(() => new A());";
    let errors = crate::mistakes(&[("op.ts", source)]);
    let told = crate::join(&errors);
    assert!(told.contains("the private method #m cannot be lowered"), "{told}");
}
