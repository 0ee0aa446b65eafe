//! Rules and documents that are large, slow, or many.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::field::{Field, MALLORY};
use super::{all_answered, at_once, modules};

/// A rule with so many regular expressions.
pub(super) fn pattern(pattern: &str, count: usize) -> String {
    let parts: Vec<_> = (0..count).map(|at| format!(".x =~ /{pattern}{at}/")).collect();
    format!("WHEN {} EMIT .y = 1", parts.join(" || "))
}

fn objects(count: usize) -> String {
    format!(r#"{{"a":[{}0]}}"#, r#"{"":0},"#.repeat(count))
}

pub(super) fn many_ops(field: &Field) -> Result<()> {
    let path = field.put(MALLORY, &modules::says("{}")?)?;
    field.stack(MALLORY, "ops", &vec![format!("EXEC \"compute://{path}\""); 14])?;
    let answers =
        at_once(3, |_| field.ask(MALLORY, "POST", "/stacks/ops", objects(330_000).as_bytes()));
    all_answered(answers, &[200, 413, 422, 429, 504])
}

pub(super) fn many_emits(field: &Field) -> Result<()> {
    field.stack(
        MALLORY,
        "emits",
        &(0..1000).map(|at| format!("EMIT .x{at} = .a")).collect::<Vec<_>>(),
    )?;
    let answer = field.ask(MALLORY, "POST", "/stacks/emits", objects(20_000).as_bytes())?;
    answer.is(&[413, 422, 429])?;
    ensure!(answer.text().contains("limit"), "{}", answer.brief());
    Ok(())
}

pub(super) fn traces(field: &Field) -> Result<()> {
    let path = field.put(MALLORY, &modules::echo(false)?)?;
    let rules: Vec<_> =
        (0..30).map(|at| format!("SELECT .a AS .b{at} EXEC \"compute://{path}\"")).collect();
    field.stack(MALLORY, "traced", &rules)?;
    let body = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(800));
    for _ in 0..200 {
        let full = [("x-compute-trace", "full")];
        field.ask_with(MALLORY, "POST", "/stacks/traced", &full, body.as_bytes())?.is(&[200])?;
    }
    let listed = field.ask(MALLORY, "GET", "/v1/traces?last=1000", b"")?;
    listed.is(&[200])?;
    ensure!(listed.text().contains("\"traces\""), "{}", listed.brief());
    // Whoever does not read the list holds nothing up.
    let held = at_once(20, |_| field.send_and_leave("GET", "/v1/traces?last=1000", b""));
    ensure!(held.iter().all(Result::is_ok), "{held:?}");
    Ok(())
}

pub(super) fn diagnostics(field: &Field) -> Result<()> {
    let mut broken: String = (0..60).map(|at| format!("EMITT .x{at} = 1\n")).collect();
    broken.push('#');
    broken.push_str(&"x".repeat(64_000 - broken.len()));
    let number = field.draft(MALLORY, "broken", &vec![broken; 100])?;
    let path = format!("/v1/stacks/broken/versions/{number}/validate");
    let answer = field.ask(MALLORY, "POST", &path, b"")?;
    answer.is(&[200])?;
    let told: Value = serde_json::from_slice(&answer.body)?;
    ensure!(told["valid"] == false && answer.body.len() < 1 << 20, "{}", answer.brief());
    Ok(())
}

/// That a document ends soon after its deadline of a second.
fn ends_in_time(field: &Field, stack: &str, body: &str) -> Result<()> {
    let begun = Instant::now();
    let headers = [("x-compute-deadline", "1000")];
    let answer =
        field.ask_with(MALLORY, "POST", &format!("/stacks/{stack}"), &headers, body.as_bytes())?;
    answer.is(&[200, 413, 422, 504])?;
    let took = begun.elapsed();
    ensure!(took < Duration::from_secs(5), "{took:?} with a deadline of 1 s: {}", answer.brief());
    Ok(())
}

pub(super) fn deletions(field: &Field) -> Result<()> {
    field.stack(MALLORY, "deletions", &["EMIT @delete = .d".to_owned()])?;
    let many = format!(
        r#"{{"a":[{}0],"d":[{}".a.0"]}}"#,
        "0,".repeat(100_000),
        "\".a.0\",".repeat(50_000)
    );
    ends_in_time(field, "deletions", &many)
}

pub(super) fn regex(field: &Field) -> Result<()> {
    field.stack(MALLORY, "regex", &["WHEN .x =~ /[01]*1[01]{300}c/ EMIT .y = 1".to_owned()])?;
    // The same bits each time, and no pattern in them.
    let mut state = 1_u32;
    let bits: String = (0..(4 << 20) - 100)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            if state & 1 == 0 { '0' } else { '1' }
        })
        .collect();
    for size in [60_000, 1 << 20, bits.len()] {
        ends_in_time(field, "regex", &format!("{{\"x\":\"{}\"}}", &bits[..size]))?;
    }
    Ok(())
}

pub(super) fn regexes(field: &Field) -> Result<()> {
    // Whether they are refused when they are written or when they are checked: not compiled at any price.
    if let Ok(number) = field.draft(MALLORY, "regexes", &vec![pattern(".{0,700}", 1000); 4]) {
        let path = format!("/v1/stacks/regexes/versions/{number}/validate");
        let answer = field.ask(MALLORY, "POST", &path, b"")?;
        answer.is(&[200, 413, 422])?;
        ensure!(!answer.text().contains("\"valid\":true"), "{}", answer.brief());
    }
    Ok(())
}

pub(super) fn diff(field: &Field) -> Result<()> {
    let mut state = 2_u32;
    let mut file = || -> String {
        (0..15_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                format!("#{}\n", (state >> 16) % 50)
            })
            .collect()
    };
    let [old, new] = [file(), file()].map(|text| field.draft(MALLORY, "diff", &vec![text; 10]));
    let path = format!("/v1/stacks/diff/diff?from={}&to={}", old?, new?);
    all_answered(at_once(8, |_| field.ask(MALLORY, "GET", &path, b"")), &[200, 413, 429, 504])
}

pub(super) fn spinning_documents(field: &Field) -> Result<()> {
    let path = field.put(MALLORY, &modules::spin()?)?;
    field.stack(
        MALLORY,
        "spinning",
        &vec![format!("EXEC \"compute://{path}\" WITH timeout = \"1s\""); 8],
    )?;
    let answers = at_once(30, |_| {
        field.ask_with(
            MALLORY,
            "POST",
            "/stacks/spinning",
            &[("x-compute-deadline", "3000")],
            b"{}",
        )
    });
    all_answered(answers, &[429, 504])
}

pub(super) fn many_series(field: &Field) -> Result<()> {
    let path = field.put(MALLORY, &modules::says("{}")?)?;
    field.stack(MALLORY, "series", &vec![format!("EXEC \"compute://{path}\""); 2100])?;
    field.ask(MALLORY, "POST", "/stacks/series", b"{}")?.is(&[200])
}

pub(super) fn writes(field: &Field) -> Result<()> {
    let begun = Instant::now();
    let mut at = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        at += 1;
        field.draft(MALLORY, "writes", &[format!("EMIT .x = {at} # {}", "x".repeat(60_000))])?;
        let path = format!("/v1/secrets/s{}", at % 50);
        let body = format!("{{\"value\":\"secret {at}\"}}");
        field.ask(MALLORY, "PUT", &path, body.as_bytes())?.is(&[204])?;
    }
    Ok(())
}

pub(super) fn deep(field: &Field) -> Result<()> {
    let nested =
        format!("{{\\22a\\22:{}{}}}", "[".repeat(125), "]".repeat(125)).replace("\\22", "\"");
    let path = field.put(MALLORY, &modules::says(&nested)?)?;
    field.stack(MALLORY, "deep", &[format!("EXEC \"compute://{path}\"")])?;
    let headers = [("x-compute-trace", "full"), ("x-compute-rid", "deep")];
    let answer = field.ask_with(MALLORY, "POST", "/stacks/deep", &headers, b"{}")?;
    answer.is(&[413, 422])?;
    field.ask(MALLORY, "GET", "/v1/traces/deep", b"")?.is(&[200])
}
