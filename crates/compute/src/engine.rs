//! What an engine is: something that prepares artifacts and runs them, each call in a fresh sandbox.

mod identity;
mod registry;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::{
    Artifact, Bounds, Cancel, Error, Origin, Outcome, Phase, Profile, Reason, Ref, Resolver,
};

pub use identity::IdentityEngine;
pub use registry::{EngineRegistration, engine_names, open_engine};

/// Prepares artifacts. One engine serves a whole process: it is shared and cheap to hold.
///
/// A manager calls [`Engine::load`] once for an artifact and profile however many callers wait for it,
/// on a thread of its own, and keeps the result. So `load` may be slow and needs no cache in memory.
pub trait Engine: Send + Sync {
    /// Verifies the artifact's digest, checks the artifact and prepares it.
    ///
    /// What its own code does wrong while it is prepared is a guest's failure: an instance that fails so
    /// on each call.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], [`Error::Refused`] for an artifact that can never run, and
    /// [`Error::Engine`] for a failure of the host.
    fn load(&self, artifact: &Artifact, load: &Load<'_>) -> Result<Arc<dyn Instance>, Error>;

    /// The artifacts that this one needs to run, as far as it names them by their refs.
    fn links(&self, _artifact: &Artifact) -> Vec<Ref> {
        Vec::new()
    }
}

/// How an artifact is to be loaded.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Load<'a> {
    /// What the runs will be like.
    pub profile: Profile,
    /// Where the artifacts are that this one links to.
    pub resolver: &'a dyn Resolver,
    /// When it must be done, if there is an end.
    pub deadline: Option<Instant>,
    /// The wish to stop of whoever wants it.
    pub cancel: Option<&'a Cancel>,
    /// Whose it is, where several share an engine: what is kept of it counts as theirs.
    pub tenant: Option<&'a str>,
}

impl<'a> Load<'a> {
    /// A load for runs of this profile.
    #[must_use]
    pub const fn new(profile: Profile, resolver: &'a dyn Resolver) -> Self {
        Self { profile, resolver, deadline: None, cancel: None, tenant: None }
    }

    /// Whether nobody waits for it any longer.
    #[must_use]
    pub fn must_stop(&self) -> bool {
        self.cancel.is_some_and(Cancel::is_cancelled)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// That the artifact is there which the one being loaded links to: what another has loaded is not.
    ///
    /// # Errors
    /// Those of the resolver.
    pub fn has(&self, reference: &Ref) -> Result<(), Error> {
        pollster::block_on(self.resolver.contains(reference))
    }

    /// An artifact that the one being loaded links to, its bytes checked against its digest. Blocks
    /// until it is there.
    ///
    /// # Errors
    /// Those of the resolver, and those of [`Ref::verify`].
    pub fn linked(&self, reference: &Ref) -> Result<Artifact, Error> {
        pollster::block_on(self.resolver.resolve(reference))?.into_verified()
    }
}

/// A loaded artifact, ready to be called from any thread.
pub trait Instance: Send + Sync {
    /// Runs the artifact on this input in a fresh sandbox. Nothing survives from one call to the next.
    ///
    /// This blocks the calling thread until the guest is done or a limit stops it.
    ///
    /// # Errors
    /// Only what the host did wrong; whatever the guest does is in the [`Outcome`].
    fn invoke(&self, input: &[u8], call: &Call<'_>) -> Result<Outcome, Error>;

    /// How much memory it holds while loaded, in bytes: what a cache charges for it.
    fn size(&self) -> usize;

    /// What it shares with other instances, and that is held as long as one of them is: a cache charges
    /// for it once.
    fn shared(&self) -> Option<SharedPart> {
        None
    }

    /// Whether the artifact declares that it takes the op envelope (see [`crate::OpCall`]).
    fn takes_envelope(&self) -> bool {
        false
    }

    /// How much memory its runs may use where nobody says how much, in bytes, if that is more than is usual: what the operator has
    /// admitted says so, and no artifact of somebody else's.
    fn wanted_memory(&self) -> u64 {
        0
    }

    /// Whether [`Outcome::pure`] says of a run that takes the envelope also whether it looked at what its request is called
    /// ([`crate::Meta::rid`]).
    fn notes_request(&self) -> bool {
        false
    }

    /// What runs the artifact, for a record of a run to name; nothing where the engine does not say.
    fn origin(&self) -> Option<&Arc<Origin>> {
        None
    }
}

/// Something that several instances share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SharedPart {
    /// The same number for the same thing.
    pub id: usize,
    /// How much memory it holds, in bytes.
    pub size: usize,
}

/// How one call is to be made.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// What the run may use.
    pub bounds: &'a Bounds,
    /// When the call was accepted: the wall limit counts from here.
    pub accepted: Instant,
    /// The caller's wish to stop.
    pub cancel: Option<&'a Cancel>,
    /// Take the output as it is, and do not ask for JSON.
    pub raw: bool,
}

impl<'a> Call<'a> {
    /// A call accepted at this time, with JSON output, that nobody can cancel.
    #[must_use]
    pub const fn new(bounds: &'a Bounds, accepted: Instant) -> Self {
        Self { bounds, accepted, cancel: None, raw: false }
    }

    /// Why the call must end now, if it must: its caller cancelled it, or its wall limit is reached.
    #[must_use]
    pub fn must_stop(&self, now: Instant, phase: Phase) -> Option<Reason> {
        if self.cancel.is_some_and(Cancel::is_cancelled) {
            Some(Reason::Cancelled { phase })
        } else if now.saturating_duration_since(self.accepted) >= self.bounds.wall {
            Some(Reason::WallLimit { limit: self.bounds.wall, phase })
        } else {
            None
        }
    }

    /// When the wall limit is reached; `None` if that is beyond what the clock can say.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.accepted.checked_add(self.bounds.wall)
    }
}

/// What an engine is opened with.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// The most linear memory that any call may ask for, in bytes; absent or zero means the engine's
    /// default. For engines that bound memory when they are made.
    pub memory: Option<u64>,
    /// The engine's own settings. An engine refuses one that it does not know.
    pub settings: BTreeMap<String, serde_json::Value>,
}

impl EngineConfig {
    /// This configuration with one of the engine's own settings.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }
}
