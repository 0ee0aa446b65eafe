//! WASI preview 1, all of it: what the sandbox has works, what it lacks answers with its errno.
//!
//! Types, errno values and layouts are those of the WASI preview-1 witx
//! (`wasi_snapshot_preview1.witx`, `typenames.witx`).

mod files;
mod io;
mod time;

use wasmtime::{Caller, Linker, Result};

use super::caller::Guest;
use super::state::State;
use super::stop::Stop;
use crate::module::WASI as MODULE;

/// The program's only argument, its name.
const ARGUMENT: &[u8] = b"compute\0";
/// The most buffers that one read or write may name, as POSIX has it on Linux (`IOV_MAX`).
const MAX_BUFFERS: u32 = 1024;
/// How many bytes of randomness are made between two looks at the deadline.
const RANDOM_STEP: usize = 64 << 10;

/// An errno, by its number in the witx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Errno(i32);

impl Errno {
    const BADF: Self = Self(8);
    const ISDIR: Self = Self(31);
    const MFILE: Self = Self(33);
    const NOENT: Self = Self(44);
    const ROFS: Self = Self(69);
    const FAULT: Self = Self(21);
    const INVAL: Self = Self(28);
    const NOSYS: Self = Self(52);
    const NOTDIR: Self = Self(54);
    const NOTSOCK: Self = Self(57);
    const NOTSUP: Self = Self(58);
    const SPIPE: Self = Self(70);
}

/// One buffer of a read or a write: where it is, and how long.
type Buffer = (u32, u32);

type WasiResult = std::result::Result<(), Errno>;

/// What a preview-1 function returns to the guest.
fn errno(result: WasiResult) -> i32 {
    result.map_or_else(|errno| errno.0, |()| 0)
}

impl Guest<'_> {
    fn slice(&mut self, at: i32, len: i32) -> std::result::Result<&mut [u8], Errno> {
        let (at, len) = (at.cast_unsigned() as usize, len.cast_unsigned() as usize);
        let end = at.checked_add(len).ok_or(Errno::FAULT)?;
        self.memory.get_mut(at..end).ok_or(Errno::FAULT)
    }

    fn array<const N: usize>(&self, at: u32) -> std::result::Result<[u8; N], Errno> {
        let bytes = self.memory.get(at as usize..).and_then(<[u8]>::first_chunk);
        bytes.copied().ok_or(Errno::FAULT)
    }

    fn u32(&self, at: u32) -> std::result::Result<u32, Errno> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: u32) -> std::result::Result<u64, Errno> {
        self.array(at).map(u64::from_le_bytes)
    }

    fn write(&mut self, at: i32, bytes: &[u8]) -> WasiResult {
        let len = i32::try_from(bytes.len()).map_err(|_| Errno::FAULT)?;
        self.slice(at, len)?.copy_from_slice(bytes);
        Ok(())
    }

    fn write_u32(&mut self, at: i32, value: u32) -> WasiResult {
        self.write(at, &value.to_le_bytes())
    }

    /// One of the buffers of a read or a write.
    fn buffer(&self, list: i32, at: u32) -> std::result::Result<Buffer, Errno> {
        let entry = list.cast_unsigned().checked_add(at * 8).ok_or(Errno::FAULT)?;
        let [start, len] = [entry, entry.checked_add(4).ok_or(Errno::FAULT)?];
        Ok((self.u32(start)?, self.u32(len)?))
    }

    /// Whether this is an open descriptor. There are stdin, stdout and stderr, and never others.
    fn is_open(&self, fd: i32) -> WasiResult {
        let open = usize::try_from(fd).ok().and_then(|fd| self.state.open.get(fd));
        if open == Some(&true) { Ok(()) } else { Err(Errno::BADF) }
    }
}

/// How many buffers a read or a write names, if they are not too many.
fn bounded(count: i32) -> std::result::Result<u32, Errno> {
    let count = count.cast_unsigned();
    if count > MAX_BUFFERS { Err(Errno::INVAL) } else { Ok(count) }
}

/// Runs a function of preview 1 against the guest's memory.
fn with(
    caller: &mut Caller<'_, State>,
    work: impl FnOnce(&mut Guest<'_>) -> WasiResult,
) -> Result<i32> {
    Ok(errno(work(&mut Guest::of(caller)?)))
}

/// Defines every function of preview 1.
pub(super) fn define(linker: &mut Linker<State>) -> Result<()> {
    define_process(linker)?;
    define_absent(linker)?;
    files::define(linker)?;
    io::define(linker)?;
    time::define(linker)
}

fn define_process(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "args_sizes_get",
        |mut caller: Caller<'_, State>, count: i32, size: i32| {
            with(&mut caller, |guest| {
                guest.write_u32(count, 1)?;
                guest.write_u32(size, ARGUMENT.len() as u32)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "args_get",
        |mut caller: Caller<'_, State>, list: i32, text: i32| {
            with(&mut caller, |guest| {
                guest.write_u32(list, text.cast_unsigned())?;
                guest.write(text, ARGUMENT)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "environ_sizes_get",
        |mut caller: Caller<'_, State>, count: i32, size: i32| {
            with(&mut caller, |guest| {
                let around = guest.state.surroundings.as_ref();
                let (variables, bytes) =
                    around.map_or((0, 0), |all| (all.variables, all.environment.len()));
                guest.write_u32(count, variables)?;
                guest.write_u32(size, u32::try_from(bytes).map_err(|_| Errno::INVAL)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "environ_get",
        |mut caller: Caller<'_, State>, list: i32, text: i32| {
            with(&mut caller, |guest| {
                let Some(around) = guest.state.surroundings.clone() else { return Ok(()) };
                let (mut list, mut text) = (list, text);
                for variable in around.environment.split_inclusive(|byte| *byte == 0) {
                    guest.write_u32(list, text.cast_unsigned())?;
                    guest.write(text, variable)?;
                    let size = i32::try_from(variable.len()).map_err(|_| Errno::FAULT)?;
                    list = list.checked_add(4).ok_or(Errno::FAULT)?;
                    text = text.checked_add(size).ok_or(Errno::FAULT)?;
                }
                Ok(())
            })
        },
    )?;
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> Result<()> {
        Err(Stop::Exit(code).into())
    })?;
    linker.func_wrap(MODULE, "proc_raise", |_signal: i32| Errno::NOSYS.0)?;
    linker.func_wrap(MODULE, "sched_yield", || 0_i32)?;
    linker.func_wrap(
        MODULE,
        "random_get",
        |mut caller: Caller<'_, State>, at: i32, len: i32| -> Result<i32> {
            let Guest { memory, state } = Guest::of(&mut caller)?;
            let (at, len) = (at.cast_unsigned() as usize, len.cast_unsigned() as usize);
            let Some(bytes) = at.checked_add(len).and_then(|end| memory.get_mut(at..end)) else {
                return Ok(Errno::FAULT.0);
            };
            // Who asks for no bytes has looked, too: so a plugin says that an op looks at what is its request's own.
            state.fill_random(&mut []);
            for step in bytes.chunks_mut(RANDOM_STEP) {
                state.fill_random(step);
                state.go_on()?;
            }
            Ok(0)
        },
    )?;
    Ok(())
}

/// The functions for what no sandbox has: files that are written, and sockets. An open descriptor is
/// stdin, stdout or stderr, so it is the wrong kind of thing, or a plugin's file; any other is not open.
fn define_absent(linker: &mut Linker<State>) -> Result<()> {
    fn answer(mut caller: Caller<'_, State>, fd: i32, open: Errno) -> Result<i32> {
        with(&mut caller, |guest| {
            // What is there is read only.
            guest.file(fd).map_or_else(|| guest.is_open(fd).and(Err(open)), |_| Err(Errno::ROFS))
        })
    }
    type C<'a> = Caller<'a, State>;

    for name in ["path_create_directory", "path_remove_directory", "path_unlink_file"] {
        linker.func_wrap(MODULE, name, |c: C<'_>, fd: i32, _: i32, _: i32| {
            answer(c, fd, Errno::NOTDIR)
        })?;
    }
    linker.func_wrap(
        MODULE,
        "path_filestat_set_times",
        |c: C<'_>, fd: i32, _: i32, _: i32, _: i32, _: i64, _: i64, _: i32| {
            answer(c, fd, Errno::NOTDIR)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_link",
        |c: C<'_>, fd: i32, _: i32, _: i32, _: i32, _: i32, _: i32, _: i32| {
            answer(c, fd, Errno::NOTDIR)
        },
    )?;
    for name in ["path_readlink", "path_rename"] {
        linker.func_wrap(
            MODULE,
            name,
            |c: C<'_>, fd: i32, _: i32, _: i32, _: i32, _: i32, _: i32| {
                answer(c, fd, Errno::NOTDIR)
            },
        )?;
    }
    linker.func_wrap(
        MODULE,
        "path_symlink",
        |c: C<'_>, _: i32, _: i32, fd: i32, _: i32, _: i32| answer(c, fd, Errno::NOTDIR),
    )?;

    linker.func_wrap(MODULE, "sock_accept", |c: C<'_>, fd: i32, _: i32, _: i32| {
        answer(c, fd, Errno::NOTSOCK)
    })?;
    linker.func_wrap(
        MODULE,
        "sock_recv",
        |c: C<'_>, fd: i32, _: i32, _: i32, _: i32, _: i32, _: i32| answer(c, fd, Errno::NOTSOCK),
    )?;
    linker.func_wrap(
        MODULE,
        "sock_send",
        |c: C<'_>, fd: i32, _: i32, _: i32, _: i32, _: i32| answer(c, fd, Errno::NOTSOCK),
    )?;
    linker.func_wrap(MODULE, "sock_shutdown", |c: C<'_>, fd: i32, _: i32| {
        answer(c, fd, Errno::NOTSOCK)
    })?;
    Ok(())
}
