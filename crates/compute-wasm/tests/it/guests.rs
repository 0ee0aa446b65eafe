//! The same job from six languages' real toolchains.

use compute::{Limits, Reason};

use crate::try_run;

const INPUTS: [(&str, &str); 4] = [
    (
        r#"{"name":"Ada","tags":["x"]}"#,
        r#"{"name":"Ada","tags":["x"],"computed":true,"keys":2,"depth":2,"bytes":27}"#,
    ),
    ("{}", r#"{"computed":true,"keys":0,"depth":1,"bytes":2}"#),
    (
        " {\"a\":{\"b\":[1,{\"c\":\"}\\\"]\"}]}, \"n\":-1.5e3 }\n",
        r#"{"a":{"b":[1,{"c":"}\"]"}]}, "n":-1.5e3,"computed":true,"keys":2,"depth":4,"bytes":41}"#,
    ),
    (
        "{\"é\":\"\\u00e9😀\"}",
        "{\"é\":\"\\u00e9😀\",\"computed\":true,\"keys\":1,\"depth\":1,\"bytes\":19}",
    ),
];

#[test]
fn the_same_input_gives_the_same_output_from_each() {
    for language in compute_guests::LANGUAGES {
        let (manager, reference) = crate::manager(compute_guests::transform_wasm(language));
        for (input, expected) in INPUTS {
            use compute::Runner as _;
            let outcome = manager
                .run_blocking(&reference, input.as_bytes(), &compute::RunOptions::default())
                .unwrap();
            assert_eq!(crate::output(&outcome), expected, "{language}");
            let log = String::from_utf8_lossy(&outcome.log.bytes).into_owned();
            assert!(
                log.starts_with("transform: ") && log.ends_with(" keys\n"),
                "{language}: {log}"
            );
        }
    }
}

#[test]
fn what_is_no_object_is_refused_by_each() {
    for language in compute_guests::LANGUAGES {
        for input in ["[1]", "{\"a\":", "7", "{} {}"] {
            let wasm = compute_guests::transform_wasm(language);
            let outcome = try_run(wasm, input.as_bytes(), Limits::default()).unwrap();
            let failure = outcome.result.unwrap_err();
            assert_eq!(failure.reason, Reason::Exit { code: 1 }, "{language}: {input}");
            assert_eq!(failure.stderr, "transform: the input is not a JSON object\n", "{language}");
        }
    }
}
