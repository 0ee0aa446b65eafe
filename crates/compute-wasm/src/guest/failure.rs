//! From what wasmtime says of a run that ended early to the reason a caller is given.

use compute::{Call, Phase, Reason};
use wasmtime::{Trap, WasmBacktrace};

use super::state::State;
use super::stop::Stop;

/// How many of the guest's functions a failure names.
const FRAMES: usize = 8;
/// How much of a function's name it shows, in characters.
const FRAME_NAME: usize = 80;

/// What keeps a sandbox from being made that is neither the guest's doing nor a limit's: the message of
/// what does not fit. What the host lacks stays the host's error.
pub(crate) fn unlinked(error: wasmtime::Error) -> wasmtime::Error {
    let is_other = error.is::<Trap>()
        || error.is::<Stop>()
        || error.is::<wasmtime::PoolConcurrencyLimitError>()
        || error.chain().any(|cause| cause.is::<std::io::Error>());
    if is_other { error } else { Stop::Unlinked(format!("{error:#}")).into() }
}

/// The reason of a run that ended with this error, or `None` if it is the host's failure.
pub(crate) fn reason(
    error: &wasmtime::Error,
    state: &State,
    call: &Call<'_>,
    phase: Phase,
    stack: u64,
) -> Option<Reason> {
    let bounds = call.bounds;
    let own = match error.downcast_ref::<Stop>() {
        Some(Stop::Exit(code)) => Some(Reason::Exit { code: *code }),
        Some(Stop::Output) => return Some(Reason::OutputLimit { limit: bounds.output }),
        Some(Stop::Wall) => return Some(Reason::WallLimit { limit: bounds.wall, phase }),
        Some(Stop::Cancelled) => return Some(Reason::Cancelled { phase }),
        Some(Stop::Failed) => Some(Reason::Exit { code: 1 }),
        Some(Stop::BadCall { function, problem }) => {
            return Some(Reason::BadCall { function: function.clone(), problem: problem.clone() });
        }
        Some(stop @ (Stop::Unlinked(_) | Stop::NoMemory)) => {
            Some(Reason::Trap { message: stop.to_string(), frames: Vec::new() })
        }
        None => None,
    };
    if state.go_on() == Err(Stop::Wall) && state.thrown.is_some() {
        // It was asked to stop, and said where it was.
        return Some(Reason::WallLimit { limit: bounds.wall, phase });
    }
    let thrown = state.thrown.as_ref().map(|thrown| Reason::Thrown {
        name: thrown.name.clone(),
        message: thrown.message.clone(),
    });
    let own = match (own, error.downcast_ref::<Trap>()) {
        (Some(exit), _) => thrown.or(Some(exit)),
        (None, Some(Trap::OutOfFuel)) => {
            return Some(Reason::FuelLimit { limit: bounds.fuel.unwrap_or_default() });
        }
        (None, Some(Trap::StackOverflow)) => {
            return Some(Reason::StackLimit { limit: stack, frames: frames(error, state) });
        }
        (None, Some(trap)) => {
            let message = trap.to_string();
            let message = message.strip_prefix("wasm trap: ").unwrap_or(&message).to_owned();
            thrown.or_else(|| Some(Reason::Trap { message, frames: frames(error, state) }))
        }
        (None, None) => None,
    };
    // A sandbox that cannot even be made did nothing else wrong.
    let unmade = matches!(error.downcast_ref::<Stop>(), Some(Stop::Unlinked(_)));
    let then = |unbegun: &str| match &own {
        Some(own) if !unmade => own.to_string(),
        Some(_) => String::new(),
        None => unbegun.to_owned(),
    };
    if state.memory_bytes.refused {
        Some(Reason::MemoryLimit { limit: bounds.memory, then: then(UNBEGUN) })
    } else if state.table_elements.refused {
        Some(Reason::TableLimit { limit: bounds.table_elements, then: then("") })
    } else {
        own
    }
}

/// What became of a guest that was refused memory before it did anything.
const UNBEGUN: &str = "was not begun: what it begins with is more than that. An op in Python says what it needs, such as @op(memory=\"512MiB\")";

/// The guest's functions that were running, innermost first. Those of a plugin are not the author's.
fn frames(error: &wasmtime::Error, state: &State) -> Vec<String> {
    if state.is_on_plugin() {
        return Vec::new();
    }
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let name = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        Some(name) => name.chars().take(FRAME_NAME).collect(),
        None => format!("function {}", frame.func_index()),
    };
    trace.frames().iter().take(FRAMES).map(name).collect()
}
