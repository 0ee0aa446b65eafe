//! The files that a plugin's sandbox reads: a tree without writes, times and owners. Every other sandbox has none: no descriptor
//! but those of the streams is open.

use wasmtime::{Caller, Linker, Result};

use super::{Errno, Guest, MODULE, WasiResult, bounded, with};
use crate::guest::state::State;
use crate::guest::surroundings::{Node, Open, resolve};

/// The descriptor of the root.
const ROOT: i32 = 3;
const ROOT_NAME: &[u8] = b"/";
const FOLDER: u8 = 3;
const FILE: u8 = 4;
/// Nothing is known of it but that it is there: no file is another's.
const INODE: u64 = 1;
/// The longest path, in bytes.
const MOST_PATH: i32 = 4096;
/// How a file is opened to be made, or emptied, or as a folder.
const OPEN_CREATE: i32 = 1 << 0;
const OPEN_FOLDER: i32 = 1 << 1;
const OPEN_EMPTY: i32 = 1 << 3;
/// Reading, seeking, telling, reading folders, opening below, and asking for sizes.
const RIGHTS: u64 = 1 << 1 | 1 << 2 | 1 << 5 | 1 << 13 | 1 << 14 | 1 << 18 | 1 << 21;
const ENTRY_BYTES: usize = 24;

type C<'a> = Caller<'a, State>;

pub(super) fn define(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(MODULE, "fd_prestat_get", |mut caller: C<'_>, fd: i32, at: i32| {
        with(&mut caller, |guest| {
            guest.is_root(fd)?;
            let mut prestat = [0; 8];
            prestat[4..].copy_from_slice(&(ROOT_NAME.len() as u32).to_le_bytes());
            guest.write(at, &prestat)
        })
    })?;
    linker.func_wrap(
        MODULE,
        "fd_prestat_dir_name",
        |mut caller: C<'_>, fd: i32, at: i32, len: i32| {
            with(&mut caller, |guest| {
                guest.is_root(fd)?;
                let len = len.cast_unsigned() as usize;
                guest.write(at, ROOT_NAME.get(..len.min(ROOT_NAME.len())).unwrap_or_default())
            })
        },
    )?;
    linker.func_wrap(MODULE, "path_open", path_open)?;
    linker.func_wrap(
        MODULE,
        "path_filestat_get",
        |mut caller: C<'_>, fd: i32, _flags: i32, path: i32, len: i32, at: i32| {
            with(&mut caller, |guest| {
                let (_, node) = guest.find(fd, path, len)?;
                guest.write(at, &filestat(&node))
            })
        },
    )?;
    linker.func_wrap(MODULE, "fd_readdir", fd_readdir)?;
    linker.func_wrap(
        MODULE,
        "fd_seek",
        |mut caller: C<'_>, fd: i32, by: i64, whence: i32, at: i32| {
            with(&mut caller, |guest| {
                let Some(file) = guest.file(fd) else {
                    return guest.is_open(fd).and(Err(Errno::SPIPE));
                };
                let from = match whence {
                    0 => 0,
                    1 => file.at,
                    2 => size(&file.node),
                    _ => return Err(Errno::INVAL),
                };
                let to = from.checked_add_signed(by).ok_or(Errno::INVAL)?;
                guest.state.opened.get(fd).ok_or(Errno::ISDIR)?.at = to;
                guest.write(at, &to.to_le_bytes())
            })
        },
    )?;
    linker.func_wrap(MODULE, "fd_tell", |mut caller: C<'_>, fd: i32, at: i32| {
        with(&mut caller, |guest| match guest.file(fd) {
            Some(file) => guest.write(at, &file.at.to_le_bytes()),
            None => guest.is_open(fd).and(Err(Errno::SPIPE)),
        })
    })?;
    linker.func_wrap(
        MODULE,
        "fd_pread",
        |mut caller: C<'_>, fd: i32, buffers: i32, count: i32, from: i64, read: i32| {
            with(&mut caller, |guest| {
                if guest.file(fd).is_none() {
                    return guest.is_open(fd).and(Err(Errno::SPIPE));
                }
                guest.read_file(fd, Some(from.cast_unsigned()), buffers, bounded(count)?, read)
            })
        },
    )?;
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the function of preview 1 has so many")]
fn path_open(
    mut caller: C<'_>,
    fd: i32,
    _lookup: i32,
    path: i32,
    len: i32,
    how: i32,
    _rights: i64,
    _inherited: i64,
    _flags: i32,
    opened: i32,
) -> Result<i32> {
    with(&mut caller, |guest| {
        let found = guest.find(fd, path, len);
        if how & (OPEN_CREATE | OPEN_EMPTY) != 0 && !matches!(found, Err(Errno::BADF)) {
            return Err(Errno::ROFS);
        }
        let (path, node) = found?;
        if how & OPEN_FOLDER != 0 && matches!(node, Node::File(_)) {
            return Err(Errno::NOTDIR);
        }
        let fd = guest.state.opened.add(path, node).ok_or(Errno::MFILE)?;
        guest.write_u32(opened, fd.cast_unsigned())
    })
}

fn fd_readdir(
    mut caller: C<'_>,
    fd: i32,
    at: i32,
    len: i32,
    cookie: i64,
    used: i32,
) -> Result<i32> {
    with(&mut caller, |guest| {
        let Some(folder) = guest.file(fd) else {
            return guest.is_open(fd).and(Err(Errno::NOTDIR));
        };
        let around = guest.state.surroundings.clone().ok_or(Errno::BADF)?;
        if matches!(folder.node, Node::File(_)) {
            return Err(Errno::NOTDIR);
        }
        let (room, mut next) = (len.cast_unsigned() as usize, cookie.cast_unsigned());
        let skip = usize::try_from(next).map_err(|_| Errno::INVAL)?;
        let mut list = Vec::new();
        for (name, is_folder) in around.entries(&folder.path, skip) {
            next += 1;
            let mut entry = [0; ENTRY_BYTES];
            entry[..8].copy_from_slice(&next.to_le_bytes());
            entry[8..16].copy_from_slice(&INODE.to_le_bytes());
            entry[16..20].copy_from_slice(&(name.len() as u32).to_le_bytes());
            entry[20] = if is_folder { FOLDER } else { FILE };
            list.extend_from_slice(&entry);
            list.extend_from_slice(name.as_bytes());
            if list.len() >= room {
                break;
            }
        }
        list.truncate(room);
        guest.write(at, &list)?;
        guest.write_u32(used, u32::try_from(list.len()).map_err(|_| Errno::INVAL)?)
    })
}

/// What preview 1 says of a descriptor.
pub(super) fn fdstat(node: &Node) -> [u8; 24] {
    let mut stat = [0; 24];
    stat[0] = kind(node);
    stat[8..16].copy_from_slice(&RIGHTS.to_le_bytes());
    stat[16..].copy_from_slice(&RIGHTS.to_le_bytes());
    stat
}

/// What preview 1 says of a file.
pub(super) fn filestat(node: &Node) -> [u8; 64] {
    let mut stat = [0; 64];
    stat[8..16].copy_from_slice(&INODE.to_le_bytes());
    stat[16] = kind(node);
    stat[24..32].copy_from_slice(&1_u64.to_le_bytes());
    stat[32..40].copy_from_slice(&size(node).to_le_bytes());
    stat
}

const fn kind(node: &Node) -> u8 {
    match node {
        Node::Folder => FOLDER,
        Node::File(_) => FILE,
    }
}

fn size(node: &Node) -> u64 {
    match node {
        Node::Folder => 0,
        Node::File(bytes) => bytes.len() as u64,
    }
}

impl Guest<'_> {
    /// An open file or folder, the root among them.
    pub(super) fn file(&mut self, fd: i32) -> Option<Open> {
        if self.is_root(fd).is_ok() {
            return Some(Open { path: String::new(), node: Node::Folder, at: 0 });
        }
        self.state.opened.get(fd).cloned()
    }

    fn is_root(&self, fd: i32) -> WasiResult {
        let has_files = self.state.surroundings.as_ref().is_some_and(|around| around.has_files());
        if has_files && fd == ROOT { Ok(()) } else { Err(Errno::BADF) }
    }

    /// What stands at a path below an open folder.
    fn find(&mut self, fd: i32, path: i32, len: i32) -> std::result::Result<(String, Node), Errno> {
        let Some(folder) = self.file(fd) else {
            return Err(self.is_open(fd).map_or_else(|error| error, |()| Errno::NOTDIR));
        };
        if len.cast_unsigned() > MOST_PATH.cast_unsigned() {
            return Err(Errno::INVAL);
        }
        let path = std::str::from_utf8(self.slice(path, len)?).map_err(|_| Errno::NOENT)?;
        let path = resolve(&folder.path, path).ok_or(Errno::NOENT)?;
        let around = self.state.surroundings.as_ref().ok_or(Errno::BADF)?;
        let node = around.node(&path).cloned().ok_or(Errno::NOENT)?;
        Ok((path, node))
    }

    /// Reads a file into buffers, from where it is or from an offset.
    pub(super) fn read_file(
        &mut self,
        fd: i32,
        from: Option<u64>,
        buffers: i32,
        count: u32,
        read: i32,
    ) -> WasiResult {
        let open = self.file(fd).ok_or(Errno::BADF)?;
        let Node::File(bytes) = &open.node else { return Err(Errno::ISDIR) };
        let start = usize::try_from(from.unwrap_or(open.at)).unwrap_or(usize::MAX);
        let mut left = bytes.get(start..).unwrap_or_default();
        let mut total = 0_u32;
        for number in 0..count {
            let (at, len) = self.buffer(buffers, number)?;
            let (now, later) = left.split_at(left.len().min(len as usize));
            self.write(at.cast_signed(), now)?;
            total = total.checked_add(now.len() as u32).ok_or(Errno::INVAL)?;
            left = later;
        }
        if from.is_none()
            && let Some(open) = self.state.opened.get(fd)
        {
            open.at = open.at.saturating_add(u64::from(total));
        }
        self.write_u32(read, total)
    }
}
