//! Compiled code on disk: found by the next process, and never believed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute::{Algorithm, Artifact, ArtifactMap, Engine as _, EngineConfig, Load, Profile};
use compute_wasm::{Settings, WasmEngine};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where the cache is.
    fn path(&self) -> PathBuf {
        self.0.path().join("code")
    }

    /// An engine as a new process would open it.
    fn engine(&self, bytes: u64) -> WasmEngine {
        let settings = Settings {
            code_cache: Some(self.path()),
            code_cache_bytes: bytes,
            ..Settings::default()
        };
        WasmEngine::open(&EngineConfig::from(settings)).unwrap()
    }

    fn code_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "code"))
            .collect();
        files.sort();
        files
    }
}

fn echo(pages: u32) -> Artifact {
    Artifact::new(Algorithm::Sha256, "wasm", compute_guests::echo(pages))
}

fn load(engine: &WasmEngine, artifact: &Artifact) {
    load_for(engine, artifact, None);
}

fn load_for(engine: &WasmEngine, artifact: &Artifact, tenant: Option<&str>) {
    let none = ArtifactMap::default();
    let mut load = Load::new(Profile::default(), &none);
    load.tenant = tenant;
    let instance = engine.load(artifact, &load).unwrap();
    let bounds = compute::Limits::COMMAND_LINE.bounds();
    let call = compute::Call::new(&bounds, std::time::Instant::now());
    let outcome = instance.invoke(b"[1]", &call).unwrap();
    assert_eq!(outcome.result.unwrap(), b"[1]");
}

fn inode(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).unwrap().ino()
}

#[test]
fn code_is_kept_and_found_again() {
    let folder = Folder::new();
    load(&folder.engine(1 << 30), &echo(2));
    let [file] = folder.code_files().try_into().unwrap();
    let before = inode(&file);
    load(&folder.engine(1 << 30), &echo(2));
    assert_eq!(inode(&file), before, "it was compiled and written again");
}

#[test]
fn altered_foreign_and_truncated_code_is_compiled_again() {
    let folder = Folder::new();
    load(&folder.engine(1 << 30), &echo(2));
    let [file] = folder.code_files().try_into().unwrap();
    let good = fs::read(&file).unwrap();
    let mut altered = good.clone();
    altered[good.len() / 2] ^= 1;
    for bad in [altered, good[..good.len() - 1].to_vec(), good[..10].to_vec(), Vec::new()] {
        fs::write(&file, &bad).unwrap();
        load(&folder.engine(1 << 30), &echo(2));
        assert_eq!(fs::read(&file).unwrap().len(), good.len(), "it was not replaced");
    }
    // The code of another artifact under this one's name.
    load(&folder.engine(1 << 30), &echo(3));
    let other = folder.code_files().into_iter().find(|path| *path != file).unwrap();
    fs::copy(&other, &file).unwrap();
    load(&folder.engine(1 << 30), &echo(2));
    assert_ne!(fs::read(&file).unwrap(), fs::read(&other).unwrap());
    // Another machine's key.
    let before = inode(&file);
    fs::write(folder.path().join("machine.key"), [7; 32]).unwrap();
    load(&folder.engine(1 << 30), &echo(2));
    assert_ne!(inode(&file), before, "code under another key was believed");
}

#[test]
fn a_large_file_is_found_to_be_altered_though_it_was_right_before() {
    let text = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 64)
          (data (i32.const 0) "\00\04\00\00\40\00\00\00")
          (data (i32.const 65536) "{}")
          (func (export "_start")
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
            (i32.store (i32.const 4) (i32.load (i32.const 16)))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"#,
        "x".repeat(2 << 20)
    );
    let large = Artifact::new(Algorithm::Sha256, "wasm", compute_guests::wasm(&text));
    let folder = Folder::new();
    load(&folder.engine(1 << 30), &large);
    let [file] = folder.code_files().try_into().unwrap();
    let stamp = file.with_extension("seen");
    assert!(stamp.exists(), "it is read whole each time");
    let before = inode(&file);
    load(&folder.engine(1 << 30), &large);
    assert_eq!(inode(&file), before);

    let good = fs::read(&file).unwrap();
    let is_good = || fs::read(&file).unwrap() == good;
    let mut altered = good.clone();
    altered[good.len() / 2] ^= 1;
    let seen = fs::read(&stamp).unwrap();
    let times = fs::metadata(&file).unwrap();
    // In place, and with the time that it was written before.
    fs::write(&file, &altered).unwrap();
    fs::File::open(&file).unwrap().set_modified(times.modified().unwrap()).unwrap();
    load(&folder.engine(1 << 30), &large);
    assert!(is_good(), "altered code was believed");
    // Another file in its place.
    fs::remove_file(&file).unwrap();
    fs::write(&file, &altered).unwrap();
    fs::write(&stamp, seen).unwrap();
    load(&folder.engine(1 << 30), &large);
    assert!(is_good(), "altered code was believed");
    // A stamp that nobody who has the key has written.
    fs::write(&file, &altered).unwrap();
    fs::write(&stamp, [7; 32]).unwrap();
    load(&folder.engine(1 << 30), &large);
    assert!(is_good(), "altered code was believed");
}

#[test]
fn the_key_is_private_and_one_that_is_not_is_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    load(&folder.engine(1 << 30), &echo(2));
    let key = folder.path().join("machine.key");
    let mode = || fs::metadata(&key).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    let before = fs::read(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    load(&folder.engine(1 << 30), &echo(2));
    assert_eq!(mode(), 0o600);
    assert_ne!(fs::read(&key).unwrap(), before);
}

#[test]
fn metered_code_is_another_file() {
    let folder = Folder::new();
    let engine = folder.engine(1 << 30);
    load(&engine, &echo(2));
    engine
        .load(&echo(2), &Load::new(Profile::new(true, 1 << 20), &ArtifactMap::default()))
        .unwrap();
    assert_eq!(folder.code_files().len(), 2);
}

#[test]
fn the_cache_is_bounded() {
    let folder = Folder::new();
    load(&folder.engine(1 << 30), &echo(2));
    let size = fs::metadata(&folder.code_files()[0]).unwrap().len();
    let engine = folder.engine(size * 5 / 2);
    for pages in 3..8 {
        load(&engine, &echo(pages));
    }
    assert_eq!(folder.code_files().len(), 2);
}

#[test]
fn whoever_keeps_most_gives_up_first() {
    let folder = Folder::new();
    load(&folder.engine(1 << 30), &echo(2));
    let size = fs::metadata(&folder.code_files()[0]).unwrap().len();
    let engine = folder.engine(size * 9 / 2);
    load_for(&engine, &echo(3), Some("../modest"));
    let folders = || {
        let entries = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
        entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let [modest] = folders().try_into().unwrap();
    for pages in 4..14 {
        load_for(&engine, &echo(pages), Some("greedy"));
    }
    assert_eq!(folder.code_files().len(), 1, "what is nobody's");
    let files = |folder: &Path| fs::read_dir(folder).unwrap().count();
    assert_eq!(files(&modest), 1);
    let greedy = folders().into_iter().find(|folder| *folder != modest).unwrap();
    assert_eq!(files(&greedy), 2);
    // What nobody has is there for all, and what a tenant has is not there for another.
    load_for(&engine, &echo(2), Some("greedy"));
    assert_eq!(files(&greedy), 2);
    load_for(&engine, &echo(3), None);
    assert_eq!(folder.code_files().len(), 2);
}

#[test]
fn an_unusable_folder_costs_only_time() {
    let folder = Folder::new();
    fs::write(folder.path(), "a file where the folder should be").unwrap();
    load(&folder.engine(1 << 30), &echo(2));
}

#[test]
fn processes_that_start_together_agree_on_a_key() {
    let folder = Arc::new(Folder::new());
    std::thread::scope(|scope| {
        for pages in 2..10 {
            let folder = Arc::clone(&folder);
            scope.spawn(move || load(&folder.engine(1 << 30), &echo(pages)));
        }
    });
    let before: Vec<_> = folder.code_files().iter().map(|file| inode(file)).collect();
    assert_eq!(before.len(), 8);
    for pages in 2..10 {
        load(&folder.engine(1 << 30), &echo(pages));
    }
    let after: Vec<_> = folder.code_files().iter().map(|file| inode(file)).collect();
    assert_eq!(before, after, "some of it was under another key");
}

#[test]
fn a_setting_that_does_not_exist_is_an_error() {
    let config = EngineConfig::default().with("code-cash", "/nowhere");
    let error = WasmEngine::open(&config).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("unknown field `code-cash`") && cause.contains("code-cache"), "{cause}");
}
