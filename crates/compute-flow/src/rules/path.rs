//! Where a rule's file is in its stack: the path says the scope and the rule's name.

use txcl::OpName;

/// The scope's number and the rule's name, if this path within a stack is one of a rule: `<NNN[_label]>/<name>.txcl`.
///
/// ```
/// use compute_flow::rule_path;
///
/// assert_eq!(rule_path("0100_TRIAGE/price.txcl"), Some((100, "price")));
/// assert_eq!(rule_path("100-triage/price.txcl"), Some((100, "price")));
/// assert_eq!(rule_path("price.txcl"), None);
/// ```
#[must_use]
pub fn rule_path(path: &str) -> Option<(u32, &str)> {
    let (folder, file) = path.split_once('/')?;
    let name = file.strip_suffix(".txcl").filter(|name| OpName::parse(name).is_some())?;
    Some((scope_number(folder)?, name))
}

/// What rules answer with when they are mocked.
pub(crate) const MOCK: &str = "mock-response.json";

/// The scope's folder and the rule's name, if this path within a stack is that of what rules answer with when they are
/// mocked: `<NNN[_label]>/<name>.mock-response.json` for one rule, `<NNN[_label]>/mock-response.json` for those of its
/// folder that have none of their own.
///
/// ```
/// use compute_flow::mock_path;
///
/// assert_eq!(mock_path("100/price.mock-response.json"), Some(("100", Some("price"))));
/// assert_eq!(mock_path("100/mock-response.json"), Some(("100", None)));
/// assert_eq!(mock_path("100/price.txcl"), None);
/// ```
#[must_use]
pub fn mock_path(path: &str) -> Option<(&str, Option<&str>)> {
    let (folder, file) = path.split_once('/')?;
    scope_number(folder)?;
    if file == MOCK {
        return Some((folder, None));
    }
    let name = file.strip_suffix(MOCK)?.strip_suffix('.')?;
    OpName::parse(name).is_some().then_some((folder, Some(name)))
}

/// The folder of files to be served.
pub(crate) const SERVED: &str = "FILES";

/// The path at which a file is served, if this path within a stack is that of one: `FILES/<path>`.
///
/// ```
/// use compute_flow::served_path;
///
/// assert_eq!(served_path("FILES/img/logo.svg"), Some("img/logo.svg"));
/// assert_eq!(served_path("FILES/../secret"), None);
/// ```
#[must_use]
pub fn served_path(path: &str) -> Option<&str> {
    let path = path.strip_prefix(SERVED)?.strip_prefix('/')?;
    let is_name = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.chars().any(|char| char.is_control() || char == '\\')
    };
    path.split('/').all(is_name).then_some(path)
}

/// The number that a scope's folder has: 100 of `0100_TRIAGE`, `0100-triage` or `0100 triage`.
pub(crate) fn scope_number(folder: &str) -> Option<u32> {
    let (digits, label) = folder.split_once(['_', '-', ' ']).unwrap_or((folder, ""));
    let labelled = label.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- ".contains(&b));
    let numbered = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (numbered && labelled).then(|| digits.parse().ok()).flatten()
}
