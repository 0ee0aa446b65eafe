//! A secret in the forms that are no escapes: base64 and hex, of itself and of what JSON has.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::MIN;
use super::unescaped::Unescaped;

/// A secret as programs write it, and each of it as it reads without escapes.
pub(super) fn forms_of(secret: &str) -> Vec<Vec<u8>> {
    let json = Value::from(secret).to_string();
    let json = &json[1..json.len() - 1];
    // As what escapes bytes has it, `\xc3\xa9`: each byte as a character.
    let by_byte = (!secret.is_ascii()).then(|| secret.bytes().map(char::from).collect());
    let mut forms: Vec<String> = std::iter::once(secret.to_owned()).chain(by_byte).collect();
    for text in [secret, json] {
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
    let read: Vec<_> = forms.iter().filter_map(|form| Unescaped::read(form, false)).collect();
    let read = read.iter().map(|form| form.bytes().to_owned());
    let mut forms: Vec<_> =
        forms.iter().map(|form| form.as_bytes().to_owned()).chain(read).collect();
    forms.retain(|form| form.len() >= MIN);
    forms.sort_unstable();
    forms.dedup();
    forms
}
