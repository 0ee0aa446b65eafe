//! Looks at a module without running it.

use compute::Ref;
use serde::Serialize;

use super::caps::Caps;
use super::check::{Offered, check, check_linked};
use super::refusal::Refusal;
use super::shape::{Import, Shape};

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

impl Inspection {
    /// What these bytes are, and what they would be refused for. The caller says what there is to import, and whether
    /// they are valid.
    pub(crate) fn of(
        bytes: &[u8],
        caps: &Caps,
        offered: &Offered,
        is_plugin: &dyn Fn(&str) -> bool,
        validate: impl FnOnce(&[u8]) -> Result<(), Refusal>,
    ) -> Self {
        let shape = match Shape::read(bytes, caps) {
            Ok(shape) => shape,
            Err(refusal) => {
                return Self {
                    bytes: bytes.len() as u64,
                    refused: Some(refusal.to_string()),
                    ..Self::default()
                };
            }
        };
        let import = |i: &Import| format!("{}.{} {}", i.module, i.name, shape.describe(i.item));
        let checked = check_any(&shape, offered, is_plugin).and_then(|()| validate(bytes));
        let memory = shape.own_memory();
        Self {
            bytes: shape.bytes,
            imports: shape.imports.iter().map(import).collect(),
            exports: shape
                .exports
                .iter()
                .map(|e| format!("{} {}", e.item.kind(), e.name))
                .collect(),
            functions: shape.functions,
            memory_minimum: memory.map_or(0, |memory| memory.minimum),
            memory_maximum: memory.and_then(|memory| memory.maximum),
            takes_envelope: shape.takes_envelope,
            refused: checked.err().map(|refusal| refusal.to_string()),
        }
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

fn check_any(
    shape: &Shape,
    offered: &Offered,
    is_plugin: &dyn Fn(&str) -> bool,
) -> Result<(), Refusal> {
    match shape.linked_namespace() {
        Some(namespace) if Ref::parse(namespace).is_ok() || is_plugin(namespace) => {
            check_linked(shape, offered, namespace)
        }
        _ => check(shape, offered),
    }
}
