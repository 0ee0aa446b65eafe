//! What is below `_txc`: what the processor reads there, and what computes may write.

use compute_state::StackName;
use serde_json::{Map, Value};
use txcl::{Budget, Path, Stop, TXC};

use super::failure::Reason;
use crate::rules::Stage;

/// What a caller's document may not bring along: it would steer the processor.
const NOT_FROM_CALLERS: [&str; 6] = ["halt", "goto", "delete", "op", "step", "web"];
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
        txc.retain(|key, _| !NOT_FROM_CALLERS.contains(&key.as_str()));
    }
}

/// Why there is no telling what is to be done.
#[derive(Debug)]
pub(crate) enum NoControl {
    /// What is written there cannot be understood.
    Wrong(Reason),
    /// There is no memory or no time to.
    Stop(Stop),
}

impl From<Reason> for NoControl {
    fn from(reason: Reason) -> Self {
        Self::Wrong(reason)
    }
}

/// Reads `_txc.delete`, `_txc.halt` and `_txc.goto`, and takes them away.
pub(crate) fn take(
    document: &mut Value,
    stack: &StackName,
    budget: &Budget,
) -> Result<Control, NoControl> {
    let Some(Value::Object(txc)) = document.get_mut(TXC) else { return Ok(Control::default()) };
    let control = Control {
        delete: txc
            .shift_remove("delete")
            .map_or(Ok(Vec::new()), |value| deletions(&value, budget))?,
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

fn deletions(value: &Value, budget: &Budget) -> Result<Vec<Path>, NoControl> {
    let problem = "it must be a path or a list of paths";
    let path = |one: &Value| {
        let path = one.as_str().and_then(Path::parse);
        path.ok_or_else(|| NoControl::Wrong(wrong("delete", one, problem)))
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => {
            let mut paths = Vec::new();
            for part in items.chunks(1024) {
                budget.check().map_err(NoControl::Stop)?;
                let texts: usize = part.iter().filter_map(Value::as_str).map(str::len).sum();
                budget.charge(part.len() * PATH + texts).map_err(NoControl::Stop)?;
                for one in part {
                    paths.push(path(one)?);
                }
            }
            Ok(paths)
        }
        one => Ok(vec![path(one)?]),
    }
}

/// About what a path of a few segments takes, besides its text.
const PATH: usize = 160;

/// How many warnings one answer gives.
const MAX_WARNINGS: usize = 10;
/// How many characters of a key are told.
const MAX_KEY: usize = 60;

/// Takes away what a compute wrote below `_txc` and may not. What it only gave back as it received it goes
/// without a warning; `received` says what that was, by key.
pub(crate) fn filter<'a>(
    output: &mut Map<String, Value>,
    received: impl Fn(&str) -> Option<&'a Value>,
) -> Vec<String> {
    let Some(value) = output.get_mut(TXC) else { return Vec::new() };
    let mut dropped = Dropped::default();
    let Value::Object(txc) = value else {
        output.shift_remove(TXC);
        return vec![format!("`{TXC}` must be an object; what the compute wrote there is dropped")];
    };
    txc.retain(|key, value| {
        if WRITABLE.contains(&&**key) {
            return true;
        }
        let before = received(key);
        if key == "web" {
            return web(value, before, &mut dropped);
        }
        if before != Some(value) {
            dropped.add(key);
        }
        false
    });
    if txc.is_empty() {
        output.shift_remove(TXC);
    }
    dropped.warnings()
}

/// Below `_txc.web`, computes may write `res`. Says whether anything is left.
fn web(value: &mut Value, received: Option<&Value>, dropped: &mut Dropped) -> bool {
    let Value::Object(web) = value else {
        dropped.add("web");
        return false;
    };
    web.retain(|key, value| {
        let same = received.and_then(|received| received.get(key)) == Some(value);
        if key == "res" {
            // One that was only given back would be merged with itself, and its lists doubled.
            return !same;
        }
        if !same {
            dropped.add(&format!("web.{key}"));
        }
        false
    });
    !web.is_empty()
}

/// What was dropped: as much of it as is told.
#[derive(Default)]
struct Dropped {
    told: Vec<String>,
    more: usize,
}

impl Dropped {
    fn add(&mut self, key: &str) {
        if self.told.len() >= MAX_WARNINGS {
            self.more += 1;
            return;
        }
        let key: String = key.chars().take(MAX_KEY).collect();
        self.told.push(format!("computes may not write `{TXC}.{key}`; it is dropped"));
    }

    fn warnings(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!("and {} more are dropped", self.more));
        }
        self.told
    }
}
