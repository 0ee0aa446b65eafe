//! `compute init`: an op to start from, its test, and types for the editor.

use std::path::Path;

use compute_js::{GLOBAL_TYPES, SDK};

use crate::args::InitArgs;
use crate::failure::Failure;
use crate::show::print_line;
use crate::work::target;

const SOURCE_TS: &str = r#"import { op } from "@compute/op";

interface Input {
  name: string;
}

export default op<Input>(async ({ input, log }) => {
  log.info("greeting %s", input.name);
  return { greeting: `Hello, ${input.name}!` };
});
"#;

const SOURCE_JS: &str = r#"import { op } from "@compute/op";

export default op(async ({ input, log }) => {
  log.info("greeting %s", input.name);
  return { greeting: `Hello, ${input.name}!` };
});
"#;

const SOURCE_PYTHON: &str = r#"from compute import op


@op
def hello(input, ctx):
    ctx.log.info("greeting", input["name"])
    return {"greeting": f"Hello, {input['name']}!"}
"#;

const FIXTURES: &str = r#"[
  {
    "name": "greets by name",
    "input": { "name": "Ada" },
    "output": { "greeting": "Hello, Ada!" }
  }
]
"#;

/// The folder with types, which the editor finds by `tsconfig.json`.
const TYPES: &str = ".compute/types";

const TSCONFIG: &str = r#"{
  "compilerOptions": {
    "target": "ES2023",
    "lib": ["ES2023"],
    "module": "ESNext",
    "moduleResolution": "Bundler",
    "strict": true,
    "noEmit": true,
    "allowJs": true,
    "resolveJsonModule": true,
    "types": [],
    "paths": {
      "@compute/op": ["./.compute/types/op.d.ts"],
      "@compute/op/*": ["./.compute/types/*.d.ts"],
      "@txco/op": ["./.compute/types/op.d.ts"],
      "@txco/op/*": ["./.compute/types/*.d.ts"]
    }
  },
  "include": ["**/*.ts", "**/*.js", ".compute/types/globals.d.ts"]
}
"#;

pub(crate) fn init(args: &InitArgs) -> Result<(), Failure> {
    // An op may be told where it belongs: `OPS/shop/100/total`.
    let (folder, name) = args.name.rsplit_once('/').unwrap_or(("", &args.name));
    let at = |file: String| if folder.is_empty() { file } else { format!("{folder}/{file}") };
    let rule = in_scope(folder)?;
    let allowed = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        return Err(Failure::usage(format!(
            "`{name}` is not an op's name: use letters, digits, `_` and `-`, at most 64"
        )));
    }
    let (ending, source) = match args {
        InitArgs { python: true, .. } => ("py", SOURCE_PYTHON),
        InitArgs { js: true, .. } => ("js", SOURCE_JS),
        _ => ("ts", SOURCE_TS),
    };
    let source_file = at(format!("{name}.{ending}"));
    if Path::new(&source_file).exists() {
        return Err(Failure::usage(format!("{source_file} is there already")));
    }
    write(&source_file, source)?;
    write_new(&at(format!("{name}.test.json")), FIXTURES)?;
    if rule {
        write_new(&at(format!("{name}.txcl")), &format!("EXEC \"op://{name}\"\n"))?;
    }
    if !args.python {
        write_types()?;
    }
    let next = match folder.split('/').collect::<Vec<_>>()[..] {
        ["OPS", ref stack @ .., _] if rule => {
            format!("compute apply && compute fire {}", stack.join("/"))
        }
        _ => format!("compute run {source_file}"),
    };
    crate::show::tell!(
        "next: compute test {} && {next} --input '{{\"name\":\"Ada\"}}'",
        at(name.to_owned())
    );
    Ok(())
}

/// Writes what an editor knows of ops in JavaScript and TypeScript.
fn write_types() -> Result<(), Failure> {
    write_new("tsconfig.json", TSCONFIG)?;
    for module in SDK {
        let name = module.path.strip_prefix('/').unwrap_or("op");
        write(&format!("{TYPES}/{name}.d.ts"), module.types)?;
    }
    write(&format!("{TYPES}/globals.d.ts"), GLOBAL_TYPES)
}

/// Whether a folder is a scope, where an op has a rule beside it.
fn in_scope(folder: &str) -> Result<bool, Failure> {
    let parts: Vec<_> = folder.split('/').collect();
    if parts[0] != "OPS" {
        return Ok(false);
    }
    let is_scope =
        parts.last().is_some_and(|part| part.starts_with(|char: char| char.is_ascii_digit()));
    if parts.len() >= 3 && is_scope {
        return Ok(true);
    }
    Err(Failure::usage(format!(
        "`{folder}` is no scope, where rules are: write OPS/STACK/SCOPE/NAME, such as OPS/shop/100/total"
    )))
}

/// Writes a file, unless the author has one already.
fn write_new(file: &str, text: &str) -> Result<(), Failure> {
    if Path::new(file).exists() {
        crate::show::tell!("kept {file}, which was there already");
        return Ok(());
    }
    write(file, text)
}

fn write(file: &str, text: &str) -> Result<(), Failure> {
    target::write_in_folder(Path::new(file), text)?;
    if file.starts_with(TYPES) { Ok(()) } else { print_line(file) }
}
