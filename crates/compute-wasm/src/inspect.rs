//! Looks at a module without running it.

use compute::Ref;
use serde::Serialize;

use crate::check::{Caps, check, check_linked};
use crate::shape::Shape;
use crate::wasi;

/// What a module is and needs.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// Its size.
    pub bytes: u64,
    /// What it imports, as `namespace.name signature`.
    pub imports: Vec<String>,
    /// What it exports, as `kind name`.
    pub exports: Vec<String>,
    /// How many functions it defines.
    pub functions: u64,
    /// The memory it starts with, in bytes.
    pub memory_minimum: u64,
    /// The most memory it says it will ever need, in bytes.
    pub memory_maximum: Option<u64>,
    /// Whether it declares that it takes the op envelope.
    pub takes_envelope: bool,
    /// What it would be refused for, if anything.
    pub refused: Option<String>,
}

/// Looks at a module: what it is made of, and what it would be refused for under these caps.
///
/// Never fails: bytes that are no module are an inspection that says so.
#[must_use]
pub fn inspect(bytes: &[u8], caps: &Caps) -> Inspection {
    let shape = match Shape::read(bytes, caps) {
        Ok(shape) => shape,
        Err(refusal) => {
            return Inspection {
                bytes: bytes.len() as u64,
                refused: Some(refusal.to_string()),
                ..Inspection::default()
            };
        }
    };
    let import =
        |i: &crate::shape::Import| format!("{}.{} {}", i.module, i.name, shape.describe(i.item));
    let memory = shape.own_memory();
    Inspection {
        bytes: shape.bytes,
        imports: shape.imports.iter().map(import).collect(),
        exports: shape.exports.iter().map(|e| format!("{} {}", e.item.kind(), e.name)).collect(),
        functions: shape.functions,
        memory_minimum: memory.map_or(0, |memory| memory.minimum),
        memory_maximum: memory.and_then(|memory| memory.maximum),
        takes_envelope: shape.takes_envelope,
        refused: refusal(bytes, &shape),
    }
}

/// The ref of the plugin that a module links to, if it names one by its ref.
#[must_use]
pub fn linked_plugin(bytes: &[u8]) -> Option<Ref> {
    Ref::parse(Shape::read(bytes, &Caps::DEFAULT).ok()?.linked_namespace()?).ok()
}

/// Whether a module declares that it takes the op envelope. What is no module does not.
#[must_use]
pub fn takes_envelope(bytes: &[u8]) -> bool {
    Shape::read(bytes, &Caps::DEFAULT).is_ok_and(|shape| shape.takes_envelope)
}

fn refusal(bytes: &[u8], shape: &Shape) -> Option<String> {
    let checked = match shape.linked_namespace() {
        Some(namespace) if Ref::parse(namespace).is_ok() => {
            check_linked(shape, wasi::offered(), namespace)
        }
        _ => check(shape, wasi::offered()),
    };
    if let Err(refusal) = checked {
        return Some(refusal.to_string());
    }
    crate::flavour::validate(bytes).err().map(|refusal| refusal.to_string())
}
