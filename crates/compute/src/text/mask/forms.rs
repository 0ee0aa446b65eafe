//! A secret as programs write it: in JSON, URLs, HTML, base64 and hex.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::MIN;

/// What those who write URLs leave as it is besides letters and digits, and what they write a space as: RFC 3986 and Go,
/// `encodeURIComponent`, `encodeURI`, forms as browsers and Python write them, user names in URLs, and paths as
/// Python writes them.
const URLS: [(&str, &str); 7] = [
    ("-_.~", "%20"),
    ("-_.~/", "%20"),
    ("-_.!~*'()", "%20"),
    ("-_.!~*'();/?:@&=+$,#", "%20"),
    ("*-._", "+"),
    ("-_.~", "+"),
    ("-_.!~*'()$&+,%", "%20"),
];

/// A secret in the ways in which programs write it.
pub(super) fn forms_of(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    let json = in_json(secret);
    // JSON in a string of JSON, and that in another.
    let twice = in_json(&json);
    let thrice = in_json(&twice);
    // With what a page of HTML must not have escaped, as Go does it; and in ASCII, as Python does.
    let is_html = |char: char| matches!(char, '<' | '>' | '&');
    forms.push(escaped(&json, is_html));
    forms.push(escaped(&json, |char| !char.is_ascii()));
    forms.push(escaped(&json, |char| !char.is_ascii() || is_html(char)));
    // Each with slashes escaped, too, as PHP does it, and in a string of JSON.
    for ascii in forms.split_off(forms.len() - 3) {
        let capital = in_letters(&ascii, "\\u", 4, str::to_uppercase);
        forms.push(in_json(&ascii));
        for form in [ascii, capital] {
            forms.push(with_slashes(&form));
            forms.push(form);
        }
    }
    for form in [with_slashes(&json), twice, thrice] {
        forms.push(in_json(&form));
        forms.push(with_slashes(&form));
        forms.push(form);
    }
    for (kept, space) in URLS {
        let percent = percent_encoded(secret, kept, space);
        forms.push(percent_encoded(&json, kept, space));
        forms.push(in_letters(&percent, "%", 2, str::to_lowercase));
        forms.push(percent);
    }
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let quoted = html.replace('"', "&quot;");
    forms.extend([quoted.replace('\'', "&#39;"), quoted.replace('\'', "&#x27;"), quoted]);
    forms.extend([html.replace('"', "&#34;").replace('\'', "&#39;"), html]);
    for text in [secret, &json] {
        forms.extend([hex::encode(text), hex::encode_upper(text)]);
        // Base64 writes the same bytes in three ways, by where they begin; what it shares with the bytes
        // before and after is left out.
        for before in 0..3_usize {
            let mut bytes = vec![0; before];
            bytes.extend_from_slice(text.as_bytes());
            let (from, to) = (before * 8_usize, bytes.len() * 8);
            let (from, to) = (from.div_ceil(6), to / 6);
            for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
                forms.push(encoded.get(from..to).unwrap_or_default().to_owned());
            }
        }
    }
    // By itself, in the lines of MIME and PEM.
    let whole = STANDARD_NO_PAD.encode(secret);
    for (width, end) in [(64, "\n"), (76, "\n"), (64, "\r\n"), (76, "\r\n")] {
        if whole.len() > width {
            let lines: Vec<_> =
                whole.as_bytes().chunks(width).map(String::from_utf8_lossy).collect();
            forms.push(lines.join(end));
        }
    }
    forms.push(json);
    forms.retain(|form| form.len() >= MIN);
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// As a string of JSON has it.
fn in_json(text: &str) -> String {
    let json = Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

/// JSON with its slashes escaped.
fn with_slashes(json: &str) -> String {
    json.replace('/', "\\/")
}

/// JSON with these characters escaped.
fn escaped(json: &str, escape: impl Fn(char) -> bool) -> String {
    let mut text = String::new();
    for char in json.chars() {
        if escape(char) {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            text.push(char);
        }
    }
    text
}

/// As a URL writes it: all but letters, digits and these.
pub(super) fn percent_encoded(secret: &str, kept: &str, space: &str) -> String {
    let mut text = String::new();
    for byte in secret.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => text.push(char::from(byte)),
            b' ' => text.push_str(space),
            byte if byte.is_ascii() && kept.contains(char::from(byte)) => {
                text.push(char::from(byte))
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// With as many hex digits after each mark in the other letters, small or capital.
fn in_letters(text: &str, mark: &str, digits: usize, letters: fn(&str) -> String) -> String {
    let mut parts = text.split(mark);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (hex, rest) = part.split_at_checked(digits).unwrap_or((part, ""));
        text.push_str(mark);
        text.push_str(&letters(hex));
        text.push_str(rest);
    }
    text
}
