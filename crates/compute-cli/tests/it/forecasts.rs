//! Forecasts: at which size which limit is reached.

use std::process::Output;

use serde_json::Value;

use crate::{Home, say, workspace};

/// An op that can reach any limit, by what its input has.
const OP: &str = r#"
import { op } from "@compute/op";
export default op(({ input }) => {
  if (input.items.length > 10 && input.strict) throw new Error("too many items");
  let n = 0;
  for (let i = 0; i < input.rounds; i++) n += i;
  return { n, text: input.text, items: input.items.length };
});
"#;
const CASES: &str = r#"[
  {"name": "plain", "input": {"items": [{"a": 1}, {"a": 2}], "text": "ä", "rounds": 1, "more": {}}, "output": {}},
  {"name": "strict", "input": {"items": [1], "strict": true, "text": "", "rounds": 1}, "output": {}},
  {"name": "failing", "input": {"text": "x"}, "error": "x"}
]"#;

struct Project(Home);

impl Project {
    fn new() -> Self {
        let project = Self(Home::new());
        std::fs::write(project.0.0.path().join("any.js"), OP).unwrap();
        std::fs::write(project.0.0.path().join("any.test.json"), CASES).unwrap();
        project
    }

    fn forecast(&self, args: &[&str]) -> Output {
        self.0.compute_in(self.0.0.path(), &[&["forecast", "any.js"], args].concat())
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.forecast(&[&["--json"], args].concat());
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {words}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The sizes in order, each of which works up to one and fails from another on.
fn check(forecast: &Value) {
    let points = forecast["points"].as_array().unwrap();
    let sizes: Vec<_> = points.iter().map(|point| point["size"].as_u64().unwrap()).collect();
    assert!(sizes.is_sorted() && points.len() <= 64, "{sizes:?}");
    let reached = &forecast["reached"];
    let (works, fails) = (reached["works"].as_u64().unwrap(), reached["fails"].as_u64().unwrap());
    assert!(works < fails && sizes.contains(&works) && sizes.contains(&fails), "{reached}");
    for (point, size) in points.iter().zip(sizes) {
        assert_eq!(point["status"] == "ok", size <= works, "{point}");
    }
}

#[test]
fn each_limit_is_found_where_it_is_reached() {
    let project = Project::new();
    let cases: [(&[&str], &str); 5] = [
        (&["--grow", ".items", "--memory", "16MiB"], "memory-limit"),
        (&["--grow", ".text"], "output-limit"),
        (&["--grow", ".rounds", "--fuel", "10000000"], "fuel-limit"),
        (&["--grow", ".rounds", "--wall", "300ms"], "wall-limit"),
        (&["--fixture", "strict", "--grow", ".items"], "trapped"),
    ];
    for (args, status) in cases {
        let forecast = project.json(args);
        assert_eq!(forecast["reached"]["status"], status, "{forecast}");
        assert_eq!(forecast["stopped"], "limit");
        check(&forecast);
    }
    // It is found within a sixteenth.
    let forecast = project.json(&["--grow", ".text"]);
    let (works, fails) = (&forecast["reached"]["works"], &forecast["reached"]["fails"]);
    let (works, fails) = (works.as_f64().unwrap(), fails.as_f64().unwrap());
    // A text of 4 MiB in its quotes, of characters of two bytes.
    let limit = f64::from(4 << 20) / 2.0;
    assert!(works <= limit && limit <= fails && fails / works < 1.07, "{works} {fails}");
    assert_eq!(forecast["limits"]["output"], 4 << 20);
    assert_eq!(forecast["limits"]["fuel"], Value::Null);
    // The fixture that is not named is the first.
    assert_eq!(forecast["fixture"], "plain");
    let strict = project.json(&["--fixture", "strict", "--grow", ".items"]);
    assert_eq!(
        (&strict["reached"]["works"], &strict["reached"]["fails"]),
        (&10.into(), &11.into())
    );
}

#[test]
fn a_forecast_is_plotted_in_text() {
    let project = Project::new();
    let output = project.forecast(&[
        "--grow",
        ".items",
        "--fixture",
        "strict",
        "--fuel",
        "5000000000",
        "--memory",
        "32MiB",
    ]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("        items      input  wall of 5.0s"), "{text}");
    assert!(lines[0].ends_with("fuel of 5,000,000,000"), "{text}");
    assert!(lines[1].starts_with("            1       48 B  ·········· "), "{text}");
    assert!(lines[1].contains("  █········· 6.1 MiB "), "{text}");
    assert!(text.contains("  trapped\n"), "{text}");
    assert!(text.contains("\nthe op fails by itself at 11 items ("), "{text}");
    assert!(
        text.contains("the largest that works is 10\nError: too many items [trapped]\n"),
        "{text}"
    );
    assert!(text.contains(" --> any.js:4:"), "{text}");
}

#[test]
fn what_reaches_no_limit_ends_all_the_same() {
    let project = Project::new();
    // Numbers end where they are not exact.
    let cheap = OP.replace("input.rounds", "Math.min(1, input.rounds)");
    std::fs::write(project.0.0.path().join("any.js"), cheap).unwrap();
    let forecast = project.json(&["--grow", ".rounds", "--memory", "32MiB"]);
    assert_eq!(forecast["stopped"], "number", "{forecast}");
    assert_eq!(forecast["reached"], Value::Null);
    assert!(forecast["points"].as_array().unwrap().len() <= 64);
    // Inputs end at 64 MiB, of an op that does not read them.
    let folder = workspace(&project.0);
    say(&folder, "one");
    let scope = folder.join("OPS/shop/100");
    let cases = r#"[{"name": "a", "input": ["0123456789"], "output": {}}]"#;
    std::fs::write(scope.join("say.test.json"), cases).unwrap();
    let say = scope.join("say.wasm");
    let say = say.to_str().unwrap();
    let text = project.0.stdout(&["forecast", say, "--grow", "."], b"");
    assert!(text.contains("no limit is reached up to "), "{text}");
    assert!(text.contains("a larger input has more than 64.0 MiB"), "{text}");
}

#[test]
fn what_cannot_grow_is_a_mistake() {
    let project = Project::new();
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--grow", ".itms"], 2, "there is nothing at `.itms` in its input; it has .items, .text"),
        (&["--grow", ".more"], 2, "is an object, and a list, a text or a number grows"),
        (&["--grow", ".text", "--fixture", "strict"], 2, "is empty or 0"),
        (&["--grow", ".strict", "--fixture", "strict"], 2, "is true, and a list"),
        (&["--grow", ".a["], 2, "is no path"),
        (&["--grow", ".items", "--fixture", "none"], 2, "it has `plain`, `strict`, `failing`"),
        (&["--grow", ".text", "--fixture", "failing"], 1, "the fixture fails as it is: "),
    ];
    for (args, code, expected) in cases {
        let output = project.forecast(args);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words}");
        assert!(words.contains(expected), "{words}");
    }
    let folder = project.0.compute_in(project.0.0.path(), &["forecast", ".", "--grow", ".items"]);
    assert!(String::from_utf8_lossy(&folder.stderr).contains("is a folder: name one op"));
}
