//! The engine that gives back its input: for wiring tests and for seeing what a compute is sent.

use std::sync::Arc;
use std::time::Instant;

use crate::{Artifact, Call, Engine, Error, Failure, Instance, Load, Metrics, Outcome, Reason};

crate::register_engine!("identity", |_config| Ok(Arc::new(IdentityEngine) as Arc<dyn Engine>));

/// Echoes its input; empty input gives `{}`. The artifact's bytes are ignored.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdentityEngine;

#[derive(Debug)]
struct Identity;

impl Engine for IdentityEngine {
    fn load(&self, artifact: &Artifact, _load: &Load<'_>) -> Result<Arc<dyn Instance>, Error> {
        artifact.verify()?;
        Ok(Arc::new(Identity))
    }
}

impl Instance for Identity {
    fn invoke(&self, input: &[u8], call: &Call<'_>) -> Result<Outcome, Error> {
        let started = Instant::now();
        let input = if input.is_empty() { b"{}" } else { input };
        let result = if input.len() as u64 > call.bounds.output {
            Err(Failure::new(Reason::OutputLimit { limit: call.bounds.output }))
        } else {
            Ok(input.to_vec())
        };
        let mut metrics = Metrics { wall: call.accepted.elapsed(), ..Metrics::default() };
        metrics.phases.guest = started.elapsed();
        Ok(Outcome::new(*call.bounds, result, metrics))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
