//! `namespace N { export const a = 1 } namespace N { a }`: the second block's `a` is `N.a`, which the bundler's own transform does not
//! know. Nor does it know that `a` of `export let a` is `N.a` in its own block, where somebody else may set it.

use std::collections::{BTreeMap, BTreeSet};

use oxc::ast::ast::{
    Declaration, IdentifierReference, ObjectProperty, Program, Statement, TSNamespaceDeclaration,
    TSNamespaceDeclarationBody,
};
use oxc::ast_visit::{Visit, walk};
use oxc::semantic::{ScopeId, Scoping, SemanticBuilder};
use oxc::span::GetSpan as _;

use super::Edits;

/// What blocks of a namespace export, by the namespace's name with those that it is in.
type Exports = BTreeMap<String, Vec<Exported>>;

/// What one block exports.
#[derive(Default)]
struct Exported {
    names: BTreeSet<String>,
    /// Those that may be set.
    changing: BTreeSet<String>,
}

pub(super) fn lower(program: &Program<'_>, edits: &mut Edits<'_>) {
    let mut collect = Collect { path: Vec::new(), exports: Exports::new() };
    collect.visit_program(program);
    if !collect.exports.values().any(|blocks| blocks.len() > 1 || !blocks[0].changing.is_empty()) {
        return;
    }
    let semantic = SemanticBuilder::new().build(program).semantic;
    let mut rewrite = Rewrite {
        scoping: semantic.scoping(),
        exports: collect.exports,
        within: Vec::new(),
        seen: BTreeMap::new(),
        edits,
    };
    rewrite.visit_program(program);
}

struct Collect {
    path: Vec<String>,
    exports: Exports,
}

impl<'a> Visit<'a> for Collect {
    fn visit_ts_namespace_declaration(&mut self, namespace: &TSNamespaceDeclaration<'a>) {
        if namespace.declare {
            return;
        }
        self.path.push(namespace.id.name.to_string());
        let names = exported(&namespace.body);
        self.exports.entry(self.path.join(".")).or_default().push(names);
        walk::walk_ts_namespace_declaration(self, namespace);
        self.path.pop();
    }
}

/// The values that a block exports by their own names.
fn exported(body: &TSNamespaceDeclarationBody<'_>) -> Exported {
    let block = match body {
        TSNamespaceDeclarationBody::TSModuleBlock(block) => block,
        TSNamespaceDeclarationBody::TSNamespaceDeclaration(inner) => {
            let names = BTreeSet::from([inner.id.name.to_string()]);
            return Exported { names, ..Exported::default() };
        }
    };
    let (mut names, mut changing) = (BTreeSet::new(), BTreeSet::new());
    for statement in &block.body {
        let Statement::ExportDeclaration(export) = statement else { continue };
        match &export.declaration {
            Declaration::VariableDeclaration(variables) => {
                let declared =
                    variables.declarations.iter().flat_map(|one| one.id.get_binding_identifiers());
                for name in declared.map(|name| name.name.to_string()) {
                    if !variables.kind.is_const() {
                        changing.insert(name.clone());
                    }
                    names.insert(name);
                }
            }
            Declaration::FunctionDeclaration(function) => {
                names.extend(function.id.as_ref().map(|name| name.name.to_string()));
            }
            Declaration::ClassDeclaration(class) => {
                names.extend(class.id.as_ref().map(|name| name.name.to_string()));
            }
            Declaration::TSEnumDeclaration(declared) => {
                names.insert(declared.id.name.to_string());
            }
            Declaration::TSNamespaceDeclaration(namespace) => {
                names.insert(namespace.id.name.to_string());
            }
            _ => {}
        }
    }
    Exported { names, changing }
}

/// A block that is being looked at.
struct Within {
    /// How its namespace is reached from within it.
    name: String,
    /// What other blocks of it export.
    others: BTreeSet<String>,
    /// What it exports itself, and may be set.
    changing: BTreeSet<String>,
    scope: Option<ScopeId>,
}

struct Rewrite<'e, 's, 'a> {
    scoping: &'s Scoping,
    exports: Exports,
    within: Vec<Within>,
    seen: BTreeMap<String, usize>,
    edits: &'e mut Edits<'a>,
}

impl Rewrite<'_, '_, '_> {
    /// The namespace that a name is of, if it is one that another block exports and nothing nearer has.
    fn owner(&self, reference: &IdentifierReference<'_>) -> Option<&str> {
        let id = reference.reference_id.get()?;
        let found = self.scoping.get_reference(id);
        if !found.is_value() {
            return None;
        }
        let declared = found.symbol_id().map(|symbol| self.scoping.symbol_scope_id(symbol));
        let is_inside = |scope: ScopeId| {
            declared.is_some_and(|declared| {
                self.scoping.scope_ancestors(declared).any(|above| above == scope)
            })
        };
        // Declared by the block itself, and not within it.
        let own =
            self.within.iter().rev().find(|block| block.scope.is_some() && block.scope == declared);
        if let Some(block) = own.filter(|block| block.changing.contains(reference.name.as_str())) {
            return Some(block.name.as_str());
        }
        let blocks = self.within.iter().rev();
        blocks
            .take_while(|block| !block.scope.is_some_and(is_inside))
            .find(|block| block.others.contains(reference.name.as_str()))
            .map(|block| block.name.as_str())
    }
}

impl<'a> Visit<'a> for Rewrite<'_, '_, '_> {
    fn visit_ts_namespace_declaration(&mut self, namespace: &TSNamespaceDeclaration<'a>) {
        if namespace.declare {
            return;
        }
        let name = namespace.id.name.as_str();
        let path = self.within.iter().map(|block| block.name.as_str()).chain([name]);
        let path = path.collect::<Vec<_>>().join(".");
        let index = self.seen.entry(path.clone()).or_default();
        let blocks = self.exports.get(&path).map(Vec::as_slice).unwrap_or_default();
        let others = blocks.iter().enumerate().filter(|(at, _)| at != index);
        let others = others.flat_map(|(_, block)| block.names.iter().cloned()).collect();
        let changing = blocks.get(*index).map(|block| block.changing.clone()).unwrap_or_default();
        *index += 1;
        let scope = namespace.scope_id.get();
        self.within.push(Within { name: name.to_owned(), others, changing, scope });
        walk::walk_ts_namespace_declaration(self, namespace);
        self.within.pop();
    }

    fn visit_object_property(&mut self, property: &ObjectProperty<'a>) {
        if property.shorthand
            && let oxc::ast::ast::Expression::Identifier(name) = &property.value
            && let Some(owner) = self.owner(name)
        {
            let text = format!(": {owner}.{}", name.name);
            self.edits.insert(property.span().end, text);
            return;
        }
        walk::walk_object_property(self, property);
    }

    fn visit_identifier_reference(&mut self, reference: &IdentifierReference<'a>) {
        if let Some(owner) = self.owner(reference) {
            let text = format!("{owner}.");
            self.edits.insert(reference.span.start, text);
        }
    }
}
