//! From a file and all that it imports to one module: rolldown, in process.

mod confine;
mod halves;
mod importers;
mod map;
mod reads;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rolldown::plugin::{
    __inner::SharedPluginable, HookLoadArgs, HookLoadOutput, HookLoadReturn, HookResolveIdArgs,
    HookResolveIdOutput, HookResolveIdReturn, HookUsage, Plugin, PluginContext,
    SharedLoadPluginContext,
};
use rolldown::{
    Bundler, BundlerOptions, CodeSplittingMode, InputItem, LegalComments, OutputFormat, Platform,
    RawMangleOptions, RawMinifyOptions, RawMinifyOptionsDetailed, ResolveOptions, SourceMapType,
};
use rolldown_common::{
    InjectImport, ModuleType, Output, OutputChunk, side_effects::HookSideEffects,
};
use rolldown_error::{BatchedBuildDiagnostic, BuildDiagnostic, DiagnosticOptions, EventKind};
use serde::Serialize;

use crate::diagnostic::Diagnostic;
use crate::error::BuildError;
use crate::lower::{self, Lower};
use crate::node::{self, Needed, NodeModules};
use crate::sdk;

use confine::Confine;
use halves::{Halves, package_of};
use importers::Importers;
use map::{relative_sources, with_statements};
use reads::Reads;

/// One module of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundledModule {
    /// Its path, relative to the project's folder.
    pub path: String,
    /// How many bytes of source are left of it after tree shaking.
    pub bytes: usize,
}

/// One module, and where its parts come from.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) code: String,
    pub(crate) source_map: String,
    pub(crate) modules: Vec<BundledModule>,
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) origin: Origin,
}

/// What a bundle was made of, as it is on this machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The file that it begins with.
    pub(crate) entry: PathBuf,
    /// The folder that paths are relative to.
    pub(crate) project: PathBuf,
    /// Every file that was read as a module, also those of which nothing is left.
    pub(crate) read: BTreeSet<PathBuf>,
}

/// The conditions of packages' `exports` that hold for every import: runtimes without files come before browsers, whose
/// pages a sandbox has not.
const CONDITIONS: [&str; 5] = ["worker", "workerd", "edge-light", "wintercg", "browser"];

/// What a file may end with where an import leaves it out.
const EXTENSIONS: [&str; 9] =
    [".ts", ".tsx", ".mts", ".js", ".jsx", ".mjs", ".cjs", ".cts", ".json"];

/// Bundles a file with all that it imports; within a folder, if one is given, and with nothing outside it.
pub(crate) fn bundle(
    file: &Path,
    minify: bool,
    within: Option<&Path>,
) -> Result<Bundle, BuildError> {
    let file = std::fs::canonicalize(file)
        .map_err(|source| BuildError::Read { path: file.to_owned(), source })?;
    let project = project(&file);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BuildError::host)?;
    let confine = within.map(|folder| Arc::new(Confine::new(folder, &project, resolve_options())));
    let importers = || {
        let importers = Arc::new(Importers::default());
        let halves = Halves::new(&CONDITIONS, &EXTENSIONS, BTreeSet::new());
        let options = options(&file, &project, minify);
        // It fails as it did.
        let needed = Arc::new(Needed::default());
        let _ =
            runtime.block_on(generate(options, halves, needed, importers.clone(), confine.clone()));
        importers
    };
    let mut by_main = BTreeSet::new();
    let needed = Arc::new(Needed::default());
    let reads = Arc::new(Reads::default());
    let output = loop {
        let halves = Halves::new(&CONDITIONS, &EXTENSIONS, by_main.clone());
        let options = options(&file, &project, minify);
        let made = generate(options, halves, needed.clone(), reads.clone(), confine.clone());
        let output = runtime.block_on(made);
        if let Some(path) = confine.as_ref().and_then(|confine| confine.outside()) {
            let path = path.display();
            return Err(BuildError::Refused(format!(
                "the build also reads {path}, which is not among them"
            )));
        }
        // A default export that is not there may be in a package's other half.
        let hidden = output.as_ref().err().map(|errors| hidden_halves(errors, &project));
        let before = by_main.len();
        by_main.extend(hidden.unwrap_or_default());
        if by_main.len() == before {
            break output;
        }
    };
    let output = output.map_err(|errors| {
        let mut mistakes = diagnostics(errors, &project);
        add_importers(&mut mistakes, &project, importers);
        BuildError::Source(mistakes)
    })?;
    let warnings = output.warnings.iter().map(|one| diagnostic(one, &project)).collect();
    let mut chunks = output.assets.iter().filter_map(|asset| match asset {
        Output::Chunk(chunk) => Some(chunk),
        Output::Asset(_) => None,
    });
    let chunk = chunks.next().ok_or_else(|| BuildError::host("the bundler gave no module"))?;
    let mut left_out: Vec<_> = chunk
        .imports
        .iter()
        .chain(&chunk.dynamic_imports)
        // What is imported in the course of a call is in the same chunk.
        .filter(|name| **name != chunk.filename)
        .map(|name| left_out(name, chunk, &project))
        .chain(chunk.modules.keys.iter().flat_map(|id| {
            let missing = needed.missing(id.as_ref()).into_iter();
            missing.map(|(name, span)| leads_nowhere(&name, Some((id.as_ref(), span)), &project))
        }))
        .collect();
    if !left_out.is_empty() {
        add_importers(&mut left_out, &project, importers);
        return Err(BuildError::Source(left_out));
    }
    let bundle = read_chunk(chunk, &project, warnings)?;
    Ok(Bundle { origin: Origin { entry: file, project, read: reads.files() }, ..bundle })
}

async fn generate(
    options: BundlerOptions,
    halves: Halves,
    needed: Arc<Needed>,
    observer: SharedPluginable,
    confine: Option<Arc<Confine>>,
) -> Result<rolldown::BundleOutput, BatchedBuildDiagnostic> {
    let mut plugins: Vec<SharedPluginable> = vec![observer, Arc::new(Sdk)];
    // Before all that look for files.
    plugins.extend(confine.map(|confine| confine as SharedPluginable));
    plugins.push(Arc::new(NodeModules::new(needed.clone())));
    plugins.push(Arc::new(halves));
    plugins.push(Arc::new(Lower::new(needed)));
    let mut bundler = Bundler::with_plugins(options, plugins)?;
    bundler.generate().await
}

/// Says of imports that lead nowhere, in a file that is not the one that is built, by whom that is imported.
fn add_importers(
    mistakes: &mut [Diagnostic],
    project: &Path,
    importers: impl FnOnce() -> Arc<Importers>,
) {
    let leads_nowhere = |one: &&mut Diagnostic| {
        one.code == EventKind::UnresolvedImport.to_string()
            || one.code == EventKind::ResolveError.to_string()
    };
    let mut mistakes = mistakes.iter_mut().filter(leads_nowhere).peekable();
    if mistakes.peek().is_none() {
        return;
    }
    let importers = importers();
    for mistake in mistakes {
        let chain = importers.chain(&project.join(&mistake.file).display().to_string());
        mistake.importers = chain.iter().map(|id| show(id, project)).collect();
    }
}

/// Packages whose ES half was found to have no default export, and which Node.js takes by their other half.
fn hidden_halves(errors: &BatchedBuildDiagnostic, project: &Path) -> Vec<String> {
    let shown = DiagnosticOptions { cwd: project.to_owned() };
    let missing =
        errors.iter().filter(|error| matches!(error.kind(), EventKind::MissingExportError));
    let messages = missing.map(|error| error.to_message_with(&shown));
    // "default" is not exported by "node_modules/rrule/dist/esm/index.js", …
    let files = messages.filter_map(|message| {
        let mut quoted = message.split('"').skip(1).step_by(2);
        (quoted.next() == Some("default")).then(|| quoted.next().map(|file| project.join(file)))?
    });
    files.filter_map(|file| halves::with_hidden_half(&file)).collect()
}

fn read_chunk(
    chunk: &OutputChunk,
    project: &Path,
    warnings: Vec<Diagnostic>,
) -> Result<Bundle, BuildError> {
    let code = without_unused_helpers(&chunk.code);
    let mut modules: Vec<_> = chunk
        .modules
        .keys
        .iter()
        .zip(&chunk.modules.values)
        .map(|(id, module)| BundledModule {
            path: show(id.as_ref(), project),
            bytes: module.rendered_length(),
        })
        .filter(|module| module.bytes > 0)
        .filter(|module| module.path != RUNTIME || has_helpers(&code))
        .collect();
    modules.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    let ids = chunk.modules.keys.iter();
    let sources = ids.map(|id| PathBuf::from(id.as_ref())).filter(|path| path.is_absolute());
    let map = chunk.map.as_ref().map(|map| with_statements(map, &code).to_json_string());
    // A file with nothing in it has none.
    let map =
        map.unwrap_or_else(|| r#"{"version":3,"sources":[],"names":[],"mappings":""}"#.to_owned());
    Ok(Bundle {
        code,
        source_map: relative_sources(&map)?,
        modules,
        sources: sources.collect(),
        warnings,
        origin: Origin::default(),
    })
}

/// What the bundler adds of its own: functions that it calls, whose names begin so. They are counted before what is not
/// called is left out.
const RUNTIME: &str = "rolldown/runtime.js";

fn has_helpers(code: &str) -> bool {
    ["__name(", "__commonJS", "__esm", "__export", "__toESM", "__toCommonJS", "__reExport"]
        .iter()
        .any(|name| code.contains(name))
}

/// The code without the bundler's own functions, if none is called: their lines stay, and are empty.
fn without_unused_helpers(code: &str) -> String {
    let (begin, end) = (format!("//#region \\0{RUNTIME}\n"), "//#endregion\n");
    let Some((before, rest)) = code.split_once(&begin) else { return code.to_owned() };
    let Some((helpers, after)) = rest.split_once(end) else { return code.to_owned() };
    let declared =
        |line: &str| line.strip_prefix("var ")?.split([' ', '=']).next().map(str::to_owned);
    let is_used = |name: &String| before.contains(name.as_str()) || after.contains(name.as_str());
    if helpers.lines().filter_map(declared).any(|name| is_used(&name)) {
        return code.to_owned();
    }
    let lines = helpers.lines().count() + 2;
    format!("{before}{}{after}", "\n".repeat(lines))
}

/// What marks the folder that paths are relative to: a package, or a workspace.
const MARKS: [&str; 4] = ["package.json", "compute.toml", "txco.yaml", "OPS"];

/// The folder that paths are relative to: the nearest one with a mark, else the file's own.
fn project(file: &Path) -> PathBuf {
    let own = file.parent().unwrap_or(file);
    let marked = own.ancestors().find(|folder| MARKS.iter().any(|mark| folder.join(mark).exists()));
    marked.unwrap_or(own).to_owned()
}

fn options(file: &Path, project: &Path, minify: bool) -> BundlerOptions {
    BundlerOptions {
        input: Some(vec![InputItem {
            name: Some("op".into()),
            import: file.display().to_string(),
        }]),
        cwd: Some(project.to_owned()),
        platform: Some(Platform::Browser),
        format: Some(OutputFormat::Esm),
        sourcemap: Some(SourceMapType::Hidden),
        code_splitting: Some(CodeSplittingMode::Bool(false)),
        minify: Some(if minify {
            // Names and white space: what its compression folds is not always what JavaScript computes.
            RawMinifyOptions::Object(RawMinifyOptionsDetailed {
                mangle: Some(RawMangleOptions::default()),
                compress: None,
                remove_whitespace: true,
            })
        } else {
            // Not even dead code: what removes it folds constants and moves values to where they are used, and then an error is at
            // another line than the author's.
            RawMinifyOptions::Bool(false)
        }),
        // Stacks and `constructor.name` show the author's names.
        keep_names: Some(true),
        // Names from paths would make the digest depend on the folder.
        profiler_names: Some(false),
        legal_comments: Some(LegalComments::None),
        resolve: Some(resolve_options()),
        define: Some(
            [("process.env.NODE_ENV", "\"production\"")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter()
                .collect(),
        ),
        // What code of Node.js names without importing it, where code names it.
        inject: Some(
            node::GLOBALS
                .map(|(global, export, module)| {
                    InjectImport::named(export.into(), Some(global.into()), module.into())
                })
                .into(),
        ),
        ..BundlerOptions::default()
    }
}

/// How imports are found.
fn resolve_options() -> ResolveOptions {
    let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    ResolveOptions {
        // The bundler adds `import` or `require`, by how it is imported.
        condition_names: names(&CONDITIONS),
        main_fields: names(&["browser", "module", "main"]),
        extensions: names(&EXTENSIONS),
        // `node:buffer` is the package `buffer` where that is installed, and else is not there.
        alias: Some(
            node::BUILTINS.map(|name| (format!("node:{name}"), vec![Some(name.to_owned())])).into(),
        ),
        // What a file of a folder's links leads to must not decide what is built.
        symlinks: Some(true),
        ..ResolveOptions::default()
    }
}

/// A module's id as people read it.
fn show(id: &str, project: &Path) -> String {
    let path = Path::new(id);
    let path = path.strip_prefix(project).unwrap_or(path);
    path.display().to_string().trim_start_matches('\0').to_owned()
}

fn diagnostics(errors: BatchedBuildDiagnostic, project: &Path) -> Vec<Diagnostic> {
    errors.into_vec().iter().map(|error| diagnostic(error, project)).collect()
}

fn diagnostic(error: &BuildDiagnostic, project: &Path) -> Diagnostic {
    let shown = error.to_diagnostic_with(&DiagnosticOptions { cwd: project.to_owned() });
    let place = shown.get_primary_location();
    let (file, line, column) = place.map_or_else(Default::default, |(file, line, column, _)| {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        (show(&file, project), number(line), number(column + 1))
    });
    let message = error.to_message_with(&DiagnosticOptions { cwd: project.to_owned() });
    let mut message = message.trim_end().to_owned();
    if matches!(error.kind(), EventKind::ResolveError | EventKind::UnresolvedImport) {
        message = unresolved(&message);
    }
    let extension =
        Path::new(&file).extension().and_then(|end| end.to_str()).map(|end| format!(".{end}"));
    let is_parsed = matches!(
        error.kind(),
        EventKind::ParseError | EventKind::JsonParseError | EventKind::UnsupportedFeatureError
    ) || message.contains("CSS");
    match extension.as_deref() {
        Some(".js" | ".mjs" | ".cjs") if message.contains("JSX") => {
            "this is JSX, which a `.js` file may not have: name the file `.jsx` or `.tsx`"
                .clone_into(&mut message);
        }
        _ if message.contains("Bundling CSS") => {
            "a style sheet is neither JavaScript, TypeScript nor JSON, which is what an op can import: put its text into a `.ts` file as a string".clone_into(&mut message);
            return Diagnostic { code: error.kind().to_string(), message, ..Diagnostic::default() };
        }
        Some(end) if is_parsed && !file.is_empty() && !EXTENSIONS.contains(&end) => {
            message = format!(
                "`{file}` is neither JavaScript, TypeScript nor JSON, which is what an op can import: put its text into a `.ts` file as a string, or into a `.json` file"
            );
        }
        _ => {}
    }
    let rendered = shown.convert_to_string(false);
    // Its first line is the message, which stands above already; what is below the frame is for who sets up a bundler.
    let frame = rendered.split_once('\n').map_or("", |(_, frame)| frame);
    let frame = frame.split_inclusive("───╯").next().unwrap_or_default().trim_end().to_owned();
    let (frame, column) = lower::without_mark(frame, column);
    let code = error.kind().to_string();
    Diagnostic {
        code,
        message,
        file,
        line,
        column,
        frame: if line > 0 { frame } else { String::new() },
        importers: Vec::new(),
    }
}

/// An import that the bundler left to whoever runs the bundle: nobody here can.
fn left_out(name: &str, chunk: &OutputChunk, project: &Path) -> Diagnostic {
    let quoted = ['"', '\''].map(|quote| format!("{quote}{name}{quote}"));
    let place = chunk.modules.keys.iter().find_map(|id| {
        let source = std::fs::read_to_string(id.as_ref()).ok()?;
        let at = quoted.iter().find_map(|quoted| source.find(quoted.as_str()))?;
        Some((id.as_ref(), at..at + name.len() + 2))
    });
    leads_nowhere(name, place, project)
}

/// What is imported and not there: its name, and in which file, where.
fn leads_nowhere(name: &str, place: Option<(&str, Range<usize>)>, project: &Path) -> Diagnostic {
    let mut diagnostic = Diagnostic {
        code: EventKind::UnresolvedImport.to_string(),
        message: unresolved_name(name),
        ..Diagnostic::default()
    };
    let Some((id, span)) = place else { return diagnostic };
    diagnostic.file = show(id, project);
    let source = std::fs::read_to_string(id).unwrap_or_default();
    // The file may have changed since.
    let (Some(before), Some(_)) = (source.get(..span.start), source.get(span.clone())) else {
        return diagnostic;
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|char| *char != '\n').count() + 1;
    diagnostic.line = u32::try_from(line).unwrap_or(u32::MAX);
    diagnostic.column = u32::try_from(column).unwrap_or(u32::MAX);
    diagnostic.frame = compute_js_plugin::code_frame(&source, &diagnostic.file, span, false);
    diagnostic
}

/// An import that leads nowhere, and what to do about it.
fn unresolved(message: &str) -> String {
    match message.split('\'').nth(1) {
        Some(name) => unresolved_name(name),
        None => message.to_owned(),
    }
}

fn unresolved_name(name: &str) -> String {
    if node::is_builtin(name) {
        return node::missing(name);
    }
    if name.starts_with('.') || name.starts_with('/') {
        return format!("there is no file `{name}` where it is imported");
    }
    if let Some(Err(message)) = sdk::find(name) {
        return message;
    }
    if name.starts_with("@compute/") || name.starts_with("@txco/") {
        return format!("there is no `{name}`; the SDK is `@compute/op`");
    }
    if let Some(package) = name.strip_prefix("npm:") {
        let package = package_of(package);
        let version = package.rfind('@').filter(|at| *at > 0);
        let package = &package[..version.unwrap_or(package.len())];
        return format!(
            "`{name}` names no package here: write `{package}`, and install it with `npm install {package}`"
        );
    }
    if name.starts_with("@/") || name.starts_with("~/") {
        return format!(
            "`{name}` is in no `paths` of a tsconfig.json that leads to a file; add it there, or import the file by where it is"
        );
    }
    if name.starts_with('#') {
        return format!("`{name}` is not in the `imports` of the package.json beside this");
    }
    let package = package_of(name);
    if package == name {
        return format!(
            "there is no package `{name}` in node_modules; install it with `npm install {name}`"
        );
    }
    format!(
        "there is no `{name}`: either the package `{package}` is not in node_modules (`npm install {package}`), or its `exports` do not have it"
    )
}

/// Gives the SDK's modules to those who import them by name.
#[derive(Debug)]
struct Sdk;

impl Plugin for Sdk {
    fn name(&self) -> Cow<'static, str> {
        "compute:sdk".into()
    }

    async fn resolve_id(
        &self,
        _ctx: &PluginContext,
        args: &HookResolveIdArgs<'_>,
    ) -> HookResolveIdReturn {
        match sdk::find(args.specifier) {
            // One that is not there is told where it is imported: see `unresolved`.
            None | Some(Err(_)) => Ok(None),
            Some(Ok(module)) => Ok(Some(HookResolveIdOutput {
                side_effects: Some(HookSideEffects::False),
                ..HookResolveIdOutput::from_id(sdk::id(module))
            })),
        }
    }

    async fn load(&self, _ctx: SharedLoadPluginContext, args: &HookLoadArgs<'_>) -> HookLoadReturn {
        Ok(sdk::by_id(args.id).map(|module| HookLoadOutput {
            code: module.source.into(),
            module_type: Some(ModuleType::Js),
            ..HookLoadOutput::default()
        }))
    }

    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::ResolveId | HookUsage::Load
    }
}
