//! Builds that can be proven: the same sources give the same op everywhere, and an op is built again from what is stored with it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use compute::Ref;
use compute_store::NewArtifact;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::Home;

/// The files below a folder, in the order of their paths.
fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        if entry.file_type().unwrap().is_dir() {
            files_below(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}

/// What a machine has that must not matter.
struct Machine {
    home: Home,
    root: PathBuf,
    settings: &'static [(&'static str, &'static str)],
    mask: &'static str,
}

impl Machine {
    /// The op's ref, and what it was built from, as it is attached.
    fn build(&self, op: &Path) -> (String, Vec<u8>) {
        let out = self.root.join("out.wasm");
        let compute = self.home.command(&["build", "--sources", "--json"]);
        let mut command = std::process::Command::new("/bin/sh");
        command
            .args(["-c", "umask \"$0\" && exec \"$@\"", self.mask])
            .arg(compute.get_program())
            .args(compute.get_args())
            .arg(self.root.join(op))
            .arg("-o")
            .arg(&out)
            .envs(self.settings.iter().copied());
        for (name, value) in compute.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {words}", op.display());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let sources = std::fs::read(report["sources"].as_str().unwrap()).unwrap();
        (report["ref"].as_str().unwrap().to_owned(), sources)
    }
}

#[test]
fn every_example_is_the_same_op_on_every_machine() {
    let examples = compute_guests::root().join("examples");
    assert!(examples.join("node_modules").is_dir(), "run `cargo xtask test`");
    let mut files = Vec::new();
    files_below(&examples, &mut files);
    files.retain(|file| !file.ancestors().any(|folder| folder.ends_with("dist")));
    let files: Vec<_> =
        files.iter().map(|file| file.strip_prefix(&examples).unwrap().to_owned()).collect();

    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let machines = [
        Machine {
            home: Home::new(),
            root: folders[0].path().join("a"),
            settings: &[("LC_ALL", "C"), ("TZ", "UTC"), ("HOME", "/root"), ("USER", "root")],
            mask: "022",
        },
        Machine {
            home: Home::new(),
            root: folders[1].path().join("another folder's name/ö/b"),
            settings: &[
                ("LC_ALL", "tr_TR.UTF-8"),
                ("TZ", "Asia/Kathmandu"),
                ("HOME", "/nowhere"),
                ("USER", "ada"),
            ],
            mask: "077",
        },
    ];
    for (at, machine) in machines.iter().enumerate() {
        // In another order, so that folders list them in another.
        let ordered: Vec<_> =
            if at == 0 { files.iter().collect() } else { files.iter().rev().collect() };
        for file in ordered {
            let copy = machine.root.join(file);
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            std::fs::copy(examples.join(file), copy).unwrap();
        }
    }
    let is_op = |file: &Path| {
        let source = file.extension().is_some_and(|ending| ending == "ts" || ending == "js");
        let name = file.file_name().unwrap().to_string_lossy();
        source && !name.ends_with(".d.ts") && !file.starts_with("node_modules")
    };
    let ops: Vec<_> = files.iter().filter(|file| is_op(file)).collect();
    assert!(ops.len() >= 18, "{ops:?}");
    let mut refs = BTreeSet::new();
    for op in ops {
        let [(one, sources), (other, others)] =
            [&machines[0], &machines[1]].map(|machine| machine.build(op));
        assert_eq!(one, other, "{}", op.display());
        assert_eq!(sources, others, "the sources of {}", op.display());
        refs.insert(one);
    }
    // They are not the same for lack of anything in them.
    assert!(refs.len() >= 18);
}

/// An op in a project with settings, and the folder that it is in.
fn project(home: &Home) -> PathBuf {
    let folder = home.0.path().join("project");
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("package.json", r#"{"name":"project","type":"module"}"#);
    write("package-lock.json", r#"{"lockfileVersion":3}"#);
    write("tsconfig.json", r#"{"extends":"./settings/base.json"}"#);
    write(
        "settings/base.json",
        r##"{"compilerOptions":{"paths":{"#words":["../src/words.ts"]}}}"##,
    );
    write(
        "src/hello.ts",
        "import { op } from \"@compute/op\";\nimport { greet } from \"#words\";\nimport { used } from \"kept\";\n\
         export default op(({ input }) => ({ text: greet(input.name), used }));\n",
    );
    write("src/words.ts", "export const greet = (name: string) => `Hello, ${name}!`;\n");
    // Nothing is left of its first file, which is needed all the same.
    write(
        "node_modules/kept/package.json",
        r#"{"name":"kept","exports":{"import":"./esm/first.js"},"sideEffects":false}"#,
    );
    write("node_modules/kept/esm/package.json", r#"{"type":"module"}"#);
    write("node_modules/kept/esm/first.js", "export * from \"./second.js\";\n");
    write("node_modules/kept/esm/second.js", "export const used = 1;\n");
    folder
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_op_is_built_again_from_what_is_stored_with_it() {
    let home = Home::new();
    let folder = project(&home);
    let run = |args: &[&str]| home.compute_in(&folder, args);
    let built = run(&["build", "src/hello.ts", "--sources", "--minify"]);
    assert!(built.status.success(), "{}", words(&built));
    // Without its sources there is nothing to build.
    let put = run(&["put", "src/dist/hello.wasm"]);
    let reference = String::from_utf8(put.stdout).unwrap().trim().to_owned();
    let without = run(&["verify", "--rebuild", &reference]);
    assert_eq!(without.status.code(), Some(2));
    assert!(words(&without).contains("`compute put SOURCE --sources`"), "{}", words(&without));
    assert!(run(&["put", "src/dist/hello.wasm", "--sources"]).status.success());
    // What it was put from is not looked at, nor is what an earlier build kept.
    let moved = folder.with_file_name("moved");
    std::fs::rename(&folder, &moved).unwrap();
    std::fs::remove_dir_all(home.0.path().join("cache/compute/build")).unwrap();
    let verify = |more: &[&str]| {
        let args = [&["verify", "--rebuild", &reference], more].concat();
        home.compute_in(&moved, &args)
    };
    let again = verify(&[]);
    assert!(again.status.success(), "{}", words(&again));
    assert_eq!(String::from_utf8_lossy(&again.stdout), format!("ok  {reference}\n"));
    assert!(words(&again).contains("built again from 10 files by compute "), "{}", words(&again));
    // The attachment is the same, whenever and wherever it is made.
    let before = std::fs::read(moved.join("src/dist/hello.wasm.sources")).unwrap();
    home.compute_in(&moved, &["build", "src/hello.ts", "--sources", "--minify"]);
    assert_eq!(std::fs::read(moved.join("src/dist/hello.wasm.sources")).unwrap(), before);

    // From the author's folder.
    assert!(verify(&["--from", "."]).status.success());
    let fails = |expected: &str| {
        let output = verify(&["--from", "."]);
        assert_eq!(output.status.code(), Some(1), "{}", words(&output));
        assert!(words(&output).contains(expected), "{}", words(&output));
    };
    let second = moved.join("node_modules/kept/esm/second.js");
    let text = std::fs::read_to_string(&second).unwrap();
    std::fs::write(&second, "export const used = 2;\n").unwrap();
    fails("node_modules/kept/esm/second.js differs from the file that it was built from");
    std::fs::remove_file(&second).unwrap();
    fails("there is no file ./node_modules/kept/esm/second.js, which it was built from");
    std::fs::write(&second, text).unwrap();
    // A file that is new, and stands before another.
    std::fs::write(moved.join("src/tsconfig.json"), r#"{"extends":"../tsconfig.json"}"#).unwrap();
    fails("src/tsconfig.json is read by the build here, and it was built without it");

    // Another op's sources are not attached.
    std::fs::remove_file(moved.join("src/tsconfig.json")).unwrap();
    home.compute_in(&moved, &["build", "src/hello.ts"]);
    let stale = home.compute_in(&moved, &["put", "src/dist/hello.wasm", "--sources"]);
    assert_eq!(stale.status.code(), Some(2), "{}", words(&stale));
    assert!(words(&stale).contains("build it again with --sources"), "{}", words(&stale));
}

#[test]
fn a_package_that_is_a_link_is_said_not_to_be_attachable() {
    let home = Home::new();
    let folder = project(&home);
    let packages = folder.join("node_modules/kept");
    std::fs::rename(&packages, folder.join("kept")).unwrap();
    std::os::unix::fs::symlink("../kept", &packages).unwrap();
    let output = home.compute_in(&folder, &["put", "src/hello.ts", "--sources"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output).contains("packages that are links to folders"), "{}", words(&output));
    assert_eq!(home.stdout(&["ls"], b""), "");
}

/// An op in a home's store, with its sources.
struct Stored {
    home: Home,
    reference: String,
    sources: Value,
}

impl Stored {
    fn new() -> Self {
        let home = Home::new();
        let folder = project(&home);
        let output = home.compute_in(&folder, &["build", "src/hello.ts", "--sources"]);
        assert!(output.status.success(), "{}", words(&output));
        let reference = home.stdout(&["put", folder.join("src/hello.ts").to_str().unwrap()], b"");
        let sources = std::fs::read(folder.join("src/dist/hello.wasm.sources")).unwrap();
        let sources = serde_json::from_slice(&sources).unwrap();
        Self { home, reference: reference.trim().to_owned(), sources }
    }

    /// Attaches this instead, as whoever may write to the store can, and verifies.
    fn verify_with(&self, sources: &[u8]) -> (Option<i32>, String) {
        let url = format!("file://{}", self.home.0.path().join("data/compute/store").display());
        let store = compute_store::open(&url).unwrap();
        let reference = Ref::parse(&self.reference).unwrap();
        let stored = pollster::block_on(store.get(&reference)).unwrap();
        let mut new = NewArtifact::new(stored.artifact);
        new.links = stored.manifest.links;
        new.attachments.insert("sources".to_owned(), sources.to_vec().into());
        pollster::block_on(store.put(&new)).unwrap();
        let scratch = self.home.0.path().join("scratch/deep/in");
        std::fs::create_dir_all(&scratch).unwrap();
        let mut command = self.home.command(&["verify", "--rebuild", &self.reference]);
        command.env("TMPDIR", &scratch);
        let output = self.home.finish(command, b"");
        // Nothing is left, and nothing was written beside it.
        let mut left = Vec::new();
        files_below(&self.home.0.path().join("scratch"), &mut left);
        assert_eq!(left, Vec::<PathBuf>::new());
        (output.status.code(), words(&output))
    }

    fn changed(&self, change: impl FnOnce(&mut Value)) -> (Option<i32>, String) {
        let mut sources = self.sources.clone();
        change(&mut sources);
        self.verify_with(&serde_json::to_vec(&sources).unwrap())
    }
}

/// A file as sources have it.
fn file(path: &str, text: &str) -> Value {
    let digest = Sha256::digest(text);
    let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "path": path, "sha256": sha256, "text": text })
}

fn add(sources: &mut Value, path: &str, text: &str) {
    let files = sources["files"].as_array_mut().unwrap();
    files.retain(|file| file["path"] != path);
    files.push(file(path, text));
    files.sort_by(|a, b| a["path"].as_str().cmp(&b["path"].as_str()));
}

#[test]
fn hostile_sources_are_refused_before_anything_is_written() {
    type Change = fn(&mut Value);
    let stored = Stored::new();
    assert_eq!(stored.changed(|_| ()).0, Some(0));
    let long = "x/".repeat(300) + "x";
    let paths = [
        "/etc/passwd",
        "../escape",
        "a/../../escape",
        "a//b",
        "./a",
        "a/",
        "",
        "a\\b",
        "a\0b",
        &long,
    ];
    for path in paths {
        let (code, words) = stored.changed(|sources| add(sources, path, "x"));
        assert_eq!(code, Some(3), "{path}: {words}");
        assert!(
            words.contains("are refused: ") && words.contains("no path below a folder"),
            "{words}"
        );
    }
    let changes: [(Change, &str); 14] = [
        (|all| all["project"] = json!("../.."), "no path below a folder"),
        (|all| all["entry"] = json!("/etc/passwd"), "is not among them"),
        (|all| all["files"][0]["text"] = json!("y"), "has another digest"),
        (|all| all["files"][0]["base64"] = json!("eA=="), "either a text or base64"),
        (|all| all["files"][0]["link"] = json!("/etc"), "unknown field `link`"),
        (|all| all["more"] = json!(1), "unknown field `more`"),
        (|all| all["schema"] = json!("compute-sources/2"), "`compute-sources/2`"),
        (|all| add(all, "src/hello.ts/x", "x"), "src/hello.ts is a file and a folder"),
        (|all| all["project"] = json!("src/hello.ts/x"), "src/hello.ts is a file and a folder"),
        (
            |all| {
                let first = all["files"][0].clone();
                all["files"].as_array_mut().unwrap().insert(0, first);
            },
            "is there twice",
        ),
        (|all| (0..4_000).for_each(|n| add_last(all, n)), "there may be 4000"),
        (|all| add(all, "a", &"x".repeat(17 << 20)), "at most 16 MiB are read"),
        (
            |all| all["op"] = json!(format!("compute://sha256/{}", "0".repeat(64))),
            "those of compute",
        ),
        (|all| *all = json!([]), "the document is damaged"),
    ];
    for (change, expected) in changes {
        let (code, words) = stored.changed(change);
        assert_eq!(code, Some(3), "{expected}: {words}");
        assert!(words.contains(expected), "{words}");
    }
    let (code, words) = stored.verify_with(b"{\"schema\": ");
    assert_eq!(code, Some(3));
    assert!(words.contains("the document is damaged: EOF"), "{words}");
}

#[test]
fn sources_that_lead_to_other_files_are_refused_and_show_none_of_their_lines() {
    type Lead = fn(&mut Value, &str);
    let stored = Stored::new();
    let outside = stored.home.0.path().join("outside");
    std::fs::create_dir_all(outside.join("folder")).unwrap();
    let settings = ["folder/package.json", "folder/tsconfig.json"];
    for name in ["private", "private.json", "private.ts"].into_iter().chain(settings) {
        std::fs::write(outside.join(name), "root:x hunter2:0\n").unwrap();
    }
    let leads: [(&str, Lead); 11] = [
        ("an import", |all, to| import(all, &format!("import x from \"{to}/private\";"))),
        ("an import of JSON", |all, to| {
            import(all, &format!("import x from \"{to}/private.json\";"))
        }),
        ("an import with a query", |all, to| {
            import(all, &format!("import x from \"{to}/private.ts?raw\";"))
        }),
        ("a relative import", |all, to| {
            import(all, &format!("import x from \"{}{to}/private\";", "../".repeat(30)))
        }),
        ("an import of a folder", |all, to| {
            import(all, &format!("import x from \"{to}/folder\";"))
        }),
        ("a call of require", |all, to| {
            import(all, &format!("const x = require(\"{to}/private\");"))
        }),
        ("an import in a call", |all, to| {
            import(all, &format!("const x = import(\"{to}/private\");"))
        }),
        ("what a tsconfig.json extends", |all, to| {
            add(all, "tsconfig.json", &format!("{{\"extends\":\"{to}/private\"}}"))
        }),
        ("what a tsconfig.json refers to", |all, to| {
            add(
                all,
                "tsconfig.json",
                &format!("{{\"files\":[],\"references\":[{{\"path\":\"{to}/folder\"}}]}}"),
            )
        }),
        ("a path in a tsconfig.json", |all, to| {
            let paths = json!({ "compilerOptions": { "paths": { "#words": [format!("{to}/private.ts")] } } });
            add(all, "tsconfig.json", &paths.to_string());
        }),
        ("what a package begins with", |all, to| {
            let main = format!("{}{to}/private.ts", "../".repeat(30));
            let package = json!({ "name": "kept", "main": main });
            add(all, "node_modules/kept/package.json", &package.to_string());
        }),
    ];
    for (what, lead) in leads {
        let (code, words) = stored.changed(|sources| lead(sources, outside.to_str().unwrap()));
        assert!(!words.contains("hunter2"), "{what}: {words}");
        assert_eq!(code, Some(3), "{what}: {words}");
        assert!(words.contains("which is not among them"), "{what}: {words}");
    }
}

/// Puts this into a file that the op imports.
fn import(sources: &mut Value, line: &str) {
    add(sources, "src/words.ts", &format!("{line}\nexport const greet = () => x;\n"));
}

fn add_last(sources: &mut Value, number: usize) {
    sources["files"].as_array_mut().unwrap().push(file(&format!("z/{number:05}"), ""));
}

#[test]
fn what_differs_is_named() {
    let stored = Stored::new();
    let other = "export const greet = (name: string) => `Bye, ${name}!`;\n";
    let (code, words) = stored.changed(|sources| add(sources, "src/words.ts", other));
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("the first file that differs is src/words.ts"), "{words}");
    assert!(!words.contains("it was built by compute"), "{words}");
    let (code, words) = stored.changed(|sources| {
        add(sources, "src/words.ts", other);
        sources["compute"] = json!("0.0.9");
    });
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("it was built by compute 0.0.9, and this is "), "{words}");
    // Another option is another op, with the same files.
    let (code, words) = stored.changed(|sources| sources["options"]["minify"] = json!(true));
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("no file differs"), "{words}");
    let plugin = format!("compute://sha256/{}", "0".repeat(64));
    let (code, words) = stored.changed(|sources| sources["plugin"] = json!(plugin));
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("the plugin differs"), "{words}");
}
