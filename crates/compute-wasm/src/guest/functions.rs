//! All functions that a guest can call.

use std::sync::OnceLock;

use wasmtime::{Engine, ExternType, Linker, Result, Store};

use super::state::State;
use super::{host, wasi};
use crate::module::{Offered, join_signature};

/// Defines every one of them.
pub(crate) fn define(linker: &mut Linker<State>) -> Result<()> {
    wasi::define(linker)?;
    host::define(linker)
}

/// What there is to import, with signatures as [`Shape`](crate::module::Shape) prints them.
pub(crate) fn offered() -> &'static Offered {
    static OFFERED: OnceLock<Offered> = OnceLock::new();
    OFFERED.get_or_init(list_offered)
}

/// A function that every sandbox has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct HostFunction {
    /// The namespace that it is imported from.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// Its type, as `(i32, i64) -> i32`.
    pub signature: String,
}

/// The functions that a module may import, sorted by namespace and name.
#[must_use]
pub fn host_functions() -> Vec<HostFunction> {
    let function = |((module, name), signature): (&(String, String), &String)| HostFunction {
        module: module.clone(),
        name: name.clone(),
        signature: signature.clone(),
    };
    let mut functions: Vec<_> = offered().iter().map(function).collect();
    functions.sort();
    functions
}

fn list_offered() -> Offered {
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    if define(&mut linker).is_err() {
        return Offered::new();
    }
    let bounds = compute::Limits::default().bounds();
    let call = compute::Call::new(&bounds, std::time::Instant::now());
    // Nothing is instantiated in it.
    let mut store = Store::new(&engine, State::new(&[], &call));
    let mut offered = Offered::new();
    let items: Vec<_> = linker
        .iter(&mut store)
        .map(|(module, name, item)| (module.to_owned(), name.to_owned(), item))
        .collect();
    for (module, name, item) in items {
        if let ExternType::Func(ty) = item.ty(&store) {
            let list = |types: Vec<String>| types.join(", ");
            let params = list(ty.params().map(|ty| ty.to_string()).collect());
            let results = list(ty.results().map(|ty| ty.to_string()).collect());
            offered.insert((module, name), join_signature(&params, &results));
        }
    }
    offered
}
