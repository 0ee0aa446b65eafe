//! Keeps the values of secrets out of what is shown, in the forms in which they show.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, Input, MatchKind};
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
/// How many bytes all forms of whole secrets may have, and lines of secrets as many. The finder takes some hundred
/// bytes for each while it is made.
const MAX_FORMS: usize = 256 << 10;
/// The beginning by which all forms are found if they have more: what follows it is compared.
const BEGINNING: usize = 16;
/// About how many bytes of memory each byte of a form takes while the finder is made, and how many of a secret its
/// forms take.
const COST_OF_FORM: usize = 110;
const COST_OF_SECRET: usize = 48;

/// Keeps the values of secrets out of what is shown: as they are, as JSON or a URL writes them, in base64 and in
/// hex, and so each line of 8 bytes or more of those that have several. Those of less than 4 bytes are not looked for,
/// and neither are forms that nobody can foresee: a secret that a guest encrypts or takes apart is not found.
///
/// What it takes has a bound: if the forms of all secrets have more than 256 KiB, each is found by its first 16 bytes,
/// whatever follows them; and lines are looked for up to another 256 KiB of their forms.
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
    secrets: BTreeSet<String>,
    finder: Option<Arc<Finder>>,
}

/// Finds all forms of all secrets at once.
struct Finder {
    beginnings: AhoCorasick,
    /// What may follow each of the beginnings: nothing where it is the whole form.
    rests: Vec<Vec<Box<str>>>,
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
        self.secrets.extend(secrets.into_iter().map(Into::into).filter(|one| one.len() >= MIN));
        if self.secrets.len() > known {
            self.finder = Finder::new(&self.secrets).map(Arc::new);
        }
        self
    }

    /// About how many bytes of memory a mask for these values takes while it is made, and rather too many than too few.
    pub fn estimate<'a>(secrets: impl IntoIterator<Item = &'a str>) -> usize {
        let bytes = secrets.into_iter().fold(0, |sum: usize, one| sum.saturating_add(one.len()));
        let forms = bytes.saturating_mul(COST_OF_SECRET);
        forms.saturating_add(forms.min(2 * MAX_FORMS) * COST_OF_FORM)
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let secrets: usize = self.secrets.iter().map(|one| one.len() + size_of_val(one)).sum();
        secrets + self.finder.as_ref().map_or(0, |finder| finder.size())
    }

    /// Whether there is nothing to mask.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.finder.is_none()
    }

    /// Whether it masks this secret, or the secret is so short that none does.
    #[must_use]
    pub fn knows(&self, secret: &str) -> bool {
        secret.len() < MIN || self.secrets.contains(secret)
    }

    /// A text without them.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(finder) = &self.finder else { return Cow::Borrowed(text) };
        let mut masked: Option<String> = None;
        let mut done = 0;
        // One that begins within another's form ends it.
        while let Some(found) = finder.next(text, done) {
            let masked = masked.get_or_insert_with(String::new);
            masked.push_str(&text[done..found.start]);
            masked.push_str(MASKED);
            done = found.end;
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

impl Finder {
    fn new(secrets: &BTreeSet<String>) -> Option<Self> {
        let whole: BTreeSet<String> = secrets.iter().flat_map(|one| forms_of(one)).collect();
        let all: usize = whole.iter().map(String::len).sum();
        let longest = if all <= MAX_FORMS { usize::MAX } else { BEGINNING };
        let mut forms: BTreeMap<String, Vec<Box<str>>> = BTreeMap::new();
        let mut used = 0;
        let mut add = |form: String| {
            let (beginning, rest) = form.split_at(form.floor_char_boundary(longest));
            used += beginning.len();
            forms.entry(beginning.to_owned()).or_default().push(rest.into());
            used
        };
        let used = whole.into_iter().map(&mut add).last().unwrap_or_default();
        // As they are first: that is how most are shown.
        for form in lines_of(secrets).map(str::to_owned).chain(lines_of(secrets).flat_map(forms_of))
        {
            if add(form) >= used + MAX_FORMS {
                break;
            }
        }
        let (beginnings, mut rests): (Vec<_>, Vec<_>) = forms.into_iter().unzip();
        for rests in &mut rests {
            rests.sort_unstable();
            rests.dedup();
        }
        let beginnings = AhoCorasickBuilder::new()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(beginnings);
        Some(Self { beginnings: beginnings.ok()?, rests })
    }

    /// The next one in a text from here on, and as much of what may follow it as does.
    fn next(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let found = self.beginnings.find(Input::new(text).range(from..))?;
        let after = &text[found.end()..];
        let follows = |rest: &str| {
            let same = rest.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
            after.floor_char_boundary(same)
        };
        let rests = &self.rests[found.pattern().as_usize()];
        let more = rests.iter().map(|rest| follows(rest)).max().unwrap_or_default();
        Some(found.start()..found.end() + more)
    }

    fn size(&self) -> usize {
        let rests = self.rests.iter().map(|rests| {
            size_of_val(rests)
                + rests.iter().map(|rest| size_of_val(rest) + rest.len()).sum::<usize>()
        });
        self.beginnings.memory_usage() + rests.sum::<usize>()
    }
}

/// The lines of those secrets that have several.
fn lines_of(secrets: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    let several = secrets.iter().filter(|secret| secret.contains('\n'));
    let lines = several.flat_map(|secret| secret.lines().map(str::trim));
    lines.filter(|line| line.len() >= MIN_LINE)
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
        let windows = secret.replace('\n', "\r\n");
        let forms = forms.into_iter().chain([
            windows.clone(),
            url_like(&windows),
            base64.encode(&windows),
            base64.encode(format!("x{windows}")),
            hex::encode_upper(&windows),
            json!({"a": json!(windows).to_string()}).to_string(),
        ]);
        for form in &forms.collect::<Vec<_>>() {
            let masked = mask.text(form);
            for part in ["MIIEvQ", "TUlJRXZR", "4d4949457651"] {
                assert!(!masked.contains(part), "{form}\n{masked}");
            }
            assert!(masked.contains("[redacted]"), "{form}");
        }
    }

    #[test]
    fn a_mask_for_many_and_long_secrets_is_small_and_finds_them_whole() {
        let secret = |n: u64| {
            let words = (0..60).map(|i| {
                format!("{:016x}", (n * 1000 + i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            });
            words.collect::<String>() + "/\\\""
        };
        let secrets: Vec<_> = (0..1000).map(secret).collect();
        let mask = Mask::new(secrets.clone());
        let estimate = Mask::estimate(secrets.iter().map(String::as_str));
        assert!(estimate < 128 << 20, "{estimate}");
        assert!(mask.size() < estimate, "{} {estimate}", mask.size());
        let base64 = base64::engine::general_purpose::STANDARD;
        for secret in secrets.iter().step_by(50) {
            for form in [secret.clone(), url_like(secret), base64.encode(format!("xy{secret}"))] {
                let masked = mask.text(&form);
                assert!(masked.len() < "[redacted]".len() + 8, "{masked}");
            }
        }
        // One text that has the beginning of many of them again and again.
        let alike: Vec<_> = (0..1000).map(|n| "a".repeat(1000) + &n.to_string()).collect();
        let mask = Mask::new(alike);
        assert_eq!(mask.text(&"a".repeat(1000)), "[redacted]");
        assert!(mask.knows("abc") && !mask.knows("abcd"));
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
