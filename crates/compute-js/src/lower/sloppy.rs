//! CommonJS is sloppy unless it says otherwise, and a bundle is a module, which is strict: what holds a file of CommonJS there begins
//! with a mark, and the plugin's parser takes that function for a sloppy one.

use std::path::Path;

use oxc::ast::ast::{NumericLiteral, Program, StringLiteral};
use oxc::ast_visit::Visit;
use oxc::span::GetSpan as _;

use super::Edits;

/// What a sloppy function begins with: QuickJS is changed to know it (`toolchains/src/quickjs.rs`).
const MARK: &str = "__compute_sloppy__;";

/// Whether a file that requires nothing may be CommonJS: one that is not, and is marked, stays as it is.
pub(super) fn may_be_commonjs(code: &str, file: &str) -> bool {
    let is_named_so =
        Path::new(file).extension().is_some_and(|end| end.eq_ignore_ascii_case("cjs"));
    is_named_so || code.contains("exports")
}

/// Marks a file without imports and exports, unless it is strict, and writes its octal numbers and escapes otherwise: the bundler
/// takes most files for modules, which have none.
pub(super) fn mark(program: &Program<'_>, edits: &mut Edits<'_>) {
    let is_strict = program.directives.iter().any(|one| one.directive == "use strict");
    if let (false, Some(first)) = (is_strict, program.body.first()) {
        edits.insert(first.span().start, MARK);
        Octal { edits }.visit_program(program);
    }
}

/// A code frame of the bundler's, and a column, as they are without the mark.
pub(crate) fn without_mark(frame: String, column: u32) -> (String, u32) {
    let Some((before, after)) = frame.split_once(MARK) else { return (frame, column) };
    // What is below points at columns of the same line.
    let blank = " ".repeat(MARK.len());
    let below = after.lines().map(|line| line.replacen(&blank, "", 1));
    let lines: Vec<_> = below.collect();
    let after = match after.split_once('\n') {
        Some((line, _)) => format!("{line}\n{}", lines[1..].join("\n")),
        None => after.to_owned(),
    };
    let mark = u32::try_from(MARK.len()).unwrap_or_default();
    (format!("{before}{after}"), column.saturating_sub(mark).max(1))
}

struct Octal<'e, 'a> {
    edits: &'e mut Edits<'a>,
}

impl<'a> Visit<'a> for Octal<'_, '_> {
    fn visit_numeric_literal(&mut self, number: &NumericLiteral<'a>) {
        let raw = number.raw.as_ref().map_or("", |raw| raw.as_str());
        if raw.len() > 1 && raw.starts_with('0') && raw.bytes().all(|byte| byte.is_ascii_digit()) {
            // With a space: what was before it may be a word.
            self.edits.replace(number.span, format!(" {}", number.value));
        }
    }

    fn visit_string_literal(&mut self, text: &StringLiteral<'a>) {
        let raw = text.raw.as_ref().map_or("", |raw| raw.as_str());
        if has_octal_escape(raw) && !text.lone_surrogates {
            let quoted = serde_json::Value::from(text.value.as_str()).to_string();
            self.edits.replace(text.span, quoted);
        }
    }
}

/// Whether a text has an escape such as `\033`, which `\0` alone is not.
fn has_octal_escape(raw: &str) -> bool {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        let escape = rest.as_bytes().get(at + 1..).unwrap_or_default();
        match escape {
            [b'0', next, ..] if !next.is_ascii_digit() => {}
            [b'0'..=b'9', ..] => return true,
            _ => {}
        }
        // Behind the backslash and what it escapes.
        let skipped = rest[at + 1..].chars().next().map_or(0, char::len_utf8);
        rest = &rest[at + 1 + skipped..];
    }
    false
}
