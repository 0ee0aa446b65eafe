//! The three streams a sandbox has: stdin is the input, stdout the output, stderr the log.

use wasmtime::{Caller, Linker, Result};

use super::{Errno, Guest, MODULE, WasiResult, bounded, errno, files, with};
use crate::guest::state::State;

const STDIN: i32 = 0;
const STDOUT: i32 = 1;

const RIGHT_FD_READ: u64 = 1 << 1;
const RIGHT_FD_WRITE: u64 = 1 << 6;
const RIGHT_FD_FILESTAT_GET: u64 = 1 << 21;
const RIGHT_POLL_FD_READWRITE: u64 = 1 << 27;

pub(super) fn define(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(MODULE, "fd_read", fd_read)?;
    linker.func_wrap(MODULE, "fd_write", fd_write)?;
    linker.func_wrap(MODULE, "fd_fdstat_get", fd_fdstat_get)?;
    linker.func_wrap(MODULE, "fd_filestat_get", fd_filestat_get)?;
    linker.func_wrap(MODULE, "fd_close", |mut caller: C<'_>, fd: i32| {
        with(&mut caller, |guest| {
            if guest.state.opened.close(fd) {
                return Ok(());
            }
            guest.is_open(fd)?;
            guest.state.open[fd.cast_unsigned() as usize] = false;
            Ok(())
        })
    })?;

    // Streams are neither stored nor sought in.
    for name in ["fd_datasync", "fd_sync"] {
        linker.func_wrap(MODULE, name, |c: C<'_>, fd: i32| on_stream(c, fd, Ok(())))?;
    }
    linker.func_wrap(MODULE, "fd_fdstat_set_flags", |c: C<'_>, fd: i32, _flags: i32| {
        on_stream(c, fd, Ok(()))
    })?;
    linker.func_wrap(MODULE, "fd_fdstat_set_rights", |c: C<'_>, fd: i32, _: i64, _: i64| {
        on_stream(c, fd, Err(Errno::NOTSUP))
    })?;
    linker.func_wrap(MODULE, "fd_filestat_set_size", |c: C<'_>, fd: i32, _: i64| {
        on_stream(c, fd, Err(Errno::INVAL))
    })?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_set_times",
        |c: C<'_>, fd: i32, _: i64, _: i64, _: i32| on_stream(c, fd, Err(Errno::NOTSUP)),
    )?;
    linker.func_wrap(MODULE, "fd_renumber", |c: C<'_>, fd: i32, _to: i32| {
        on_stream(c, fd, Err(Errno::NOTSUP))
    })?;
    linker.func_wrap(MODULE, "fd_advise", |c: C<'_>, fd: i32, _: i64, _: i64, _: i32| {
        on_stream(c, fd, Err(Errno::SPIPE))
    })?;
    linker.func_wrap(MODULE, "fd_allocate", |c: C<'_>, fd: i32, _: i64, _: i64| {
        on_stream(c, fd, Err(Errno::SPIPE))
    })?;
    linker.func_wrap(
        MODULE,
        "fd_pwrite",
        |c: C<'_>, fd: i32, _: i32, _: i32, _: i64, _: i32| on_stream(c, fd, Err(Errno::SPIPE)),
    )?;
    Ok(())
}

type C<'a> = Caller<'a, State>;

/// The same answer for each open stream.
fn on_stream(mut caller: C<'_>, fd: i32, answer: WasiResult) -> Result<i32> {
    with(&mut caller, |guest| {
        // What is there is read only.
        guest.file(fd).map_or_else(|| guest.is_open(fd).and(answer), |_| Err(Errno::ROFS))
    })
}

fn fd_read(mut caller: C<'_>, fd: i32, buffers: i32, count: i32, size: i32) -> Result<i32> {
    with(&mut caller, |guest| {
        if guest.file(fd).is_some() {
            return guest.read_file(fd, None, buffers, bounded(count)?, size);
        }
        guest.is_open(fd)?;
        if fd != STDIN {
            return Err(Errno::BADF);
        }
        let mut total = 0;
        for at in 0..bounded(count)? {
            let (start, len) = guest.buffer(buffers, at)?;
            let left = guest.state.input.len() - guest.state.read;
            let len = left.min(len as usize);
            let Guest { memory, state } = guest;
            let target = memory.get_mut(start as usize..).and_then(|rest| rest.get_mut(..len));
            target.ok_or(Errno::FAULT)?.copy_from_slice(&state.input[state.read..state.read + len]);
            state.read += len;
            total += len;
        }
        guest.write_u32(size, u32::try_from(total).map_err(|_| Errno::INVAL)?)
    })
}

fn fd_write(mut caller: C<'_>, fd: i32, buffers: i32, count: i32, size: i32) -> Result<i32> {
    let mut guest = Guest::of(&mut caller)?;
    let listed = guest.is_open(fd).and(if fd == STDIN { Err(Errno::BADF) } else { bounded(count) });
    let count = match listed {
        Ok(count) => count,
        Err(error) => return Ok(error.0),
    };
    let mut total = 0_u32;
    for at in 0..count {
        let found = guest.buffer(buffers, at).and_then(|(start, len)| {
            let end = start.checked_add(len).ok_or(Errno::FAULT)?;
            total = total.checked_add(len).ok_or(Errno::INVAL)?;
            guest.memory.get(start as usize..end as usize).ok_or(Errno::FAULT)
        });
        match found {
            Ok(bytes) if fd == STDOUT => guest.state.write_output(bytes)?,
            Ok(bytes) => guest.state.write_log(bytes),
            Err(error) => return Ok(error.0),
        }
    }
    Ok(errno(guest.write_u32(size, total)))
}

fn fd_fdstat_get(mut caller: C<'_>, fd: i32, at: i32) -> Result<i32> {
    with(&mut caller, |guest| {
        if let Some(file) = guest.file(fd) {
            return guest.write(at, &files::fdstat(&file.node));
        }
        guest.is_open(fd)?;
        let way = if fd == STDIN { RIGHT_FD_READ } else { RIGHT_FD_WRITE };
        let rights = way | RIGHT_FD_FILESTAT_GET | RIGHT_POLL_FD_READWRITE;
        // The file type stays 0, unknown: neither a terminal nor a file.
        let mut stat = [0; 24];
        stat[8..16].copy_from_slice(&rights.to_le_bytes());
        guest.write(at, &stat)
    })
}

fn fd_filestat_get(mut caller: C<'_>, fd: i32, at: i32) -> Result<i32> {
    with(&mut caller, |guest| {
        if let Some(file) = guest.file(fd) {
            return guest.write(at, &files::filestat(&file.node));
        }
        guest.is_open(fd)?;
        guest.write(at, &[0; 64])
    })
}
