//! What `EXEC` names: an op of the workspace, by its name, a compute, by its ref, or what the processor does itself.

use std::fmt;

use compute::Ref;

const OP: &str = "op://";
/// The schemes of what similar processors call and this one does not; `mcp` and what begins so are others.
const SERVICES: &[&str] = &["http", "https", "ws", "wss", "ai", "txco"];

/// What `EXEC` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Exec {
    /// `op://name`, to be resolved when the workspace is applied.
    Op(OpName),
    /// `compute://<alg>/<digest>`.
    Compute(Ref),
    /// `stack/100`: the document goes there after this scope.
    Stage(String),
    /// `txco://noop`: nothing.
    Noop,
    /// `txco://mock`: what the fixture beside the rule says.
    Mock,
    /// `txco://static`: the file of the stack that a request asks for.
    Static,
}

impl Exec {
    /// The scheme of what stands in the quotes after `EXEC`, if it is a service of the original's that is not run here.
    ///
    /// ```
    /// assert_eq!(txcl::Exec::service("ai://gpt"), Some("ai"));
    /// assert_eq!(txcl::Exec::service("op://classify"), None);
    /// ```
    #[must_use]
    pub fn service(text: &str) -> Option<&str> {
        let (scheme, _) = text.split_once("://")?;
        let known = SERVICES.contains(&scheme) || scheme.starts_with("mcp") || scheme == "txco";
        (known && own(text).is_none()).then_some(scheme)
    }

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
        if let Some(own) = own(text) {
            return Ok(own);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(match Self::service(text) {
                Some("txco") => {
                    format!(
                        "`{text}` is not run here: only `txco://noop`, `txco://mock` and `txco://static` are"
                    )
                }
                Some(service) => format!(
                    "`{service}://` is not run here: rules and computes reach no network and no service"
                ),
                None => format!("`{scheme}://` names nothing that can be run here"),
            });
        }
        let stage = text.rsplit_once('/').is_some_and(|(stack, scope)| {
            let name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-/".contains(&byte);
            let digits = scope.bytes().all(|byte| byte.is_ascii_digit());
            !stack.is_empty() && stack.bytes().all(name) && !scope.is_empty() && digits
        });
        if stage {
            Ok(Self::Stage(text.to_owned()))
        } else {
            Err(format!("`{text}` names neither an op nor a compute nor a stage"))
        }
    }
}

/// What the processor does itself.
fn own(text: &str) -> Option<Exec> {
    match text {
        "txco://noop" => Some(Exec::Noop),
        "txco://mock" => Some(Exec::Mock),
        "txco://static" => Some(Exec::Static),
        _ => None,
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
