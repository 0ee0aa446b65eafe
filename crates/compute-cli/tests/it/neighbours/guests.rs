//! Modules, plugins and ops that mean no good.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::field::{ALICE, Field, MALLORY};
use super::{all_answered, at_once, modules};

fn once(module: &[u8]) -> String {
    json!({"module": STANDARD.encode(module), "input": {}}).to_string()
}

pub(super) fn another_engine(field: &Field) -> Result<()> {
    let module = modules::says(r#"{"allowed":"not for others"}"#)?;
    let mut body: serde_json::Value = serde_json::from_str(&once(&module))?;
    body["engine"] = "identity".into();
    field.ask(MALLORY, "POST", "/v1/run", body.to_string().as_bytes())?.is(&[400])?;
    let path = field.put(ALICE, &module)?;
    let answer = field.ask(ALICE, "POST", &format!("/run/{path}"), br#"{"allowed":true}"#)?;
    ensure!(answer.text() == r#"{"allowed":"not for others"}"#, "{}", answer.brief());
    field.ask(MALLORY, "POST", &format!("/run/{path}"), b"{}")?.is(&[404])
}

pub(super) fn compiles_left_alone(field: &Field) -> Result<()> {
    for salt in 0..6 {
        let body = once(&modules::slow(3000, salt)?);
        field.send_and_leave("POST", "/v1/run", body.as_bytes())?;
    }
    // Those that were left end; a compile that is wanted has its turn within its share.
    let path = modules::slow(20, 7)?;
    field.put(MALLORY, &path).map(|_| ())
}

pub(super) fn bombs(field: &Field) -> Result<()> {
    for (loops, locals) in [(50, 50), (100, 100), (1000, 100), (3000, 500), (30, 15_000)] {
        let begun = Instant::now();
        let (_, answer) = field.try_put(MALLORY, &modules::bomb(loops, locals)?)?;
        answer.is(&[200, 422])?;
        let took = begun.elapsed();
        ensure!(took < Duration::from_secs(15), "{loops} × {locals} took {took:?}");
    }
    Ok(())
}

pub(super) fn shapes(field: &Field) -> Result<()> {
    let body = once(&modules::shape());
    let answers = at_once(6, |_| field.ask(MALLORY, "POST", "/v1/run", body.as_bytes()));
    all_answered(answers, &[422, 429])
}

pub(super) fn subtypes(field: &Field) -> Result<()> {
    field.try_put(MALLORY, &modules::subtype()?)?.1.is(&[422])
}

pub(super) fn event(field: &Field) -> Result<()> {
    let path = format!("/run/{}", field.put(MALLORY, &modules::emitter()?)?);
    let answers = at_once(4, |_| field.ask(MALLORY, "POST", &path, b"{}"));
    all_answered(answers, &[200, 422, 429, 504])
}

pub(super) fn log_flood(field: &Field) -> Result<()> {
    let path = field.put(MALLORY, &modules::log_flood()?)?;
    field.ask(MALLORY, "POST", &format!("/run/{path}"), b"{}")?.is(&[504])?;
    field.stack(MALLORY, "flood", &[format!("EXEC \"compute://{path}\" WITH timeout = \"2s\"")])?;
    field.ask(MALLORY, "POST", "/stacks/flood", b"{}")?.is(&[504])
}

pub(super) fn bad_calls(field: &Field) -> Result<()> {
    let emit = r#""emit" (func $f (param i32 i32 i32 i32))"#;
    let log = r#""log" (func $f (param i32 i32 i32))"#;
    for (import, call) in [
        (emit, "(call $f (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4))"),
        (emit, "(call $f (i32.const -1) (i32.const 4) (i32.const 0) (i32.const 4))"),
        (log, "(call $f (i32.const 0) (i32.const -1) (i32.const 4))"),
    ] {
        let path = field.put(MALLORY, &modules::bad_call(import, call)?)?;
        let answer = field.ask(MALLORY, "POST", &format!("/run/{path}"), b"{}")?;
        answer.is(&[422])?;
        ensure!(answer.text().contains("compute."), "{}", answer.brief());
    }
    Ok(())
}

pub(super) fn endless_image(field: &Field) -> Result<()> {
    let plugin = field.put(MALLORY, &modules::plugin(1, 1)?)?;
    let begun = Instant::now();
    let (path, put) = field.try_put(MALLORY, &modules::op(&plugin, "(loop (br 0))")?)?;
    put.is(&[200, 422])?;
    let took = begun.elapsed();
    // Its fuel ends it, or the time that an upload has.
    ensure!(took < Duration::from_secs(90), "{took:?}");
    if put.status == 200 {
        field.ask(MALLORY, "POST", &format!("/run/{path}"), b"{}")?.is(&[422])?;
    }
    Ok(())
}

pub(super) fn plugins(field: &Field) -> Result<()> {
    let before = field.files();
    for number in 0..40 {
        let plugin = field.put(MALLORY, &modules::plugin(1000 + number, 40)?)?;
        field.put(MALLORY, &modules::op(&plugin, "")?)?;
    }
    let opened = field.files().saturating_sub(before);
    ensure!(opened < 500, "{opened} files are open");
    Ok(())
}

pub(super) fn spins(field: &Field) -> Result<()> {
    let path = format!("/run/{}", field.put(MALLORY, &modules::spin()?)?);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        all_answered(at_once(8, |_| field.ask(MALLORY, "POST", &path, b"{}")), &[429, 504])?;
    }
    Ok(())
}

/// An op that shows its secret in many ways.
const LEAK: &str = r#"import { op } from "@compute/op";
export default op(({ input, secrets, log, emit }) => {
  const secret = secrets.PEM;
  if (input.how === "throw") throw { config: secrets };
  if (input.how === "url") throw new Error("GET https://api/?key=" + encodeURIComponent(secret));
  console.log("config", { secrets }); console.log(JSON.stringify(secrets)); log.info(btoa(secret)); log.warn(secret);
  emit("leak " + secret, { [secret]: JSON.stringify(JSON.stringify(secret)) });
  return { ["key " + secret]: secret, plain: JSON.stringify(secrets) };
});
"#;

pub(super) fn leaks(field: &Field) -> Result<()> {
    let secret = "-----BEGIN KEY-----\nMIIEvQ\"abc+/=def\n-----END KEY-----";
    let body = json!({ "value": secret }).to_string();
    field.ask(ALICE, "PUT", "/v1/secrets/PEM", body.as_bytes())?.is(&[204])?;
    let path = field.put_source(ALICE, LEAK)?;
    let rule = format!("EXEC \"compute://{path}\" WITH secrets = \"PEM\", timeout = \"4s\"");
    field.stack(ALICE, "leaks", &[rule])?;
    for how in ["throw", "url", "log"] {
        let headers = [("x-compute-trace", "full"), ("x-compute-rid", how)];
        let body = json!({ "how": how }).to_string();
        let answer = field.ask_with(ALICE, "POST", "/stacks/leaks", &headers, body.as_bytes())?;
        // What a document answers with is its authors'; what failed is told to whoever asked.
        let told = if how == "log" { String::new() } else { answer.text() };
        let trace = field.ask(ALICE, "GET", &format!("/v1/traces/{how}"), b"")?;
        trace.is(&[200])?;
        for (place, text) in [("answer", told), ("trace", trace.text()), ("log", field.log())] {
            for form in ["MIIEvQ", "TUlJRXZR", "4d4949457651"] {
                ensure!(!text.contains(form), "{how}: {form} in the {place}: {text:.400}");
            }
        }
    }
    let forger = field.put(MALLORY, &modules::forger()?)?;
    field.ask(MALLORY, "POST", &format!("/run/{forger}"), b"{}")?.is(&[200])?;
    let begun = Instant::now();
    while !field.log().contains("forged") {
        ensure!(begun.elapsed() < Duration::from_secs(10), "the log has not come");
        std::thread::yield_now();
    }
    let log = field.log();
    ensure!(!log.lines().any(|line| line.starts_with("2026-01-01")), "a line is forged");
    ensure!(!log.contains('\u{1b}'), "an escape sequence is in the log");
    Ok(())
}
