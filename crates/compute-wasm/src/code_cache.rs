//! Compiled code kept on disk between processes.
//!
//! Loading altered machine code would run whatever it says, outside every sandbox. So each file ends
//! with a MAC under a key that only this user of this machine has; whatever does not match it is
//! compiled again, silently. A failure to read or write here never fails a call.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use compute::Ref;
use tempfile::NamedTempFile;

use crate::flavour::Flavour;

const KEY_FILE: &str = "machine.key";
const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = blake3::OUT_LEN;
/// The ending of files that hold code.
const CODE: &str = "code";

/// What a file's code was made from.
#[derive(Debug)]
pub(crate) struct Compiled<'a> {
    pub(crate) reference: &'a Ref,
    /// Which part of the artifact, and by which version of the maker: a word for a file's name.
    pub(crate) part: String,
}

#[derive(Debug)]
pub(crate) struct CodeCache {
    folder: PathBuf,
    capacity: u64,
    key: OnceLock<Option<[u8; KEY_BYTES]>>,
}

impl CodeCache {
    pub(crate) fn new(folder: &Path, capacity: u64) -> Self {
        Self { folder: folder.to_owned(), capacity, key: OnceLock::new() }
    }

    /// The code that this machine compiled for this artifact and flavour, if it is there and whole: a
    /// file to be mapped. Its last bytes are the MAC, which whoever reads the code passes over.
    ///
    /// Nobody writes to a file once it has its name, so what was checked is what is mapped. Whoever
    /// could do so all the same could read the key as well.
    pub(crate) fn get(&self, of: &Compiled<'_>, flavour: &Flavour) -> Option<File> {
        let name = file_name(of, flavour)?;
        let mut file = File::open(self.folder.join(&name)).ok()?;
        let code_bytes = file.metadata().ok()?.len().checked_sub(MAC_BYTES as u64)?;
        let mut mac = self.start_mac(&name, code_bytes)?;
        mac.update_reader((&mut file).take(code_bytes)).ok()?;
        let mut stored = [0; MAC_BYTES];
        file.read_exact(&mut stored).ok()?;
        // Compared in constant time.
        if mac.finalize() != blake3::Hash::from_bytes(stored) {
            return None;
        }
        // Marks the file as used, for `prune`; where that fails it is only given up earlier.
        let _ = file.set_modified(SystemTime::now());
        file.rewind().ok()?;
        Some(file)
    }

    /// Keeps code for later processes, if that is possible.
    pub(crate) fn put(&self, of: &Compiled<'_>, flavour: &Flavour, code: &[u8]) {
        let Some(name) = file_name(of, flavour) else { return };
        let Some(mut mac) = self.start_mac(&name, code.len() as u64) else { return };
        if self.write(&name, code, &mac.update(code).finalize()).is_ok() {
            let _ = self.prune();
        }
    }

    fn write(&self, name: &str, code: &[u8], mac: &blake3::Hash) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(&self.folder)?;
        write_sparse(file.as_file_mut(), code)?;
        file.write_all(mac.as_bytes())?;
        file.persist(self.folder.join(name))?;
        Ok(())
    }

    /// Removes the files used least lately until the rest fits.
    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|ending| ending == CODE) {
                let data = entry.metadata()?;
                files.push((data.modified()?, data.len(), entry.path()));
            }
        }
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        files.sort();
        for (_, bytes, path) in files {
            if total <= self.capacity {
                break;
            }
            fs::remove_file(path)?;
            total -= bytes;
        }
        Ok(())
    }

    /// A MAC over the file's name and size; the code itself follows.
    fn start_mac(&self, name: &str, code_bytes: u64) -> Option<blake3::Hasher> {
        let key = self.key.get_or_init(|| machine_key(&self.folder).ok()).as_ref()?;
        let mut mac = blake3::Hasher::new_keyed(key);
        mac.update(&(name.len() as u64).to_le_bytes());
        mac.update(name.as_bytes());
        mac.update(&code_bytes.to_le_bytes());
        Some(mac)
    }
}

fn file_name(of: &Compiled<'_>, flavour: &Flavour) -> Option<String> {
    let mut hasher = DefaultHasher::new();
    flavour.engine().ok()?.precompile_compatibility_hash().hash(&mut hasher);
    let metered = if flavour.profile().metered() { "metered" } else { "plain" };
    let (alg, digest, part) = (of.reference.alg(), of.reference.digest(), &of.part);
    let (compatibility, stack) = (hasher.finish(), flavour.profile().stack());
    Some(format!("{alg}-{digest}-{part}-{compatibility:016x}-{metered}-{stack}.{CODE}"))
}

/// Writes bytes at a file's start, leaving holes where they are zeros: a memory image is mostly zeros.
pub(crate) fn write_sparse(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    const STEP: usize = 4096;
    for (number, part) in bytes.chunks(STEP).enumerate() {
        if part.iter().any(|byte| *byte != 0) {
            file.seek(io::SeekFrom::Start((number * STEP) as u64))?;
            file.write_all(part)?;
        }
    }
    file.set_len(bytes.len() as u64)?;
    file.seek(io::SeekFrom::Start(bytes.len() as u64))?;
    Ok(())
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
