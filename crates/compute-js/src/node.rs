//! The modules of Node.js that need nothing of a machine: kept packages, embedded, for projects that have none of their own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rolldown::plugin::{
    HookLoadArgs, HookLoadOutput, HookLoadReturn, HookResolveIdArgs, HookResolveIdOutput,
    HookResolveIdReturn, HookUsage, Plugin, PluginContext, PluginContextResolveOptions,
    SharedLoadPluginContext,
};
use rolldown_common::{ImportKind, ModuleType, side_effects::HookSideEffects};

/// Node.js's own modules; of those that are not below, a sandbox has nothing.
pub(crate) const BUILTINS: [&str; 41] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "worker_threads",
    "zlib",
];

/// A module's name and source, in CommonJS.
const MODULES: [(&str, &str); 19] = [
    ("assert", include_str!("../node/built/assert.js")),
    ("assert/strict", "module.exports = require(\"assert\").strict;"),
    ("buffer", include_str!("../node/built/buffer.js")),
    ("crypto", include_str!("../node/built/crypto.js")),
    ("events", include_str!("../node/built/events.js")),
    ("path", include_str!("../node/built/path.js")),
    ("path/posix", "module.exports = require(\"path\").posix;"),
    ("process", include_str!("../node/built/process.js")),
    ("punycode", include_str!("../node/built/punycode.js")),
    ("querystring", include_str!("../node/built/querystring.js")),
    ("stream", include_str!("../node/built/stream.js")),
    ("stream/promises", "module.exports = require(\"stream\").promises;"),
    ("string_decoder", include_str!("../node/built/string_decoder.js")),
    ("timers", include_str!("../node/built/timers.js")),
    ("timers/promises", "module.exports = require(\"timers\").promises;"),
    ("url", include_str!("../node/built/url.js")),
    ("util", include_str!("../node/built/util.js")),
    ("util/types", "module.exports = require(\"util\").types;"),
    ("zlib", include_str!("../node/built/zlib.js")),
];

/// How the bundler names them, and those that are required and not there.
const ID_PREFIX: &str = "\0node:";
const MISSING_PREFIX: &str = "\0missing:";

/// The globals of Node.js that code may name, and which module has each.
pub(crate) const GLOBALS: [(&str, &str, &str); 2] =
    [("Buffer", "Buffer", "node:buffer"), ("process", "default", "node:process")];

/// Whether it is a module of Node.js, or of one of them.
pub(crate) fn is_builtin(name: &str) -> bool {
    let bare = name.strip_prefix("node:").unwrap_or(name);
    name != bare || BUILTINS.contains(&bare.split('/').next().unwrap_or(bare))
}

/// Why one is not there.
pub(crate) fn missing(name: &str) -> String {
    let names = MODULES.iter().map(|(name, _)| *name).filter(|name| !name.contains('/'));
    format!(
        "`{name}` is a module of Node.js, and a sandbox has no files, network, processes or environment; it has {}",
        names.collect::<Vec<_>>().join(", ")
    )
}

/// Modules by their names, and where each is required first: the name in its quotes.
pub(crate) type Names = BTreeMap<String, Range<usize>>;

/// The modules that files cannot be loaded without, and which of them are not there.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    files: Mutex<BTreeMap<String, Names>>,
    missing: Mutex<BTreeMap<String, Names>>,
}

impl Needed {
    pub(crate) fn add(&self, file: &str, names: Names) {
        if !names.is_empty() {
            locked(&self.files).insert(file.to_owned(), names);
        }
    }

    /// What a file requires by this name is not there.
    pub(crate) fn is_missing(&self, file: &str, name: &str) {
        let span = locked(&self.files).get(file).and_then(|names| names.get(name).cloned());
        if let Some(span) = span {
            let mut missing = locked(&self.missing);
            missing.entry(file.to_owned()).or_default().insert(name.to_owned(), span);
        }
    }

    /// What a file cannot do without, and has not.
    pub(crate) fn missing(&self, file: &str) -> Names {
        locked(&self.missing).get(file).cloned().unwrap_or_default()
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives these modules to whoever imports one by name, if the project has none of that name.
#[derive(Debug)]
pub(crate) struct NodeModules {
    needed: Arc<Needed>,
}

impl NodeModules {
    pub(crate) fn new(needed: Arc<Needed>) -> Self {
        Self { needed }
    }
}

impl Plugin for NodeModules {
    fn name(&self) -> Cow<'static, str> {
        "compute:node".into()
    }

    async fn resolve_id(
        &self,
        ctx: &PluginContext,
        args: &HookResolveIdArgs<'_>,
    ) -> HookResolveIdReturn {
        let bare = args.specifier.strip_prefix("node:").unwrap_or(args.specifier);
        let name = bare.strip_suffix('/').unwrap_or(bare);
        let known = MODULES.iter().any(|(known, _)| *known == name);
        // Whoever requires what is not there, but not at once, may do without it: it fails when it is asked for, and not the
        // build.
        let is_required = matches!(args.kind, ImportKind::Require);
        if !known && !is_required {
            return Ok(None);
        }
        // What is built in imports what is built in, and not a package of the project.
        let is_own = args.importer.is_some_and(|importer| importer.starts_with(ID_PREFIX));
        if !is_own {
            let options = PluginContextResolveOptions {
                import_kind: args.kind,
                ..PluginContextResolveOptions::default()
            };
            let asked = if known { name } else { args.specifier };
            if let Ok(found) = ctx.resolve(asked, args.importer, Some(options)).await? {
                return Ok(Some(HookResolveIdOutput::from_resolved_id(found)));
            }
        }
        if !known {
            if let Some(file) = args.importer {
                self.needed.is_missing(file, args.specifier);
            }
            let id = format!("{MISSING_PREFIX}{}", args.specifier);
            return Ok(Some(HookResolveIdOutput::from_id(id)));
        }
        Ok(Some(HookResolveIdOutput {
            side_effects: Some(HookSideEffects::False),
            ..HookResolveIdOutput::from_id(format!("{ID_PREFIX}{name}"))
        }))
    }

    async fn load(&self, _ctx: SharedLoadPluginContext, args: &HookLoadArgs<'_>) -> HookLoadReturn {
        let name = args.id.strip_prefix(ID_PREFIX);
        let module = name.and_then(|name| MODULES.iter().find(|(known, _)| *known == name));
        let code = match (module, args.id.strip_prefix(MISSING_PREFIX)) {
            (Some((_, source)), _) => (*source).to_owned(),
            (None, Some(name)) => {
                let message = match is_builtin(name) {
                    true => missing(name),
                    false => format!("Cannot find module '{name}'"),
                };
                let message = serde_json::Value::from(message);
                format!(
                    "module.exports = undefined; throw Object.assign(new Error({message}), {{ code: \"MODULE_NOT_FOUND\" }});"
                )
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(HookLoadOutput {
            code: code.into(),
            module_type: Some(ModuleType::Js),
            ..HookLoadOutput::default()
        }))
    }

    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::ResolveId | HookUsage::Load
    }
}
