//! A folder of rules and what they run, as an author keeps it.

mod lint;
mod settings;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compute_state::{File, StackName};
use txcl::{Exec, OpName, Parsed};

use crate::rules::{MAX_SERVED, MAX_SERVED_FILE, MAX_SERVED_FILES, MOCK, SERVED, scope_number};
use settings::{ORIGINAL, OWN};

pub use lint::loops;
pub use settings::{Settings, SettingsError, Target};

/// The folder of the rules.
const OPS: &str = "OPS";
/// The ending of a rule's file.
const RULE: &str = "txcl";
/// Folders in which there are no rules.
const SKIPPED: [&str; 4] = ["node_modules", "dist", "_disabled", "_sys"];
/// The endings of what a rule may run, in the order in which they are looked for.
const SOURCES: [&str; 4] = ["wasm", "js", "ts", "py"];
/// How many rules a workspace may have.
const MAX_RULES: usize = 100_000;
/// How deep folders are looked into.
const MAX_DEPTH: usize = 128;

/// A folder of rules and what they run, as an author keeps it: `OPS/<stack>/<NNN[_label]>/<name>.txcl`.
///
/// The number is the scope, what stands before it the stack. `EXEC "op://NAME"` means `NAME.wasm`, `NAME.js`,
/// `NAME.ts` or `NAME.py` beside the rule, the first that there is, or else what the workspace's file says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Workspace {
    /// Its folder.
    pub root: PathBuf,
    /// What its file says.
    pub settings: Settings,
    /// Its rules, by stack, then by path.
    pub rules: Vec<WorkspaceRule>,
    /// The files that its stacks serve: of each stack with a rule that serves some, its own, and those of all stacks.
    pub served: BTreeMap<StackName, Vec<File>>,
    /// What is where it cannot be, or is named as it cannot be: the file, and why. Nothing of it is in the rules.
    pub misplaced: Vec<String>,
    /// The folders of files that no rule serves.
    pub unserved: Vec<PathBuf>,
    /// The files beside rules that no rule runs.
    pub unused: Vec<PathBuf>,
}

/// One rule of a workspace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkspaceRule {
    /// Its file.
    pub path: PathBuf,
    /// Its stack.
    pub stack: StackName,
    /// Its scope's number.
    pub scope: u32,
    /// Its name.
    pub name: String,
    /// Where it is in its stack, and its text.
    pub file: File,
    /// What it says.
    pub parsed: Parsed,
    /// What it runs, if it names an op.
    pub op: Option<Op>,
    /// What it answers with when it is mocked: `NAME.mock-response.json` beside it, or else the folder's `mock-response.json`.
    pub mock: Option<File>,
}

/// What an op's name means to one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A file beside the rule: a module, or a source that is built.
    File(PathBuf),
    /// What the workspace's file says.
    Url(String),
    /// Nothing, under this name; these names there are.
    Missing(OpName, Vec<String>),
}

/// A folder that is no workspace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// Neither this folder nor one above it is a workspace.
    #[error(
        "{} is not in a workspace: neither it nor a folder above it has a {OWN}, a txco.yaml or a folder {OPS}",
        .0.display()
    )]
    NotFound(PathBuf),
    /// The workspace has no rules.
    #[error("{} has no rules: a rule is at {OPS}/<stack>/<NNN[_label]>/<name>.{RULE}", .0.display())]
    Empty(PathBuf),
    /// Its file cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A file or folder cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Workspace {
    /// The folder of the workspace that a folder is in: itself, or the nearest one above it.
    ///
    /// # Errors
    /// [`WorkspaceError::NotFound`] if there is none.
    pub fn find(from: &Path) -> Result<PathBuf, WorkspaceError> {
        let read = |source| WorkspaceError::Read { path: from.to_owned(), source };
        let absolute = fs::canonicalize(from).map_err(read)?;
        let is_root = |folder: &&Path| {
            let files = [OWN].iter().chain(&ORIGINAL);
            folder.join(OPS).is_dir() || files.clone().any(|file| folder.join(file).is_file())
        };
        let found = absolute.ancestors().find(is_root);
        found.map(Path::to_owned).ok_or_else(|| WorkspaceError::NotFound(from.to_owned()))
    }

    /// Reads the workspace of this folder. Rules with mistakes are read, too.
    ///
    /// # Errors
    /// A [`WorkspaceError`] if there is no telling what the workspace has.
    pub fn read(root: &Path) -> Result<Self, WorkspaceError> {
        Self::read_for(root, None)
    }

    /// The same for a target of its file, which may say where ops are; for the one that it means, if none is named.
    ///
    /// # Errors
    /// As [`Workspace::read`].
    pub fn read_for(root: &Path, target: Option<&str>) -> Result<Self, WorkspaceError> {
        let settings = Settings::read(root)?.for_target(target);
        let denies_mocks = settings.denies_mocks;
        let mut walk = Walk {
            root,
            rules: Vec::new(),
            files: Vec::new(),
            served: BTreeMap::new(),
            misplaced: Vec::new(),
        };
        let ops = root.join(OPS);
        if ops.is_dir() {
            walk.folder(&ops, &mut Vec::new())?;
        }
        let mut served = BTreeMap::new();
        let serves = |rule: &&WorkspaceRule| {
            let exec = rule.parsed.rule.exec();
            exec.is_some_and(|exec| matches!(Exec::parse(&exec.node), Ok(Exec::Static)))
        };
        let stacks: HashSet<_> =
            walk.rules.iter().filter(serves).map(|one| one.stack.clone()).collect();
        for stack in stacks {
            let files = walk.served_by(&stack)?;
            served.insert(stack, files);
        }
        let Walk { mut rules, files, served: folders, mut misplaced, .. } = walk;
        let is_served =
            |stack: &String| stack.parse().is_ok_and(|one: StackName| served.contains_key(&one));
        let mut unserved: Vec<_> = folders
            .into_iter()
            .filter(|(stack, _)| !is_served(stack))
            .map(|(_, folder)| folder)
            .collect();
        let shared = root.join(SERVED);
        unserved.extend((served.is_empty() && shared.is_dir()).then_some(shared));
        rules.sort_by(|a, b| (&a.stack, &a.file.path).cmp(&(&b.stack, &b.file.path)));
        same_names(&rules, root, &mut misplaced);
        if rules.is_empty() && misplaced.is_empty() {
            return Err(WorkspaceError::Empty(root.to_owned()));
        }
        let mut used = HashSet::new();
        for rule in &mut rules {
            rule.op = op_of(rule, &settings);
            rule.mock = rule.mock.take().filter(|_| !denies_mocks);
            if let Some(Op::File(file)) = &rule.op {
                used.insert(file.clone());
            }
        }
        let mut unused: Vec<_> = files.into_iter().filter(|file| !used.contains(file)).collect();
        unused.sort();
        Ok(Self { root: root.to_owned(), settings, rules, served, misplaced, unserved, unused })
    }

    /// The names of its stacks.
    #[must_use]
    pub fn stacks(&self) -> BTreeMap<&StackName, Vec<&WorkspaceRule>> {
        let mut stacks: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for rule in &self.rules {
            stacks.entry(&rule.stack).or_default().push(rule);
        }
        stacks
    }

    /// A path as it is shown: from the workspace's folder on.
    #[must_use]
    pub fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

struct Walk<'a> {
    root: &'a Path,
    rules: Vec<WorkspaceRule>,
    /// What rules may run.
    files: Vec<PathBuf>,
    /// The folders of files to be served, by what is before them.
    served: BTreeMap<String, PathBuf>,
    misplaced: Vec<String>,
}

impl Walk<'_> {
    /// Looks into a folder whose names below `OPS` are these. Links are not followed.
    fn folder(&mut self, folder: &Path, names: &mut Vec<String>) -> Result<(), WorkspaceError> {
        let failed = |source| WorkspaceError::Read { path: folder.to_owned(), source };
        let mut entries: Vec<_> =
            fs::read_dir(folder).and_then(Iterator::collect).map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (kind, path) = (entry.file_type().map_err(failed)?, entry.path());
            let Ok(name) = entry.file_name().into_string() else {
                self.misplaced.push(format!("{}: the name is not UTF-8", path.display()));
                continue;
            };
            let skipped = name.starts_with('.') || SKIPPED.contains(&&*name);
            if kind.is_symlink() {
                // Links are not followed.
            } else if kind.is_dir() && name == SERVED && !names.is_empty() && !in_scope(names) {
                self.served.insert(names.join("/"), path);
            } else if kind.is_dir() && !skipped && names.len() == MAX_DEPTH {
                let shown = path.strip_prefix(self.root).unwrap_or(&path).display();
                self.misplaced.push(format!("{shown}: folders go no deeper than {MAX_DEPTH}"));
            } else if kind.is_dir() && !skipped {
                names.push(name);
                self.folder(&path, names)?;
                names.pop();
            } else if kind.is_file() && path.extension().is_some_and(|ending| ending == RULE) {
                self.rule(path, names)?;
            } else if kind.is_file() && is_source(&path) && in_scope(names) {
                self.files.push(path);
            }
        }
        Ok(())
    }

    /// The files that a stack serves: its own, and those of all stacks for which it has none.
    fn served_by(&mut self, stack: &StackName) -> Result<Vec<File>, WorkspaceError> {
        let mut files = BTreeMap::new();
        let own = self.served.get(stack.as_str()).cloned();
        let mut bytes = 0;
        for folder in own.into_iter().chain([self.root.join(SERVED)]) {
            let walk = walkdir::WalkDir::new(&folder)
                .follow_root_links(false)
                .sort_by_file_name()
                .max_depth(MAX_DEPTH);
            // Nothing that is hidden, and no links.
            let is_shown = |entry: &walkdir::DirEntry| {
                entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
            };
            for entry in walk.into_iter().filter_entry(is_shown) {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(_) if !folder.is_dir() => break,
                    Err(error) => {
                        let source = error.into();
                        return Err(WorkspaceError::Read { path: folder, source });
                    }
                };
                if !entry.file_type().is_file() {
                    continue;
                }
                let shown = entry.path().strip_prefix(self.root).unwrap_or(entry.path()).display();
                let parts = entry.path().strip_prefix(&folder).unwrap_or(entry.path()).iter();
                let Some(parts) = parts.map(|part| part.to_str()).collect::<Option<Vec<_>>>()
                else {
                    self.misplaced.push(format!("{shown}: the name is not UTF-8"));
                    continue;
                };
                let at = format!("{SERVED}/{}", parts.join("/"));
                if files.contains_key(&at) {
                    continue;
                }
                let read = |source| WorkspaceError::Read { path: entry.path().to_owned(), source };
                let size = fs::metadata(entry.path()).map_err(read)?.len();
                bytes += size;
                let problem = if size > MAX_SERVED_FILE as u64 {
                    format!("this file has {size} bytes; the most is {MAX_SERVED_FILE}")
                } else if bytes > MAX_SERVED as u64 {
                    format!(
                        "the files that {stack} serves have more than {MAX_SERVED} bytes together"
                    )
                } else if files.len() == MAX_SERVED_FILES {
                    format!("{stack} serves more than {MAX_SERVED_FILES} files")
                } else if crate::rules::served_path(&at).is_none() {
                    "a file that is served has no control characters and no `\\` in its name: rename it".to_owned()
                } else {
                    let text = STANDARD.encode(fs::read(entry.path()).map_err(read)?);
                    files.insert(at.clone(), File::new(at, text));
                    continue;
                };
                self.misplaced.push(format!("{shown}: {problem}"));
                return Ok(Vec::new());
            }
        }
        Ok(files.into_values().collect())
    }

    fn rule(&mut self, path: PathBuf, names: &[String]) -> Result<(), WorkspaceError> {
        let shown = path.strip_prefix(self.root).unwrap_or(&path).display().to_string();
        let mut misplaced = |problem: &str| self.misplaced.push(format!("{shown}: {problem}"));
        let Some(at) = names.iter().position(|name| scope_number(name).is_some()) else {
            misplaced("a rule must be in a folder with a number, such as `100_TRIAGE`");
            return Ok(());
        };
        // The nearest number counts; folders below it are a part of the rule's name.
        let last = names.iter().rposition(|name| scope_number(name).is_some()).unwrap_or(at);
        let (stack, scope) = (names[..at].join("/"), &names[last]);
        if stack.is_empty() {
            misplaced(&format!("the folder of a stack must be between {OPS} and `{scope}`"));
            return Ok(());
        }
        let stack: StackName = match stack.parse() {
            Ok(stack) => stack,
            Err(error) => {
                misplaced(&format!("{error}"));
                return Ok(());
            }
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = names[last + 1..].iter().cloned().chain([name]).collect::<Vec<_>>().join("_");
        if OpName::parse(&name).is_none() {
            misplaced(&format!(
                "the name of a rule has 1 to {} letters, digits, `_` and `-`",
                OpName::MAX
            ));
            return Ok(());
        }
        if self.rules.len() >= MAX_RULES {
            misplaced(&format!("the workspace has more than {MAX_RULES} rules"));
            return Ok(());
        }
        let read = |source| WorkspaceError::Read { path: path.clone(), source };
        let size = fs::metadata(&path).map_err(read)?.len();
        if size > txcl::MAX_SOURCE as u64 {
            misplaced(&format!("this rule has {size} bytes; the most is {}", txcl::MAX_SOURCE));
            return Ok(());
        }
        let Ok(text) = String::from_utf8(fs::read(&path).map_err(read)?) else {
            misplaced("the text is not UTF-8");
            return Ok(());
        };
        let number = scope_number(scope).unwrap_or_default();
        let file = File::new(format!("{scope}/{name}.{RULE}"), text);
        let parsed = txcl::parse(&file.text);
        let is_nested = last + 1 < names.len();
        let mock = self.mock(&path, (scope, &name), is_nested)?;
        self.rules.push(WorkspaceRule {
            path,
            stack,
            scope: number,
            name,
            file,
            parsed,
            op: None,
            mock,
        });
        Ok(())
    }

    /// What a rule answers with when it is mocked. Below a scope's folder it is the rule's own in its version: another
    /// folder's rules are in the same scope.
    fn mock(
        &mut self,
        rule: &Path,
        (scope, name): (&str, &str),
        is_nested: bool,
    ) -> Result<Option<File>, WorkspaceError> {
        let stem = rule.file_stem().unwrap_or_default().to_string_lossy();
        let own = rule.with_file_name(format!("{stem}.{MOCK}"));
        let shared = rule.with_file_name(MOCK);
        let (path, at) = if own.is_file() {
            (own, format!("{scope}/{name}.{MOCK}"))
        } else if !shared.is_file() {
            return Ok(None);
        } else if is_nested {
            (shared, format!("{scope}/{name}.{MOCK}"))
        } else {
            (shared, format!("{scope}/{MOCK}"))
        };
        let read = |source| WorkspaceError::Read { path: path.clone(), source };
        let size = fs::metadata(&path).map_err(read)?.len();
        let text = if size > txcl::MAX_SOURCE as u64 {
            Err(format!("has {size} bytes; the most is {}", txcl::MAX_SOURCE))
        } else {
            let bytes = fs::read(&path).map_err(read)?;
            String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
        };
        match text {
            Ok(text) => Ok(Some(File::new(at, text))),
            Err(problem) => {
                let shown = path.strip_prefix(self.root).unwrap_or(&path).display();
                self.misplaced.push(format!("{shown}: this fixture {problem}"));
                Ok(None)
            }
        }
    }
}

/// Whether a folder with these names below `OPS` is that of a scope, or below one.
fn in_scope(names: &[String]) -> bool {
    names.iter().any(|name| scope_number(name).is_some())
}

fn is_source(path: &Path) -> bool {
    let is_types = path.to_string_lossy().ends_with(".d.ts");
    !is_types && path.extension().is_some_and(|ending| SOURCES.iter().any(|one| ending == *one))
}

/// Rules that have one name in one scope.
fn same_names(rules: &[WorkspaceRule], root: &Path, misplaced: &mut Vec<String>) {
    let mut seen = BTreeMap::new();
    for rule in rules {
        if let Some(first) = seen.insert((&rule.stack, rule.scope, &rule.name), &rule.path) {
            let shown = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
            misplaced.push(format!(
                "{}: {} is the same rule, `{}` in scope {} of {}: rename one of them",
                shown(&rule.path),
                shown(first),
                rule.name,
                rule.scope,
                rule.stack
            ));
        }
    }
}

/// What the op's name means that a rule runs.
fn op_of(rule: &WorkspaceRule, settings: &Settings) -> Option<Op> {
    let Ok(Exec::Op(name)) = Exec::parse(&rule.parsed.rule.exec()?.node) else { return None };
    let folder = rule.path.parent().unwrap_or(Path::new(""));
    let beside = SOURCES.iter().map(|ending| folder.join(format!("{name}.{ending}")));
    if let Some(file) = beside.into_iter().find(|file| file.is_file()) {
        return Some(Op::File(file));
    }
    if let Some(url) = settings.operations.get(name.as_str()) {
        return Some(Op::Url(url.clone()));
    }
    let mut known: Vec<_> = settings.operations.keys().cloned().collect();
    if let Ok(entries) = fs::read_dir(folder) {
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        known.extend(
            paths
                .filter(|path| is_source(path))
                .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())),
        );
    }
    known.sort();
    known.dedup();
    Some(Op::Missing(name, known))
}
