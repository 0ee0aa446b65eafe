//! The modules of a crate, and which of them import from which, read from their sources.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Item, UseTree};

/// A module's path from its crate's root, which is empty for the root.
pub(crate) type ModulePath = Vec<String>;

/// A crate's modules, by their paths.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    pub(crate) all: BTreeMap<ModulePath, Module>,
}

/// One module: what it names, and what can be named in it.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) file: PathBuf,
    /// The paths that it names, from the crate's root or from itself, and in which lines.
    names: Vec<(Vec<String>, usize)>,
    /// What it passes on under a name: the path that is meant.
    passes_on: HashMap<String, Vec<String>>,
    /// The modules all of whose things it passes on.
    passes_on_all: Vec<Vec<String>>,
    /// What its own names stand for: `use` items that it keeps to itself.
    aliases: HashMap<String, Vec<String>>,
    items: Vec<String>,
}

/// That a module imports from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) from: ModulePath,
    pub(crate) to: ModulePath,
    pub(crate) line: usize,
}

impl Modules {
    /// The modules of the crate whose root is this file.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut modules = Self::default();
        let folder = root.parent().context("a file is in a folder")?;
        modules.read_file(root, folder, Vec::new())?;
        Ok(modules)
    }

    /// A file is a module; those that it declares are in `folder`.
    fn read_file(&mut self, file: &Path, folder: &Path, path: ModulePath) -> Result<()> {
        let name = || file.display().to_string();
        let text = fs::read_to_string(file).with_context(name)?;
        let parsed = syn::parse_file(&text).with_context(name)?;
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        let mut children = Vec::new();
        for item in &parsed.items {
            let (attributes, ident) = (attributes(item), ident(item));
            if attributes.iter().any(is_for_tests) {
                continue;
            }
            module.items.extend(ident);
            match item {
                Item::Mod(child) if child.content.is_none() => {
                    let name = child.ident.to_string();
                    let elsewhere = child.attrs.iter().find_map(path_attribute);
                    let beside = match &elsewhere {
                        Some(elsewhere) => file.parent().unwrap_or(folder).join(elsewhere),
                        None => folder.join(format!("{name}.rs")),
                    };
                    children.push((beside, folder.join(&name), name));
                }
                Item::Use(item) => module.import(item),
                item => Names(&mut module).visit_item(item),
            }
        }
        self.all.insert(path.clone(), module);
        for (file, folder, name) in children {
            let path = path.iter().cloned().chain([name]).collect();
            self.read_file(&file, &folder, path)?;
        }
        Ok(())
    }

    /// What imports what, each pair once, without a module's own parents and children.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut imports: Vec<Import> = Vec::new();
        for (from, module) in &self.all {
            for (name, line) in &module.names {
                let Some(to) = self.resolve(from, name, 0) else { continue };
                let is_known = imports.iter().any(|one| one.from == *from && one.to == to);
                if !from.starts_with(&to) && !to.starts_with(from) && !is_known {
                    imports.push(Import { from: from.clone(), to, line: *line });
                }
            }
        }
        imports
    }

    /// The module that has what this path names in this module.
    fn resolve(&self, from: &ModulePath, name: &[String], depth: usize) -> Option<ModulePath> {
        if depth > 10 {
            return None;
        }
        let (first, rest) = name.split_first()?;
        match first.as_str() {
            "crate" => self.descend(Vec::new(), rest, depth),
            "self" => self.descend(from.clone(), rest, depth),
            "super" => {
                let (_, parent) = from.split_last()?;
                match rest.first().map(String::as_str) {
                    Some("super") => self.resolve(&parent.to_vec(), rest, depth),
                    _ => self.descend(parent.to_vec(), rest, depth),
                }
            }
            _ => {
                let module = self.all.get(from)?;
                let child: ModulePath = from.iter().cloned().chain([first.clone()]).collect();
                if self.all.contains_key(&child) {
                    return self.descend(from.clone(), name, depth);
                }
                let meant = module.aliases.get(first)?;
                let whole: Vec<_> = meant.iter().chain(rest).cloned().collect();
                // What a name stands for is a path from elsewhere, or it would stand for itself.
                (whole.first() != Some(first)).then(|| self.resolve(from, &whole, depth + 1))?
            }
        }
    }

    fn descend(&self, mut at: ModulePath, names: &[String], depth: usize) -> Option<ModulePath> {
        for (index, name) in names.iter().enumerate() {
            let child: ModulePath = at.iter().cloned().chain([name.clone()]).collect();
            if self.all.contains_key(&child) {
                at = child;
                continue;
            }
            let module = self.all.get(&at)?;
            if let Some(meant) = module.passes_on.get(name) {
                let whole: Vec<_> = meant.iter().chain(&names[index + 1..]).cloned().collect();
                return self.resolve(&at, &whole, depth + 1);
            }
            if !module.items.contains(name) {
                let found = module.passes_on_all.iter().find_map(|all| {
                    let within = self.resolve(&at, all, depth + 1)?;
                    self.all.get(&within)?.items.contains(name).then_some(within)
                });
                return Some(found.unwrap_or(at));
            }
            return Some(at);
        }
        Some(at)
    }
}

impl Module {
    fn import(&mut self, item: &syn::ItemUse) {
        let is_private = matches!(item.vis, syn::Visibility::Inherited);
        let mut flat = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut flat);
        for (name, alias) in flat {
            let line = item.span().start().line;
            match alias {
                Some(alias) if is_private => {
                    self.aliases.insert(alias, name.clone());
                }
                Some(alias) => {
                    self.passes_on.insert(alias.clone(), name.clone());
                    self.aliases.insert(alias, name.clone());
                }
                None if !is_private => self.passes_on_all.push(name.clone()),
                None => {}
            }
            self.names.push((name, line));
        }
    }
}

/// The paths in code.
struct Names<'a>(&'a mut Module);

impl Visit<'_> for Names<'_> {
    fn visit_path(&mut self, path: &syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let names = path.segments.iter().map(|one| one.ident.to_string()).collect();
            self.0.names.push((names, path.span().start().line));
        }
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        if !item.attrs.iter().any(is_for_tests) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_macro(&mut self, item: &syn::Macro) {
        // Arguments of most macros are expressions.
        let parse = Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated;
        if let Ok(arguments) = item.parse_body_with(parse) {
            arguments.iter().for_each(|argument| self.visit_expr(argument));
        }
        visit::visit_macro(self, item);
    }
}

/// All paths of a `use`, each with the name that it has then; none where it takes all names.
fn flatten(
    tree: &UseTree,
    before: &mut Vec<String>,
    flat: &mut Vec<(Vec<String>, Option<String>)>,
) {
    let whole = |name: &syn::Ident, before: &[String]| {
        let mut whole = before.to_vec();
        if name != "self" || whole.is_empty() {
            whole.push(name.to_string());
        }
        whole
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, flat);
            before.pop();
        }
        UseTree::Name(name) => {
            let whole = whole(&name.ident, before);
            let alias = whole.last().cloned();
            flat.push((whole, alias));
        }
        UseTree::Rename(name) => {
            flat.push((whole(&name.ident, before), Some(name.rename.to_string())));
        }
        UseTree::Glob(_) => flat.push((before.clone(), None)),
        UseTree::Group(group) => {
            group.items.iter().for_each(|tree| flatten(tree, before, flat));
        }
    }
}

fn is_for_tests(attribute: &syn::Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else { return false };
    attribute.path().is_ident("cfg") && matches!(&*list.tokens.to_string(), "test" | "doctest")
}

fn path_attribute(attribute: &syn::Attribute) -> Option<String> {
    let syn::Meta::NameValue(pair) = &attribute.meta else { return None };
    match &pair.value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. })
            if pair.path.is_ident("path") =>
        {
            Some(text.value())
        }
        _ => None,
    }
}

fn attributes(item: &Item) -> &[syn::Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn ident(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
