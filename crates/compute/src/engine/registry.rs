//! The engines that are linked into a program, by name.

use std::sync::Arc;

use crate::{Engine, EngineConfig, Error, engine_name};

/// One engine that a crate offers; made by [`register_engine!`](crate::register_engine).
#[derive(Debug)]
pub struct EngineRegistration {
    /// The name that artifacts ask for.
    pub name: &'static str,
    /// Opens the engine.
    pub open: fn(&EngineConfig) -> Result<Arc<dyn Engine>, Error>,
}

inventory::collect!(EngineRegistration);

/// Offers an engine to every program that links the crate: its name, and the function that opens it.
///
/// A program links a crate when it names it: `use my_engine as _;` is enough.
///
/// ```
/// use std::sync::Arc;
/// use compute::{Engine, IdentityEngine};
///
/// compute::register_engine!("mirror", |_config| Ok(Arc::new(IdentityEngine) as Arc<dyn Engine>));
///
/// assert!(compute::engine_names().contains(&"mirror"));
/// ```
#[macro_export]
macro_rules! register_engine {
    ($name:expr, $open:expr) => {
        $crate::inventory::submit! {
            $crate::EngineRegistration { name: $name, open: $open }
        }
    };
}

/// The names of all engines linked in, sorted.
#[must_use]
pub fn engine_names() -> Vec<&'static str> {
    let mut names: Vec<_> =
        inventory::iter::<EngineRegistration>().map(|engine| engine.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Opens the engine of this name.
///
/// # Errors
/// [`Error::UnknownEngine`], with the names there are; [`Error::EngineConfig`] when the engine refuses
/// its configuration.
pub fn open_engine(name: &str, config: &EngineConfig) -> Result<Arc<dyn Engine>, Error> {
    let name = engine_name(name);
    let engine = inventory::iter::<EngineRegistration>()
        .find(|engine| engine.name == name)
        .ok_or_else(|| Error::UnknownEngine {
            name: name.to_owned(),
            known: engine_names().into_iter().map(str::to_owned).collect(),
        })?;
    (engine.open)(config)
}
