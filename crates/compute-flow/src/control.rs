//! What is below `_txc`: what the processor reads there, and what computes may write.

use serde_json::{Map, Value};
use txcl::{Path, TXC};

use crate::{Reason, StackName, Stage};

/// What a caller's document may not bring along: it would steer the processor.
const NOT_FROM_CALLERS: [&str; 5] = ["halt", "goto", "delete", "op", "step"];
/// What computes may write there, with all below.
const WRITABLE: [&str; 4] = ["halt", "goto", "delete", "telemetry"];

/// What is to be done after a scope.
#[derive(Debug, Default)]
pub(crate) struct Control {
    pub(crate) halt: bool,
    pub(crate) goto: Option<Stage>,
    pub(crate) delete: Vec<Path>,
}

/// Takes away what a caller's document may not bring along.
pub(crate) fn strip_callers(document: &mut Value) {
    if let Some(Value::Object(txc)) = document.get_mut(TXC) {
        for key in NOT_FROM_CALLERS {
            txc.shift_remove(key);
        }
    }
}

/// Reads `_txc.delete`, `_txc.halt` and `_txc.goto`, and takes them away.
pub(crate) fn take(document: &mut Value, stack: &StackName) -> Result<Control, Reason> {
    let Some(Value::Object(txc)) = document.get_mut(TXC) else { return Ok(Control::default()) };
    let control = Control {
        delete: txc.shift_remove("delete").map_or(Ok(Vec::new()), |value| deletions(&value))?,
        halt: txc.shift_remove("halt").map_or(Ok(false), |value| halt(&value))?,
        goto: txc.shift_remove("goto").map_or(Ok(None), |value| goto(&value, stack))?,
    };
    if txc.is_empty()
        && let Value::Object(document) = document
    {
        document.shift_remove(TXC);
    }
    Ok(control)
}

fn wrong(key: &'static str, value: &Value, problem: &str) -> Reason {
    let value = value.to_string().chars().take(100).collect();
    Reason::Control { key, value, problem: problem.to_owned() }
}

fn halt(value: &Value) -> Result<bool, Reason> {
    match value {
        Value::Bool(halt) => Ok(*halt),
        Value::Null => Ok(false),
        other => Err(wrong("halt", other, "it must be true or false")),
    }
}

fn goto(value: &Value, stack: &StackName) -> Result<Option<Stage>, Reason> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => return Err(wrong("goto", other, "it must be a stage, `stack/100` or `100`")),
    };
    Stage::relative(&text, stack).map(Some).map_err(Reason::Goto)
}

fn deletions(value: &Value) -> Result<Vec<Path>, Reason> {
    let problem = "it must be a path or a list of paths";
    let path = |one: &Value| {
        let path = one.as_str().and_then(Path::parse);
        path.ok_or_else(|| wrong("delete", one, problem))
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().map(path).collect(),
        one => Ok(vec![path(one)?]),
    }
}

/// How many warnings one answer gives.
const MAX_WARNINGS: usize = 10;
/// How many characters of a key are told.
const MAX_KEY: usize = 60;

/// Takes away what a compute wrote below `_txc` and may not. What it only gave back as it received it goes
/// without a warning.
pub(crate) fn filter(output: &mut Map<String, Value>, input: &Value) -> Vec<String> {
    let mut warnings = taken_away(output, input);
    if warnings.len() > MAX_WARNINGS {
        let more = warnings.len() - MAX_WARNINGS;
        warnings.truncate(MAX_WARNINGS);
        warnings.push(format!("and {more} more are dropped"));
    }
    warnings
}

fn taken_away(output: &mut Map<String, Value>, input: &Value) -> Vec<String> {
    let Some(value) = output.get_mut(TXC) else { return Vec::new() };
    let received = input.get(TXC);
    let mut warnings = Vec::new();
    let Value::Object(txc) = value else {
        output.shift_remove(TXC);
        return vec![format!("`{TXC}` must be an object; what the compute wrote there is dropped")];
    };
    let keys: Vec<_> = txc.keys().cloned().collect();
    for key in keys {
        if WRITABLE.contains(&&*key) {
            continue;
        }
        let before = received.and_then(|received| received.get(&key));
        if key == "web" {
            web(txc, before, &mut warnings);
        } else if let Some(value) = txc.shift_remove(&key)
            && before != Some(&value)
        {
            warnings.push(dropped(&key));
        }
    }
    if txc.is_empty() {
        output.shift_remove(TXC);
    }
    warnings
}

/// Below `_txc.web`, computes may write `res`.
fn web(txc: &mut Map<String, Value>, received: Option<&Value>, warnings: &mut Vec<String>) {
    let Some(Value::Object(web)) = txc.get_mut("web") else {
        txc.shift_remove("web");
        return warnings.push(dropped("web"));
    };
    let keys: Vec<_> = web.keys().filter(|key| *key != "res").cloned().collect();
    for key in keys {
        let before = received.and_then(|received| received.get(&key));
        if let Some(value) = web.shift_remove(&key)
            && before != Some(&value)
        {
            warnings.push(dropped(&format!("web.{key}")));
        }
    }
    // A `res` that was only given back would be merged with itself, and its lists doubled.
    if web.get("res").is_some_and(|res| received.and_then(|one| one.get("res")) == Some(res)) {
        web.shift_remove("res");
    }
    if web.is_empty() {
        txc.shift_remove("web");
    }
}

fn dropped(key: &str) -> String {
    let key: String = key.chars().take(MAX_KEY).collect();
    format!("computes may not write `{TXC}.{key}`; it is dropped")
}
