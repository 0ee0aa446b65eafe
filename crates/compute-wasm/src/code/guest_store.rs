//! The only way to a store in which guests run.
//!
//! A guest sees its deadline because a ticker interrupts it, and a ticker sleeps while nobody says that
//! something runs. So a store is made together with what keeps the ticker running, and whatever instantiates a
//! module asks for both ([`super::prepared`]): a guest without a deadline cannot be written down.

use std::ops::{Deref, DerefMut};

use wasmtime::{Result, Store};

use super::profile::ProfileEngines;
use super::ticker::Running;
use crate::guest::{State, tick};

/// A store for guests, and the ticker that interrupts them.
pub(crate) struct GuestStore<'a> {
    store: Store<State>,
    /// Dropped last: what ends with the store is still interrupted.
    running: Running<'a>,
}

impl<'a> GuestStore<'a> {
    /// A store in one of a profile's shards, with this much fuel where the profile counts it.
    pub(crate) fn new(
        engines: &'a ProfileEngines,
        shard: usize,
        state: State,
        fuel: Option<u64>,
    ) -> Result<Self> {
        let running = engines.ticker().running().map_err(|error| {
            wasmtime::format_err!("the thread that interrupts guests cannot be started: {error}")
        })?;
        let mut store = Store::new(&engines.shard(shard)?.engine, state);
        store.limiter(|state| state);
        store.epoch_deadline_callback(tick);
        store.set_epoch_deadline(1);
        if let Some(fuel) = fuel {
            store.set_fuel(fuel)?;
        }
        Ok(Self { store, running })
    }

    /// What the host kept for the sandbox, once its guests are gone.
    pub(crate) fn into_data(self) -> State {
        let Self { store, running } = self;
        let state = store.into_data();
        drop(running);
        state
    }
}

impl Deref for GuestStore<'_> {
    type Target = Store<State>;

    fn deref(&self) -> &Store<State> {
        &self.store
    }
}

impl DerefMut for GuestStore<'_> {
    fn deref_mut(&mut self) -> &mut Store<State> {
        &mut self.store
    }
}
