//! How a crate adds an engine: all of it is here. ARCHITECTURE.md points to this file.

use std::sync::Arc;

use compute::{Artifact, Call, Engine, Error, Instance, Load, Metrics, Outcome};

compute::register_engine!("reverse", |_config| Ok(Arc::new(Reverse) as Arc<dyn Engine>));

/// Gives back its input's bytes in reverse order.
struct Reverse;

impl Engine for Reverse {
    fn load(&self, artifact: &Artifact, _: &Load<'_>) -> Result<Arc<dyn Instance>, Error> {
        artifact.verify()?;
        Ok(Arc::new(Self))
    }
}

impl Instance for Reverse {
    fn invoke(&self, input: &[u8], call: &Call<'_>) -> Result<Outcome, Error> {
        let output = input.iter().rev().copied().collect();
        Ok(Outcome::new(*call.bounds, Ok(output), Metrics::default()))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
