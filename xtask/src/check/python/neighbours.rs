//! A tenant whose ops in Python do harm, on a server beside another tenant, whose calls are all answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{ANY, Place, Served};

/// How many ask at once, and how often each.
const AT_ONCE: usize = 6;
const TIMES: usize = 2;
/// The longest that a call of the good neighbour may take, with the start of the command that makes it.
const LONGEST: Duration = Duration::from_secs(5);

/// What is executed in a call.
const CALLS: [&str; 18] = [
    "while True: pass",
    "x = 10 ** (10 ** 9)",
    "import re; re.match(r'(a+)+$', 'a' * 40 + 'b')",
    "a = []\nwhile True: a.append(bytearray(1 << 20))",
    "a = []\nwhile True: a.append([a] * 1000)",
    "d = []\nfor _ in range(200000): d = [d]\ndel d",
    "def f(n): return f(n + 1)\nf(0)",
    "while True: print('x' * 100000)",
    "while True: ctx.emit('x', ['y'] * 1000)",
    "answer = 'x' * 10_000_000",
    "answer = [[]] * 1_000_000",
    "import os; os._exit(1)",
    "import os; os.write(1, b'x' * (1 << 26))",
    "import sys; sys.stdin = None; raise SystemExit",
    "import gc\nwhile True: gc.collect()",
    "import time; time.sleep(1000)",
    "import _host\nwhile True: _host.call(b'w' + bytes(1 << 20))",
    "import pickle; pickle.loads(b'cposix\\nsystem\\n(S\"true\"\\ntR.')",
];

/// Top levels of ops.
const TOP_LEVELS: [&str; 5] = [
    "while True: pass",
    "a = [bytearray(1 << 20) for _ in range(4000)]",
    "while True: print('x' * 100000)",
    "import os; os._exit(0)",
    "import _host; _host.call(b'w' + (7).to_bytes(4, 'little') + (0xfffffff0).to_bytes(4, 'little'))",
];

pub(super) fn neighbours(place: &Place<'_>) -> Result<()> {
    let served = Served::start(place, &[])?;
    let alice = served.token("alice")?;
    let mallory = served.token("mallory")?;
    place.write("any.py", ANY)?;
    let hello = served.put(&alice, "hello.py")?;
    let any = served.put(&mallory, "any.py")?;
    let (input, answer) = (r#"{"name":"Ada"}"#, "{\"greeting\":\"Hello, Ada!\"}\n");
    ensure!(served.run(&alice, &hello, input)?.1 == answer, "it is not answered before all that");

    let over = AtomicBool::new(false);
    let calls = std::thread::scope(|scope| -> Result<(usize, Duration)> {
        let neighbour = scope.spawn(|| -> Result<(usize, Duration)> {
            let (mut calls, mut longest) = (0, Duration::ZERO);
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let (_, said, words) = served.run(&alice, &hello, input)?;
                ensure!(said == answer, "the neighbour was answered {said}{words}");
                calls += 1;
                longest = longest.max(begun.elapsed());
            }
            Ok((calls, longest))
        });
        let done = harm(place, &served, &mallory, &any);
        over.store(true, Ordering::Relaxed);
        let seen = neighbour.join().ok().context("the neighbour panicked")??;
        done?;
        Ok(seen)
    })?;
    let (calls, longest) = calls;
    ensure!(longest < LONGEST, "a call of the neighbour took {longest:?}");
    println!(
        "{} kinds of harm on a server: {calls} calls of a neighbour, none lost, the longest {longest:.0?}",
        CALLS.len() + TOP_LEVELS.len()
    );
    Ok(())
}

fn harm(place: &Place<'_>, served: &Served<'_>, mallory: &str, any: &str) -> Result<()> {
    for code in CALLS {
        let input = json!({ "code": code }).to_string();
        std::thread::scope(|scope| {
            let asked: Vec<_> = (0..AT_ONCE)
                .map(|_| {
                    scope.spawn(|| -> Result<()> {
                        for _ in 0..TIMES {
                            let (failed, said, words) = served.run(mallory, any, &input)?;
                            // What returns answers; all else is told.
                            ensure!(failed || !said.is_empty(), "{code}: {said}{words}");
                        }
                        Ok(())
                    })
                })
                .collect();
            asked.into_iter().try_for_each(|one| one.join().ok().context("it panicked")?)
        })?;
    }
    for (number, code) in TOP_LEVELS.iter().enumerate() {
        let file = format!("top{number}.py");
        let text =
            format!("from compute import op\n{code}\n\n\n@op\ndef top(input):\n    return 1\n");
        place.write(&file, &text)?;
        // Some are refused when they are put, and some fail when they are run.
        if let Ok(reference) = served.put(mallory, &file) {
            let (failed, said, words) = served.run(mallory, &reference, "{}")?;
            ensure!(failed, "{code}: {said}{words}");
        }
    }
    Ok(())
}
