//! The rule language txcl: parse, check, print and evaluate resonators.
//!
//! A rule says when it applies to a document, what its compute receives, which compute that is, and what
//! becomes of the answer. This crate is pure: it reads no files, runs nothing, and its clock and random
//! numbers are given to it.
//!
//! - [`parse`] gives a [`Rule`] and every [`Diagnostic`], however broken the text is.
//! - [`format()`] prints a rule's text in the one style, comments kept; a [`Rule`] prints itself.
//! - [`Program`] is a rule made ready to be evaluated many times.
//! - [`resolve_ops`] puts refs in the place of names, and [`scan_refs`] finds them again.
//!
//! The language is described in `docs/txcl.md`.
//!
//! ```
//! use serde_json::json;
//! use txcl::{Context, Program};
//!
//! let source = r#"
//!     WHEN .kind == "order" && .total > 100
//!     EMIT .label = &concat("order ", .id)
//! "#;
//! let parsed = txcl::parse(source);
//! assert!(parsed.diagnostics.is_empty());
//!
//! let program = Program::new(&parsed.rule);
//! let document = json!({"kind": "order", "total": 120, "id": 7});
//! let mut context = Context::default();
//! assert!(program.matches(&document, &mut context));
//!
//! let mut response = json!({});
//! program.emit(&document, &mut response, &mut context)?;
//! assert_eq!(response, json!({"label": "order 7"}));
//! # Ok::<(), txcl::EvalError>(())
//! ```

mod ast;
mod budget;
mod context;
mod diagnostic;
mod evaluation;
mod function;
mod lexer;
mod ops;
mod parser;
mod path;
mod printer;

pub use ast::{
    Assignment, Call, Clause, ClauseKind, Comparator, Comparison, Condition, Exec, Expr, Keyword,
    Literal, OpName, Operand, Rule, Select, Selection,
};
pub use budget::{Budget, Stop};
pub use compute::scan_refs;
pub use context::{Context, EvalError};

pub use diagnostic::{Code, Diagnostic, Severity, Span, Spanned, nearest};
pub use evaluation::{
    Control, GivenSecret, MAX_COMPILED, MAX_HAYSTACK, MAX_PATTERN, Program, RegexBudget, Selected,
    remove_all, same,
};
pub use function::{Function, bool_of, functions, number_of, text_of, uuid};
pub use ops::resolve_ops;
pub use parser::{MAX_SOURCE, Parsed, parse};
pub use path::{Path, PathError, TXC};
pub use printer::format;
