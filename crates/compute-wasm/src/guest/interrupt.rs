//! What happens each millisecond that a guest runs: it goes on, is asked to say where it is, or is stopped.

use wasmtime::{StoreContextMut, UpdateDeadline};

use super::state::State;
use super::stop::Stop;

/// Called each millisecond that a guest runs.
pub(crate) fn tick(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    match store.data().go_on() {
        Ok(()) => {}
        // A guest that can say where it is may do so, for a moment.
        Err(Stop::Wall) if store.data().can_say_where() && store.data().grace > 0 => {
            store.data_mut().grace -= 1;
            ask_to_stop(&mut store);
        }
        Err(stop) => return Err(stop.into()),
    }
    Ok(UpdateDeadline::Continue(1))
}

fn ask_to_stop(store: &mut StoreContextMut<'_, State>) {
    // Once: what it does then would be interrupted again.
    let interrupts = std::mem::take(&mut store.data_mut().interrupts);
    let state = store.data();
    let Some(memory) = state.memory else { return };
    let flag = state.interrupt_flag;
    let memory = memory.data_mut(&mut *store);
    for interrupt in interrupts {
        interrupt.set(memory);
    }
    let Some(at) = flag else { return };
    // The flag, then the address of the countdown to when the guest next looks at it.
    let countdown = memory.get(at + 4..).and_then(<[u8]>::first_chunk).copied();
    let countdown = countdown.map_or(0, u32::from_le_bytes) as usize;
    for place in [at, countdown].into_iter().filter(|place| *place != 0) {
        if let Some(word) = memory.get_mut(place..).and_then(<[u8]>::first_chunk_mut) {
            *word = 1_u32.to_le_bytes();
        }
    }
}
