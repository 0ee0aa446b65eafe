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
    /// The most bytes that writing there adds besides the value.
    padding: usize,
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
            with: with_writes(rule.with()),
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

    /// The values of `WITH`, dotted keys nested; one that cannot be worked out, or written there, is left out, and told.
    pub fn with(
        &self,
        full: &Value,
        context: &mut Context,
        failed: &mut Vec<EvalError>,
    ) -> Map<String, Value> {
        let mut values = Value::Object(Map::new());
        for write in &self.with {
            let value = write.value(&[full], context);
            failed.extend(value.and_then(|value| write.put(&mut values, value, context)).err());
        }
        match values {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// What `SELECT` takes of the full input, in order: what one writes, the next can read. None if the op receives all of
    /// it. A default that cannot be worked out is `""`, and told.
    ///
    /// # Errors
    /// A value that cannot be written there.
    pub fn select(
        &self,
        full: &Value,
        context: &mut Context,
        failed: &mut Vec<EvalError>,
    ) -> Result<Option<Selected>, EvalError> {
        let Some(parts) = &self.select else { return Ok(None) };
        let mut selected = Selected { parts: Vec::new(), input: Value::Object(Map::new()) };
        for part in parts {
            let fail = |message| EvalError::new(part.span, message);
            let found = part.source.get(&selected.input).or_else(|| part.source.get(full));
            let found = found.filter(|value| value.as_str() != Some(""));
            let value = match (found, &part.default) {
                (Some(found), _) => context.copy(found).map_err(fail)?,
                (None, Some(default)) => {
                    default.owned(&[full], part.span, context).unwrap_or_else(|error| {
                        failed.push(error);
                        "".into()
                    })
                }
                (None, None) => "".into(),
            };
            // One for the op, one for the document.
            let copy = context.copy_shared(&value).map_err(fail)?;
            context.charge(part.destination.padding()).map_err(fail)?;
            part.destination
                .set(&mut selected.input, copy)
                .map_err(|error| fail(error.to_string()))?;
            selected.parts.push((part.destination.clone(), value));
        }
        Ok(Some(selected))
    }

    /// Writes what `EMIT` says into the op's answer. A path in a value reads the answer as it was before, and where
    /// that has nothing, the full input.
    ///
    /// # Errors
    /// A value that cannot be worked out, or written there: then some of the others are not written.
    pub fn emit(
        &self,
        full: &Value,
        response: &mut Value,
        context: &mut Context,
    ) -> Result<(), EvalError> {
        // Most rules write one thing.
        if let [write] = &self.emit[..] {
            let value = write.value(&[response, full], context)?;
            return write.put(response, value, context);
        }
        let values = self.emit.iter().map(|write| write.value(&[response, full], context));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        for (write, value) in self.emit.iter().zip(values) {
            write.put(response, value, context)?;
        }
        Ok(())
    }

    /// Writes what `SET` before `SELECT` added to a document into an answer.
    ///
    /// # Errors
    /// What cannot be written there, in words.
    pub fn added(
        &self,
        document: &Value,
        full: &Value,
        response: &mut Value,
        context: &mut Context,
    ) -> Result<(), String> {
        for Write { path, .. } in &self.before {
            if let (None, None, Some(value)) =
                (path.get(document), path.get(response), path.get(full))
            {
                context.charge(path.padding())?;
                let value = context.copy(value)?;
                path.set(response, value).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
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
    /// Puts what was selected into the op's answer, so that it becomes a part of the document as all of the answer does:
    /// lists are appended to those that are there.
    ///
    /// # Errors
    /// What cannot be written there, or why there is no time to, in words.
    pub fn keep(self, response: &mut Value, context: &mut Context) -> Result<(), String> {
        for (path, value) in self.parts {
            context.charge(path.padding())?;
            path.set(response, value).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn writes(items: &[Assignment]) -> Vec<Write> {
    let one = |item: &Assignment| Write {
        path: item.path.node.clone(),
        padding: item.path.node.padding(),
        value: CompiledExpr::new(&item.value.node, item.value.span),
        span: item.path.span,
    };
    items.iter().map(one).collect()
}

/// A list of secrets that stands beside secrets under other names is one of them, under no name.
fn with_writes(items: &[Assignment]) -> Vec<Write> {
    let under =
        |item: &Assignment| matches!(item.path.node.segments(), [key, _, ..] if key == "secrets");
    let has_named = items.iter().any(under);
    let mut writes = writes(items);
    for write in &mut writes {
        if has_named
            && matches!(write.path.segments(), [key] if key == "secrets")
            && let Some(path) = Path::new(vec!["secrets".to_owned(), String::new()])
        {
            write.padding = path.padding();
            write.path = path;
        }
    }
    writes
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
            let value = write.value(&[document], context)?;
            write.put(document, value, context)?;
        }
    }
    Ok(())
}

impl Write {
    /// The value, whose paths read the first of these that has something there.
    fn value(&self, sources: &[&Value], context: &mut Context) -> Result<Value, EvalError> {
        self.value.owned(sources, self.span, context)
    }

    fn put(&self, into: &mut Value, value: Value, context: &mut Context) -> Result<(), EvalError> {
        let fail = |message| EvalError::new(self.span, message);
        if self.padding > 0 {
            context.charge(self.padding).map_err(fail)?;
        }
        self.path.set(into, value).map_err(|error| fail(error.to_string()))
    }
}
