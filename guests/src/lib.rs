//! The example guests, for tests, benchmarks and the demo: where the built ones are, and those written
//! as text.

mod s3;

use std::path::{Path, PathBuf};

pub use s3::S3Server;

/// The languages that `cargo xtask guests` builds the transform job in.
pub const LANGUAGES: [&str; 6] = ["assemblyscript", "c", "go", "rust", "wat", "zig"];

/// The transform job, built from this language.
///
/// # Panics
/// If it is not built; the message says how to.
#[must_use]
pub fn transform(language: &str) -> PathBuf {
    let path = root().join(format!("target/guests/transform-{language}.wasm"));
    assert!(path.is_file(), "{} is missing: run `cargo xtask guests`", path.display());
    path
}

/// The bytes of the transform job, built from this language.
///
/// # Panics
/// If it is not built; the message says how to.
#[must_use]
pub fn transform_wasm(language: &str) -> Vec<u8> {
    let path = transform(language);
    std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// A plugin with the interface of Javy's.
///
/// # Panics
/// If it is not built; the message says how to.
#[must_use]
pub fn javy_plugin() -> Vec<u8> {
    let path = root().join("target/guests/javy-plugin.wasm");
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask guests`", path.display()))
}

/// A module that copies its input to its output, with a memory of this many pages of 64 KiB.
#[must_use]
pub fn echo(pages: u32) -> Vec<u8> {
    wasm(&include_str!("../echo.wat").replace("PAGES", &pages.to_string()))
}

/// The same with one page, and another module for each number.
#[must_use]
pub fn numbered_echo(number: u32) -> Vec<u8> {
    let text = include_str!("../echo.wat").replace("PAGES", "1");
    let end = text.rfind(')').unwrap_or_default();
    wasm(&format!("{}(@custom \"number\" \"{number}\"))", &text[..end]))
}

/// The module that this text stands for.
///
/// # Panics
/// If it is not WebAssembly text; the message shows where.
#[must_use]
pub fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The repository's root.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
