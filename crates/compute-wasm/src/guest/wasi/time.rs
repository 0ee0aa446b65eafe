//! The clocks' functions, and waiting, which takes no time.

use wasmtime::{Caller, Linker, Result};

use super::{Errno, Guest, MODULE, WasiResult, with};
use crate::guest::clock::STEP;
use crate::guest::state::State;

/// The most subscriptions that one poll may name.
const MAX_SUBSCRIPTIONS: u32 = 4096;

const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: usize = 32;
const EVENT_CLOCK: u8 = 0;
const EVENT_FD_READ: u8 = 1;
const EVENT_FD_WRITE: u8 = 2;
const FLAG_ABSOLUTE: u8 = 1;

pub(super) fn define(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "clock_res_get",
        |mut caller: Caller<'_, State>, clock: i32, at: i32| {
            with(&mut caller, |guest| {
                guest.state.clock.show(clock.cast_unsigned()).ok_or(Errno::INVAL)?;
                guest.write(at, &STEP.to_le_bytes())
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |mut caller: Caller<'_, State>, clock: i32, _precision: i64, at: i32| {
            with(&mut caller, |guest| {
                let time = guest.state.clock.read(clock.cast_unsigned()).ok_or(Errno::INVAL)?;
                guest.write(at, &time.to_le_bytes())
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "poll_oneoff",
        |mut caller: Caller<'_, State>,
         subscriptions: i32,
         events: i32,
         count: i32,
         stored: i32| {
            with(&mut caller, |guest| {
                let subscriptions = read_subscriptions(guest, subscriptions, count)?;
                poll(guest, &subscriptions, events, stored)
            })
        },
    )?;
    Ok(())
}

struct Subscription {
    userdata: u64,
    kind: u8,
    /// For a clock, when on the monotonic clock it is due; for a stream, at once.
    due: std::result::Result<u64, Errno>,
}

fn read_subscriptions(
    guest: &mut Guest<'_>,
    list: i32,
    count: i32,
) -> std::result::Result<Vec<Subscription>, Errno> {
    let count = count.cast_unsigned();
    if count == 0 || count > MAX_SUBSCRIPTIONS {
        return Err(Errno::INVAL);
    }
    (0..count)
        .map(|index| {
            let offset = |by: u32| list.cast_unsigned().checked_add(by).ok_or(Errno::FAULT);
            let base = index * SUBSCRIPTION_BYTES;
            let userdata = guest.u64(offset(base)?)?;
            let [kind] = guest.array(offset(base + 8)?)?;
            let id = guest.u32(offset(base + 16)?)?;
            let due = match kind {
                EVENT_CLOCK => {
                    let timeout = guest.u64(offset(base + 24)?)?;
                    let [flags] = guest.array(offset(base + 40)?)?;
                    let due = guest.state.clock.due(id, timeout, flags & FLAG_ABSOLUTE != 0);
                    due.ok_or(Errno::INVAL)
                }
                EVENT_FD_READ | EVENT_FD_WRITE => {
                    guest.is_open(id.cast_signed()).map(|()| guest.state.clock.elapsed)
                }
                _ => return Err(Errno::INVAL),
            };
            Ok(Subscription { userdata, kind, due })
        })
        .collect()
}

/// Moves time on to what is due first, and reports all that is due by then. Nothing waits.
fn poll(guest: &mut Guest<'_>, list: &[Subscription], events: i32, stored: i32) -> WasiResult {
    let now = guest.state.clock.elapsed;
    let first = list.iter().map(|one| one.due.unwrap_or(now)).min().unwrap_or(now).max(now);
    guest.state.clock.elapsed = first;
    let due = list.iter().filter(|one| one.due.is_ok_and(|due| due <= first) || one.due.is_err());
    let mut count = 0;
    for subscription in due {
        let mut event = [0; EVENT_BYTES];
        event[..8].copy_from_slice(&subscription.userdata.to_le_bytes());
        if let Err(Errno(errno)) = subscription.due {
            event[8..10].copy_from_slice(&errno.to_le_bytes()[..2]);
        }
        event[10] = subscription.kind;
        if subscription.kind == EVENT_FD_READ {
            let left = guest.state.input.len() - guest.state.read;
            event[16..24].copy_from_slice(&(left as u64).to_le_bytes());
        }
        let at = events.cast_unsigned().checked_add(count * EVENT_BYTES as u32);
        guest.write(at.ok_or(Errno::FAULT)?.cast_signed(), &event)?;
        count += 1;
    }
    guest.write_u32(stored, count)
}
