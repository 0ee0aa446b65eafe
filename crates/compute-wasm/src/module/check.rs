//! What a module must be to run: what it imports is there, what it is called by is exported.

use std::collections::HashMap;

use super::refusal::{Refusal, cut};
use super::shape::{Import, Item, Shape};

/// What the sandbox offers to import: for each namespace and name, the signature.
pub(crate) type Offered = HashMap<(String, String), String>;

/// Checks a module against what the sandbox offers, and calls.
pub(crate) fn check(shape: &Shape, offered: &Offered) -> Result<(), Refusal> {
    shape.imports.iter().try_for_each(|import| check_import(shape, import, offered))?;
    if !shape.exports("_start", "function") {
        let hint = if shape.exports("_initialize", "function") {
            ": it is a library (a reactor); build a command, with a main function"
        } else {
            ": build a command for wasm32-wasip1, with a main function"
        };
        return Err(Refusal::MissingExport { kind: "function", name: "_start", hint });
    }
    check_called(shape, "_start", "()")?;
    if !shape.imports.is_empty() && !shape.exports("memory", "memory") {
        let hint = ": WASI functions read and write the memory of that name";
        return Err(Refusal::MissingExport { kind: "memory", name: "memory", hint });
    }
    Ok(())
}

/// Checks a module that also imports from a plugin, by this namespace, of which the plugin is asked.
pub(crate) fn check_linked(
    shape: &Shape,
    offered: &Offered,
    namespace: &str,
) -> Result<(), Refusal> {
    let own = shape.imports.iter().filter(|import| import.module != namespace);
    own.into_iter().try_for_each(|import| check_import(shape, import, offered))?;
    if !shape.exports("_start", "function") && !shape.exports("_initialize", "function") {
        let hint = ": a module that links to a plugin is a command with `_start`, or an op with `_initialize`";
        return Err(Refusal::MissingExport { kind: "function", name: "_start", hint });
    }
    ["_start", "_initialize"].into_iter().try_for_each(|name| check_called(shape, name, "()"))
}

/// Checks that a function is what it is called as, if there is one.
pub(crate) fn check_called(
    shape: &Shape,
    name: &'static str,
    called: &'static str,
) -> Result<(), Refusal> {
    match shape.export(name) {
        Some(item @ Item::Function(_)) => {
            let exported = shape.describe(item);
            if exported == called {
                return Ok(());
            }
            Err(Refusal::ExportType { name, exported: cut(&exported), called })
        }
        _ => Ok(()),
    }
}

pub(crate) fn check_import(
    shape: &Shape,
    import: &Import,
    offered: &Offered,
) -> Result<(), Refusal> {
    let Import { module, name, item } = import;
    match offered.get(&(module.clone(), name.clone())) {
        Some(actual) => {
            let imported = shape.describe(*item);
            if imported == *actual {
                return Ok(());
            }
            let (imported, actual) = (cut(&imported), actual.clone());
            Err(Refusal::ImportType { module: cut(module), name: cut(name), imported, actual })
        }
        None => Err(Refusal::UnknownImport {
            module: cut(module),
            name: cut(name),
            hint: hint_for(module),
        }),
    }
}

fn hint_for(module: &str) -> &'static str {
    match module {
        "wasi_snapshot_preview1" => ": preview 1 has no function of that name",
        "wasi_unstable" => {
            ": that is the snapshot before preview 1; build with a newer toolchain, for wasm32-wasip1"
        }
        "env" => {
            ": build for wasm32-wasip1 with everything linked in; a name under `env` is often a function that was declared and never defined"
        }
        _ if module.starts_with("javy") => {
            ": it links to a plugin of Javy's; `compute plugin bind` gives a plugin's file that name"
        }
        "wbg" | "__wbindgen_placeholder__" | "gojs" | "go" => {
            ": it was built for a browser; build for wasm32-wasip1"
        }
        _ => ": it offers only wasi_snapshot_preview1",
    }
}
