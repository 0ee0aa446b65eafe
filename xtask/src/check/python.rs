//! Python on the real thing: CPython got as a user gets it, the examples, what hostile ops do, and records replayed.

mod neighbours;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{cargo, root, run, target};
use neighbours::neighbours;

/// How many times each example is recorded, with another seed each.
const TIMES: u64 = 5;
/// The port of the server that this starts.
const LISTEN: &str = "127.0.0.1:7741";

/// An op that executes what it is given.
const ANY: &str = r#"import random
import numpy
from compute import op


@op
def any(input, ctx):
    scope = {"ctx": ctx}
    exec(compile(input["code"], "given.py", "exec"), scope)
    return scope.get("answer")
"#;

/// An op that says what its calls need.
const LARGE: &str = r#"from compute import op


@op(memory="400MiB")
def large(input):
    return len(bytes(input << 20))
"#;

/// What is executed, and what is told of it.
const TRIED: [(&str, &str); 31] = [
    ("answer = 1 + 1", "2"),
    ("def f(n): return f(n + 1)\nf(0)", "RecursionError: maximum recursion depth exceeded"),
    ("import json; json.loads('[' * 100000)", "RecursionError"),
    ("while True: pass", "the wall limit of 2s was reached"),
    ("n = 0\nwhile True:\n    n += 1", "(given.py:3:"),
    ("x = 10 ** (10 ** 9)", "the wall limit of 2s was reached"),
    ("import re; re.match(r'(a+)+$', 'a' * 40 + 'b')", "the wall limit of 2s was reached"),
    ("import sys; sys.exit(3)", "the op called sys.exit(3): an op answers by returning"),
    ("import os; os._exit(0)", "the op called sys.exit(0): an op answers by returning"),
    (
        "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E",
        "E: (its text cannot be had)",
    ),
    ("import socket; socket.create_connection(('example.org', 80))", "_socket"),
    ("import subprocess; subprocess.run(['ls'])", "wasi does not support processes"),
    ("import threading; threading.Thread(target=print).start()", "can't start new thread"),
    ("import ctypes; ctypes.CDLL(None)", "ctypes is unavailable"),
    ("open('/etc/passwd')", "No such file or directory: '/etc/passwd'"),
    ("open('../../etc/passwd')", "No such file or directory"),
    ("open('/tmp/x', 'w')", "Read-only file system"),
    ("import os; os.mkdir('/usr/x')", "Read-only file system"),
    ("print('x' * 10_000_000)", "more bytes of log were dropped at the log limit"),
    ("answer = 'x' * 10_000_000", "more than its output limit"),
    ("a = [0] * 10 ** 9", "MemoryError"),
    ("a = []\nwhile True: a.append(bytearray(1 << 20))", "its limit of 268435456 bytes"),
    ("answer = {'a': [1, float('nan')]}", "answer.a[1] is nan, which is no JSON"),
    ("answer = object()", "answer is of type object, which is no JSON"),
    ("import os; os.write(1, b'junk'); answer = 5", "the output is not JSON"),
    ("print('half', end=''); raise ValueError", "half\n"),
    ("import sys; sys.stderr.close(); answer = 'fine'", "\"fine\"\n"),
    ("raise ValueError('a\\0b')", "(given.py:1:"),
    ("raise ValueError('this') from KeyError('that')", "caused by KeyError: 'that'"),
    ("try: {}['k']\nexcept KeyError: raise ValueError('v')", "while handling KeyError: 'k'"),
    ("raise ExceptionGroup('both', [ValueError('one'), KeyError('two')])", "with KeyError: 'two'"),
];

/// What people write, and what comes of it.
const ODD: [(&str, &str, &str); 8] = [
    (
        "lazily",
        "from compute import op\n\n\n@op\ndef lazily(input):\n    import asyncio\n\n    async def main():\n        await asyncio.sleep(3)\n        return input\n\n    return asyncio.run(main())\n",
        "7\n",
    ),
    (
        "early",
        "import asyncio\nfrom compute import op\n\n\nasync def three():\n    await asyncio.sleep(0)\n    return 3\n\n\nTHREE = asyncio.run(three())\n\n\n@op\ndef early(input):\n    return THREE\n",
        "3\n",
    ),
    (
        "wrapped",
        "import functools\nfrom compute import op\n\n\ndef same(function):\n    @functools.wraps(function)\n    def called(*given, **more):\n        return function(*given, **more)\n\n    return called\n\n\n@op\n@same\ndef wrapped(input):\n    return input\n",
        "7\n",
    ),
    (
        "partly",
        "import functools\nfrom compute import op\n\n\ndef both(one, input):\n    return [one, input]\n\n\nop(functools.partial(both, 3))\n",
        "[3,7]\n",
    ),
    (
        "method",
        "from compute import op\n\n\nclass Of:\n    @op\n    def method(self, input):\n        return 1\n",
        "@op stands before a function, and Of.method is a method",
    ),
    (
        "times",
        "import pandas\nfrom compute import op\n\n\n@op\ndef times(input):\n    return {\"at\": pandas.NaT}\n",
        "answer.at is of type NaTType, which is no JSON",
    ),
    (
        "begins",
        "from compute import op\n\nX = bytes(range(256)) * 1200000\n\n\n@op\ndef begins(input):\n    return 1\n",
        "what it begins with is more than that",
    ),
    (
        "codec",
        "# coding: nonsense\nfrom compute import op\n\n\n@op\ndef codec(input):\n    return 1\n",
        "codec.py:1:1",
    ),
];

/// What must come out otherwise with another seed, and the same with the same.
const DRAWN: &str = "import random, uuid, os, secrets, numpy
answer = [random.random(), str(uuid.uuid4()), os.urandom(8).hex(), secrets.token_hex(8),
          float(numpy.random.random()), float(numpy.random.default_rng().random()), hash('a')]";

/// Tries all of it.
pub(crate) fn python() -> Result<()> {
    run(&mut cargo(&["build", "--release", "-p", "compute-cli"]))?;
    let folder = tempfile::tempdir()?;
    let place = Place { folder: folder.path(), home: target().join("python") };
    place.ok(&["plugin", "add", "python"])?;

    first_steps(&place)?;
    packages(&place)?;
    let examples = root().join("examples-python");
    println!("{}", place.ok(&["test", &text(&examples)?])?.trim());
    workspace(&place)?;
    hostile(&place)?;
    repeatable(&place, &examples)?;
    served(&place)?;
    neighbours(&place)
}

/// What a newcomer does first.
fn first_steps(place: &Place<'_>) -> Result<()> {
    place.ok(&["init", "hello", "--python"])?;
    place.ok(&["test", "hello"])?;
    let said = place.ok(&["run", "hello.py", "--input", r#"{"name":"Ada"}"#])?;
    ensure!(said == "{\"greeting\":\"Hello, Ada!\"}\n", "{said}");
    let reference = place.ok(&["put", "hello.py"])?;
    let again = place.ok(&["put", "hello.py"])?;
    ensure!(reference == again, "two builds differ: {reference}{again}");
    let said = place.ok(&["run", reference.trim(), "--input", r#"{"name":"Ada"}"#])?;
    ensure!(said == "{\"greeting\":\"Hello, Ada!\"}\n", "{said}");
    let failed = place.failed(&["run", reference.trim(), "--input", "{}"])?;
    ensure!(failed.contains("KeyError: 'name'") && failed.contains("hello.py:6:30"), "{failed}");
    place.write("wrong.py", "from compute import op\n\n@op\ndef wrong(input:\n    return 1\n")?;
    let failed = place.failed(&["build", "wrong.py"])?;
    ensure!(failed.contains("wrong.py:4"), "{failed}");
    place.write("none.py", "def none(input):\n    return 1\n")?;
    let failed = place.failed(&["run", "none.py"])?;
    ensure!(failed.contains("declares no op: put @op before"), "{failed}");
    place.write("lacks.py", "import nowhere\nfrom compute import op\n")?;
    let failed = place.failed(&["run", "lacks.py"])?;
    ensure!(
        failed.contains("No module named 'nowhere': it is no module beside the op"),
        "{failed}"
    );
    // Named like a module of the library, with what some editors begin a file with, and a folder that is a package without a word.
    place.write("json.py", "\u{feff}from compute import op\nfrom parts.one import ONE\nimport json\n\n\n@op\ndef run(input):\n    return [ONE, json.dumps(input)]\n")?;
    place.write("parts/one.py", "ONE = 1\n")?;
    let said = place.ok(&["run", "json.py", "--input", "[2]"])?;
    ensure!(said == "[1,\"[2]\"]\n", "{said}");
    place.write("parts/words.txt", "and data\n")?;
    place.write("data.py", "from compute import op\nfrom importlib.resources import files\nimport parts.one\n\n\n@op\ndef data(input):\n    return files(parts).joinpath(\"words.txt\").read_text()\n")?;
    let said = place.ok(&["run", "data.py"])?;
    ensure!(said == "\"and data\\n\"\n", "{said}");
    place.write("waits.py", "import asyncio\nfrom compute import op\n\n\nasync def two():\n    await asyncio.sleep(5)\n    return 2\n\n\n@op\ndef waits(input):\n    return asyncio.run(two())\n")?;
    let said = place.ok(&["run", "waits.py"])?;
    ensure!(said == "2\n", "{said}");
    // What is imported where it is used, and what is decorated by others, is as elsewhere.
    for (name, source, told) in ODD {
        place.write(&format!("{name}.py"), source)?;
        let output = place.output(&["run", &format!("{name}.py"), "--input", "7"])?;
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        ensure!(said.contains(told), "{name}: {told}\nsaid: {said}");
    }
    place.write("large.py", LARGE)?;
    let said = place.ok(&["run", "large.py", "--input", "300"])?;
    ensure!(said == "314572800\n", "{said}");
    let failed = place.failed(&["run", "large.py", "--input", "300", "--memory", "256MiB"])?;
    ensure!(failed.contains("MemoryError"), "{failed}");
    place.write("vague.py", &LARGE.replace("400MiB", "much"))?;
    let failed = place.failed(&["build", "vague.py"])?;
    ensure!(failed.contains("write a size such as \"512MiB\""), "{failed}");
    Ok(())
}

/// Packages of pure Python that an op brings, and what cannot be had.
fn packages(place: &Place<'_>) -> Result<()> {
    let folder = place.folder.join("packages");
    let place = Place { folder: &folder, home: place.home.clone() };
    place.write("title.py", "from compute import op\nfrom slugify import slugify\nimport importlib.metadata\n\n\n@op\ndef title(input):\n    return [slugify(input), importlib.metadata.version(\"python-slugify\")]\n")?;
    let failed = place.failed(&["run", "title.py", "--input", "\"Ä b\""])?;
    ensure!(failed.contains("No module named 'slugify'"), "{failed}");
    place.write("requirements.txt", "python-slugify==8.0.4\npandas\n")?;
    let said = place.ok(&["run", "title.py", "--input", "\"Ä b\""])?;
    ensure!(said == "[\"a-b\",\"8.0.4\"]\n", "{said}");
    let lock = fs::read_to_string(folder.join("pylock.toml"))?;
    ensure!(lock.contains("text-unidecode") && !lock.contains("pandas"), "{lock}");
    // Elsewhere it is the same op, and needs no pip where the wheels are.
    let other = Place { folder: &folder.join("elsewhere"), home: place.home.clone() };
    for name in ["title.py", "requirements.txt", "pylock.toml"] {
        other.write(name, &fs::read_to_string(folder.join(name))?)?;
    }
    let refs = [place.ok(&["put", "title.py"])?, other.ok(&["put", "title.py"])?];
    ensure!(refs[0] == refs[1], "two builds differ: {refs:?}");
    // Markers are about the sandbox's CPython.
    place.write(
        "requirements.txt",
        "-r others.txt\npython-slugify==0.0.99; python_version < '3.15'\n",
    )?;
    place.write("others.txt", "python-slugify==8.0.4; sys_platform == 'wasi'\n")?;
    let said = place.ok(&["run", "title.py", "--input", "\"Ä b\""])?;
    ensure!(said == "[\"a-b\",\"8.0.4\"]\n", "{said}");
    for (named, told) in [
        ("uvloop\n", "No matching distribution found for uvloop"),
        ("numpy<2\n", "the plugin has another version than is named: numpy<2"),
        ("python-slugify==0.0.99\n", "python-slugify==0.0.99"),
    ] {
        place.write("requirements.txt", named)?;
        let failed = place.failed(&["run", "title.py"])?;
        ensure!(
            failed.contains(told) && failed.contains("an op brings packages of pure Python"),
            "{failed}"
        );
    }
    for direct in
        ["-e .", "./own", "own @ https://example.org/own.tar.gz", "${PWD}", "--no-binary=:all:"]
    {
        place.write("requirements.txt", &format!("six\n{direct}\n"))?;
        let failed = place.failed(&["run", "title.py"])?;
        ensure!(
            failed.contains("requirements.txt:2: ")
                && failed.contains("by their names from an index"),
            "{failed}"
        );
    }
    // From a folder of wheels, without an index: chosen there, and got there again by who has the lock alone.
    let wheels = folder.join("wheels");
    let names = ["python-slugify==8.0.4", "text-unidecode==1.3"];
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]);
    run(pip.arg("--dest").arg(&wheels).args(names))?;
    place.write("requirements.txt", "--no-index\n--find-links wheels\npython-slugify\n")?;
    for has_lock in [false, true] {
        if !has_lock {
            fs::remove_file(folder.join("pylock.toml"))?;
        }
        fs::remove_dir_all(place.home.join("cache/compute/python"))?;
        let said = place.ok(&["run", "title.py", "--input", "\"Ä b\""])?;
        ensure!(said == "[\"a-b\",\"8.0.4\"]\n", "{said}");
        let lock = fs::read_to_string(folder.join("pylock.toml"))?;
        ensure!(
            lock.contains("path = \"wheels/python_slugify-8.0.4-py2.py3-none-any.whl\""),
            "{lock}"
        );
    }
    // What a wheel says that it needs is not had from an address, which would be built: by somebody's code.
    let evil = folder.join("evil");
    place.write(
        "evil/pyproject.toml",
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n[project]\nname = \"evil\"\nversion = \"1.0\"\n",
    )?;
    place.write("evil/backend.py", "open('RAN', 'w')\n")?;
    let metadata = format!(
        "Metadata-Version: 2.1\nName: lure\nVersion: 1.0\nRequires-Dist: evil @ file://{}\n",
        evil.display()
    );
    wheel(&wheels, "lure-1.0", &[("slugify.py", ""), ("lure-1.0.dist-info/METADATA", &metadata)])?;
    place.write("requirements.txt", "--no-index\n--find-links wheels\nlure\n")?;
    let failed = place.failed(&["run", "title.py"])?;
    ensure!(failed.contains("is needed by an address"), "{failed}");
    ensure!(!evil.join("RAN").exists() && !folder.join("RAN").exists(), "somebody's code ran");
    // A lock that another tool has made is held to what is named, and names what cannot be brought.
    let lock = |file: &str| {
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"uv\"\n[[packages]]\nname = \"python-slugify\"\nversion = \"8.0.4\"\nwheels = [{{ name = \"{file}\", hashes = {{ sha256 = \"{}\" }} }}]\n",
            "0".repeat(64)
        )
    };
    for (named, file, told) in [
        (
            "python-slugify==7.0.0",
            "python_slugify-8.0.4-py3-none-any.whl",
            "pins other versions than are named: python-slugify==7.0.0",
        ),
        (
            "python-slugify",
            "python_slugify-8.0.4-cp315-cp315-manylinux_2_17_x86_64.whl",
            "pins no wheel of pure Python of python-slugify",
        ),
    ] {
        place.write("requirements.txt", &format!("{named}\n"))?;
        place.write("pylock.toml", &lock(file))?;
        let failed = place.failed(&["run", "title.py"])?;
        ensure!(failed.contains(told), "{failed}");
    }
    fs::remove_file(folder.join("pylock.toml"))?;
    println!("packages of pure Python are in the op, and others are refused by name");
    Ok(())
}

/// A wheel of these files.
fn wheel(folder: &Path, name: &str, files: &[(&str, &str)]) -> Result<()> {
    let path = folder.join(format!("{name}-py3-none-any.whl"));
    let script = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as made:\n    for name, text in zip(sys.argv[2::2], sys.argv[3::2]):\n        made.writestr(name, text)\n    made.writestr(NAME + '.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n    made.writestr(NAME + '.dist-info/RECORD', '')\n";
    let script = format!("NAME = {name:?}\n{script}");
    let mut python = Command::new("python3");
    python.arg("-c").arg(script).arg(path);
    for (name, text) in files {
        python.args([name, text]);
    }
    run(&mut python)
}

/// A workspace whose rules run JavaScript and Python, and a Python op of several files.
fn workspace(place: &Place<'_>) -> Result<()> {
    let at = |name: &str| format!("shop/OPS/shop/100/{name}");
    place.write(&at("total.py"), "from compute import op\nfrom prices.tax import with_tax\n\n\n@op\nasync def total(input):\n    return {\"total\": with_tax(sum(input[\"items\"]))}\n")?;
    place.write(&at("prices/__init__.py"), "")?;
    place.write(
        &at("prices/tax.py"),
        "from .rates import RATE\n\n\ndef with_tax(net):\n    return round(net * (1 + RATE), 2)\n",
    )?;
    place.write(&at("prices/rates.py"), "RATE = 0.19\n")?;
    place.write(&at("total.txcl"), "EXEC \"op://total\"\n")?;
    place.write(&at("note.js"), "import { op } from \"@compute/op\";\n\nexport default op(() => ({ note: \"from JavaScript\" }));\n")?;
    place.write(&at("note.txcl"), "EXEC \"op://note\"\n")?;
    let shop = Place { folder: &place.folder.join("shop"), home: place.home.clone() };
    shop.ok(&["apply", "--state", "state", "--store", "store"])?;
    let fire =
        ["fire", "shop", "--state", "state", "--store", "store", "--input", r#"{"items":[1,2]}"#];
    let said: Value = serde_json::from_str(&shop.ok(&fire)?)?;
    ensure!(said["total"] == json!(3.57) && said["note"] == json!("from JavaScript"), "{said}");
    Ok(())
}

/// Each attack is told as what it is, and harms nobody.
fn hostile(place: &Place<'_>) -> Result<()> {
    place.write("any.py", ANY)?;
    for (code, told) in TRIED {
        let input = json!({ "code": code }).to_string();
        let output = place.output(&["run", "any.py", "--wall", "2s", "--input", &input])?;
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        ensure!(said.contains(told), "{code}\nshould say: {told}\nsaid: {said}");
    }
    println!("{} hostile or wrong ops, each told as what it is", TRIED.len());
    let drawn = |seed: u64| {
        let (input, seed) = (json!({ "code": DRAWN }).to_string(), format!("{seed:064x}"));
        place.ok(&["run", "any.py", "--seed", &seed, "--input", &input])
    };
    let (one, same, other) = (drawn(1)?, drawn(1)?, drawn(2)?);
    ensure!(one == same, "the same seed gives {one}and {same}");
    let [one, other] = [one, other].map(|said| serde_json::from_str::<Vec<Value>>(&said));
    let pairs: Vec<_> = one?.into_iter().zip(other?).collect();
    let (hash, drawn) = pairs.split_last().context("nothing was drawn")?;
    ensure!(hash.0 == hash.1, "the hash of a text depends on the seed");
    ensure!(
        drawn.iter().all(|(one, other)| one != other),
        "something is drawn without the seed: {pairs:?}"
    );
    Ok(())
}

/// Recorded runs of the examples come out the same in other processes.
fn repeatable(place: &Place<'_>, examples: &Path) -> Result<()> {
    let mut recorded = 0;
    for entry in fs::read_dir(examples)? {
        let file = entry?.path();
        if file.extension().is_none_or(|ending| ending != "py") {
            continue;
        }
        let reference = place.ok(&["put", &text(&file)?])?;
        let cases: Vec<Value> =
            serde_json::from_slice(&fs::read(file.with_extension("test.json"))?)?;
        for number in 0..TIMES {
            let input = cases[number as usize % cases.len()]["input"].to_string();
            let (seed, reference) = (format!("{number:064x}"), reference.trim());
            // Some fail, as they should.
            place.output(&[
                "run", reference, "--seed", &seed, "--input", &input, "--record", "records",
            ])?;
            recorded += 1;
        }
    }
    let said = place.ok(&["replay", "records"])?;
    ensure!(said == format!("{recorded} of {recorded} the same\n"), "{said}");
    println!("records of the examples: {}", said.trim());
    Ok(())
}

/// The same by a server.
fn served(place: &Place<'_>) -> Result<()> {
    let served = Served::start(place, &["--dev"])?;
    let hello = served.put("", "hello.py")?;
    let (_, said, words) = served.run("", &hello, r#"{"name":"Ada"}"#)?;
    ensure!(said == "{\"greeting\":\"Hello, Ada!\"}\n", "{said}{words}");
    // What returns nothing answers `null`.
    let any = served.put("", "any.py")?;
    let (_, said, words) = served.run("", &any, r#"{"code":"pass"}"#)?;
    ensure!(said == "null\n", "{said}{words}");
    println!("a server runs it, too");
    Ok(())
}

/// A server, which ends with what started it.
struct Served<'a> {
    place: &'a Place<'a>,
    server: Child,
    state: String,
}

impl<'a> Served<'a> {
    /// Starts it, with a store and a state of its own.
    fn start(place: &'a Place<'_>, more: &[&str]) -> Result<Self> {
        let state = format!("served{}", more.len());
        let mut serve = place.command(&["serve", "--listen", LISTEN, "--store", &state]);
        serve.args(["--state", &state]).args(more).stdout(Stdio::null()).stderr(Stdio::null());
        let mut served = Self { place, server: serve.spawn()?, state };
        for _ in 0..100 {
            std::thread::sleep(std::time::Duration::from_millis(100));
            ensure!(served.server.try_wait()?.is_none(), "the server ended");
            if std::net::TcpStream::connect(LISTEN).is_ok() {
                return Ok(served);
            }
        }
        bail!("the server does not listen")
    }

    /// A token of a tenant.
    fn token(&self, tenant: &str) -> Result<String> {
        let scopes = ["--scope", "read,run,update", "--state", &self.state, "--store", &self.state];
        let token =
            self.place
                .ok(&[["token", "create", "--tenant", tenant].as_slice(), &scopes].concat())?;
        Ok(token.trim().to_owned())
    }

    fn put(&self, token: &str, file: &str) -> Result<String> {
        let mut put = self.place.command(&["put", file, "--server", &format!("http://{LISTEN}")]);
        let output = put.env("COMPUTE_TOKEN", token).output()?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{file} cannot be put: {words}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Whether a run failed, what it answered, and what was said.
    fn run(&self, token: &str, reference: &str, input: &str) -> Result<(bool, String, String)> {
        let url = format!("http://{LISTEN}");
        let mut run = self.place.command(&["run", reference, "--server", &url, "--input", input]);
        let output = run.env("COMPUTE_TOKEN", token).output()?;
        let [said, words] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        Ok((!output.status.success(), said, words))
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A folder to work in, and this user's folders: what was compiled is kept from one time to the next.
pub(super) struct Place<'a> {
    pub(super) folder: &'a Path,
    pub(super) home: PathBuf,
}

impl Place<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(target().join("release/compute"));
        command.args(args).current_dir(self.folder);
        for variable in ["COMPUTE_STORE", "COMPUTE_STATE", "COMPUTE_SERVER"] {
            command.env_remove(variable);
        }
        for (variable, name) in
            [("XDG_DATA_HOME", "data"), ("XDG_CONFIG_HOME", "config"), ("XDG_CACHE_HOME", "cache")]
        {
            command.env(variable, self.home.join(name));
        }
        command
    }

    fn output(&self, args: &[&str]) -> Result<Output> {
        Ok(self.command(args).output()?)
    }

    /// What a command prints that succeeds.
    pub(super) fn ok(&self, args: &[&str]) -> Result<String> {
        let output = self.output(args)?;
        let (said, words) =
            (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{args:?}: {said}{words}");
        Ok(said)
    }

    /// What a command says that fails.
    fn failed(&self, args: &[&str]) -> Result<String> {
        let output = self.output(args)?;
        ensure!(!output.status.success(), "{args:?} succeeds");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub(super) fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
        Ok(fs::write(path, text)?)
    }
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("paths are text")?.to_owned())
}
