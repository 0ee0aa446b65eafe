//! What the bundler leaves in a module that the engine lacks, or reads otherwise than the language does: the module's text is
//! changed before the bundler has it, and a source map leads back.
//!
//! - Decorators of the standard, and `accessor`: `lower/classes.rs`.
//! - Names that a TypeScript namespace has from another block of its own: `lower/namespaces.rs`.
//! - CommonJS, which is sloppy unless it says otherwise: `lower/sloppy.rs`.
//! - Texts that are a number but for white space behind it, which the bundler takes for no number when it folds constants.

mod classes;
mod namespaces;
mod requires;
mod sloppy;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use oxc::allocator::Allocator;
use oxc::ast::ast::{Expression, PropertyKey};
use oxc::ast_visit::{Visit, walk};
use oxc::parser::Parser;
use oxc::span::{GetSpan as _, SourceType, Span};
use oxc_resolver::{ResolveOptions, Resolver, TsconfigDiscovery};
use rolldown::plugin::{
    HookLoadArgs, HookLoadOutput, HookLoadReturn, HookResolveIdArgs, HookResolveIdOutput,
    HookResolveIdReturn, HookTransformArgs, HookTransformOutput, HookTransformReturn, HookUsage,
    Plugin, PluginContext, SharedLoadPluginContext, SharedTransformPluginContext,
};
use rolldown_common::{ModuleType, side_effects::HookSideEffects};
use string_wizard::{Hires, MagicString, SourceMapOptions};

use crate::node::{Names, Needed};
pub(crate) use sloppy::without_mark;

/// The module that lowered classes import, and what it is known by.
const DECORATORS: &str = "compute:decorators";
const DECORATORS_ID: &str = "\0compute:decorators";
const DECORATORS_SOURCE: &str = include_str!("lower/decorators.js");

/// Changes modules as they are read.
#[derive(Debug)]
pub(crate) struct Lower {
    /// Finds each file's tsconfig.json, and keeps what it has read.
    configs: Resolver,
    needed: Arc<Needed>,
}

impl Lower {
    pub(crate) fn new(needed: Arc<Needed>) -> Self {
        let configs = Resolver::new(ResolveOptions {
            tsconfig: Some(TsconfigDiscovery::Auto),
            ..ResolveOptions::default()
        });
        Self { configs, needed }
    }

    /// The older decorators, if the tsconfig.json nearest to a file asks for them.
    fn legacy(&self, file: &Path) -> Option<Legacy> {
        let config = self.configs.find_tsconfig(file).ok().flatten()?;
        let options = &config.compiler_options;
        (options.experimental_decorators == Some(true))
            .then(|| Legacy { assigns_fields: options.use_define_for_class_fields == Some(false) })
    }
}

impl Plugin for Lower {
    fn name(&self) -> Cow<'static, str> {
        "compute:lower".into()
    }

    async fn resolve_id(
        &self,
        _ctx: &PluginContext,
        args: &HookResolveIdArgs<'_>,
    ) -> HookResolveIdReturn {
        Ok((args.specifier == DECORATORS).then(|| HookResolveIdOutput {
            side_effects: Some(HookSideEffects::False),
            ..HookResolveIdOutput::from_id(DECORATORS_ID)
        }))
    }

    async fn load(&self, _ctx: SharedLoadPluginContext, args: &HookLoadArgs<'_>) -> HookLoadReturn {
        let (code, kind) = if args.id == DECORATORS_ID {
            (DECORATORS_SOURCE.to_owned(), ModuleType::Js)
        } else if let Some(json) = json_after_mark(args.id) {
            (json, ModuleType::Json)
        } else {
            return Ok(None);
        };
        Ok(Some(HookLoadOutput {
            code: code.into(),
            module_type: Some(kind),
            ..HookLoadOutput::default()
        }))
    }

    async fn transform(
        &self,
        _ctx: SharedTransformPluginContext,
        args: &HookTransformArgs<'_>,
    ) -> HookTransformReturn {
        let kind = match args.module_type {
            ModuleType::Js => SourceType::mjs(),
            ModuleType::Jsx => SourceType::jsx(),
            ModuleType::Ts => SourceType::ts(),
            ModuleType::Tsx => SourceType::tsx(),
            _ => return Ok(None),
        };
        let may_need = may_need(args.code, kind.is_typescript())
            || !kind.is_typescript() && sloppy::may_be_commonjs(args.code, args.id)
            || requires::may_require(args.code);
        if args.id.starts_with('\0') || !may_need {
            return Ok(None);
        }
        let legacy = if kind.is_typescript() { self.legacy(Path::new(args.id)) } else { None };
        let requires = |names: Names| self.needed.add(args.id, names);
        let lowered =
            lower(args.code, kind, legacy, requires).map_err(|message| anyhow::anyhow!(message))?;
        Ok(lowered.map(|text| HookTransformOutput {
            code: Some(text.to_string()),
            map: text
                .source_map(SourceMapOptions {
                    source: args.id.into(),
                    hires: Hires::Boundary,
                    ..SourceMapOptions::default()
                })
                .into(),
            ..HookTransformOutput::default()
        }))
    }

    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::ResolveId | HookUsage::Load | HookUsage::Transform
    }
}

/// JSON that follows a byte-order mark, which some editors begin a file with.
fn json_after_mark(id: &str) -> Option<String> {
    let is_json = Path::new(id).extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
    let text = is_json.then(|| std::fs::read_to_string(id).ok()).flatten()?;
    text.strip_prefix('\u{feff}').map(str::to_owned)
}

/// Whether a text may have something to change. Most have nothing, and are not parsed twice.
fn may_need(code: &str, is_typescript: bool) -> bool {
    let has_namespaces =
        || is_typescript && (code.contains("namespace ") || code.contains("module "));
    code.contains("accessor ") || has_decorator(code) || has_namespaces() || has_loose_number(code)
}

/// Whether a `@` stands before a name, and not in a comment such as `* @param`.
fn has_decorator(code: &str) -> bool {
    let bytes = code.as_bytes();
    code.match_indices('@').any(|(at, _)| {
        let names = bytes
            .get(at + 1)
            .is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, b'_' | b'$' | b'('));
        let before = code[..at].trim_end().bytes().next_back();
        let apart = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        names && apart && !matches!(before, Some(b'*' | b'/' | b'"' | b'\'' | b'`' | b'.'))
    })
}

/// Whether a quoted text may be a number with white space behind it.
fn has_loose_number(code: &str) -> bool {
    code.match_indices(['"', '\'', '`']).any(|(at, _)| {
        let before = &code.as_bytes()[..at];
        let is_space = match before {
            [.., b'\\', b'n' | b't' | b'r' | b'v' | b'f'] => true,
            [.., last] => last.is_ascii_whitespace() || !last.is_ascii(),
            [] => false,
        };
        // `"12 "`: a digit, a point or the end of Infinity is before the white space.
        let end = code[..at].trim_end_matches(|char: char| {
            char.is_whitespace() || char == '\u{feff}' || "\\ntrvf".contains(char)
        });
        is_space
            && end
                .ends_with(|char: char| char.is_ascii_hexdigit() || matches!(char, '.' | 'y' | 'i'))
    })
}

/// The decorators that came before the standard's: the bundler lowers those, but for one kind.
#[derive(Clone, Copy, Debug)]
struct Legacy {
    /// Whether fields are assigned, and not defined: the bundler then forgets the decorators of static ones.
    assigns_fields: bool,
}

/// A module's text with the changes; nothing if it needs none, or is not what the parser takes: then the bundler says why.
fn lower(
    code: &str,
    kind: SourceType,
    legacy: Option<Legacy>,
    requires: impl FnOnce(Names),
) -> Result<Option<MagicString<'_>>, String> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, code, kind).parse();
    // CommonJS has things that modules have not.
    let parsed = if parsed.diagnostics.is_empty() || kind.is_typescript() {
        parsed
    } else {
        Parser::new(&allocator, code, kind.with_script(true)).parse()
    };
    if parsed.panicked || !parsed.diagnostics.is_empty() {
        return Ok(None);
    }
    requires(requires::needed(&parsed.program));
    let mut edits = Edits { text: MagicString::new(code), made: false };
    LooseNumbers { edits: &mut edits }.visit_program(&parsed.program);
    if kind.is_typescript() {
        namespaces::lower(&parsed.program, &mut edits);
    }
    classes::lower(&parsed.program, code, legacy, &mut edits)?;
    if !kind.is_typescript() && !parsed.module_record.has_module_syntax {
        sloppy::mark(&parsed.program, &mut edits);
    }
    Ok(edits.made.then_some(edits.text))
}

/// What is changed in a text.
struct Edits<'a> {
    text: MagicString<'a>,
    made: bool,
}

impl Edits<'_> {
    /// Puts this before what stands there, and after what was put there before.
    fn insert(&mut self, at: u32, text: impl Into<String>) {
        self.made = true;
        // Places are those of the parser in the same text.
        let _ = self.text.append_left(at, text.into());
    }

    fn replace(&mut self, span: Span, text: impl Into<String>) {
        self.made = true;
        let _ = self.text.update(span.start, span.end, text.into());
    }

    fn remove(&mut self, span: Span) {
        self.made = true;
        let _ = self.text.remove(span.start, span.end);
    }
}

struct LooseNumbers<'e, 'a> {
    edits: &'e mut Edits<'a>,
}

impl<'a> Visit<'a> for LooseNumbers<'_, '_> {
    fn visit_property_key(&mut self, key: &PropertyKey<'a>) {
        // A key is no number, however it is written.
        if !matches!(key, PropertyKey::StringLiteral(_)) {
            walk::walk_property_key(self, key);
        }
    }

    fn visit_expression(&mut self, expression: &Expression<'a>) {
        let text = match expression {
            Expression::StringLiteral(text) => Some(text.value.as_str()),
            Expression::TemplateLiteral(text) if text.expressions.is_empty() => text
                .quasis
                .first()
                .and_then(|quasi| quasi.value.cooked.as_ref())
                .map(|text| text.as_str()),
            _ => None,
        };
        if text.is_some_and(is_loose_number) {
            self.edits.insert(expression.span().end, ".valueOf()");
        }
        walk::walk_expression(self, expression);
    }
}

/// Whether it is a number, with white space behind it.
fn is_loose_number(text: &str) -> bool {
    let is_space = |char: char| char.is_whitespace() || char == '\u{feff}';
    let trimmed = text.trim_matches(is_space);
    let digits = trimmed.trim_start_matches(['+', '-']);
    let is_number = digits == "Infinity"
        || digits.parse::<f64>().is_ok()
        || ["0x", "0X", "0o", "0O", "0b", "0B"].iter().any(|start| digits.starts_with(start));
    text.ends_with(is_space) && is_number
}
