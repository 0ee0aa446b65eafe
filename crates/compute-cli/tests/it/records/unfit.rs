//! Records that cannot be compared, and why: never more of them than must be, and never for a reason that is not so.

use serde_json::json;

use super::{Desk, pricing, records, said};

/// An op that never ends.
const LOOP: &str =
    "import { op } from \"@compute/op\";\nexport default op(() => { while (true); });\n";

#[test]
fn documents_that_do_not_go_through_a_stack_say_nothing_of_it() {
    let desk = Desk::new();
    pricing(&desk, "1.17");
    desk.write("shop/OPS/other/100/say.txcl", "EMIT .other = 1\n");
    desk.write("shop/OPS/over/100/on.txcl", "EMIT @goto = \"other/100\"\n");
    let (code, out, told) = desk.run(&["apply", "shop"]);
    assert_eq!(code, Some(0), "{out}{told}");
    let fire = |stack: &str, number: u32| {
        let input = json!({ "net": number, "country": "de" }).to_string();
        let (code, _, told) = desk.run(&["fire", stack, "--input", &input, "--record", "docs"]);
        assert_eq!(code, Some(0), "{told}");
    };
    (0..2).for_each(|number| fire("shop", number));
    let against = |stack: &str| desk.run(&["replay", "docs", "--against", stack]);
    let (code, out, told) = against("other@1");
    assert_eq!(code, Some(3), "{out}{told}");
    assert!(out.starts_with("0 of 0 the same\n2 records cannot be compared:\n"), "{out}");
    let why = "it goes through `shop`, and not through `other`, which is to be tried (2)";
    assert!(out.contains(why), "{out}");
    // Those that come there from elsewhere do.
    fire("over", 7);
    let (code, out, told) = against("other@1");
    assert_eq!(code, Some(0), "{out}{told}");
    assert!(out.starts_with("1 of 1 the same\n2 records cannot be compared:\n"), "{out}");
    assert!(against("shop@1").1.starts_with("2 of 2 the same\n1 record cannot be compared:\n"));
}

#[test]
fn a_document_that_time_stopped_in_a_metered_step_is_stopped_there_again() {
    let desk = Desk::new();
    pricing(&desk, "1.17");
    desk.write("shop/OPS/shop/100/price.ts", LOOP);
    assert_eq!(desk.run(&["apply", "shop"]).0, Some(0));
    let fire = |file: &str, more: &[&str]| {
        let args = ["fire", "shop", "--input", "{}", "--record", file];
        let (code, _, told) = desk.run(&[&args[..], more].concat());
        assert!(code != Some(0) && told.contains("record "), "{told}");
        desk.run(&["replay", file])
    };
    // Less than the work that a document may be, also on a fast machine.
    let metered = ["--fuel", "1000000000000", "--wall", "400ms"];
    let (code, out, told) = fire("metered.json", &metered);
    assert_eq!((code, &*out), (Some(0), "identical\n"), "{told}");
    assert!(told.contains("[wall-limit]") && !told.contains("fuel"), "{told}");
    let (code, out, _) = fire("plain.json", &["--wall", "200ms"]);
    assert_eq!(code, Some(3), "{out}");
    let why = "time or its caller stopped the document, and not within metered steps alone";
    assert!(out.contains(why), "{out}");
    // The time of its rule, and not that of the whole document.
    desk.write("shop/OPS/shop/100/price.txcl", "WITH timeout = \"400ms\"\nEXEC \"op://price\"\n");
    let (code, out, told) = desk.run(&["apply", "shop"]);
    assert_eq!(code, Some(0), "{out}{told}");
    let (code, out, told) = fire("rule.json", &metered[..2]);
    assert_eq!((code, &*out), (Some(0), "identical\n"), "{told}");
    assert!(told.contains("the wall limit of 400ms was reached"), "{told}");
    // Another step, and it is told.
    let path = desk.path("rule.json");
    let mut record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(record["subject"]["document"]["steps"][0]["run"]["status"], "wall-limit");
    record["subject"]["document"]["steps"][0]["run"]["peak_memory"] = json!(1);
    let other = compute::Record::sealed(serde_json::from_value(record).unwrap());
    std::fs::write(&path, other.to_json()).unwrap();
    let (code, out, _) = desk.run(&["replay", "rule.json"]);
    assert!(code == Some(1) && out.contains("memory"), "{out}");
}

#[test]
fn a_secret_that_cannot_be_opened_is_asked_for_by_the_records_that_name_it_alone() {
    let desk = Desk::new();
    desk.greet("Ada", &[]);
    let set = |name: &str, value: &str| {
        let command = desk.0.command(&["secret", "set", name, "--state", text(&desk, "state")]);
        let output = desk.0.finish(command, value.as_bytes());
        assert_eq!(said(&output).0, Some(0));
    };
    set("API_KEY", "another-secret");
    let key = desk.path("state/secret.key");
    let replay = || desk.run(&["replay", "runs", "--state", "state"]);
    std::fs::remove_file(&key).unwrap();
    // The key of records is made by who records.
    std::fs::remove_file(desk.path("config/compute/record.key")).unwrap();
    assert_eq!(replay(), (Some(0), "identical\n".into(), String::new()));
    assert!(!key.exists() && !desk.path("config/compute/record.key").exists());

    desk.greet("Bo", &["--secret", "API_KEY=another-secret"]);
    let (code, out, told) = replay();
    assert_eq!(code, Some(0), "{told}");
    assert!(out.starts_with("1 of 1 the same\n1 record cannot be compared:\n"), "{out}");
    assert!(out.contains("the key that it was sealed with is not here"), "{out}");
    assert!(!key.exists());
    std::fs::write(&key, "7".repeat(64)).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(replay().1.contains("the secret `API_KEY` was sealed with another key"));
    let given = ["replay", "runs", "--state", "state", "--secret", "API_KEY=another-secret"];
    assert_eq!(desk.run(&given).1, "2 of 2 the same\n");
    // One that can be opened is.
    set("API_KEY", "another-secret");
    assert_eq!(replay().1, "2 of 2 the same\n");
    assert_eq!(records(&desk.path("runs")).len(), 2);
}

fn text(desk: &Desk, name: &str) -> &'static str {
    desk.path(name).to_str().unwrap().to_owned().leak()
}

#[test]
fn limits_of_nothing_are_refused_and_not_taken_for_the_default() {
    let desk = Desk::new();
    for command in [&["run", "greet.ts"][..], &["forecast", "greet.ts"], &["fire", "shop"]] {
        for limit in [["--wall", "0ms"], ["--fuel", "0"]] {
            let (code, _, told) = desk.run(&[command, &limit].concat());
            assert_eq!(code, Some(2), "{command:?} {limit:?}: {told}");
            assert!(told.contains("it must be more than 0"), "{command:?} {limit:?}: {told}");
        }
    }
}
