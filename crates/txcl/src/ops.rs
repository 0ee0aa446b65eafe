//! What `EXEC` names: an op of the workspace, by its name, or a compute, by its ref.

use std::fmt;

use compute::Ref;

use crate::{Code, Diagnostic, Parsed, printer};

const OP: &str = "op://";

/// What `EXEC` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Exec {
    /// `op://name`, to be resolved when the workspace is applied.
    Op(OpName),
    /// `compute://<alg>/<digest>`.
    Compute(Ref),
}

impl Exec {
    /// Reads what stands in the quotes after `EXEC`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix(OP) {
            return OpName::parse(name).map(Self::Op).ok_or_else(|| {
                format!(
                    "`{name}` is not the name of an op: it has 1 to {} letters, digits, `_` and `-`",
                    OpName::MAX
                )
            });
        }
        if text.starts_with("compute:") {
            return Ref::parse(text).map(Self::Compute).map_err(|error| error.to_string());
        }
        Err(match text.split_once("://") {
            Some((scheme, _)) => format!("`{scheme}://` names nothing that can be run here"),
            None => format!("`{text}` names neither an op nor a compute"),
        })
    }
}

/// The name of an op: 1 to 64 letters, digits, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpName(String);

impl OpName {
    /// The longest name, in bytes.
    pub const MAX: usize = 64;

    /// The name, if the text is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let fits = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(valid);
        fits.then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OpName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rule's text with the op's name in `EXEC` replaced by a ref; everything else stays, byte for byte.
///
/// # Errors
/// The rule's diagnostics if it has errors, or one that names the op if `resolve` knows no ref.
///
/// ```
/// use compute::Ref;
///
/// let one = Ref::parse("compute://sha256/1111").unwrap();
/// let rule = txcl::resolve_ops("EXEC \"op://count\" # op://count", |_| Some(one.clone()));
/// assert_eq!(rule.unwrap(), "EXEC \"compute://sha256/1111\" # op://count");
/// ```
pub fn resolve_ops(
    source: &str,
    resolve: impl FnOnce(&OpName) -> Option<Ref>,
) -> Result<String, Vec<Diagnostic>> {
    let parsed: Parsed = crate::parse(source);
    if !parsed.is_ok() {
        return Err(parsed.diagnostics);
    }
    let Some(exec) = parsed.rule.exec() else { return Ok(source.to_owned()) };
    let Ok(Exec::Op(name)) = Exec::parse(&exec.node) else { return Ok(source.to_owned()) };
    let Some(reference) = resolve(&name) else {
        let message = format!("there is no op `{name}`");
        return Err(vec![Diagnostic::error(Code::UnresolvedOp, exec.span, message)]);
    };
    let (before, after) = (&source[..exec.span.start], &source[exec.span.end..]);
    Ok(format!("{before}{}{after}", printer::quoted(reference.as_str())))
}
