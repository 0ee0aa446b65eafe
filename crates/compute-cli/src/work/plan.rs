//! What applying a workspace changes: shown before it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;
use compute::Ref;
use compute_state::{File, StackName, Stacks, Version};
use compute_store::{Store, StoreError};
use compute_wasm::Caps;
use serde::Serialize;
use txcl::{Control, Exec};

use super::project::Project;
use crate::failure::Failure;

/// What applying a workspace changes.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) stacks: Vec<StackPlan>,
    /// What the store lacks.
    pub(crate) uploads: Vec<Upload>,
}

/// An artifact that is to be stored.
#[derive(Debug, Serialize)]
pub(crate) struct Upload {
    #[serde(rename = "ref")]
    pub(crate) reference: Ref,
    pub(crate) file: String,
    bytes: usize,
}

/// What changes in one stack.
#[derive(Debug, Serialize)]
pub(crate) struct StackPlan {
    pub(crate) stack: StackName,
    /// The version that is active.
    pub(crate) active: Option<u32>,
    /// The version that these files are kept as, once they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<u32>,
    pub(crate) added: Vec<String>,
    pub(crate) changed: Vec<String>,
    pub(crate) removed: Vec<String>,
    ops: Vec<OpChange>,
    #[serde(skip)]
    pub(crate) files: Vec<File>,
}

/// A rule that will run something else than before.
#[derive(Debug, Serialize)]
struct OpChange {
    rule: String,
    old: Option<Ref>,
    new: Ref,
    /// What the new one may do.
    may: Permissions,
}

#[derive(Debug, Default, Serialize)]
struct Permissions {
    imports: Vec<String>,
    secrets: Vec<String>,
    timeout_ms: Option<u64>,
    memory_minimum: Option<u64>,
}

impl StackPlan {
    pub(crate) const fn is_unchanged(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Compares a workspace with what is active and stored.
pub(crate) fn plan(
    project: &Project,
    now: &dyn Stacks,
    store: &dyn Store,
) -> Result<Plan, Failure> {
    let mut stacks = Vec::new();
    for (stack, files) in &project.stacks {
        let active = now.active(stack)?;
        stacks.push(stack_plan(project, stack, files, active.as_ref()));
    }
    Ok(Plan { stacks, uploads: uploads(project, store)? })
}

fn uploads(project: &Project, store: &dyn Store) -> Result<Vec<Upload>, Failure> {
    let mut uploads = Vec::new();
    let mut seen = BTreeSet::new();
    for (file, op) in &project.ops {
        let reference = op.artifact.reference();
        if !seen.insert(reference) {
            continue;
        }
        match pollster::block_on(store.head(reference)) {
            Ok(_) => {}
            Err(StoreError::NotFound { .. }) => uploads.push(Upload {
                reference: reference.clone(),
                file: project.workspace.shown(file).to_string(),
                bytes: op.artifact.wasm().len(),
            }),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(uploads)
}

fn stack_plan(
    project: &Project,
    stack: &StackName,
    files: &[File],
    active: Option<&Version>,
) -> StackPlan {
    let by_path = |files: &[File]| -> BTreeMap<String, String> {
        files.iter().map(|file| (file.path.clone(), file.text.clone())).collect()
    };
    let old = active.map(|version| by_path(&version.files)).unwrap_or_default();
    let new = by_path(files);
    let mut plan = StackPlan {
        stack: stack.clone(),
        active: active.map(|version| version.info.number),
        kept: None,
        added: Vec::new(),
        changed: Vec::new(),
        removed: old.keys().filter(|path| !new.contains_key(*path)).cloned().collect(),
        ops: Vec::new(),
        files: files.to_vec(),
    };
    for (path, text) in &new {
        match old.get(path) {
            Some(before) if before == text => continue,
            Some(_) => plan.changed.push(path.clone()),
            None => plan.added.push(path.clone()),
        }
        let Some(new) = reference(text).filter(|_| path.ends_with(".txcl")) else { continue };
        let before = old.get(path).and_then(|text| reference(text));
        if before.as_ref() != Some(&new) {
            plan.ops.push(OpChange {
                rule: path.clone(),
                old: before,
                may: may(project, &new, text),
                new,
            });
        }
    }
    plan
}

/// The artifacts that the rules among these files run.
pub(crate) fn references(files: &[File]) -> impl Iterator<Item = Ref> {
    files.iter().filter_map(|file| reference(&file.text))
}

/// What a rule runs.
pub(crate) fn reference(text: &str) -> Option<Ref> {
    match Exec::parse(&txcl::parse(text).rule.exec()?.node) {
        Ok(Exec::Compute(reference)) => Some(reference),
        _ => None,
    }
}

fn may(project: &Project, reference: &Ref, rule: &str) -> Permissions {
    let control = Control::written(&txcl::parse(rule).rule);
    let inspection =
        project.op(reference).map(|op| compute_wasm::inspect(op.artifact.wasm(), &Caps::DEFAULT));
    let imports = inspection.iter().flat_map(|one| &one.imports);
    // `namespace.name signature`: the namespace is what matters, and a plugin's is its ref.
    let namespaces: BTreeSet<_> =
        imports.filter_map(|import| Some(import.split(' ').next()?.rsplit_once('.')?.0)).collect();
    let named = |namespace: &str| match Ref::parse(namespace) {
        Ok(plugin) => format!("the plugin {}", short(&plugin)),
        Err(_) => namespace.to_owned(),
    };
    let imports = namespaces.into_iter().map(named).collect();
    let millis = control.timeout.and_then(|time| u64::try_from(time.as_millis()).ok());
    Permissions {
        imports,
        secrets: control.secrets.into_iter().map(|one| one.name).collect(),
        timeout_ms: millis,
        memory_minimum: inspection.map(|one| one.memory_minimum),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for upload in &self.uploads {
            let size = ByteSize::b(upload.bytes as u64).display().iec();
            writeln!(f, "upload {} ({size}), {}", upload.file, short(&upload.reference))?;
        }
        for stack in &self.stacks {
            stack.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for StackPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stack, added, changed, removed, .. } = self;
        if self.is_unchanged() {
            let active = self.active.unwrap_or_default();
            return writeln!(f, "stack {stack}: unchanged, version {active} stays active");
        }
        match self.active {
            Some(active) => writeln!(f, "stack {stack}: a new version after {active}")?,
            None => writeln!(f, "stack {stack}: its first version")?,
        }
        let green = Style::new().fg_color(Some(AnsiColor::Green.into()));
        let yellow = Style::new().fg_color(Some(AnsiColor::Yellow.into()));
        let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
        let lists = [(green, "+", added), (yellow, "~", changed), (red, "-", removed)];
        for (style, sign, paths) in lists {
            for path in paths {
                writeln!(f, "  {style}{sign} {path}{style:#}")?;
                for op in self.ops.iter().filter(|op| op.rule == *path) {
                    op.fmt(f)?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for OpChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let old = self.old.as_ref().map_or_else(|| "nothing".to_owned(), short);
        writeln!(f, "      runs {old} → {}", short(&self.new))?;
        let Permissions { imports, secrets, timeout_ms, memory_minimum } = &self.may;
        let mut may = Vec::new();
        if !imports.is_empty() {
            may.push(format!("imports {}", imports.join(", ")));
        }
        if !secrets.is_empty() {
            may.push(format!("sees the secrets {}", secrets.join(", ")));
        }
        may.push(format!("may take {} ms", timeout_ms.unwrap_or(5000)));
        if let Some(bytes) = memory_minimum.filter(|bytes| *bytes > 0) {
            may.push(format!("begins with {} of memory", ByteSize::b(bytes).display().iec()));
        }
        writeln!(f, "      {}", may.join("; "))
    }
}

/// A ref that is short enough for a line.
pub(crate) fn short(reference: &Ref) -> String {
    let digest = reference.digest();
    format!("{}:{}", reference.alg(), &digest[..digest.len().min(12)])
}
