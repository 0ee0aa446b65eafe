//! Keeps the values of secrets out of what is shown, in the forms in which they show.

use std::borrow::Cow;
use std::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::Deserializer as _;
use serde::de::Visitor;
use serde_json::{Map, Value};

/// What stands for what is masked.
pub const MASKED: &str = "[redacted]";
/// The shortest secret that is looked for, in bytes: shorter ones are found in everything.
const MIN: usize = 4;
/// The shortest line of a secret that is looked for by itself.
const MIN_LINE: usize = 8;
/// How many bytes all forms together may have. What is beyond is found by its beginning only.
const MAX_FORMS: usize = 4 << 20;
/// The beginning by which a secret is found then.
const BEGINNING: usize = 32;

/// Keeps the values of secrets out of what is shown: as they are, as JSON or a URL writes them, in base64 and in
/// hex, and each line of those that have several. Those of less than 4 bytes are not looked for, and neither
/// are forms that nobody can foresee: a secret that a guest encrypts or takes apart is not found.
///
/// ```
/// use compute::Mask;
///
/// let mask = Mask::new(["hunter2\""]);
/// assert_eq!(mask.text("no account for hunter2\""), "no account for [redacted]");
/// assert_eq!(mask.text(r#"{"token":"hunter2\""}"#), r#"{"token":"[redacted]"}"#);
/// ```
#[derive(Clone, Default)]
pub struct Mask {
    secrets: Vec<String>,
    finder: Option<AhoCorasick>,
}

impl Mask {
    /// A mask for these values.
    pub fn new(secrets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::default().with(secrets)
    }

    /// This mask, for these values, too.
    #[must_use]
    pub fn with(mut self, secrets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let known = self.secrets.len();
        for secret in secrets {
            let secret = secret.into();
            if secret.len() >= MIN && !self.secrets.contains(&secret) {
                self.secrets.push(secret);
            }
        }
        if self.secrets.len() > known {
            self.finder = finder(&self.secrets);
        }
        self
    }

    /// Whether there is nothing to mask.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.finder.is_none()
    }

    /// A text without them.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(finder) = &self.finder else { return Cow::Borrowed(text) };
        let mut masked: Option<String> = None;
        let mut done = 0;
        // One that begins within another's form ends it.
        for found in finder.find_iter(text) {
            let masked = masked.get_or_insert_with(String::new);
            masked.push_str(&text[done..found.start()]);
            masked.push_str(MASKED);
            done = found.end();
        }
        match masked {
            None => Cow::Borrowed(text),
            Some(mut masked) => {
                masked.push_str(&text[done..]);
                Cow::Owned(masked)
            }
        }
    }

    /// A text that was cut off, without them and without the beginning of one at its end.
    #[must_use]
    pub fn cut_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let masked = self.text(text);
        let tail = |secret: &str| {
            let most = secret.len().min(masked.len());
            (MIN..most).rev().find(|length| {
                secret.is_char_boundary(*length) && masked.ends_with(&secret[..*length])
            })
        };
        match self.secrets.iter().filter_map(|secret| tail(secret)).max() {
            Some(length) => {
                let mut cut = masked.into_owned();
                cut.truncate(cut.len() - length);
                cut.push_str(MASKED);
                Cow::Owned(cut)
            }
            None => masked,
        }
    }

    /// Masks them in a text.
    pub fn apply(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.text(text) {
            *text = masked;
        }
    }

    /// Masks them in every text of a value, its keys, too.
    pub fn value(&self, value: &mut Value) {
        if self.is_empty() {
            return;
        }
        match value {
            Value::String(text) => self.apply(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(map) => {
                map.values_mut().for_each(|value| self.value(value));
                if map.keys().any(|key| matches!(self.text(key), Cow::Owned(_))) {
                    let old = std::mem::take(map);
                    let named = |(key, value): (String, Value)| match self.text(&key) {
                        Cow::Owned(masked) => (masked, value),
                        Cow::Borrowed(_) => (key, value),
                    };
                    *map = old.into_iter().map(named).collect::<Map<_, _>>();
                }
            }
            Value::Number(number) => {
                if matches!(self.text(&number.to_string()), Cow::Owned(_)) {
                    *value = MASKED.into();
                }
            }
            Value::Bool(_) | Value::Null => {}
        }
    }

    /// Masks them in JSON text, which stays JSON.
    #[must_use]
    pub fn json<'a>(&self, json: &'a str) -> Cow<'a, str> {
        if matches!(self.text(json), Cow::Borrowed(_)) && !json.contains('\\') {
            return Cow::Borrowed(json);
        }
        if self.is_empty() {
            return Cow::Borrowed(json);
        }
        let mut masked = String::with_capacity(json.len());
        let mut rest = json;
        while let Some(token) = next_token(rest) {
            let (text, after) = rest.split_at(token);
            rest = after;
            match text.as_bytes().first() {
                // Read, masked, and written again: it may be written in more ways than one.
                Some(b'"') => match self.text(&read_string(text)) {
                    Cow::Owned(hidden) => masked.push_str(&Value::from(hidden).to_string()),
                    Cow::Borrowed(_) => masked.push_str(text),
                },
                Some(b'-' | b'0'..=b'9') if matches!(self.text(text), Cow::Owned(_)) => {
                    masked.push_str(&Value::from(MASKED).to_string());
                }
                _ => masked.push_str(text),
            }
        }
        Cow::Owned(masked)
    }
}

/// What a string of JSON says. Half of a surrogate pair, which JSON may have and a text may not, becomes U+FFFD;
/// what is no JSON is left as it is.
fn read_string(json: &str) -> Cow<'_, str> {
    struct Lossy;
    impl Visitor<'_> for Lossy {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }
    // As bytes: as a text, serde_json refuses half of a pair.
    let read = serde_json::Deserializer::from_str(json).deserialize_bytes(Lossy);
    read.map_or(Cow::Borrowed(json), Cow::Owned)
}

/// The length of the next token: a string, a number, or what is neither.
fn next_token(json: &str) -> Option<usize> {
    let bytes = json.as_bytes();
    let number = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
    match bytes.first()? {
        b'"' => {
            let mut at = 1;
            while at < bytes.len() && bytes[at] != b'"' {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            Some((at + 1).min(bytes.len()))
        }
        b'-' | b'0'..=b'9' => Some(bytes.iter().position(|b| !number(b)).unwrap_or(bytes.len())),
        _ => {
            let starts = |b: &u8| *b == b'"' || *b == b'-' || b.is_ascii_digit();
            Some(bytes.iter().position(starts).unwrap_or(bytes.len()))
        }
    }
}

/// Finds all forms of all secrets at once.
fn finder(secrets: &[String]) -> Option<AhoCorasick> {
    let mut forms = Vec::new();
    let mut left = MAX_FORMS;
    for secret in secrets {
        for form in forms_of(secret) {
            let form = if form.len() <= left { form } else { beginning(&form).to_owned() };
            left = left.saturating_sub(form.len());
            forms.push(form);
        }
    }
    AhoCorasickBuilder::new()
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(forms)
        .ok()
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(BEGINNING)]
}

/// A secret in the ways in which programs write it.
fn forms_of(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    let json = Value::from(secret).to_string();
    forms.push(json[1..json.len() - 1].to_owned());
    forms.push(json[1..json.len() - 1].replace('/', "\\/"));
    // JSON in a string of JSON.
    let twice = Value::from(&json[1..json.len() - 1]).to_string();
    forms.push(twice[1..twice.len() - 1].to_owned());
    forms.push(escaped(secret));
    let (percent, form) = (percent_encoded(secret, "%20"), percent_encoded(secret, "+"));
    forms.extend([percent.to_lowercase(), percent, form]);
    forms.extend([hex::encode(secret), hex::encode_upper(secret)]);
    // Base64 writes the same bytes in three ways, by where they begin; what it shares with the bytes
    // before and after is left out.
    for before in 0..3_usize {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret.as_bytes());
        let (from, to) = (before * 8_usize, bytes.len() * 8);
        let (from, to) = (from.div_ceil(6), to / 6);
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push(encoded.get(from..to).unwrap_or_default().to_owned());
        }
    }
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= MIN_LINE);
    if secret.contains('\n') {
        forms.extend(lines.map(str::to_owned));
    }
    forms.retain(|form| form.len() >= MIN);
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// As JSON may write it in ASCII.
fn escaped(secret: &str) -> String {
    let mut text = String::new();
    for char in Value::from(secret).to_string().chars() {
        if char.is_ascii() {
            text.push(char);
        } else {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text[1..text.len() - 1].to_owned()
}

/// As a URL writes it: all but the unreserved characters of RFC 3986.
fn percent_encoded(secret: &str, space: &str) -> String {
    let mut text = String::new();
    for byte in secret.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            b' ' => text.push_str(space),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask").field("secrets", &self.secrets.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::json;

    use super::Mask;

    #[test]
    fn a_secret_within_another_leaves_nothing_of_it() {
        let mask = Mask::new(["bcde", "abcdef", "abc", "abcdef"]);
        assert_eq!(mask.text("xabcdefx bcde abc"), "x[redacted]x [redacted] abc");
    }

    #[test]
    fn a_secret_is_found_in_the_forms_that_programs_write() {
        let secret = "-----BEGIN KEY-----\nMIIEvQ\"abc+/=d\u{e9}f x\n-----END KEY-----";
        let mask = Mask::new([secret]);
        let base64 = base64::engine::general_purpose::STANDARD;
        let url = url_like(secret);
        let forms = [
            secret.to_owned(),
            json!(secret).to_string(),
            json!({"a": json!({ "b": secret }).to_string()})["a"].to_string(),
            url.clone(),
            url.replace("%20", "+"),
            base64.encode(secret),
            base64.encode(format!("x{secret}")),
            base64.encode(format!("xy{secret}z")),
            hex::encode(secret),
            "a line: MIIEvQ\"abc+/=d\u{e9}f x".to_owned(),
        ];
        for form in &forms {
            let masked = mask.text(form);
            for part in ["MIIEvQ", "TUlJRXZR", "4d4949457651"] {
                assert!(!masked.contains(part), "{form}\n{masked}");
            }
            assert!(masked.contains("[redacted]"), "{form}");
        }
    }

    fn url_like(text: &str) -> String {
        super::percent_encoded(text, "%20")
    }

    #[test]
    fn values_and_json_are_masked_in_keys_and_numbers_too() {
        let mask = Mask::new(["hunter2", "123456"]);
        let mut value = json!({"hunter2": [123_456, "x123456"], "b": {"c": "a hunter2"}, "d": 12});
        let text = value.to_string();
        mask.value(&mut value);
        let expected = json!({"[redacted]": ["[redacted]", "x[redacted]"], "b": {"c": "a [redacted]"}, "d": 12});
        assert_eq!(value, expected);
        let masked: serde_json::Value = serde_json::from_str(&mask.json(&text)).unwrap();
        assert_eq!(masked, expected);
        let written = r#"{"a":"\u0068unter2","n":-123456.5}"#;
        assert_eq!(mask.json(written), r#"{"a":"[redacted]","n":"[redacted]"}"#);
        // Half of a surrogate pair beside it.
        let written = r#"["\ud83d \u0068unter2","\ud83d"]"#;
        let masked = mask.json(written);
        assert!(masked.ends_with(r#" [redacted]","\ud83d"]"#), "{masked}");
    }

    #[test]
    fn the_beginning_of_a_secret_at_a_cut_is_masked() {
        let mask = Mask::new(["hunter2-and-more"]);
        assert_eq!(mask.cut_text("the key is hunter2-an"), "the key is [redacted]");
        assert_eq!(mask.cut_text("the key is hun"), "the key is hun");
    }
}
