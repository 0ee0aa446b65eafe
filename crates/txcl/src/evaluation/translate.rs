//! Regular expressions as rules write them, RE2's syntax, in the syntax of the library that runs them.
//!
//! What is the same in both is left as it is. The classes `\d`, `\w`, `\s` and the boundary `\b` are those of ASCII; `\Q…\E`
//! stands for itself; what a class in brackets means by `[`, `&&` and `~~` is what stands there.

use std::iter::Peekable;
use std::str::Chars;

/// The most that a repetition may count to.
const MAX_REPEATED: u32 = 1000;

/// A pattern in the library's syntax.
///
/// # Errors
/// Why it is none, in words, where the library would take it for another.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    // Whether what was read last repeats something, and may not be repeated.
    let mut repeats = false;
    while let Some(char) = chars.next() {
        let before = std::mem::take(&mut repeats);
        match char {
            '\\' => escape(&mut chars, &mut out)?,
            '[' => class(&mut chars, &mut out),
            '*' | '+' | '?' => {
                out.push(char);
                repeats = repetition(before, &mut chars, &mut out)?;
            }
            '{' => match count(&chars) {
                Some(text) => {
                    let most = text.split(',').filter_map(|one| one.parse().ok()).max();
                    if most.unwrap_or(u32::MAX) > MAX_REPEATED {
                        return Err(format!("`{{{text}}}` counts to more than {MAX_REPEATED}"));
                    }
                    out.push('{');
                    out.extend(chars.by_ref().take(text.len() + 1));
                    repeats = repetition(before, &mut chars, &mut out)?;
                }
                // Not a repetition, so it stands for itself.
                None => out.push_str("\\{"),
            },
            '(' => {
                out.push('(');
                // What follows is no repetition.
                out.extend(chars.next_if_eq(&'?'));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// Reads what may follow a repetition: that it takes as little as it can.
fn repetition(
    before: bool,
    chars: &mut Peekable<Chars<'_>>,
    out: &mut String,
) -> Result<bool, String> {
    if before {
        return Err("a repetition is repeated: write `(?:a+)+`".to_owned());
    }
    out.extend(chars.next_if_eq(&'?'));
    Ok(true)
}

/// What stands between braces, if it counts: `3`, `3,` or `3,5`.
fn count(chars: &Peekable<Chars<'_>>) -> Option<String> {
    let text: String = chars.clone().take_while(|char| *char != '}').take(20).collect();
    let (least, most) = text.split_once(',').unwrap_or((&text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let closed = chars.clone().nth(text.len()) == Some('}');
    (closed && !least.is_empty() && digits(least) && digits(most)).then_some(text)
}

/// What follows a `\` outside of a class.
fn escape(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    let Some(char) = chars.next() else {
        out.push('\\');
        return Ok(());
    };
    match char {
        'Q' => {
            let rest: String = chars.clone().collect();
            let end = rest.find("\\E");
            for char in rest[..end.unwrap_or(rest.len())].chars() {
                chars.next();
                literal(char, out);
            }
            if end.is_some() {
                chars.nth(1);
            }
        }
        // Without a beginning, it says nothing.
        'E' => {}
        'b' | 'B' => {
            out.push_str("(?-u:\\");
            out.push(char);
            out.push(')');
        }
        'p' | 'P' | 'x' => {
            out.extend(['\\', char]);
            if chars.peek() == Some(&'{') {
                // A name or a number, and no repetition.
                for char in chars.by_ref() {
                    out.push(char);
                    if char == '}' {
                        break;
                    }
                }
            }
        }
        'u' | 'U' => return Err(format!("there is no `\\{char}`: write `\\x{{1F600}}`")),
        other => match members(other) {
            Some((members, false)) => out.push_str(&format!("[{members}]")),
            Some((members, true)) => out.push_str(&format!("[^{members}]")),
            None if other.is_ascii_alphanumeric() => out.extend(['\\', other]),
            None => literal(other, out),
        },
    }
    Ok(())
}

/// A character that stands for itself.
fn literal(char: char, out: &mut String) {
    if char.is_ascii_punctuation() && !matches!(char, '<' | '>' | '/' | '_') {
        out.push('\\');
    }
    out.push(char);
}

/// What a class of letters has, and whether it means all others.
fn members(name: char) -> Option<(&'static str, bool)> {
    let members = match name.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\x0c\\r ",
        _ => return None,
    };
    Some((members, name.is_ascii_uppercase()))
}

/// A class in brackets, after the first.
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    out.extend(chars.next_if_eq(&'^'));
    // At its beginning, it stands for itself.
    if chars.next_if_eq(&']').is_some() {
        out.push_str("\\]");
    }
    while let Some(char) = chars.next() {
        match char {
            ']' => {
                out.push(']');
                return;
            }
            '[' if chars.peek() == Some(&':') => {
                let rest: String = chars.clone().take(20).collect();
                match rest.find(":]") {
                    Some(end) => {
                        out.push('[');
                        out.extend(chars.by_ref().take(end + 2));
                    }
                    None => out.push_str("\\["),
                }
            }
            '[' | '&' | '~' => out.extend(['\\', char]),
            '\\' => match chars.next() {
                Some(name) => match members(name) {
                    Some((members, false)) => out.push_str(members),
                    Some((members, true)) => out.push_str(&format!("[^{members}]")),
                    None => out.extend(['\\', name]),
                },
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn patterns_mean_what_rules_mean() {
        let cases = [
            ("^https?://[^/]+/$", "^https?://[^/]+/$"),
            (r"\w+\.\d{2,}\S", r"[0-9A-Za-z_]+\.[0-9]{2,}[^\t\n\x0c\r ]"),
            (r"\bx\B", r"(?-u:\b)x(?-u:\B)"),
            (r"a\Q.*\Eb\Q[", r"a\.\*b\["),
            (r"[[:alpha:][\w\D&&~]", r"[[:alpha:]\[0-9A-Za-z_[^0-9]\&\&\~]"),
            ("[]a]]", r"[\]a]]"),
            ("(?i)a+?b{2}?c??", "(?i)a+?b{2}?c??"),
            (r"\p{Greek}{2}\x{41}", r"\p{Greek}{2}\x{41}"),
            ("{a{,2}{", r"\{a\{,2}\{"),
            (r"\<\/\-\_", "</\\-_"),
            ("é{2}", "é{2}"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(translate(pattern).as_deref(), Ok(expected), "{pattern}");
            regex_automata::util::syntax::parse(expected).unwrap();
        }
        for wrong in ["a++", "a**", "a{2}{3}", "a{1001}", "a{99999999999}", r"\u0041"] {
            translate(wrong).unwrap_err();
        }
    }
}
