//! The names of ops in a rule, replaced by refs.

use compute::Ref;

use crate::path::quoted;
use crate::{Code, Diagnostic, Exec, OpName, Parsed};

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
    Ok(format!("{before}{}{after}", quoted(reference.as_str())))
}
