//! Files of versions, and the hash of all files of one.

use sha2::{Digest as _, Sha256};

/// A file of a version: a rule, a fixture of rules, or a file to be served. Where it is in its stack, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// `<NNN[_label]>/<name>.txcl`, a fixture's path, or `FILES/<path>`.
    pub path: String,
    /// The text; of what is below `FILES`, in base64.
    pub text: String,
}

impl File {
    /// A file.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Whether it is one to be served, whose text is base64.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.path.starts_with("FILES/")
    }

    /// How many bytes files have, with their paths: what quotas are about.
    #[must_use]
    pub fn bytes_of(files: &[Self]) -> u64 {
        files.iter().map(|file| (file.path.len() + file.text.len()) as u64).sum()
    }

    /// Whether it is a rule.
    #[must_use]
    pub fn is_rule(&self) -> bool {
        self.path.ends_with(".txcl")
    }
}

/// The hash of a version: SHA-256 over each file, sorted by path, as `path NUL hex(sha256(text)) NUL`.
///
/// ```
/// use compute_state::{File, manifest_hash};
///
/// let [a, b] = [File::new("100/a.txcl", "WHEN *"), File::new("100/b.txcl", "")];
/// assert_eq!(manifest_hash(&[a.clone(), b.clone()]), manifest_hash(&[b, a]));
/// ```
#[must_use]
pub fn manifest_hash(files: &[File]) -> String {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut hash = Sha256::new();
    for file in sorted {
        hash.update(file.path.as_bytes());
        hash.update([0]);
        hash.update(hex::encode(Sha256::digest(file.text.as_bytes())));
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}
