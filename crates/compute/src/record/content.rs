//! What a record says of bytes: their digest, and the bytes where they are kept.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Mask;

/// Bytes as a record has them: by their digest, and as they are where they are kept.
///
/// Where they held a secret, both are those of the bytes with the secret masked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The bytes, where they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// Whether secrets are masked in them: they are then not what the run had.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub masked: bool,
    /// SHA-256, in hex.
    pub sha256: String,
    /// How many bytes there are.
    pub size: u64,
}

/// Bytes that a record keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Data {
    /// What is UTF-8.
    Text(String),
    /// What is not, in base64.
    Base64(String),
}

impl Content {
    /// What a record says of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8], mask: &Mask, keep: bool) -> Self {
        let shown = masked(bytes, mask);
        let data = keep.then(|| match std::str::from_utf8(&shown) {
            Ok(text) => Data::Text(text.to_owned()),
            Err(_) => Data::Base64(STANDARD.encode(&shown)),
        });
        Self {
            sha256: sha256(&shown),
            size: shown.len() as u64,
            masked: matches!(shown, Cow::Owned(_)),
            data,
        }
    }

    /// The bytes, where they are kept and have the digest that the record names.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let bytes = match self.data.as_ref()? {
            Data::Text(text) => text.as_bytes().to_vec(),
            Data::Base64(text) => STANDARD.decode(text).ok()?,
        };
        (sha256(&bytes) == self.sha256).then_some(bytes)
    }

    /// Whether both mean the same bytes.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }
}

fn masked<'a>(bytes: &'a [u8], mask: &Mask) -> Cow<'a, [u8]> {
    if mask.is_empty() {
        return Cow::Borrowed(bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        // A mask reads text: what is none is looked at as far as it is.
        return match mask.text(&String::from_utf8_lossy(bytes)) {
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            Cow::Borrowed(_) => Cow::Borrowed(bytes),
        };
    };
    match mask.json(text) {
        // What it reads and finds nothing in is written as it was.
        Cow::Owned(hidden) if hidden != text => Cow::Owned(hidden.into_bytes()),
        _ => Cow::Borrowed(bytes),
    }
}

/// SHA-256, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut text = [0; 64];
    // It has room for just that. Several times faster than a text that grows digit by digit.
    let _ = hex::encode_to_slice(Sha256::digest(bytes), &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
