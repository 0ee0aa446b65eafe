//! Every implementation passes the suite.

use std::sync::Arc;

use compute_state::{FileBindings, LocalState, State, conformance};

use crate::memory::{MemoryBindings, MemoryState};

#[test]
fn a_folder_passes() {
    conformance::all(&mut |quotas| {
        let folder = tempfile::tempdir().unwrap();
        let open = move || LocalState::new(folder.path().join("state")).with_quotas(quotas);
        Box::new(move || Arc::new(open()) as Arc<dyn State>)
    });
}

#[test]
fn memory_passes() {
    conformance::all(&mut |quotas| {
        let state = MemoryState::new(quotas);
        Box::new(move || Arc::new(state.clone()) as Arc<dyn State>)
    });
}

#[test]
fn bindings_pass_in_a_file_and_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    conformance::bindings(&FileBindings::new(folder.path().join("deep/plugins.json")));
    conformance::bindings(&MemoryBindings::default());
}
