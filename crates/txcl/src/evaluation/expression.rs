//! An expression made ready: its function bound, its paths split.

use std::borrow::Cow;

use serde_json::Value;

use crate::context::{Context, EvalError};
use crate::function::Arguments;
use crate::{Expr, Function, Path, Span};

/// A value, or how one is come by, made ready.
#[derive(Clone, Debug)]
pub(super) enum CompiledExpr {
    Value(Value),
    Path(Path, Span),
    Call {
        function: &'static Function,
        arguments: Vec<Self>,
        span: Span,
    },
    /// A call that fails whenever it is made, and why.
    Fails(String, Span),
}

impl CompiledExpr {
    pub(super) fn new(expr: &Expr, span: Span) -> Self {
        match expr {
            Expr::Literal(literal) => Self::Value(literal.value()),
            Expr::Path(path) => Self::Path(path.clone(), span),
            Expr::Call(call) if let Err(why) = call.function.check(call.arguments.len()) => {
                Self::Fails(why, span)
            }
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
    pub(super) fn owned(
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
    pub(super) fn value<'a>(
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
            Self::Fails(why, span) => Err(EvalError::new(*span, why.clone())),
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
