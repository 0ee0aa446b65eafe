//! A PostgreSQL server for tests: from Debian's package, in a temporary folder, on a socket in it, ended with the test.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that has no server has failed")]

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The user that a server runs as where the test is root, which PostgreSQL refuses to run as: `nobody`.
const NOBODY: u32 = 65_534;
/// Who owns the databases of tests: an ordinary user, to whom the rows of another tenant are closed.
const USER: &str = "compute";

/// A server of a test's own.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
}

impl Cluster {
    /// Makes a server and starts it.
    ///
    /// # Panics
    /// If there is no PostgreSQL (Debian's package `postgresql`), or it does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").expect("a folder");
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("its owner");
        }
        let programs = reachable(programs(), folder.path());
        let cluster = Self { folder, programs };
        let data = cluster.data();
        cluster.done(
            "initdb",
            &["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
        );
        cluster.resume();
        cluster.sql("postgres", &format!("CREATE ROLE {USER} LOGIN"));
        cluster
    }

    /// A database of its own, and its address.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {USER}"));
        self.address(name)
    }

    /// The address of a database.
    #[must_use]
    pub fn address(&self, name: &str) -> String {
        format!("postgres://{USER}@/{name}?host={}", self.folder.path().display())
    }

    /// What a statement answers, as the superuser.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let host = self.folder.path().display().to_string();
        self.done("psql", &["-h", &host, "-U", "postgres", "-d", database, "-XAtqc", statement])
    }

    /// A dump of a database, in a file of this cluster's: it removes what is there when it is put back.
    #[must_use]
    pub fn dump(&self, database: &str) -> PathBuf {
        let (host, file) =
            (self.folder.path().display().to_string(), self.folder.path().join("dump"));
        let to = format!("--file={}", file.display());
        let what = ["--schema=compute", "--clean", "--if-exists", &to, database];
        self.done("pg_dump", &[&["-h", &host, "-U", "postgres"], &what[..]].concat());
        file
    }

    /// Puts a database back to what it was when it was dumped.
    pub fn put_back(&self, database: &str, dump: &Path) {
        let (host, dump) = (self.folder.path().display().to_string(), dump.display().to_string());
        let how = ["-XAtq1", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", &dump];
        self.done("psql", &[&["-h", &host, "-U", "postgres"], &how[..]].concat());
    }

    /// Stops the server at once, as a crash does.
    pub fn crash(&self) {
        self.done("pg_ctl", &["stop", "-D", &self.data(), "-m", "immediate", "-w"]);
    }

    /// Starts it again.
    pub fn resume(&self) {
        let folder = self.folder.path().display();
        // What JIT compiles is in another package.
        let options = format!(
            "-k {folder} -c listen_addresses= -c fsync=off -c jit=off -c max_connections=100"
        );
        let log = format!("{folder}/log");
        self.done("pg_ctl", &["start", "-D", &self.data(), "-l", &log, "-o", &options, "-w"]);
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn done(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program, arguments).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        // Of a package that was unpacked and not installed.
        if let Some(root) = self.programs.ancestors().nth(5).filter(|root| root.parent().is_some())
        {
            let libraries = ["usr/lib", "lib"]
                .map(|lib| root.join(format!("{lib}/{}-linux-gnu", std::env::consts::ARCH)));
            let libraries = std::env::join_paths(libraries).expect("paths without colons");
            // It may have no list of time zones.
            command.env("LD_LIBRARY_PATH", libraries).env("TZ", "GMT");
        }
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        // What it starts goes on, and must not keep the pipe.
        if program == "pg_ctl" {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        let _ = self.command("pg_ctl", &["stop", "-D", &data, "-m", "immediate"]).status();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The folder of the server's programs: what `cargo xtask test` unpacked, or the system's.
fn programs() -> PathBuf {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/postgres/root");
    let unpacked = unpacked.canonicalize().ok();
    let versions = unpacked.into_iter().chain([PathBuf::from("/")]).flat_map(|root| {
        let folder = fs::read_dir(root.join("usr/lib/postgresql")).into_iter().flatten();
        folder.filter_map(io::Result::ok).map(|entry| entry.path().join("bin"))
    });
    let mut found = versions.filter(|path| path.join("initdb").exists());
    found
        .next()
        .expect("PostgreSQL: `cargo xtask test` gets it, and Debian's package `postgresql` has it")
}

/// The programs where the user that the server runs as may read them: there, or copied to a folder.
fn reachable(programs: PathBuf, folder: &Path) -> PathBuf {
    let is_open = |path: &Path| {
        fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o005 == 0o005)
    };
    if !is_root() || programs.ancestors().all(is_open) {
        return programs;
    }
    let root = programs.ancestors().nth(5).expect("the root of what was unpacked");
    let copied = Command::new("cp").arg("-a").arg(root).arg(folder.join("root")).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} cannot be copied", root.display());
    folder.join("root").join(programs.strip_prefix(root).expect("below it"))
}
