//! Recursion: how deep it may go, and that what goes deeper is an error that a script can catch, whatever recurs.

use std::path::Path;

use compute::Limits;

use crate::{LIMITS, build_file, call, value};

fn file(name: &str) -> compute_js::Built {
    build_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/depth").join(name))
}

#[test]
fn functions_may_call_themselves_thousands_of_times() {
    let built = file("calls.ts");
    let input = r#"{"n":1500,"plain":5000,"callback":2000,"made":5000}"#;
    for (way, result) in value(&call(&built, input, LIMITS)).as_object().unwrap() {
        assert_eq!(result, "done", "{way}");
    }
}

#[test]
fn deeper_recursion_is_an_error_that_can_be_caught() {
    let built = file("calls.ts");
    for (way, result) in value(&call(&built, r#"{"n":100000}"#, LIMITS)).as_object().unwrap() {
        assert_eq!(result, "RangeError: Maximum call stack size exceeded", "{way}");
    }
}

#[test]
fn so_it_is_on_a_thread_with_a_small_stack() {
    let built = file("calls.ts");
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    let ran = thread.spawn(move || value(&call(&built, r#"{"n":100000}"#, LIMITS))).unwrap();
    let results = ran.join().unwrap();
    assert_eq!(results["plain"], "RangeError: Maximum call stack size exceeded");
}

#[test]
fn what_the_engine_does_itself_is_no_deeper() {
    let built = file("built_in.ts");
    let room = Limits { memory: Some(512 << 20), ..LIMITS };
    let names = value(&call(&built, "null", room));
    let names = names.as_array().unwrap();
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        let result = value(&call(&built, &name.to_string(), room));
        let result = result.as_str().unwrap();
        let can_be_caught = ["RangeError: Maximum call stack", "SyntaxError: ", "done"];
        assert!(can_be_caught.iter().any(|start| result.starts_with(start)), "{name}: {result}");
    }
}
