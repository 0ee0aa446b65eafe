//! Regular expressions as rules write them, RE2's syntax, in the syntax of the library that runs them.
//!
//! What is the same in both is left as it is, and what only the library has is refused: its flags, its names of properties,
//! sets within sets. The classes `\d`, `\w`, `\s` and the boundary `\b` are those of ASCII; `\Q…\E`
//! stands for itself; what a class in brackets means by `[`, `&&` and `~~` is what stands there.

use std::collections::HashSet;
use std::iter::Peekable;
use std::str::Chars;

use regex_automata::util::syntax;

/// The most that a repetition may count to.
pub(super) const MAX_REPEATED: u32 = 1000;

/// A pattern in the library's syntax.
///
/// # Errors
/// Why it is none, in words, where the library would take it for another.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    // Whether what was read last repeats something, and may not be repeated.
    let mut repeats = false;
    let mut names = HashSet::new();
    while let Some(char) = chars.next() {
        let before = std::mem::take(&mut repeats);
        match char {
            '\\' => escape(&mut chars, &mut out)?,
            '[' => class(&mut chars, &mut out)?,
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
                if chars.next_if_eq(&'?').is_some() {
                    group(&mut chars, &mut names, &mut out)?;
                }
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// What follows `(?`: a name, which nobody here asks for, or flags.
fn group(
    chars: &mut Peekable<Chars<'_>>,
    names: &mut HashSet<String>,
    out: &mut String,
) -> Result<(), String> {
    let rest: String = chars.clone().take(300).collect();
    if let Some(name) = rest.strip_prefix("P<").or_else(|| rest.strip_prefix('<')) {
        let known = name.split_once('>').map(|(name, _)| name.to_owned());
        let is_word = |name: &String| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let name = known.filter(is_word).ok_or("a group's name has letters, digits and `_`")?;
        let length = rest.find('>').unwrap_or_default() + 1;
        chars.nth(length - 1);
        if !names.insert(name.clone()) {
            return Err(format!("two groups have the name `{name}`"));
        }
        return Ok(());
    }
    // Each flag once, as it is last said to be.
    let (mut on, mut flags) = (true, Vec::new());
    let mut says_off = false;
    loop {
        match chars.next() {
            Some('-') if on => on = false,
            Some(flag @ ('i' | 'm' | 's' | 'U')) => {
                says_off |= !on;
                flags.retain(|(known, _)| *known != flag);
                flags.push((flag, on));
            }
            Some(end @ (':' | ')')) if on || says_off => {
                let of = |wanted: bool| flags.iter().filter(move |(_, on)| *on == wanted);
                out.push('?');
                out.extend(of(true).map(|(flag, _)| flag));
                if of(false).next().is_some() {
                    out.push('-');
                    out.extend(of(false).map(|(flag, _)| flag));
                } else if flags.is_empty() && end == ')' {
                    out.push(':');
                }
                out.push(end);
                return Ok(());
            }
            _ => return Err("after `(?` stand a name, `:` or the flags i, m, s and U".to_owned()),
        }
    }
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
        'p' | 'P' => property(char == 'P', chars, out)?,
        'x' => {
            out.push_str("\\x");
            if chars.peek() == Some(&'{') {
                // A number, and no repetition.
                for char in chars.by_ref() {
                    out.push(char);
                    if char == '}' {
                        break;
                    }
                }
            }
        }
        '0'..='7' => octal(char, chars, out)?,
        'u' | 'U' => return Err(format!("there is no `\\{char}`: write `\\x{{1F600}}`")),
        other => match members(other) {
            Some((members, false)) => out.push_str(&format!("[{members}]")),
            Some((members, true)) => out.push_str(&format!("[^{members}]")),
            None if other.is_ascii_alphanumeric() => out.extend(['\\', other]),
            None if !other.is_ascii() => return Err(format!("`{other}` needs no `\\` before it")),
            None => literal(other, out),
        },
    }
    Ok(())
}

/// A character by its number in octal. A digit alone would be what a group matched, which there is not.
fn octal(first: char, chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    let mut number = first.to_digit(8).unwrap_or_default();
    let mut digits = 1;
    while let Some(digit) = chars.peek().filter(|_| digits < 3).and_then(|char| char.to_digit(8)) {
        chars.next();
        number = number * 8 + digit;
        digits += 1;
    }
    if digits == 1 && first != '0' {
        return Err(format!("there is no `\\{first}`: what a group matched is not matched again"));
    }
    out.push_str(&format!("\\x{{{number:x}}}"));
    Ok(())
}

/// The general categories of characters.
const CATEGORIES: &[&str] = &[
    "Any", "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn",
    "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm",
    "So", "Z", "Zl", "Zp", "Zs",
];

/// The scripts whose names have four letters, as the codes of all scripts have, which are no names.
const SHORT_SCRIPTS: [&str; 9] =
    ["Ahom", "Cham", "Kawi", "Lisu", "Miao", "Modi", "Newa", "Thai", "Toto"];

/// The named classes.
const NAMED: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// What follows `\p` or `\P`: a category or a script, by its name.
fn property(
    negated: bool,
    chars: &mut Peekable<Chars<'_>>,
    out: &mut String,
) -> Result<(), String> {
    let mut name = String::new();
    match chars.next() {
        Some('{') => name.extend(chars.by_ref().take_while(|char| *char != '}')),
        Some(letter) => name.push(letter),
        None => {}
    }
    let (negated, name) = match name.strip_prefix('^') {
        Some(rest) => (!negated, rest),
        None => (negated, &*name),
    };
    let is_capitalized = |part: &str| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_uppercase())
            && bytes.all(|byte| byte.is_ascii_lowercase())
    };
    let is_script = name.len() > 2
        && name.split('_').all(is_capitalized)
        && (name.len() != 4 || SHORT_SCRIPTS.contains(&name))
        && syntax::parse(&format!("\\p{{Script={name}}}")).is_ok();
    if !CATEGORIES.contains(&name) && !is_script {
        return Err(format!("`{name}` is no category and no script, such as `Lu` and `Greek`"));
    }
    out.push_str(if negated { "\\P{" } else { "\\p{" });
    out.push_str(name);
    out.push('}');
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
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    out.push('[');
    out.extend(chars.next_if_eq(&'^'));
    let mut is_first = true;
    while let Some(char) = chars.next() {
        match char {
            // At its beginning, it stands for itself.
            ']' if !is_first => {
                out.push(']');
                return Ok(());
            }
            '[' if chars.peek() == Some(&':') && has_name(chars) => {
                let rest: String = chars.clone().skip(1).take(20).collect();
                let name = rest.split(":]").next().unwrap_or_default();
                if !NAMED.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return Err(format!("there is no class `[:{name}:]`"));
                }
                out.push('[');
                for char in chars.by_ref() {
                    out.push(char);
                    if char == ']' {
                        break;
                    }
                }
            }
            '\\' if chars.peek().is_some_and(|name| members(*name).is_some()) => {
                if let Some((members, negated)) = chars.next().and_then(members) {
                    out.push_str(&if negated { format!("[^{members}]") } else { members.into() });
                }
            }
            '\\' if matches!(chars.peek(), Some('p' | 'P')) => {
                let negated = chars.next() == Some('P');
                property(negated, chars, out)?;
            }
            first => {
                class_char(first, chars, out)?;
                let mut ahead = chars.clone();
                if ahead.next() == Some('-') && ahead.next().is_some_and(|next| next != ']') {
                    chars.next();
                    out.push('-');
                    if let Some(last) = chars.next() {
                        class_char(last, chars, out)?;
                    }
                }
            }
        }
        is_first = false;
    }
    // It has no end, which the library tells.
    Ok(())
}

/// Whether `[` begins a named class: `[:alpha:]`.
fn has_name(chars: &Peekable<Chars<'_>>) -> bool {
    let rest: String = chars.clone().skip(1).take(20).collect();
    rest.contains(":]")
}

/// One character in a class, as it is, or by an escape.
fn class_char(char: char, chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    if char != '\\' {
        literal(char, out);
        return Ok(());
    }
    match chars.peek() {
        Some('a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' | '0'..='7') => escape(chars, out),
        Some(other) if !other.is_ascii_alphanumeric() => escape(chars, out),
        Some(other) => Err(format!("there is no `\\{other}` in brackets")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{syntax, translate};

    #[test]
    fn patterns_mean_what_rules_mean() {
        let cases = [
            ("^https?://[^/]+/$", "^https?://[^/]+/$"),
            (r"\w+\.\d{2,}\S", r"[0-9A-Za-z_]+\.[0-9]{2,}[^\t\n\x0c\r ]"),
            (r"\bx\B", r"(?-u:\b)x(?-u:\B)"),
            (r"a\Q.*\Eb\Q[", r"a\.\*b\["),
            (r"[[:alpha:][\w\D&&~]", r"[[:alpha:]\[0-9A-Za-z_[^0-9]\&\&\~]"),
            (r"[!--][--a][a-][\]-a]", r"[\!-\-][\--a][a\-][\]-a]"),
            (r"\0\12\101[\07-\x{9}]", r"\x{0}\x{a}\x{41}[\x{7}-\x{9}]"),
            (r"(?P<1>a)(?<b>c)(?i-i)(?ms-Us:d)(?)", r"(a)(c)(?-i)(?m-Us:d)(?:)"),
            (
                r"\pL\P{Lu}\p{^Greek}[\p{Old_Italic}\PN]",
                r"\p{L}\P{Lu}\P{Greek}[\p{Old_Italic}\P{N}]",
            ),
            ("[]a]]", r"[\]a]]"),
            ("(?i)a+?b{2}?c??", "(?i)a+?b{2}?c??"),
            (r"\p{Greek}{2}\x{41}", r"\p{Greek}{2}\x{41}"),
            ("{a{,2}{", r"\{a\{,2}\{"),
            (r"\<\/\-\_", "</\\-_"),
            ("é{2}", "é{2}"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(translate(pattern).as_deref(), Ok(expected), "{pattern}");
            syntax::parse(expected).unwrap();
        }
        for wrong in [
            "a++",
            "a**",
            "a{2}{3}",
            "a{1001}",
            "a{99999999999}",
            r"\u0041",
            r"(a)\1",
            r"\8",
            "(?x)a",
            "(?u:a)",
            "(?-)",
            "(?P<a>x)(?P<a>y)",
            "(?P<a-b>x)",
            "(?=x)",
            "(?<=x)",
            r"\p{Letter}",
            "[[:nope:]]",
            "[[:ALPHA:]]",
            "(?i-)a",
            "(?i-:a)",
            r"\é",
            r"\p{Latn}",
            r"\p{greek}",
            r"\p{sc=Greek}",
            r"\p{Alphabetic}",
            r"[\Q]",
            r"[a-\d]",
        ] {
            let read = translate(wrong).ok().and_then(|one| syntax::parse(&one).ok());
            assert!(read.is_none(), "{wrong}");
        }
    }
}
