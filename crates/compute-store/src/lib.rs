//! Where artifacts are kept: in files, in memory, or in S3, Google Cloud Storage or Azure.
//!
//! An artifact is two objects: its bytes under `computes/<alg>/<digest>`, and beside them
//! `computes/<alg>/<digest>.json`, its [`Manifest`]. The manifest is written last, and an artifact is
//! there when its manifest is. Attachments, such as a source map, are under
//! `attachments/<alg>/<digest>`. Each object is written whole or not at all and, once written, never
//! changes; what is read is checked against its digest, whatever the storage says.
//!
//! [`open`] opens a store by its URL. Stores are put around stores: [`ObjectArtifacts`]
//! knows the layout, [`Verified`] checks digests.
//!
//! ```
//! use compute::{Algorithm, Artifact, Manager, RunOptions, Runner};
//! use compute_store::{NewArtifact, StoreResolver};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = compute_store::open("memory:")?;
//! let artifact = Artifact::new(Algorithm::Sha256, "identity", b"any bytes".to_vec());
//! let manifest = pollster::block_on(store.put(&NewArtifact::new(artifact)))?;
//!
//! let manager = Manager::builder().resolver(StoreResolver::new(store)).build();
//! let outcome = manager.run_blocking(&manifest.reference, b"[1]", &RunOptions::default())?;
//! assert_eq!(outcome.result?, b"[1]");
//! # Ok(())
//! # }
//! ```

mod error;
mod gc;
mod objects;
mod open;
mod resolver;
mod runtime;
mod store;
mod verified;

pub use error::StoreError;
pub use gc::{GcOptions, GcReport, gc};
pub use objects::ObjectArtifacts;
pub use open::open;
pub use resolver::StoreResolver;
pub use store::{Manifest, NewArtifact, Store, Stored, SweepReport, Usage};
pub use verified::Verified;

/// The largest artifact or attachment that a store takes or gives, in bytes: 32 MiB.
pub const MAX_BYTES: u64 = 32 << 20;
