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

/// The time that a value of `WITH timeout` is: a number of milliseconds, `"500ms"` or `"2s"`.
pub(crate) fn timeout(value: &Value) -> Result<Duration, Problem> {
    let help = "write milliseconds, `WITH timeout = 500`, or `\"500ms\"` or `\"2s\"`";
    let millis = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(millis), _) => millis.parse().ok(),
            (None, Some(seconds)) => seconds.parse().map(|seconds: f64| seconds * 1000.0).ok(),
            (None, None) => None,
        },
        _ => None,
    };
    let time = millis.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
    match time {
        Some(time) if !time.is_zero() && time <= MAX_TIMEOUT => Ok(time),
        Some(time) if time > MAX_TIMEOUT => {
            Err((format!("a timeout of {time:?} is longer than {MAX_TIMEOUT:?}"), help))
        }
        _ => Err((format!("{value} is not a time"), help)),
    }
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

/// The names that a value of `WITH secrets` has: `"A, B"`, or a list.
pub(crate) fn names(value: &Value) -> Result<Vec<String>, Problem> {
    let help = "write the names with commas between: `WITH secrets = \"API_KEY, TOKEN\"`";
    let names = names_of(value).ok_or_else(|| (format!("{value} names no secrets"), help))?;
    Ok(names.into_iter().map(str::to_owned).collect())
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
    /// The secrets that it may see, by name.
    pub secrets: Vec<String>,
}

impl Control {
    /// Reads `timeout`, `redact`, `omit` and `secrets`.
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
                "secrets" => control.secrets = names(value).map_err(|one| told(key, one))?,
                _ => {}
            }
        }
        Ok(control)
    }

    /// About how many bytes of memory its lists take.
    #[must_use]
    pub fn size(&self) -> usize {
        let paths = self.redact.iter().chain(&self.omit).map(Path::size).sum::<usize>();
        paths + self.secrets.iter().map(|name| size_of_val(name) + name.len()).sum::<usize>()
    }

    /// What the rule's text says, as far as it is written down there.
    #[must_use]
    pub fn written(rule: &Rule) -> Self {
        let literal = |item: &Assignment| match (&item.value.node, item.path.node.segments()) {
            (Expr::Literal(literal), [key]) => Some((key.clone(), Literal::value(literal))),
            _ => None,
        };
        let values: Map<_, _> = rule.with().iter().filter_map(literal).collect();
        Self::read(&values).unwrap_or_default()
    }
}
