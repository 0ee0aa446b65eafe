//! Finds the refs that a rule's text names, without parsing the rule.

use std::collections::HashSet;

use crate::Ref;

/// The distinct refs that stand in double-quoted strings of a rule's text, in first-seen order.
///
/// A string counts when the whole of it is a ref. Comments (`#` to the end of the line) and regular
/// expressions (`/…/` after `=~` or `!~`) do not count.
///
/// ```
/// let rule = r#"EXEC "compute://sha256/new"  # was "compute://sha256/old""#;
/// let refs = compute::scan_refs(rule);
/// assert_eq!(refs.len(), 1);
/// assert_eq!(refs[0].digest(), "new");
/// ```
#[must_use]
pub fn scan_refs(rule: &str) -> Vec<Ref> {
    let mut seen = HashSet::new();
    let mut refs = Vec::new();
    let mut rest = rule;
    while let Some(at) = rest.find(['"', '#', '~']) {
        let marker = rest.as_bytes()[at];
        let before = &rest[..at];
        rest = &rest[at + 1..];
        match marker {
            b'#' => rest = rest.find('\n').map_or("", |end| &rest[end..]),
            b'~' if before.ends_with(['=', '!']) => rest = skip_regex(rest),
            b'"' => {
                let Some(end) = find_unescaped(rest, b'"') else { break };
                if let Ok(reference) = Ref::parse(&rest[..end])
                    && seen.insert(reference.clone())
                {
                    refs.push(reference);
                }
                rest = &rest[end + 1..];
            }
            _ => {}
        }
    }
    refs
}

/// The text after a regular expression, or the text itself if it does not start with one.
fn skip_regex(text: &str) -> &str {
    let Some(pattern) = text.trim_start().strip_prefix('/') else { return text };
    let line = pattern.find('\n').map_or(pattern, |end| &pattern[..end]);
    find_unescaped(line, b'/').map_or(text, |end| &pattern[end + 1..])
}

/// Where the first `wanted` stands that no backslash escapes.
fn find_unescaped(text: &str, wanted: u8) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        if escaped {
            escaped = false;
            return false;
        }
        escaped = byte == b'\\';
        byte == wanted
    })
}
