//! A rule made ready: paths split, functions bound, regular expressions compiled, once for any number of
//! documents.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::condition::Test;
use super::expression::CompiledExpr;
use super::pattern::RegexBudget;
use crate::context::{Context, EvalError};
use crate::{Assignment, ClauseKind, Exec, Path, Rule, Select, Span};

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
    value: CompiledExpr,
    span: Span,
}

#[derive(Clone, Debug)]
struct Part {
    source: Path,
    destination: Path,
    default: Option<CompiledExpr>,
    span: Span,
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
        value: CompiledExpr::new(&item.value.node, item.value.span),
        span: item.path.span,
    };
    items.iter().map(one).collect()
}

fn parts(select: &Select) -> Option<Vec<Part>> {
    let Select::Parts(parts) = select else { return None };
    let one = |part: &crate::Selection| Part {
        source: part.source.node.clone(),
        destination: part.destination().node.clone(),
        default: part.default.as_ref().map(|value| CompiledExpr::new(&value.node, value.span)),
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
