//! Compiled code kept on disk between processes.
//!
//! Loading altered machine code would run whatever it says, outside every sandbox. So each file ends
//! with a MAC under a key that only this user of this machine has; whatever does not match it is
//! compiled again, silently. A failure to read or write here never fails a call.
//!
//! A large file is not read whole each time: beside it stands a stamp, with a MAC over what the file system says of the file once it was
//! read and found right. Who changes the file changes that.
//!
//! Files of nobody are in the folder itself, and each tenant's in one below it. Whoever has most gives up
//! first: a tenant that keeps much, or uploads and deletes, does not take away what others run.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use compute::Ref;
use tempfile::NamedTempFile;

use super::profile::ProfileEngines;

const KEY_FILE: &str = "machine.key";
const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = blake3::OUT_LEN;
/// What holes in a file are made of.
const PAGE: usize = 4096;
static ZEROS: [u8; PAGE] = [0; PAGE];
/// How much is read at once.
const READ_BYTES: usize = 256 << 10;
/// The ending of files that hold code, and of the stamps beside them.
const CODE: &str = "code";
const STAMP: &str = "seen";
/// From which size on files have stamps: reading less takes no time.
const STAMPED: u64 = 1 << 20;

/// What a file's code was made from.
#[derive(Debug)]
pub(crate) struct Compiled<'a> {
    pub(crate) reference: &'a Ref,
    /// Which part of the artifact, and by which version of the maker: a word for a file's name.
    pub(crate) part: String,
}

#[derive(Debug)]
pub(crate) struct DiskCache {
    folder: PathBuf,
    capacity: u64,
    /// The key, once it was read or made; another if the file has another by now.
    key: Mutex<Option<[u8; KEY_BYTES]>>,
}

impl DiskCache {
    pub(crate) fn new(folder: &Path, capacity: u64) -> Self {
        Self { folder: folder.to_owned(), capacity, key: Mutex::new(None) }
    }

    /// The code that this machine compiled for this artifact and profile, if it is there and whole: a
    /// file to be mapped. Its last bytes are the MAC, which whoever reads the code passes over.
    ///
    /// Nobody writes to a file once it has its name, so what was checked is what is mapped. Whoever
    /// could do so all the same could read the key as well.
    ///
    /// What nobody has is there for all; what a tenant has is there for that tenant.
    pub(crate) fn get(
        &self,
        of: &Compiled<'_>,
        engines: &ProfileEngines,
        tenant: Option<&str>,
    ) -> Option<File> {
        let name = file_name(of, engines)?;
        let own = tenant.map(|tenant| self.folder_of(tenant));
        let folders = [Some(&self.folder), own.as_ref()];
        folders.into_iter().flatten().find_map(|folder| {
            self.open(folder, &name).or_else(|| {
                // One that is there and does not fit may be of another key.
                let (known, there) = (self.key(false), folder.join(&name).is_file());
                (there && self.key(true) != known).then(|| self.open(folder, &name)).flatten()
            })
        })
    }

    /// Marks what nobody has as used: it is given up after what was used before.
    pub(crate) fn mark_used(&self, of: &Compiled<'_>, engines: &ProfileEngines) {
        let Some(name) = file_name(of, engines) else { return };
        let stamp = self.folder.join(name).with_extension(STAMP);
        let _ = File::open(stamp).and_then(|stamp| stamp.set_modified(SystemTime::now()));
    }

    /// Whether there is such a file. It is not looked into.
    pub(crate) fn has(&self, of: &Compiled<'_>, engines: &ProfileEngines) -> bool {
        file_name(of, engines).is_some_and(|name| self.folder.join(name).is_file())
    }

    /// The same, mapped: what is read of it is read when it is.
    pub(crate) fn map(
        &self,
        of: &Compiled<'_>,
        engines: &ProfileEngines,
        tenant: Option<&str>,
    ) -> Option<Bytes> {
        let file = self.get(of, engines, tenant)?;
        // SAFETY: nobody writes to a file once it has its name.
        #[expect(unsafe_code, reason = "a file is mapped")]
        let mapped = unsafe { memmap2::Mmap::map(&file) }.ok()?;
        let end = mapped.len().checked_sub(MAC_BYTES)?;
        Some(Bytes::from_owner(mapped).slice(..end))
    }

    fn open(&self, folder: &Path, name: &str) -> Option<File> {
        let path = folder.join(name);
        // Opening what is no file may take for ever.
        fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let mut file = File::open(&path).ok()?;
        if !holes_are_safe(&file) && reserve(&file).is_err() {
            return None;
        }
        let code_bytes = file.metadata().ok()?.len().checked_sub(MAC_BYTES as u64)?;
        let stamp = (code_bytes >= STAMPED).then(|| self.stamp(name, &file)).flatten();
        let stamp_path = path.with_extension(STAMP);
        if let Some(stamp) = stamp
            && is_stamped(&stamp_path, &stamp)
        {
            return Some(file);
        }
        let mut mac = self.start_mac(name, code_bytes)?;
        mac.add_file(&mut file, code_bytes).ok()?;
        let mut stored = [0; MAC_BYTES];
        file.seek(SeekFrom::Start(code_bytes)).ok()?;
        file.read_exact(&mut stored).ok()?;
        // Compared in constant time.
        if mac.finish() != blake3::Hash::from_bytes(stored) {
            return None;
        }
        file.rewind().ok()?;
        match stamp {
            Some(stamp) => {
                let _ = write_stamp(folder, &stamp_path, &stamp);
            }
            // Marks the file as used, for `prune`; where that fails it is only given up earlier.
            None => drop(file.set_modified(SystemTime::now())),
        }
        Some(file)
    }

    /// What says that a file was read and found right: a MAC over which file it is and when it was changed last. None where the file
    /// system does not say.
    fn stamp(&self, name: &str, file: &File) -> Option<blake3::Hash> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let data = file.metadata().ok()?;
            let mut mac = self.start_mac(&format!("{STAMP}:{name}"), data.len())?;
            let facts = [data.dev(), data.ino(), data.mode().into(), data.uid().into()];
            facts.iter().for_each(|fact| mac.places.extend(fact.to_le_bytes()));
            let times = [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()];
            times.iter().for_each(|time| mac.places.extend(time.to_le_bytes()));
            Some(mac.finish())
        }
        #[cfg(not(unix))]
        {
            let _ = (name, file);
            None
        }
    }

    /// Keeps code for later processes, if that is possible: the file, as [`DiskCache::get`] gives it.
    pub(crate) fn put(
        &self,
        of: &Compiled<'_>,
        engines: &ProfileEngines,
        tenant: Option<&str>,
        code: &[u8],
    ) -> Option<File> {
        let name = file_name(of, engines)?;
        // What is kept is for those who come later, with the key that is there then.
        self.key(true)?;
        let mut mac = self.start_mac(&name, code.len() as u64)?;
        mac.add(0, code);
        let folder = tenant.map_or_else(|| self.folder.clone(), |tenant| self.folder_of(tenant));
        make_private(&folder).ok()?;
        let file = write(&folder, &name, code, &mac.finish()).ok()?;
        if code.len() as u64 >= STAMPED
            && let Some(stamp) = self.stamp(&name, &file)
        {
            let _ = write_stamp(&folder, &folder.join(name).with_extension(STAMP), &stamp);
        }
        let _ = self.prune();
        Some(file)
    }

    /// A tenant's folder. Names that people give need not be names of files.
    fn folder_of(&self, tenant: &str) -> PathBuf {
        self.folder.join(&blake3::hash(tenant.as_bytes()).to_hex()[..32])
    }

    /// Removes files until the rest fits: of whoever has most, those used least lately.
    fn prune(&self) -> io::Result<()> {
        let mut owners = vec![Owned::default()];
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let mut owned = Owned::default();
                for entry in fs::read_dir(entry.path())? {
                    owned.add(&entry?)?;
                }
                owners.push(owned);
            } else {
                owners[0].add(&entry)?;
            }
        }
        let mut total: u64 = owners.iter().map(|owned| owned.bytes).sum();
        for owned in &mut owners {
            // The least lately used last.
            owned.files.sort_unstable_by(|a, b| b.cmp(a));
        }
        while total > self.capacity {
            let Some(owned) = owners.iter_mut().max_by_key(|owned| owned.bytes) else { break };
            let Some((_, bytes, path)) = owned.files.pop() else { break };
            let _ = fs::remove_file(path.with_extension(STAMP));
            fs::remove_file(path)?;
            owned.bytes -= bytes;
            total -= bytes;
        }
        Ok(())
    }

    /// This machine's key. It is read again if it `may_be_another`: whoever deletes the cache deletes the key with it, and the next
    /// process makes one.
    fn key(&self, may_be_another: bool) -> Option<[u8; KEY_BYTES]> {
        let mut key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if key.is_none() || may_be_another {
            *key = machine_key(&self.folder).ok();
        }
        *key
    }

    /// A MAC over the file's name and size; the code itself follows.
    fn start_mac(&self, name: &str, code_bytes: u64) -> Option<Mac> {
        let mut hasher = blake3::Hasher::new_keyed(&self.key(false)?);
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&code_bytes.to_le_bytes());
        Some(Mac { hasher, places: Vec::new() })
    }
}

/// What one tenant has on disk, or nobody.
#[derive(Default)]
struct Owned {
    files: Vec<(SystemTime, u64, PathBuf)>,
    bytes: u64,
}

impl Owned {
    fn add(&mut self, entry: &fs::DirEntry) -> io::Result<()> {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == CODE) {
            let data = entry.metadata()?;
            let bytes = allocated(&data);
            self.bytes += bytes;
            // A file that has a stamp was used when that was.
            let stamped = fs::metadata(path.with_extension(STAMP)).and_then(|data| data.modified());
            let used = data.modified()?.max(stamped.unwrap_or(SystemTime::UNIX_EPOCH));
            self.files.push((used, bytes, path));
        }
        Ok(())
    }
}

fn write(folder: &Path, name: &str, code: &[u8], mac: &blake3::Hash) -> io::Result<File> {
    let mut file = NamedTempFile::new_in(folder)?;
    write_sparse(file.as_file_mut(), code)?;
    file.seek(SeekFrom::Start(code.len() as u64))?;
    file.write_all(mac.as_bytes())?;
    if !holes_are_safe(file.as_file()) {
        reserve(file.as_file())?;
    }
    let mut file = file.persist(folder.join(name))?;
    file.rewind()?;
    Ok(file)
}

/// Whether a file's stamp is this one. That marks the file as used.
fn is_stamped(path: &Path, stamp: &blake3::Hash) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut stored = [0; MAC_BYTES];
    let is_stamp = file.read_exact(&mut stored).is_ok()
        // Compared in constant time.
        && *stamp == blake3::Hash::from_bytes(stored);
    if is_stamp {
        let _ = file.set_modified(SystemTime::now());
    }
    is_stamp
}

fn write_stamp(folder: &Path, path: &Path, stamp: &blake3::Hash) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(stamp.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// A MAC over what code holds that is not zero, and where that is: a memory image is mostly zeros.
struct Mac {
    hasher: blake3::Hasher,
    /// The numbers of the pages that were hashed.
    places: Vec<u8>,
}

impl Mac {
    /// Adds what stands at this offset, which is a page's start.
    fn add(&mut self, at: u64, bytes: &[u8]) {
        for (start, pages) in held(bytes) {
            self.hasher.update(pages);
            let first = (at + start as u64) / PAGE as u64;
            let places = (first..).zip(pages.chunks(PAGE));
            self.places.extend(places.flat_map(|(place, _)| place.to_le_bytes()));
        }
    }

    /// Adds a file up to this offset. Its holes are not read.
    fn add_file(&mut self, file: &mut File, end: u64) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        let mut at = 0;
        while at < end {
            let data = next_data(file, at, end);
            at = data.start / PAGE as u64 * PAGE as u64;
            file.seek(SeekFrom::Start(at))?;
            let left = usize::try_from(data.end - at).unwrap_or(READ_BYTES);
            let read = &mut buffer[..left.min(READ_BYTES)];
            file.read_exact(read)?;
            self.add(at, read);
            at += read.len() as u64;
        }
        Ok(())
    }

    fn finish(mut self) -> blake3::Hash {
        self.hasher.update(&self.places);
        self.hasher.finalize()
    }
}

fn file_name(of: &Compiled<'_>, engines: &ProfileEngines) -> Option<String> {
    let metered = if engines.profile().metered() { "metered" } else { "plain" };
    let (alg, digest, part) = (of.reference.alg(), of.reference.digest(), &of.part);
    let (compatibility, stack) = (engines.compatibility().ok()?, engines.profile().stack());
    Some(format!("{alg}-{digest}-{part}-{compatibility:016x}-{metered}-{stack}.{CODE}"))
}

/// The bytes that a file takes; its holes take none.
pub(crate) fn allocated(data: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        std::os::unix::fs::MetadataExt::blocks(data).saturating_mul(512).min(data.len())
    }
    #[cfg(not(unix))]
    data.len()
}

/// Whether reading a hole in a mapped file takes no room. In memory (tmpfs) it does, and where there is none, whoever reads it is
/// killed.
fn holes_are_safe(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    {
        const IN_MEMORY: [rustix::fs::FsWord; 2] = [0x0102_1994, 0x8584_58f6];
        rustix::fs::fstatfs(file).is_ok_and(|about| !IN_MEMORY.contains(&about.f_type))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        true
    }
}

/// Takes room for the holes of a file.
fn reserve(file: &File) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let about = file.metadata()?;
        if allocated(&about) >= about.len() {
            return Ok(());
        }
        // Whoever may not write to it can take no room for it either.
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
        let file = fs::OpenOptions::new().write(true).open(path)?;
        Ok(rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, about.len())?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        Ok(())
    }
}

/// Writes bytes to a file, leaving holes where they are zeros.
pub(crate) fn write_sparse(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    for (start, pages) in held(bytes) {
        file.seek(SeekFrom::Start(start as u64))?;
        file.write_all(pages)?;
    }
    file.set_len(bytes.len() as u64)
}

/// The stretches of pages that hold something, and where each begins.
pub(crate) fn held(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    // Compared as a whole, which is many times as fast as byte by byte.
    let is_zero = |page: &[u8]| *page == ZEROS[..page.len()];
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + PAGE * bytes[at..].chunks(PAGE).position(|page| !is_zero(page))?;
        let pages = bytes[start..].chunks(PAGE).position(is_zero);
        at = pages.map_or(bytes.len(), |pages| start + PAGE * pages);
        Some((start, &bytes[start..at]))
    })
}

/// Where the next bytes are that are no hole, from this offset on.
fn next_data(file: &File, at: u64, end: u64) -> Range<u64> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{SeekFrom, seek};
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start.min(end),
            Err(rustix::io::Errno::NXIO) => end,
            // A file system that knows no holes.
            Err(_) => return at..end,
        };
        start..seek(file, SeekFrom::Hole(start)).map_or(end, |hole| hole.min(end))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        at..end
    }
}

/// This machine's key, made if there is none. A key that others own or could read is not trusted.
fn machine_key(folder: &Path) -> io::Result<[u8; KEY_BYTES]> {
    make_private(folder)?;
    let path = folder.join(KEY_FILE);
    if let Some(key) = read_key(&path)? {
        return Ok(key);
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    // Temporary files are made with mode 0600. Of two processes that get here, the first wins and
    // both use its key.
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(key),
        Err(_) => read_key(&path)?.ok_or_else(|| io::Error::other("the machine's key is unusable")),
    }
}

/// The key in this file; `None` if there is no file, or one that cannot be trusted, which is removed.
fn read_key(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let data = file.metadata()?;
    let mut key = [0; KEY_BYTES];
    if data.len() == KEY_BYTES as u64 && is_private(&data) {
        file.read_exact(&mut key)?;
        return Ok(Some(key));
    }
    fs::remove_file(path)?;
    Ok(None)
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(unix)]
fn is_private(data: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    data.mode() & 0o077 == 0 && data.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(not(unix))]
fn is_private(_data: &fs::Metadata) -> bool {
    true
}
