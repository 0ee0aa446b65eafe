//! Who vouches for a record: Ed25519 signatures (RFC 8032).

use compute::{Record, RecordError, RecordKey, RecordSignature};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

/// Signs records.
///
/// ```
/// use compute::RecordKey;
/// use compute_replay::RecordSigner;
///
/// let signer = RecordSigner::new(&RecordKey::new([7; 32]));
/// assert_eq!(signer.public_key().len(), 64);
/// ```
#[derive(Clone, Debug)]
pub struct RecordSigner(SigningKey);

/// A record's signature is not that of who it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its signature is not of what it says: it was changed after it was signed, or never signed with the key that it names"
)]
pub struct SignatureError;

impl RecordSigner {
    /// A signer whose key is made of this one.
    #[must_use]
    pub fn new(key: &RecordKey) -> Self {
        Self(SigningKey::from_bytes(&key.signing_seed()))
    }

    /// What its signatures are checked with, in hex.
    #[must_use]
    pub fn public_key(&self) -> String {
        hex::encode(self.0.verifying_key().to_bytes())
    }

    /// The record with this one's signature. It has its id already.
    #[must_use]
    pub fn sign(&self, mut record: Record) -> Record {
        let value = self.0.sign(&record.signed_text());
        let (key, value) = (self.public_key(), hex::encode(value.to_bytes()));
        record.signature = Some(RecordSignature { key, value });
        record
    }
}

/// Why bytes are no record, or not one that its signature is of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is no record, or was changed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its signature is of something else.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// Reads a record, and checks that it says what its id, its digests and its signature say.
///
/// # Errors
/// [`ReadError`], whose text says what is wrong.
pub fn read_record(json: &[u8]) -> Result<Record, ReadError> {
    let record = Record::read(json)?;
    check_signature(&record)?;
    Ok(record)
}

fn check_signature(record: &Record) -> Result<(), SignatureError> {
    let Some(RecordSignature { key, value }) = &record.signature else { return Ok(()) };
    let (mut public, mut signature) = ([0; 32], [0; 64]);
    let read = hex::decode_to_slice(key, &mut public)
        .and_then(|()| hex::decode_to_slice(value, &mut signature));
    read.map_err(|_| SignatureError)?;
    let public = VerifyingKey::from_bytes(&public).map_err(|_| SignatureError)?;
    let signature = Signature::from_bytes(&signature);
    public.verify_strict(&record.signed_text(), &signature).map_err(|_| SignatureError)
}
