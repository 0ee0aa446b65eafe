//! A rule made ready: paths split, functions bound, regular expressions compiled, once for any number of
//! documents.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::condition::Test;
use crate::context::{Context, EvalError};
use crate::function::Arguments;
use crate::pattern::RegexBudget;
use crate::{Assignment, ClauseKind, Exec, Expr, Function, Literal, Path, Rule, Select, Span};

/// A rule made ready to be evaluated.
///
/// What a rule does, in order: [`Program::matches`], [`Program::prepare`], [`Program::with`],
/// [`Program::select`], then its compute runs ([`Program::exec`]), [`Selected::keep`], [`Program::emit`]; and when the
/// answers of a scope are merged, [`Program::finish`].
#[derive(Clone, Debug)]
pub struct Program {
    test: Option<Test>,
    priority: i64,
    exec: Option<Exec>,
    before: Vec<Write>,
    select: Option<Vec<Part>>,
    with: Vec<Write>,
    emit: Vec<Write>,
    after: Vec<Write>,
}

#[derive(Clone, Debug)]
struct Write {
    path: Path,
    value: Ready,
    span: Span,
}

#[derive(Clone, Debug)]
struct Part {
    source: Path,
    destination: Path,
    default: Option<Ready>,
    span: Span,
}

/// A value, or how one is come by, made ready.
#[derive(Clone, Debug)]
pub(crate) enum Ready {
    Value(Value),
    Path(Path, Span),
    Call { function: &'static Function, arguments: Vec<Self>, span: Span },
}

/// What `SELECT` gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selected {
    parts: Vec<(Path, Value)>,
    /// What the op receives.
    pub input: Value,
}

impl Program {
    /// Makes a rule ready. A rule with errors is made ready as far as it could be read.
    #[must_use]
    pub fn new(rule: &Rule) -> Self {
        Self::within(rule, &mut RegexBudget::rule())
    }

    /// Makes a rule ready. What its regular expressions take is taken from the budget; those that find nothing
    /// left are false.
    #[must_use]
    pub fn within(rule: &Rule, budget: &mut RegexBudget) -> Self {
        let mut program = Self {
            test: rule.when().map(|when| Test::new(when, budget)),
            priority: rule.priority(),
            exec: rule.exec().and_then(|exec| Exec::parse(&exec.node).ok()),
            before: Vec::new(),
            select: None,
            with: writes(rule.with()),
            emit: writes(rule.emit()),
            after: Vec::new(),
        };
        let mut selected = false;
        for clause in &rule.clauses {
            match &clause.kind {
                ClauseKind::Set(items) if selected => program.after.extend(writes(items)),
                ClauseKind::Set(items) => program.before.extend(writes(items)),
                ClauseKind::Select(select) => {
                    selected = true;
                    program.select = parts(select);
                }
                _ => {}
            }
        }
        program
    }

    /// Whether the rule applies. Null is the empty document, to which no `WHEN` applies.
    #[must_use]
    pub fn matches(&self, document: &Value, context: &mut Context) -> bool {
        match &self.test {
            None => true,
            Some(_) if document.is_null() => false,
            Some(test) => test.holds(document, context),
        }
    }

    /// A path and a written value that must be equal for the rule to apply, if its `WHEN` says so: rules
    /// can be found by it.
    ///
    /// ```
    /// let rule = txcl::parse("WHEN .n > 3 && .kind == \"order\"").rule;
    /// let program = txcl::Program::new(&rule);
    /// let (path, value) = program.required().unwrap();
    /// assert_eq!((path.to_string().as_str(), value.as_str()), (".kind", Some("order")));
    /// ```
    #[must_use]
    pub fn required(&self) -> Option<(&Path, &Value)> {
        self.test.as_ref()?.required()
    }

    /// Among the rules that match, those of the highest priority run, if it is above 0.
    #[must_use]
    pub const fn priority(&self) -> i64 {
        self.priority
    }

    /// What the rule runs.
    #[must_use]
    pub const fn exec(&self) -> Option<&Exec> {
        self.exec.as_ref()
    }

    /// The document with what `SET` before `SELECT` adds: the full input.
    ///
    /// # Errors
    /// A value that cannot be worked out, or written there.
    pub fn prepare<'a>(
        &self,
        document: &'a Value,
        context: &mut Context,
    ) -> Result<Cow<'a, Value>, EvalError> {
        if self.before.is_empty() {
            return Ok(Cow::Borrowed(document));
        }
        let full = context.copy_shared(document);
        let mut full = full.map_err(|message| EvalError::new(self.before[0].span, message))?;
        set_absent(&self.before, &mut full, context)?;
        Ok(Cow::Owned(full))
    }

    /// The values of `WITH`, dotted keys nested.
    ///
    /// # Errors
    /// A value that cannot be worked out.
    pub fn with(
        &self,
        full: &Value,
        context: &mut Context,
    ) -> Result<Map<String, Value>, EvalError> {
        let mut values = Value::Object(Map::new());
        for write in &self.with {
            write.write(&[full], &mut values, context)?;
        }
        match values {
            Value::Object(map) => Ok(map),
            _ => Ok(Map::new()),
        }
    }

    /// What `SELECT` takes of the full input; none if the op receives all of it.
    ///
    /// # Errors
    /// A default that cannot be worked out, or a value that cannot be written there.
    pub fn select(
        &self,
        full: &Value,
        context: &mut Context,
    ) -> Result<Option<Selected>, EvalError> {
        let Some(parts) = &self.select else { return Ok(None) };
        let mut selected = Selected { parts: Vec::new(), input: Value::Object(Map::new()) };
        for part in parts {
            let fail = |message| EvalError::new(part.span, message);
            let found = part.source.get(full).filter(|value| {
                !value.is_null() && value.as_str().is_none_or(|text| !text.is_empty())
            });
            let value = match (found, &part.default) {
                (Some(found), _) => context.copy(found).map_err(fail)?,
                (None, Some(default)) => default.owned(&[full], part.span, context)?,
                (None, None) => "".into(),
            };
            // One for the op, one for the document.
            let copy = context.copy_shared(&value).map_err(fail)?;
            part.destination
                .set(&mut selected.input, copy)
                .map_err(|error| fail(error.to_string()))?;
            selected.parts.push((part.destination.clone(), value));
        }
        Ok(Some(selected))
    }

    /// Writes what `EMIT` says into the op's answer. A path in a value reads the answer first, and where
    /// that has nothing, the full input.
    ///
    /// # Errors
    /// A value that cannot be worked out, or written there.
    pub fn emit(
        &self,
        full: &Value,
        response: &mut Value,
        context: &mut Context,
    ) -> Result<(), EvalError> {
        for write in &self.emit {
            write.write_from(&[full], response, context)?;
        }
        Ok(())
    }

    /// Whether `SET` stands after `SELECT`.
    #[must_use]
    pub fn has_finish(&self) -> bool {
        !self.after.is_empty()
    }

    /// Writes what `SET` after `SELECT` says into the merged document, where it has nothing.
    ///
    /// # Errors
    /// A value that cannot be worked out, or written there.
    pub fn finish(&self, document: &mut Value, context: &mut Context) -> Result<(), EvalError> {
        set_absent(&self.after, document, context)
    }
}

impl Selected {
    /// Puts what was selected into the op's answer, so that it becomes a part of the document. What the
    /// document has there already is left as it is, and the answer's own is dropped.
    ///
    /// # Errors
    /// What cannot be written there, or why there is no time to, in words.
    pub fn keep(
        self,
        document: &Value,
        response: &mut Value,
        context: &mut Context,
    ) -> Result<(), String> {
        for (path, value) in self.parts {
            if path.get(document) == Some(&value) {
                let siblings = path.parent_in(response).map_or(0, |parent| match parent {
                    Value::Array(items) => items.len(),
                    Value::Object(map) => map.len(),
                    _ => 0,
                });
                context.step(siblings)?;
                path.remove(response);
            } else {
                context.step(0)?;
                path.set(response, value).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}

fn writes(items: &[Assignment]) -> Vec<Write> {
    let one = |item: &Assignment| Write {
        path: item.path.node.clone(),
        value: Ready::new(&item.value.node, item.value.span),
        span: item.path.span,
    };
    items.iter().map(one).collect()
}

fn parts(select: &Select) -> Option<Vec<Part>> {
    let Select::Parts(parts) = select else { return None };
    let one = |part: &crate::Selection| Part {
        source: part.source.node.clone(),
        destination: part.destination().node.clone(),
        default: part.default.as_ref().map(|value| Ready::new(&value.node, value.span)),
        span: part.source.span,
    };
    Some(parts.iter().map(one).collect())
}

fn set_absent(
    writes: &[Write],
    document: &mut Value,
    context: &mut Context,
) -> Result<(), EvalError> {
    for write in writes {
        if write.path.get(document).is_none() {
            write.write_from(&[], document, context)?;
        }
    }
    Ok(())
}

impl Write {
    fn write(
        &self,
        sources: &[&Value],
        into: &mut Value,
        context: &mut Context,
    ) -> Result<(), EvalError> {
        let value = self.value.owned(sources, self.span, context)?;
        self.put(into, value)
    }

    /// Writes a value whose paths read what is written into first.
    fn write_from(
        &self,
        others: &[&Value],
        into: &mut Value,
        context: &mut Context,
    ) -> Result<(), EvalError> {
        let value = match others {
            [] => self.value.owned(&[into], self.span, context)?,
            [other, ..] => self.value.owned(&[into, other], self.span, context)?,
        };
        self.put(into, value)
    }

    fn put(&self, into: &mut Value, value: Value) -> Result<(), EvalError> {
        self.path.set(into, value).map_err(|error| EvalError::new(self.span, error.to_string()))
    }
}

impl Ready {
    pub(crate) fn new(expr: &Expr, span: Span) -> Self {
        match expr {
            Expr::Literal(literal) => Self::Value(literal.value()),
            Expr::Path(path) => Self::Path(path.clone(), span),
            Expr::Call(call) => Self::Call {
                function: call.function,
                arguments: call
                    .arguments
                    .iter()
                    .map(|one| Self::new(&one.node, one.span))
                    .collect(),
                span,
            },
        }
    }

    /// The value, as one's own.
    fn owned(
        &self,
        sources: &[&Value],
        span: Span,
        context: &mut Context,
    ) -> Result<Value, EvalError> {
        match self {
            Self::Value(value) => {
                context.copy(value).map_err(|message| EvalError::new(span, message))
            }
            _ => Ok(self.value(sources, context)?.into_owned()),
        }
    }

    /// The value. A path reads the first source that has something there; null if none has.
    pub(crate) fn value<'a>(
        &'a self,
        sources: &[&'a Value],
        context: &mut Context,
    ) -> Result<Cow<'a, Value>, EvalError> {
        match self {
            Self::Value(value) => Ok(Cow::Borrowed(value)),
            Self::Path(path, span) => {
                let found = sources.iter().find_map(|source| path.get(source));
                let found = found.unwrap_or(&Value::Null);
                context.charge_value(found).map_err(|message| EvalError::new(*span, message))?;
                Ok(Cow::Borrowed(found))
            }
            Self::Call { function, arguments, span } => {
                let arguments: Vec<_> = arguments
                    .iter()
                    .map(|argument| argument.value(sources, context))
                    .collect::<Result<_, _>>()?;
                let result = (function.run)(context, &Arguments(&arguments))
                    .and_then(|value| context.charge_value(&value).map(|()| value))
                    .map_err(|message| {
                        EvalError::new(*span, format!("&{}: {message}", function.name))
                    })?;
                Ok(Cow::Owned(result))
            }
        }
    }
}

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
