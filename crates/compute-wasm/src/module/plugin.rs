//! What a plugin must be, and what links to it.

use super::check::{Offered, check_called, check_import};
use super::names::{CALL, JAVY_INITIALIZE, PREPARE};
use super::refusal::{Refusal, cut};
use super::shape::{Item, Shape};

/// Checks that a module links to this plugin, and to nothing else. The plugin's memory has so many bytes when
/// the module is instantiated, if that is known.
pub(crate) fn check_links(
    module: &Shape,
    plugin: &Shape,
    memory_bytes: Option<u64>,
    namespace: &str,
) -> Result<(), Refusal> {
    for import in module.imports.iter().filter(|import| import.module == namespace) {
        let (namespace, name) = (cut(&import.module), cut(&import.name));
        let Some(export) = plugin.export(&import.name) else {
            let hint = ": the plugin of that name exports no such thing";
            return Err(Refusal::UnknownImport { module: namespace, name, hint });
        };
        let export = match (export, memory_bytes) {
            // It has grown since it was made.
            (Item::Memory(limits), Some(bytes)) => Item::Memory(limits.grown_to(bytes)),
            _ => export,
        };
        if !module.fits(import.item, plugin, export) {
            let imported = cut(&module.describe(import.item));
            let actual = cut(&plugin.describe(export));
            return Err(Refusal::ImportType { module: namespace, name, imported, actual });
        }
    }
    Ok(())
}

/// Checks a plugin itself.
pub(crate) fn check_plugin(shape: &Shape, offered: &Offered) -> Result<(), Refusal> {
    shape.imports.iter().try_for_each(|import| check_import(shape, import, offered))?;
    if !shape.exports("memory", "memory") {
        let hint = ": a plugin exports the memory that modules linked to it share";
        return Err(Refusal::MissingExport { kind: "memory", name: "memory", hint });
    }
    let called = [
        ("_start", "()"),
        ("_initialize", "()"),
        (PREPARE, "()"),
        (JAVY_INITIALIZE, "()"),
        (CALL, "() -> i32"),
    ];
    called.into_iter().try_for_each(|(name, ty)| check_called(shape, name, ty))
}

/// Checks that a plugin can run ops.
pub(crate) fn check_calls(plugin: &Shape) -> Result<(), Refusal> {
    if plugin.exports(CALL, "function") {
        return Ok(());
    }
    let hint = ": the plugin that it links to runs no ops";
    Err(Refusal::MissingExport { kind: "function", name: CALL, hint })
}
