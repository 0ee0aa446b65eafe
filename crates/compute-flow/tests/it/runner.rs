//! A runner whose computes are functions in this file: `compute://test/<name>`.

use std::time::Duration;

use bytes::Bytes;
use compute::{
    BoxFuture, Error, Event, Failure, Limits, Log, LogLine, Metrics, Outcome, Reason, Ref,
    RunOptions, Runner,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(crate) struct TestRunner;

impl Runner for TestRunner {
    fn run<'a>(
        &'a self,
        reference: &'a Ref,
        input: Bytes,
        options: RunOptions,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(std::future::ready(self.run_blocking(reference, &input, &options)))
    }

    fn run_blocking(
        &self,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        if reference.alg() != "test" {
            return Err(Error::NotFound { reference: reference.clone() });
        }
        let op = options.op.as_ref().expect("the processor calls ops");
        assert!(op.always, "every compute gets the envelope");
        let envelope: Value = serde_json::from_slice(&op.envelope(input)?).unwrap();
        let bounds = options.limits.or(Limits::DEFAULT).bounds();
        let done = |result, log| {
            let metrics = Metrics { fuel: bounds.fuel.map(|_| 3_000_000), ..Metrics::default() };
            let mut outcome = Outcome::new(bounds, result, metrics);
            outcome.log = log;
            Ok(outcome)
        };
        let given = &envelope["input"];
        let mut log = Log::default();
        let output = match reference.digest() {
            "echo" => given.clone(),
            "received" => {
                let mut own = given.clone();
                own.as_object_mut().unwrap().retain(|key, _| !key.starts_with('_'));
                json!({ "received": own })
            }
            "env" => json!({ "env": envelope["env"] }),
            "secrets" => {
                log.lines.push(LogLine {
                    level: compute::Level::Info,
                    text: format!("the key is {}", envelope["secrets"]["KEY"]),
                });
                json!({ "secrets": envelope["secrets"] })
            }
            "given" => json!({ "secrets": envelope["secrets"], "env": envelope["env"] }),
            "stamps" => json!({
                "op": given["_txc"]["op"],
                "step": given["_txc"]["step"],
                "ts": given["_ts"],
                "meta": envelope["meta"],
            }),
            "x_is_2" => json!({ "x": 2 }),
            "list" => json!([1]),
            "goto_3" => json!({ "_txc": { "goto": "3" } }),
            "writes_txc" => json!({ "_txc": {
                "evil": 1,
                "web": { "req": 1, "res": { "status": 201 } },
                "telemetry": { "t": 1 },
            } }),
            "seed" => {
                json!({ "seed": bounds.seed.to_string(), "now": format!("{:?}", bounds.now) })
            }
            "wall" => json!({ "wall_ms": bounds.wall.as_millis() as u64 }),
            "slow" => {
                // Longer for those that come first by name, so that completion has another order.
                let name = envelope["meta"]["name"].as_str().unwrap();
                std::thread::sleep(Duration::from_millis(if name < "m" { 30 } else { 1 }));
                json!({ "done": [name] })
            }
            "deep" => {
                let deep = format!("{{\"a\":{}{}}}", "[".repeat(125), "]".repeat(125));
                return done(Ok(deep.into_bytes()), Log::default());
            }
            "emits" => {
                let key = envelope["secrets"]["KEY"].as_str().unwrap_or("none");
                let raw = |text: String| RawValue::from_string(text).unwrap();
                let event = |name: String, data| Event { name, data: raw(data) };
                let mut outcome = done(Ok(b"{}".to_vec()), Log::default())?;
                outcome.events = vec![
                    event(format!("about {key}"), format!("{{\"{key}\":\"{key}\"}}")),
                    event("deep".into(), format!("{}{}", "[".repeat(125), "]".repeat(125))),
                    event("large".into(), format!("\"{}\"", "x".repeat(400_000))),
                ];
                for n in 0..3000 {
                    outcome.events.push(event(format!("{n}-{}", "x".repeat(4000)), "1".into()));
                }
                return Ok(outcome);
            }
            "logs_much" => {
                let line = LogLine { level: compute::Level::Info, text: String::new() };
                log.lines = vec![line; 200_000];
                json!({})
            }
            "panics" => panic!("as it should"),
            "writes_much" => {
                let much = (0..5000).map(|n| (format!("{n}-{}", "x".repeat(100)), n.into()));
                json!({ "_txc": much.collect::<serde_json::Map<_, _>>() })
            }
            "throws" => {
                let reason =
                    Reason::Thrown { name: "Error".into(), message: "as it should".into() };
                return done(Err(Failure::new(reason)), Log::default());
            }
            other => panic!("there is no compute {other}"),
        };
        done(Ok(serde_json::to_vec(&output).unwrap()), log)
    }
}
