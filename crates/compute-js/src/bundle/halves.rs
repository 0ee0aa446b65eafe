//! Which half of a package: many have one for browsers and one for Node.js, one in ES modules and one in CommonJS.
//!
//! The bundler takes what is for browsers, and ES modules where they are imported. Two kinds of packages want another half:
//!
//! - One whose browser half leaves out an implementation of the DOM, since browsers have one: a sandbox has none.
//! - One whose ES half, which Node.js does not know of (the field `module`), has no default export where one is imported: Node.js takes
//!   the other half, whose exports are the default.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oxc_resolver::{ResolveOptions, Resolver};
use rolldown::plugin::{
    HookResolveIdArgs, HookResolveIdOutput, HookResolveIdReturn, HookUsage, Plugin, PluginContext,
};
use rolldown_common::ImportKind;
use serde_json::Value;

/// Implementations of the DOM.
const DOM: [&str; 7] =
    ["@mixmark-io/domino", "@xmldom/xmldom", "domino", "happy-dom", "jsdom", "linkedom", "xmldom"];

/// Leads imports to the right half.
#[derive(Debug)]
pub(crate) struct Halves {
    conditions: Vec<String>,
    extensions: Vec<String>,
    /// Packages whose ES half lacks what is imported of it.
    by_main: BTreeSet<String>,
}

impl Halves {
    pub(crate) fn new(conditions: &[&str], extensions: &[&str], by_main: BTreeSet<String>) -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self { conditions: owned(conditions), extensions: owned(extensions), by_main }
    }

    fn resolve(
        &self,
        from: &Path,
        specifier: &str,
        kind: ImportKind,
        half: Half,
    ) -> Option<PathBuf> {
        let own = if matches!(kind, ImportKind::Require) { "require" } else { "import" };
        let is_browser = matches!(half, Half::Main);
        let conditions = self.conditions.iter().filter(|name| is_browser || *name != "browser");
        let fields = if is_browser { ["browser", "main"] } else { ["module", "main"] };
        let alias = if is_browser { vec![vec!["browser".to_owned()]] } else { Vec::new() };
        let resolver = Resolver::new(ResolveOptions {
            condition_names: conditions.cloned().chain([own.to_owned()]).collect(),
            extensions: self.extensions.clone(),
            main_fields: fields.map(str::to_owned).into(),
            alias_fields: alias,
            ..ResolveOptions::default()
        });
        resolver.resolve(from, specifier).ok().map(|found| found.full_path())
    }
}

/// What a package is taken by.
enum Half {
    /// Its field `main`, and what is for browsers.
    Main,
    /// What is not for browsers.
    NotBrowser,
}

/// The package that an import is from: two parts of a name with a scope, one of another.
pub(crate) fn package_of(name: &str) -> &str {
    let parts = if name.starts_with('@') { 2 } else { 1 };
    let end = name.match_indices('/').nth(parts - 1).map_or(name.len(), |(at, _)| at);
    &name[..end]
}

/// The package that a file below `node_modules` is of, if its ES half is known by the field `module` alone.
pub(crate) fn with_hidden_half(file: &Path) -> Option<String> {
    let (folder, package) = folder_of(file)?;
    hides_half(&folder).then(|| package.to_owned())
}

/// Whether the ES half of the package in a folder is known by the field `module` alone.
fn hides_half(package: &Path) -> bool {
    describe(package).is_some_and(|described| {
        described.get("exports").is_none()
            && described.get("module").is_some()
            && described.get("main").is_some()
    })
}

/// The folder and the name of the package that a file below `node_modules` is of.
fn folder_of(file: &Path) -> Option<(PathBuf, &str)> {
    let (above, below) = file.to_str()?.rsplit_once("node_modules/")?;
    let package = package_of(below);
    Some((Path::new(above).join("node_modules").join(package), package))
}

fn describe(package: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(package.join("package.json")).ok()?).ok()
}

/// Where a package is, looked for as imports are, from a folder upwards.
fn find(from: &Path, package: &str) -> Option<PathBuf> {
    let mut folders = from.ancestors().map(|folder| folder.join("node_modules").join(package));
    folders.find(|folder| folder.is_dir())
}

/// Whether the browser half of the package in a folder does without a DOM of its own.
fn leaves_out_dom(package: &Path) -> bool {
    let described = describe(package);
    let browser = described.as_ref().and_then(|described| described.get("browser")?.as_object());
    browser.is_some_and(|browser| {
        DOM.iter().any(|name| browser.get(*name) == Some(&Value::Bool(false)))
    })
}

impl Plugin for Halves {
    fn name(&self) -> Cow<'static, str> {
        "compute:halves".into()
    }

    async fn resolve_id(
        &self,
        _ctx: &PluginContext,
        args: &HookResolveIdArgs<'_>,
    ) -> HookResolveIdReturn {
        let is_package =
            args.specifier.starts_with(|char: char| char.is_alphanumeric() || char == '@');
        let importer = args.importer.map(Path::new).filter(|importer| importer.is_absolute());
        let from = importer.and_then(Path::parent);
        let (true, Some(importer), Some(from)) = (is_package, importer, from) else {
            return Ok(None);
        };
        let package = package_of(args.specifier);
        let is_required = matches!(args.kind, ImportKind::Require);
        let hides_half = || find(from, package).is_some_and(|folder| hides_half(&folder));
        // What is required gets what Node.js gives it, which does not know the field `module`.
        let half = if self.by_main.contains(package) || is_required && hides_half() {
            Half::Main
        } else if [find(from, package), folder_of(importer).map(|(folder, _)| folder)]
            .iter()
            .flatten()
            .any(|folder| leaves_out_dom(folder))
        {
            Half::NotBrowser
        } else {
            return Ok(None);
        };
        let found = self.resolve(from, args.specifier, args.kind, half);
        Ok(found.map(|path| HookResolveIdOutput::from_id(path.display().to_string())))
    }

    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::ResolveId
    }
}
