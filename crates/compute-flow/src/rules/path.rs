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

/// The number that a scope's folder has: 100 of `0100_TRIAGE`, `0100-triage` or `0100 triage`.
pub(crate) fn scope_number(folder: &str) -> Option<u32> {
    let (digits, label) = folder.split_once(['_', '-', ' ']).unwrap_or((folder, ""));
    let labelled = label.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- ".contains(&b));
    let numbered = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (numbered && labelled).then(|| digits.parse().ok()).flatten()
}
