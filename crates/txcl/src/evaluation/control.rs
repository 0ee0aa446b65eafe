//! What the values of `WITH` say to the processor, and not to the compute.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{Assignment, Expr, Literal, Path, Rule};

/// What is wrong with a value, and what to do.
pub(crate) type Problem = (String, &'static str);

/// How many characters of a problem with a value of `WITH` are told.
const MAX_PROBLEM: usize = 200;

/// The longest time that `WITH timeout` may give an op: 10 minutes.
const MAX_TIMEOUT: Duration = Duration::from_secs(600);

/// The time that a value of `WITH timeout` is: a number of milliseconds, or numbers with units such as `"500ms"`, `"2s"` or
/// `"1m30s"`.
pub(crate) fn timeout(value: &Value) -> Result<Duration, Problem> {
    let help = "write milliseconds, `WITH timeout = 500`, or `\"500ms\"`, `\"2s\"`, `\"1m30s\"`";
    let seconds = match value {
        Value::Number(number) => number.as_f64().map(|millis| millis / 1000.0),
        Value::String(text) => seconds(text),
        _ => None,
    };
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match time {
        Some(time) if !time.is_zero() && time <= MAX_TIMEOUT => Ok(time),
        Some(time) if time > MAX_TIMEOUT => {
            Err((format!("a timeout of {time:?} is longer than {MAX_TIMEOUT:?}"), help))
        }
        _ => Err((format!("{value} is not a time"), help)),
    }
}

/// The seconds that a text is, whose numbers each have a unit.
fn seconds(text: &str) -> Option<f64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut sum = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|char: char| !(char.is_ascii_digit() || char == '.'))?;
        let (digits, after) = rest.split_at(number);
        let unit = after.find(|char: char| char.is_ascii_digit() || char == '.');
        let (unit, after) = after.split_at(unit.unwrap_or(after.len()));
        let of_unit = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        sum += digits.parse::<f64>().ok()? * of_unit;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

/// The paths that a value of `WITH redact` or `WITH omit` names: `"a.b, c"`, or a list.
pub(crate) fn paths(key: &str, value: &Value) -> Result<Vec<Path>, Problem> {
    let help = "write the paths with commas between: `WITH redact = \"customer.email, card\"`";
    let one = |text: &str| {
        Path::parse(text).ok_or_else(|| (format!("`{text}` in {key} is not a path"), help))
    };
    names_of(value)
        .ok_or_else(|| (format!("{value} names no paths"), help))?
        .into_iter()
        .map(one)
        .collect()
}

/// The secrets that a value of `WITH secrets` names: `"A, B"`, a list, or `{"key": {"secret": "A"}}`, which gives one as another.
pub(crate) fn secrets(value: &Value) -> Result<Vec<GivenSecret>, Problem> {
    let help = "write the names with commas between, `WITH secrets = \"API_KEY, TOKEN\"`, or `WITH secrets.key.secret = \"API_KEY\"`";
    let wrong = || (format!("{value} names no secrets"), help);
    let given = |key: &str, name: &str| GivenSecret { key: key.to_owned(), name: name.to_owned() };
    let listed = |value: &Value| {
        let names = names_of(value).ok_or_else(wrong)?.into_iter();
        Ok(names.map(|name| given(name, name)).collect::<Vec<_>>())
    };
    let Value::Object(map) = value else { return listed(value) };
    let mut all = Vec::new();
    for (key, value) in map {
        match value.get("secret").and_then(Value::as_str) {
            Some(name) => all.push(given(key, name)),
            // A list beside those under other names: see `Program`.
            None if key.is_empty() => all.extend(listed(value)?),
            None => return Err(wrong()),
        }
    }
    Ok(all)
}

fn names_of(value: &Value) -> Option<Vec<&str>> {
    let names: Vec<_> = match value {
        Value::String(text) => {
            text.split(',').map(str::trim).filter(|one| !one.is_empty()).collect()
        }
        Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    Some(names)
}

/// A secret that a compute may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenSecret {
    /// Under which key.
    pub key: String,
    /// Its name.
    pub name: String,
}

/// What a compute is given besides its input and its environment, read from the values of `WITH`.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Control {
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// What a trace masks.
    pub redact: Vec<Path>,
    /// What a trace leaves out.
    pub omit: Vec<Path>,
    /// The secrets that it may see.
    pub secrets: Vec<GivenSecret>,
    /// Whether the result of an earlier run on the same may be taken.
    pub cache: bool,
}

impl Control {
    /// Reads `timeout`, `redact`, `omit`, `secrets` and `cache`.
    ///
    /// # Errors
    /// What is wrong with one of them, in words.
    pub fn read(with: &Map<String, Value>) -> Result<Self, String> {
        let told = |key: &str, (problem, help): Problem| {
            let problem: String = problem.chars().take(MAX_PROBLEM).collect();
            format!("WITH {key}: {problem}; {help}")
        };
        let mut control = Self::default();
        for (key, value) in with {
            match &**key {
                "timeout" => control.timeout = Some(timeout(value).map_err(|one| told(key, one))?),
                "redact" => control.redact = paths(key, value).map_err(|one| told(key, one))?,
                "omit" => control.omit = paths(key, value).map_err(|one| told(key, one))?,
                // Any other value is the compute's own.
                "cache" => control.cache = value == &Value::Bool(true),
                "secrets" => control.secrets = secrets(value).map_err(|one| told(key, one))?,
                _ => {}
            }
        }
        Ok(control)
    }

    /// About how many bytes of memory its lists take.
    #[must_use]
    pub fn size(&self) -> usize {
        let paths = self.redact.iter().chain(&self.omit).map(Path::size).sum::<usize>();
        let given =
            self.secrets.iter().map(|one| size_of_val(one) + one.key.len() + one.name.len());
        paths + given.sum::<usize>()
    }

    /// What the rule's text says, as far as it is written down there.
    #[must_use]
    pub fn written(rule: &Rule) -> Self {
        let mut values = Value::Object(Map::new());
        for Assignment { path, value } in rule.with() {
            if let Expr::Literal(literal) = &value.node {
                // What cannot be written there is told when it is checked.
                let _ = path.node.set(&mut values, Literal::value(literal));
            }
        }
        let values = match values {
            Value::Object(values) => values,
            _ => Map::new(),
        };
        Self::read(&values).unwrap_or_default()
    }
}
