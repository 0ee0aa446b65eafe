//! What a function is: its name, its arguments, what it gives.

pub(crate) mod convert;
mod query;
mod table;

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::context::Context;
use convert::parse_number;

pub use convert::{bool_of, number_of, text_of};
use table::FUNCTIONS;
pub(crate) use table::base64_of;
pub use table::uuid;

/// One function of the language.
pub struct Function {
    /// Its name, without the `&`.
    pub name: &'static str,
    /// Its arguments, as the documentation writes them; those in brackets may be left out.
    pub parameters: &'static str,
    /// What it gives.
    pub summary: &'static str,
    /// The words that stand for arguments without quotes.
    pub(crate) words: &'static [&'static str],
    pub(crate) run: Run,
}

pub(crate) type Run = fn(&mut Context, &Arguments<'_>) -> Result<Value, String>;

/// All functions, in the order of the documentation.
#[must_use]
pub const fn functions() -> &'static [Function] {
    &FUNCTIONS
}

impl Function {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// How it is called: `&pad(text, width[, with])`.
    #[must_use]
    pub fn signature(&self) -> String {
        format!("&{}({})", self.name, self.parameters)
    }

    /// How many arguments it takes: at least, and at most.
    fn arity(&self) -> (usize, usize) {
        let count = |text: &str| {
            text.split(',').filter(|one| !one.trim_matches([' ', '[', ']']).is_empty()).count()
        };
        let required = self.parameters.split('[').next().unwrap_or_default();
        let most =
            if self.parameters.contains('…') { usize::MAX } else { count(self.parameters) };
        (count(required.trim_end_matches(", …")), most)
    }

    /// Says what is wrong with so many arguments.
    pub(crate) fn check(&self, given: usize) -> Result<(), String> {
        let (least, most) = self.arity();
        if (least..=most).contains(&given) {
            return Ok(());
        }
        let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
        let wanted = match (least, most) {
            (least, usize::MAX) => format!("at least {least} {}", plural(least)),
            (least, most) if least == most => format!("{least} {}", plural(least)),
            (least, most) => format!("{least} to {most} arguments"),
        };
        Err(format!("`&{}` takes {wanted}, and not {given}", self.name))
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.signature())
    }
}

/// The whole numbers that a float holds exactly: ±2^53.
pub(crate) const EXACT: f64 = 9_007_199_254_740_992.0;

/// What a function is given.
pub(crate) struct Arguments<'a>(pub(crate) &'a [Cow<'a, Value>]);

impl Arguments<'_> {
    pub(crate) const fn count(&self) -> usize {
        self.0.len()
    }

    /// An argument; null if there is none.
    pub(crate) fn value(&self, at: usize) -> &Value {
        self.0.get(at).map_or(&Value::Null, |value| value)
    }

    pub(crate) fn given(&self, at: usize) -> bool {
        at < self.0.len()
    }

    /// A string.
    pub(crate) fn text(&self, at: usize) -> Result<&str, String> {
        match self.value(at) {
            Value::String(text) => Ok(text),
            other => Err(wrong(at, other, "a string")),
        }
    }

    /// A number, or a string that is one.
    pub(crate) fn number(&self, at: usize) -> Result<f64, String> {
        let value = self.value(at);
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => parse_number(text),
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| wrong(at, value, "a number"))
    }

    /// A whole number, which may be written with a fraction of 0.
    pub(crate) fn whole(&self, at: usize) -> Result<i64, String> {
        let value = self.value(at);
        let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT);
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within ±2^53")]
        let whole = value.as_i64().or_else(|| float.map(|float| float as i64));
        whole.ok_or_else(|| wrong(at, value, "a whole number"))
    }

    /// A whole number from 0 on.
    pub(crate) fn index(&self, at: usize) -> Result<usize, String> {
        let whole = usize::try_from(self.whole(at)?).ok();
        whole.ok_or_else(|| wrong(at, self.value(at), "a whole number from 0 on"))
    }

    pub(crate) fn list(&self, at: usize) -> Result<&[Value], String> {
        match self.value(at) {
            Value::Array(items) => Ok(items),
            other => Err(wrong(at, other, "a list")),
        }
    }
}

pub(crate) fn wrong(at: usize, value: &Value, wanted: &str) -> String {
    let kind = match value {
        Value::Null => "missing or null".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.len() <= 40 => format!("\"{text}\""),
        Value::String(_) => "a long string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    format!("argument {} is {kind}, and should be {wanted}", at + 1)
}
