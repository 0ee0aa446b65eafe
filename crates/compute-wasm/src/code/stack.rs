//! The native stack that guests run on: one a thread, apart from the thread's own, which is whatever the program
//! that embeds the engine gave it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// What host functions may use below a guest's calls, in bytes.
const HOST_BYTES: usize = 1 << 20;
/// What nobody may touch, at the stack's end: a page of the largest kind.
const GUARD_BYTES: usize = 64 << 10;

thread_local! {
    /// This thread's stack, while nobody is on it.
    static KEPT: Cell<Option<Stack>> = const { Cell::new(None) };
}

/// Does this on a stack with room for a guest's `bytes` of calls, and for the host functions that it calls.
///
/// # Errors
/// If the machine gives no address space for a stack.
pub(crate) fn on_guest_stack<T>(bytes: u64, run: impl FnOnce() -> T) -> wasmtime::Result<T> {
    let size = usize::try_from(bytes)? + HOST_BYTES;
    let stack = match KEPT.take() {
        Some(stack) if stack.size >= size => stack,
        _ => Stack::new(size)?,
    };
    let mut result = None;
    let ran = stack.run(|| result = Some(run()));
    KEPT.set(Some(stack));
    match (ran, result) {
        (Ok(()), Some(result)) => Ok(result),
        (Err(panic), _) => resume_unwind(panic),
        (Ok(()), None) => Err(wasmtime::Error::msg("what was to run on the guest's stack did not")),
    }
}

/// Address space that becomes memory page by page as it is used.
struct Stack {
    base: *mut u8,
    size: usize,
}

impl Stack {
    fn new(size: usize) -> wasmtime::Result<Self> {
        let whole = size + GUARD_BYTES;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        #[expect(unsafe_code, reason = "a stack is mapped")]
        // SAFETY: no address is asked for, so nothing that is mapped already is replaced.
        let start =
            unsafe { mmap_anonymous(null_mut(), whole, ProtFlags::READ | ProtFlags::WRITE, flags) }
                .map_err(|error| {
                    wasmtime::Error::msg(format!("no address space for a stack: {error}"))
                })?;
        let stack = Self { base: start.cast::<u8>().wrapping_add(GUARD_BYTES), size };
        #[expect(unsafe_code, reason = "the stack's end is closed")]
        // SAFETY: these are the first bytes of what was mapped above, and nothing is in them.
        unsafe { mprotect(start, GUARD_BYTES, MprotectFlags::empty()) }.map_err(|error| {
            wasmtime::Error::msg(format!("cannot guard the end of a stack: {error}"))
        })?;
        Ok(stack)
    }

    /// Does this on the stack, and gives back what it panicked with.
    fn run(&self, run: impl FnOnce()) -> std::thread::Result<()> {
        #[expect(unsafe_code, reason = "the stack is changed")]
        // SAFETY: the memory is this stack's, readable and writable, aligned to pages, and nobody else is on it: it was
        // taken from its thread. No panic leaves the closure.
        unsafe {
            psm::on_stack(self.base, self.size, || catch_unwind(AssertUnwindSafe(run)))
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let start = self.base.wrapping_sub(GUARD_BYTES).cast();
        #[expect(unsafe_code, reason = "a stack is given back")]
        // SAFETY: it is what `new` mapped, whole, and nobody is on it: who is has taken it from its thread.
        let _ = unsafe { munmap(start, self.size + GUARD_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;

    use super::{HOST_BYTES, KEPT, on_guest_stack};

    /// Uses about 1 KiB a level.
    fn descend(levels: usize) -> usize {
        let room = std::hint::black_box([1_u8; 1024]);
        if levels == 0 { 0 } else { descend(levels - 1) + usize::from(room[levels % 1024]) }
    }

    #[test]
    fn a_small_thread_has_a_large_stack_for_guests() -> wasmtime::Result<()> {
        let small = std::thread::Builder::new().stack_size(128 << 10);
        let ran = small.spawn(|| on_guest_stack(8 << 20, || descend(4_000)));
        let ran = ran.map_err(|error| wasmtime::Error::msg(error.to_string()))?.join();
        assert!(matches!(ran, Ok(Ok(4_000))));
        Ok(())
    }

    #[test]
    fn a_panic_passes_and_the_stack_is_kept() {
        let panicked = std::panic::catch_unwind(|| {
            on_guest_stack(1 << 20, || resume_unwind(Box::new("as meant")))
        });
        let message = panicked.err().and_then(|panic| panic.downcast_ref::<&str>().copied());
        assert_eq!(message, Some("as meant"));
        let kept = KEPT.take();
        assert_eq!(kept.map(|stack| stack.size), Some((1 << 20) + HOST_BYTES));
    }

    #[test]
    fn what_runs_on_it_may_ask_for_another() {
        let nested = on_guest_stack(1 << 20, || on_guest_stack(1 << 20, || descend(100)).ok());
        assert!(matches!(nested, Ok(Some(100))));
    }
}
