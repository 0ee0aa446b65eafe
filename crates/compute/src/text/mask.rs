//! Keeps the values of secrets out of what is shown, in the forms in which they show.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Deserializer as _;
use serde::de::Visitor;
use serde_json::{Map, Value};

use finder::Finder;

mod finder;
mod forms;
mod joined;
mod unescaped;

/// What stands for what is masked.
pub const MASKED: &str = "[redacted]";
/// What ends a text that was cut off, within a longer one, too.
const CUT: char = '…';
/// The shortest secret that is looked for, in bytes: shorter ones are found in everything.
const MIN: usize = 4;
/// The shortest line of a secret that is looked for by itself.
const MIN_LINE: usize = 8;
/// How many bytes of a text are looked through at once: what its escapes say takes five bytes for each.
const PIECE: usize = 1 << 20;
/// How many times as long escapes make a secret that is found where one piece of a text ends, up to a piece: an escape of six
/// bytes in one of URLs in another.
const LONGEST_ESCAPE: usize = 24;
/// The beginning by which a form is found, in bytes; what follows it is compared.
const BEGINNING: usize = 16;
/// How many bytes the beginnings of lines may have, in all forms. The finder takes some hundred bytes for each while it is
/// made.
const MAX_LINES: usize = 256 << 10;
/// How many times as many bytes as a text has are compared with what may follow beginnings; after that, beginnings
/// alone are masked.
const MAX_COMPARED: usize = 64;
/// About how many bytes of memory each byte of a beginning takes while the finder is made; how many each byte of a
/// secret's forms takes; and how many forms there are.
const COST_OF_BEGINNING: usize = 110;
const COST_OF_SECRET: usize = 96;
const FORMS: usize = 30;

/// Keeps the values of secrets out of what is shown: as they are, with any of their characters escaped as JSON, HTML and URLs
/// escape them, one in another however often, in base64 and in hex, and so each line of 8 bytes or more of those that have
/// several. Those of less than 4 bytes are not looked for, and neither are forms that nobody can foresee: a secret that a
/// guest encrypts or takes apart is not found.
///
/// What it takes has a bound: lines are looked for up to 256 KiB of the first 16 bytes of their forms, and in a text that has
/// the beginnings of secrets over and over, beginnings are masked whatever follows them.
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
            self.finder = Some(Arc::new(Finder::new(&self.secrets)));
        }
        self
    }

    /// About how many bytes of memory a mask for these values takes while it is made, and rather too many than too few.
    pub fn estimate<'a>(secrets: impl IntoIterator<Item = &'a str>) -> usize {
        let (mut count, mut bytes) = (0_usize, 0_usize);
        for secret in secrets {
            count += 1;
            bytes = bytes.saturating_add(secret.len());
        }
        let beginnings =
            bytes.saturating_mul(COST_OF_SECRET).min(count * FORMS * BEGINNING + MAX_LINES);
        bytes.saturating_mul(COST_OF_SECRET).saturating_add(beginnings * COST_OF_BEGINNING)
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
        self.masked(text, false)
    }

    /// A text that was cut off, without them and without the beginning of one, in any of its forms, at its end.
    #[must_use]
    pub fn cut_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.masked(text, true)
    }

    fn masked<'a>(&self, text: &'a str, cut: bool) -> Cow<'a, str> {
        let masked = self.covered(text, cut);
        if self.is_empty() || !masked.contains(CUT) {
            return masked;
        }
        // Where a part was cut off, it says so.
        let mut parts = masked.split(CUT);
        let last = parts.next_back().unwrap_or_default();
        let mut text = String::with_capacity(masked.len());
        for part in parts {
            text.push_str(&self.covered(part, true));
            text.push(CUT);
        }
        text.push_str(last);
        Cow::Owned(text)
    }

    fn covered<'a>(&self, text: &'a str, cut: bool) -> Cow<'a, str> {
        let Some(finder) = &self.finder else { return Cow::Borrowed(text) };
        let overlap = finder.longest().saturating_mul(LONGEST_ESCAPE).min(PIECE);
        let mut masked: Option<String> = None;
        // How far the text is looked through, how far it is in `masked`, and what was compared.
        let (mut from, mut done, mut compared) = (0, 0, 0);
        while from < text.len() {
            let end = text.floor_char_boundary(from + PIECE);
            let beyond = text.floor_char_boundary(end + overlap);
            let piece = &text[from..beyond];
            for found in finder.find(piece, cut && beyond == text.len(), &mut compared) {
                let (start, until) = (from + found.start, from + found.end);
                if start >= end && beyond < text.len() {
                    // The next piece has it whole.
                    break;
                }
                let masked = masked.get_or_insert_with(String::new);
                if start >= done {
                    masked.push_str(&text[done..start]);
                    masked.push_str(MASKED);
                }
                done = done.max(until);
            }
            from = if beyond < text.len() { end.max(done) } else { beyond };
        }
        match masked {
            None => Cow::Borrowed(text),
            Some(mut masked) => {
                masked.push_str(&text[done..]);
                Cow::Owned(masked)
            }
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
        let is_clean = || !json.contains('\\') && matches!(self.text(json), Cow::Borrowed(_));
        if self.is_empty() || is_clean() {
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
    use super::unescaped::Unescaped;

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
    fn a_secret_is_found_where_its_bytes_are_escaped() {
        let mask = Mask::new(["p\u{e4}ssw\u{f6}rd\"x\\y'z", "\u{1f980}\u{1f980}"]);
        for text in [
            r#"b'p\xc3\xa4ssw\xc3\xb6rd"x\\y\'z'"#,
            r#"{"a":"b'p\\xc3\\xa4ssw\\xc3\\xb6rd\"x\\\\y\\'z'"}"#,
            r"b'\xf0\x9f\xa6\x80\xf0\x9f\xa6\x80'",
        ] {
            let masked = mask.text(text);
            assert!(masked.contains("[redacted]") && masked.len() < 26, "{masked}");
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
        assert!(estimate < 256 << 20, "{estimate}");
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

    /// As a URL has it: all but letters, digits and these.
    fn percent_encoded(text: &str, kept: &str, space: &str) -> String {
        let written = |byte: u8| match char::from(byte) {
            char if char.is_ascii_alphanumeric() || (char.is_ascii() && kept.contains(char)) => {
                char.to_string()
            }
            ' ' => space.to_owned(),
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(written).collect()
    }

    fn url_like(text: &str) -> String {
        percent_encoded(text, "-_.~", "%20")
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
    fn a_secret_is_found_as_other_programs_write_it() {
        let secret = "A<b>&'c\"d!(e)*~f\u{e4}/G+h=i@j;k#l$m,n?o:p-q_r.s";
        let mask = Mask::new([secret]);
        let forms = [
            // encodeURIComponent, encodeURI, URLSearchParams, Python's quote, Go's QueryEscape, `url.password = …`
            "A%3Cb%3E%26'c%22d!(e)*~f%C3%A4%2FG%2Bh%3Di%40j%3Bk%23l%24m%2Cn%3Fo%3Ap-q_r.s",
            "A%3Cb%3E&'c%22d!(e)*~f%C3%A4/G+h=i@j;k#l$m,n?o:p-q_r.s",
            "A%3Cb%3E%26%27c%22d%21%28e%29*%7Ef%C3%A4%2FG%2Bh%3Di%40j%3Bk%23l%24m%2Cn%3Fo%3Ap-q_r.s",
            "A%3cb%3e%26%27c%22d%21%28e%29%2a~f%c3%a4%2fG%2bh%3di%40j%3bk%23l%24m%2cn%3fo%3ap-q_r.s",
            "A%3Cb%3E&'c%22d!(e)*~f%C3%A4%2FG+h%3Di%40j%3Bk%23l$m,n%3Fo%3Ap-q_r.s",
            // Go's JSON, and JSON in ASCII in small and capital letters.
            r#"A\u003cb\u003e\u0026'c\"d!(e)*~fä/G+h=i@j;k#l$m,n?o:p-q_r.s"#,
            r#"A<b>&'c\"d!(e)*~f\u00e4/G+h=i@j;k#l$m,n?o:p-q_r.s"#,
            r#"A<b>&'c\"d!(e)*~f\u00E4/G+h=i@j;k#l$m,n?o:p-q_r.s"#,
            // PHP's JSON, in a string of JSON as well; Python's quote for paths.
            r#"A<b>&'c\"d!(e)*~f\u00e4\/G+h=i@j;k#l$m,n?o:p-q_r.s"#,
            r#"A<b>&'c\\\"d!(e)*~fä\\/G+h=i@j;k#l$m,n?o:p-q_r.s"#,
            r#"A<b>&'c\\\"d!(e)*~f\\u00e4/G+h=i@j;k#l$m,n?o:p-q_r.s"#,
            r#"A<b>&'c\\\\\\\"d!(e)*~fä/G+h=i@j;k#l$m,n?o:p-q_r.s"#,
            "A%3Cb%3E%26%27c%22d%21%28e%29%2A~f%C3%A4/G%2Bh%3Di%40j%3Bk%23l%24m%2Cn%3Fo%3Ap-q_r.s",
            "A&lt;b&gt;&amp;&#39;c&quot;d!(e)*~f\u{e4}/G+h=i@j;k#l$m,n?o:p-q_r.s",
        ];
        let base64 = base64::engine::general_purpose::STANDARD;
        let long = secret.repeat(3);
        let both = mask.clone().with([long.clone()]);
        let encoded = base64.encode(&long);
        let wrapped = format!("{}\n{}\n{}", &encoded[..64], &encoded[64..128], &encoded[128..]);
        assert!(both.text(&wrapped).len() < 40, "{}", both.text(&wrapped));
        let within = base64.encode(format!("what stands before it {long} and after it"));
        let lines: Vec<_> = within.as_bytes().chunks(76).map(String::from_utf8_lossy).collect();
        assert!(both.text(&lines.join("\r\n")).len() < 80, "{}", both.text(&lines.join("\r\n")));
        let pairs: Vec<_> = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(both.text(&pairs.join(":")), "[redacted]");
        let named = secret.replace('&', "&amp;").replace('_', "&lowbar;").replace('!', "&excl;");
        assert_eq!(both.text(&named), "[redacted]");
        let json = json!(secret).to_string();
        let every_byte: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for form in forms.map(str::to_owned).into_iter().chain([
            base64.encode(format!("xy{}", json.trim_matches('"'))),
            percent_encoded(json.trim_matches('"'), "-_.!~*'()", "%20"),
            // Every character, as numbers in HTML and in URLs, once more in a URL, and in JSON in a string of JSON.
            secret.chars().map(|char| format!("&#{};", char as u32)).collect(),
            secret.chars().map(|char| format!("&#x{:X};", char as u32)).collect(),
            every_byte.clone(),
            percent_encoded(&every_byte, "", "+"),
            json!(json!(every_byte).to_string()).to_string().replace('/', "\\/"),
            json!(json.replace('/', "\\/")).to_string().replace('/', "\\/"),
        ]) {
            let masked = mask.text(&form);
            assert!(masked.len() <= "[redacted]".len() + 8, "{form}\n{masked}");
            // Wherever it is cut, nothing of it is left that has four letters.
            for end in (8..form.len()).filter(|end| form.is_char_boundary(*end)) {
                let text = format!("see {}", &form[..end]);
                let masked = mask.cut_text(&text);
                let says =
                    Unescaped::read(&masked, true).map_or(masked.len(), |one| one.bytes().len());
                assert!(says <= "see [redacted]".len() + 8, "{text}\n{masked}");
            }
        }
    }

    #[test]
    fn a_beginning_alone_is_no_secret_unless_the_text_was_cut() {
        let mask = Mask::new(["https://example.com/hook/s3cr3t-part", "https"]);
        let text = "see https://example.com/hook/help";
        assert_eq!(mask.text(text), "see [redacted]://example.com/hook/help");
        let mask = Mask::new(["https://example.com/hook/s3cr3t-part"]);
        assert_eq!(mask.text(text), text);
        assert_eq!(mask.text("see https://example.com/hook/s3cr3t-part!"), "see [redacted]!");
        assert_eq!(mask.cut_text("see https://example.com/hook/s3cr"), "see [redacted]");
        assert_eq!(mask.cut_text("see https://ex"), "see [redacted]");
        assert_eq!(mask.text("see https://ex… and https://ex"), "see [redacted]… and https://ex");
        // Many beginnings do not make it slow.
        let hostile = Mask::new(["a".repeat(60_000) + "b", "a".repeat(50_000) + "c"]);
        let text = "a".repeat(1 << 20);
        assert!(hostile.text(&text).len() < text.len());
    }

    #[test]
    fn long_texts_are_masked_wherever_a_secret_stands() {
        let mask = Mask::new(["hunter2 and \"more\""]);
        for form in
            ["hunter2 and \"more\"", "hunter2%20and%20%22more%22", "aHVudGVyMiBhbmQgIm1vcmUi"]
        {
            for before in ((1 << 20) - 30..(1 << 20) + 2).step_by(3) {
                let text = "x%".repeat(before / 2) + &"y".repeat(before % 2) + form + " and more";
                let masked = mask.text(&text);
                assert!(masked.len() <= before + "[redacted] and more".len() + 2);
                assert!(masked.ends_with("[redacted] and more"), "{}", &masked[before - 9..]);
            }
        }
        assert_eq!(mask.text("100% hunter2 and \"more\" \\"), "100% [redacted] \\");
    }

    #[test]
    fn the_beginning_of_a_secret_at_a_cut_is_masked() {
        let mask = Mask::new(["hunter2-and-more"]);
        assert_eq!(mask.cut_text("the key is hunter2-an"), "the key is [redacted]");
        assert_eq!(mask.cut_text("the key is hun"), "the key is hun");
    }
}
