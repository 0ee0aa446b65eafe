//! What is below `_txc`: what the processor reads there, and what computes may write.

use compute_state::StackName;
use serde_json::{Map, Value};
use txcl::{Budget, Path, Stop, TXC};

use super::failure::Reason;
use crate::rules::Stage;

/// What a caller's document may not bring along: it would steer the processor.
const NOT_FROM_CALLERS: [&str; 9] =
    ["halt", "goto", "delete", "op", "step", "web", "src", "rid", "tenant"];
/// Where rules may write `res`: how a document that came so is answered.
const ANSWERS: [&str; 2] = ["web", "lmtp"];
/// What computes and rules may write there, with all below.
const WRITABLE: [&str; 4] = ["halt", "goto", "delete", "telemetry"];

/// What is to be done after a scope.
#[derive(Debug, Default)]
pub(crate) struct Control {
    pub(crate) halt: bool,
    pub(crate) goto: Option<Goto>,
    pub(crate) delete: Vec<Path>,
    /// What was not written as it should be, and how it was read.
    pub(crate) warnings: Vec<String>,
}

/// Where a document goes.
#[derive(Debug)]
pub(crate) enum Goto {
    Stage(Stage),
    /// A place that no stack can have: the document ends.
    Nowhere,
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
    let mut control = Control::default();
    if let Some(value) = txc.shift_remove("delete") {
        deletions(&value, budget, &mut control).map_err(NoControl::Stop)?;
    }
    if let Some(value) = txc.shift_remove("halt") {
        control.halt = halt(&value, &mut control.warnings);
    }
    if let Some(value) = txc.shift_remove("goto") {
        control.goto = goto(&value, stack, &mut control.warnings)?;
    }
    if txc.is_empty()
        && let Value::Object(document) = document
    {
        document.shift_remove(TXC);
    }
    Ok(control)
}

/// A value as a warning or an error shows it.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(100).collect()
}

fn halt(value: &Value, warnings: &mut Vec<String>) -> bool {
    let halt = txcl::bool_of(value);
    if !value.is_boolean() && !value.is_null() {
        warnings.push(format!("`{TXC}.halt` is {}, which reads as {halt}", shown(value)));
    }
    halt
}

fn goto(
    value: &Value,
    stack: &StackName,
    warnings: &mut Vec<String>,
) -> Result<Option<Goto>, Reason> {
    let wrong = || Reason::Control {
        key: "goto",
        value: shown(value),
        problem: "it must be a stage, `stack/100` or `100`".to_owned(),
    };
    let text = txcl::text_of(value).ok_or_else(wrong)?;
    if !value.is_string() && !value.is_null() {
        warnings.push(format!("`{TXC}.goto` is {}, which reads as {text}", shown(value)));
    }
    if text.is_empty() {
        if value.is_string() {
            warnings.push(format!("`{TXC}.goto` is empty, and the document goes on"));
        }
        return Ok(None);
    }
    let (named, scope) = match text.rsplit_once('/') {
        Some((name, scope)) => (Some(name), scope),
        None => (None, &*text),
    };
    let digits = !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_digit());
    let scope = digits.then(|| scope.parse().ok()).flatten().ok_or_else(wrong)?;
    let Some(name) = named else { return Ok(Some(Goto::Stage(Stage::new(stack.clone(), scope)))) };
    Ok(Some(match name.trim_matches('/').parse() {
        Ok(stack) => Goto::Stage(Stage::new(stack, scope)),
        Err(_) => {
            warnings.push(format!("`{TXC}.goto` is {}, where no stack can be", shown(value)));
            Goto::Nowhere
        }
    }))
}

fn deletions(value: &Value, budget: &Budget, control: &mut Control) -> Result<(), Stop> {
    let items = match value {
        Value::Array(items) => &items[..],
        one => std::slice::from_ref(one),
    };
    for part in items.chunks(1024) {
        budget.check()?;
        let texts: usize = part.iter().filter_map(Value::as_str).map(str::len).sum();
        budget.charge(part.len() * PATH + texts)?;
        for one in part {
            let text = txcl::text_of(one);
            let is_odd = !one.is_string() || one.as_str() == Some("");
            if is_odd && text.is_some() && control.warnings.len() < MAX_WARNINGS {
                let warning = if one.is_string() {
                    format!("`{TXC}.delete` is empty, and nothing is deleted")
                } else {
                    let read = text.as_deref().unwrap_or_default();
                    format!("`{TXC}.delete` is {}, which reads as the path `{read}`", shown(one))
                };
                control.warnings.push(warning);
            }
            match text.as_deref().and_then(Path::parse) {
                Some(path) => control.delete.push(path),
                None if text.is_some_and(|text| text.is_empty()) => {}
                None if control.warnings.len() < MAX_WARNINGS => {
                    let warning = format!("`{TXC}.delete` is {}, which is no path", shown(one));
                    control.warnings.push(warning);
                }
                None => {}
            }
        }
    }
    Ok(())
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

/// Takes away what a rule wrote below `_txc` that only the processor may.
pub(crate) fn filter_rule(response: &mut Value) -> Vec<String> {
    let Some(Value::Object(txc)) = response.get_mut(TXC) else { return Vec::new() };
    let mut dropped = Dropped { whose: "rules", ..Dropped::default() };
    txc.retain(|key, value| match value {
        _ if WRITABLE.contains(&&**key) => true,
        Value::Object(map) if ANSWERS.contains(&&**key) => {
            map.retain(|below, _| {
                let kept = below == "res";
                if !kept {
                    dropped.add(&format!("{key}.{below}"));
                }
                kept
            });
            !map.is_empty()
        }
        _ => {
            dropped.add(key);
            false
        }
    });
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
struct Dropped {
    whose: &'static str,
    told: Vec<String>,
    more: usize,
}

impl Default for Dropped {
    fn default() -> Self {
        Self { whose: "computes", told: Vec::new(), more: 0 }
    }
}

impl Dropped {
    fn add(&mut self, key: &str) {
        if self.told.len() >= MAX_WARNINGS {
            self.more += 1;
            return;
        }
        let key: String = key.chars().take(MAX_KEY).collect();
        self.told.push(format!("{} may not write `{TXC}.{key}`; it is dropped", self.whose));
    }

    fn warnings(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!("and {} more are dropped", self.more));
        }
        self.told
    }
}
