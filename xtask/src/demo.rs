//! The tour: a compute from source to its ref, run, repeated and stopped at a limit.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{cargo, guests, root, run, target};

/// Shows what the product does, with commands that a person can type.
pub(crate) fn demo() -> Result<()> {
    eprintln!("building the command line: some minutes the first time");
    run(&mut cargo(&["build", "-p", "compute-cli"]))?;
    let module = guests::build_transform("c")?;
    let module = module.strip_prefix(root()).unwrap_or(&module).to_owned();
    let spin = Path::new("guests/spin.wat");

    say("A compute is a WebAssembly module: JSON in, JSON out. This one is written in C.");
    show(&["run", text(&module)?, "--input", r#"{"name":"Ada"}"#], 0)?;

    say("Stored, it has an address that says which bytes are meant, for ever.");
    let reference = show(&["put", text(&module)?], 0)?;
    let reference = reference.trim();

    say("It runs by that address. --metrics says what it took, and what repeats the run.");
    show(&["run", reference, "--input", r#"{"order":17}"#, "--metrics"], 0)?;

    say("A guest gets no more than its limits. This one loops for ever:");
    show(&["run", text(spin)?, "--wall", "50ms"], 1)?;
    say("The same with fuel stops at the same instruction each time:");
    show(&["run", text(spin)?, "--fuel", "1000000"], 1)?;

    say(
        "Rules say which documents computes are for. A workspace of rules and TypeScript is applied:",
    );
    show(&["apply", "examples/triage"], 0)?;
    say("A document goes through it, scope by scope:");
    let document = "@examples/triage/documents/outage.json";
    show(&["fire", "triage", "--input", document, "--trace"], 0)?;
    Ok(())
}

fn say(words: &str) {
    println!("\n{words}");
}

/// Runs `compute` as a person would, shows what it prints, and gives back its output.
fn show(args: &[&str], code: i32) -> Result<String> {
    let shown: Vec<_> = args.iter().map(|arg| quote(arg)).collect();
    println!("$ compute {}", shown.join(" "));
    let output = Command::new(target().join("debug/compute"))
        .args(args)
        .env("COMPUTE_STORE", target().join("demo-store"))
        .env("COMPUTE_STATE", target().join("demo-state"))
        .current_dir(root())
        .output()
        .context("cannot start compute")?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    print!("{err}{out}");
    ensure!(output.status.code() == Some(code), "that ended with {}", output.status);
    Ok(out)
}

fn quote(arg: &str) -> String {
    if arg.contains(['{', ' ']) { format!("'{arg}'") } else { arg.to_owned() }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the path is not UTF-8")
}
