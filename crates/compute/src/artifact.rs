//! A resolved compute: its bytes, its address and the engine that runs it.

mod resolver;

use bytes::Bytes;

pub use resolver::{ArtifactMap, Resolver};

use crate::{Algorithm, Error, Ref};

/// A resolved compute. Cloning one is cheap: the bytes are shared.
///
/// An engine verifies the digest when it loads an artifact, whatever the store did before.
#[derive(Clone, Debug)]
pub struct Artifact {
    reference: Ref,
    engine: String,
    wasm: Bytes,
    /// Whether the digest was computed from these very bytes in this process.
    verified: bool,
}

impl Artifact {
    /// An artifact made from its bytes; the digest is computed here.
    #[must_use]
    pub fn new(alg: Algorithm, engine: impl Into<String>, wasm: impl Into<Bytes>) -> Self {
        let wasm = wasm.into();
        Self { reference: Ref::of(alg, &wasm), engine: named(engine.into()), wasm, verified: true }
    }

    /// An artifact as somebody else names it: the bytes are not checked against the ref.
    #[must_use]
    pub fn unverified(reference: Ref, engine: impl Into<String>, wasm: impl Into<Bytes>) -> Self {
        Self { reference, engine: named(engine.into()), wasm: wasm.into(), verified: false }
    }

    /// The address of this artifact.
    #[must_use]
    pub const fn reference(&self) -> &Ref {
        &self.reference
    }

    /// The name of the digest algorithm.
    #[must_use]
    pub fn alg(&self) -> &str {
        self.reference.alg()
    }

    /// The digest that the bytes must have.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.reference.digest()
    }

    /// The name of the registered engine that runs it.
    #[must_use]
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// The artifact's bytes: for the engine `wasm`, a WebAssembly module.
    #[must_use]
    pub const fn wasm(&self) -> &Bytes {
        &self.wasm
    }

    /// Checks the bytes against the digest. Bytes are hashed once: an artifact that [`Artifact::new`]
    /// or [`Artifact::into_verified`] made is known to match.
    ///
    /// # Errors
    /// As for [`Ref::verify`].
    pub fn verify(&self) -> Result<(), Error> {
        if self.verified { Ok(()) } else { self.reference.verify(&self.wasm) }
    }

    /// This artifact, once its bytes are checked against the digest.
    ///
    /// # Errors
    /// As for [`Ref::verify`].
    pub fn into_verified(mut self) -> Result<Self, Error> {
        self.verify()?;
        self.verified = true;
        Ok(self)
    }
}

impl Ref {
    /// Checks that these bytes are the ones this ref means.
    ///
    /// # Errors
    /// [`Error::UnsupportedAlgorithm`] when the algorithm is not one of [`Algorithm`];
    /// [`Error::DigestMismatch`] when the bytes have another digest.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Error> {
        let alg = Algorithm::from_name(self.alg())
            .ok_or_else(|| Error::UnsupportedAlgorithm { reference: self.clone() })?;
        let got = alg.hex_digest(bytes);
        if got == self.digest() {
            Ok(())
        } else {
            Err(Error::DigestMismatch { reference: self.clone(), got })
        }
    }
}

/// The name of an engine, if this is another name of it: artifacts that came from other runtimes of WebAssembly name those.
///
/// ```
/// assert_eq!(compute::engine_name("wazero"), "wasm");
/// ```
#[must_use]
pub fn engine_name(name: &str) -> &str {
    match name {
        "wazero" => "wasm",
        other => other,
    }
}

fn named(engine: String) -> String {
    match engine_name(&engine) {
        same if same == engine => engine,
        other => other.to_owned(),
    }
}
