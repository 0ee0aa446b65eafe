//! Secrets at rest: sealed under a key that is not kept with them.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use compute::RecordKey;

use crate::{StateError, TenantName};

/// The length of a key, in bytes.
const KEY: usize = 32;
/// The length of a nonce, in bytes.
const NONCE: usize = 24;
/// The first byte of what is sealed: how it is sealed.
const FORMAT: u8 = 1;

/// Seals secrets, and opens what it sealed: XChaCha20-Poly1305 with a nonce drawn for each. A secret is bound to
/// its name, so that one cannot be put in another's place.
#[derive(Clone)]
pub struct Vault {
    cipher: XChaCha20Poly1305,
    records: RecordKey,
}

/// Secrets cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The text is not a key.
    #[error("a secret key is 64 hex digits; this is not: {0}")]
    Key(&'static str),
    /// The file of the key cannot be read or made.
    #[error("the secret key in {}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key file can be read by others.
    #[error("the secret key in {} can be read by others: chmod 600 it", .0.display())]
    Exposed(PathBuf),
    /// A secret was sealed with another key, or is damaged.
    #[error(
        "the secret `{0}` was sealed with another key, or is damaged: set it again, or use the key that it was sealed with"
    )]
    Sealed(String),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// Those who share what is kept share one key, and none was given.
    #[error("whoever shares {0} has the one key that seals its secrets, and none is given")]
    NoKey(String),
    /// There are secrets, and the key that they were sealed with is not in its file.
    #[error("there are secrets in {state}, and the key that sealed them is not in {}: put it back there", .file.display())]
    Gone {
        /// Where the secrets are.
        state: String,
        /// The file.
        file: PathBuf,
    },
    /// Those who share what is kept share one key, and this is another.
    #[error(
        "the key that seals secrets is not the one of {state}, which all who share it have{}",
        .tenant.as_ref().map(|tenant| format!(": it opens none of the tenant {tenant}")).unwrap_or_default()
    )]
    OtherKey {
        /// Where they are kept.
        state: String,
        /// A tenant that has secrets, if any has.
        tenant: Option<String>,
    },
    /// Whose key it is cannot be told.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Vault {
    /// A vault with this key: 64 hex digits.
    ///
    /// # Errors
    /// [`VaultError::Key`] if it isn't one.
    pub fn new(key: &str) -> Result<Self, VaultError> {
        let mut bytes = [0; KEY];
        hex::decode_to_slice(key.trim(), &mut bytes)
            .map_err(|_| VaultError::Key("it has another length or other characters"))?;
        let records = RecordKey::new(bytes).of("vault");
        Ok(Self { cipher: XChaCha20Poly1305::new(&bytes.into()), records })
    }

    /// What secrets are known by in a tenant's records: it does not open them, and no other tenant's are the same.
    #[must_use]
    pub fn record_key(&self, tenant: &TenantName) -> RecordKey {
        self.records.of(tenant.as_str())
    }

    /// A vault with the key in this file. Without such a file a key is drawn and kept there, for its owner alone.
    ///
    /// # Errors
    /// When the file cannot be read or made, is no key, or can be read by others.
    pub fn from_file(file: &Path) -> Result<Self, VaultError> {
        let failed = |source| VaultError::File { file: file.to_owned(), source };
        match fs::read_to_string(file) {
            Ok(key) => {
                refuse_exposed(file)
                    .map_err(failed)?
                    .then_some(())
                    .ok_or_else(|| VaultError::Exposed(file.to_owned()))?;
                Self::new(&key)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = hex::encode(random::<KEY>()?);
                match keep(file, &key) {
                    Ok(()) => Self::new(&key),
                    // Another process was faster: its key is the one.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        Self::new(&fs::read_to_string(file).map_err(failed)?)
                    }
                    Err(error) => Err(failed(error)),
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A secret, sealed for keeping.
    ///
    /// # Errors
    /// [`VaultError::Random`] if the system gives no random bytes.
    pub fn seal(&self, name: &str, value: &str) -> Result<Vec<u8>, VaultError> {
        let nonce = random::<NONCE>()?;
        let payload = Payload { msg: value.as_bytes(), aad: name.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        // It fails for messages of more than 256 GiB.
        let sealed = sealed.map_err(|_| VaultError::Sealed(name.to_owned()))?;
        Ok([&[FORMAT], &nonce[..], &sealed].concat())
    }

    /// What [`Vault::seal`] sealed under this name.
    ///
    /// # Errors
    /// [`VaultError::Sealed`] if it was sealed with another key or for another name, or is damaged.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<String, VaultError> {
        let refused = || VaultError::Sealed(name.to_owned());
        let rest = sealed.strip_prefix(&[FORMAT]).ok_or_else(refused)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or_else(refused)?;
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        let value = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| refused())?;
        String::from_utf8(value).map_err(|_| refused())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| VaultError::Random)?;
    Ok(bytes)
}

/// Makes a folder and those above it, if they are not there. What is made is for its owner alone.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Keeps a new key, whole or not at all, and not over another.
fn keep(file: &Path, key: &str) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    // The file is made for its owner alone.
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(new, "{key}")?;
    new.as_file().sync_all()?;
    new.persist_noclobber(file).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

/// Whether only its owner can read it.
#[cfg(unix)]
fn refuse_exposed(file: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::metadata(file)?.permissions().mode() & 0o077 == 0)
}

#[cfg(not(unix))]
fn refuse_exposed(_file: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::{Vault, VaultError};

    fn vault(digit: &str) -> Vault {
        Vault::new(&digit.repeat(64)).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_and_name_only() {
        let sealed = vault("1").seal("KEY", "hunter2").unwrap();
        assert_ne!(sealed, vault("1").seal("KEY", "hunter2").unwrap(), "each has its nonce");
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        assert_eq!(vault("1").open("KEY", &sealed).unwrap(), "hunter2");
        assert!(matches!(vault("2").open("KEY", &sealed), Err(VaultError::Sealed(_))));
        assert!(matches!(vault("1").open("OTHER", &sealed), Err(VaultError::Sealed(_))));
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(vault("1").open("KEY", &damaged).is_err(), "byte {at}");
            assert!(vault("1").open("KEY", &sealed[..at]).is_err(), "cut at {at}");
        }
        assert!(Vault::new("short").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/secret.key");
        let sealed = Vault::from_file(&file).unwrap().seal("A", "value").unwrap();
        assert_eq!(Vault::from_file(&file).unwrap().open("A", &sealed).unwrap(), "value");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Vault::from_file(&file), Err(VaultError::Exposed(_))));
    }
}
