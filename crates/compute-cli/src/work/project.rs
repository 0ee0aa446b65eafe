//! A workspace with its ops built: what every command on workspaces begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Color, Style};
use compute::Ref;
use compute_flow::{Op, Workspace, WorkspaceRule};
use compute_state::{File, StackName};
use compute_wasm::Caps;
use serde::Serialize;
use txcl::{Code, Diagnostic, Exec, Severity};

use super::target::{self, Target};
use crate::failure::Failure;
use crate::host::Host;
use crate::parallel;
use crate::user::bindings;

/// A workspace whose ops are built, as far as they can be.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) workspace: Workspace,
    /// What rules run, by where it comes from.
    pub(crate) ops: BTreeMap<PathBuf, Target>,
    /// What is wrong, or may be.
    pub(crate) findings: Vec<Finding>,
    /// Each stack's rules, with refs in the place of names; only complete if nothing is wrong.
    pub(crate) stacks: BTreeMap<StackName, Vec<File>>,
}

/// Something that is wrong in a workspace, or may be.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    severity: &'static str,
    code: String,
    file: String,
    line: usize,
    column: usize,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    help: String,
    /// As a person sees it.
    #[serde(skip)]
    shown: String,
}

impl Finding {
    fn is_error(&self) -> bool {
        self.severity == Severity::Error.name()
    }

    fn of_rule(workspace: &Workspace, rule: &WorkspaceRule, diagnostic: &Diagnostic) -> Self {
        let file = workspace.shown(&rule.path).to_string();
        let (line, column) = diagnostic.position(&rule.file.text);
        Self {
            severity: diagnostic.severity.name(),
            code: diagnostic.code.name().to_owned(),
            line,
            column,
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
            shown: diagnostic.render(&file, &rule.file.text, true),
            file,
        }
    }

    fn of_source(severity: Severity, one: &compute_js::Diagnostic) -> Self {
        let (style, name) = (style_of(severity), severity.name());
        Self {
            severity: name,
            code: one.code.clone(),
            file: one.file.clone(),
            line: one.line as usize,
            column: one.column as usize,
            message: one.message.clone(),
            help: String::new(),
            shown: format!("{style}{name}:{style:#} {one}"),
        }
    }

    fn of_file(severity: Severity, code: &str, file: String, message: String) -> Self {
        let (style, name) = (style_of(severity), severity.name());
        Self {
            severity: name,
            code: code.to_owned(),
            line: 0,
            column: 0,
            shown: format!("{style}{name}[{code}]:{style:#} {message}\n --> {file}"),
            message,
            help: String::new(),
            file,
        }
    }
}

const fn style_of(severity: Severity) -> Style {
    let color = match severity {
        Severity::Error => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
    };
    Style::new().bold().fg_color(Some(Color::Ansi(color)))
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The workspace that a folder is in, in which everything is where it can be.
pub(crate) fn find(folder: Option<&Path>) -> Result<Workspace, Failure> {
    let workspace = find_for(folder, None)?;
    if workspace.misplaced.is_empty() {
        return Ok(workspace);
    }
    Err(Failure::usage(workspace.misplaced.join("\n")))
}

/// The workspace that a folder is in, for a target. What is misplaced in it, [`Project::open`] finds.
pub(crate) fn find_for(folder: Option<&Path>, target: Option<&str>) -> Result<Workspace, Failure> {
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Failure::usage(format!("there is no folder {}", folder.display())));
    }
    let root = Workspace::find(folder).map_err(|error| Failure::usage_of(&error))?;
    Workspace::read_for(&root, target).map_err(|error| Failure::usage_of(&error))
}

impl Project {
    /// Builds what a workspace's rules run, and checks everything.
    pub(crate) fn open(workspace: Workspace, host: &Host) -> Result<Self, Failure> {
        let mut project =
            Self { workspace, ops: BTreeMap::new(), findings: Vec::new(), stacks: BTreeMap::new() };
        project.check_rules();
        project.build(host)?;
        project.resolve();
        project.look_for_unused();
        Ok(project)
    }

    /// The op of this ref.
    pub(crate) fn op(&self, reference: &Ref) -> Option<&Target> {
        self.ops.values().find(|op| op.artifact.reference() == reference)
    }

    /// Prints what was found, and fails if something of it is an error.
    pub(crate) fn report(&self) -> Result<(), Failure> {
        for finding in &self.findings {
            crate::show::tell!("{finding}\n");
        }
        self.verdict()
    }

    /// Fails if something of what was found is an error.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        let errors = self.findings.iter().filter(|one| one.is_error()).count();
        match errors {
            0 => Ok(()),
            errors => {
                let what = crate::show::count(errors, "error");
                Err(Failure::Guest(format!("{what} in the workspace; nothing was changed")))
            }
        }
    }

    /// How often rules name services that are refused here, by their schemes.
    pub(crate) fn services(&self) -> BTreeMap<&str, usize> {
        let mut services = BTreeMap::new();
        for rule in &self.workspace.rules {
            let exec = rule.parsed.rule.exec();
            // By the rule itself, or by what the workspace's file says of the op that it names.
            let named = match &rule.op {
                Some(Op::Url(url)) => Some(url.as_str()),
                _ => exec.map(|exec| exec.node.as_str()),
            };
            if let Some(service) = named.and_then(Exec::service) {
                *services.entry(service).or_default() += 1;
            }
        }
        services
    }

    fn check_rules(&mut self) {
        let workspace = &self.workspace;
        for misplaced in &workspace.misplaced {
            let (file, message) = misplaced.split_once(": ").unwrap_or(("", misplaced));
            let (file, message) = (file.to_owned(), message.to_owned());
            self.findings.push(Finding::of_file(Severity::Error, "misplaced-file", file, message));
        }
        for rule in &workspace.rules {
            let told = rule.parsed.diagnostics.iter();
            self.findings.extend(told.map(|one| Finding::of_rule(workspace, rule, one)));
        }
        let loops = compute_flow::loops(&workspace.rules);
        self.findings
            .extend(loops.iter().map(|(rule, one)| Finding::of_rule(workspace, rule, one)));
    }

    /// Builds every file that a rule runs, once each and in parallel.
    fn build(&mut self, host: &Host) -> Result<(), Failure> {
        let files: BTreeSet<PathBuf> = self
            .workspace
            .rules
            .iter()
            .filter_map(|rule| match &rule.op {
                Some(Op::File(file)) => Some(file.clone()),
                _ => None,
            })
            .collect();
        let built: Vec<_> = parallel::map(files.into_iter().collect(), |file| {
            (target::from_file(host, &file, compute_wasm::NAME), file)
        });
        let plugins = bindings::read()?;
        for (result, file) in built {
            let shown = self.workspace.shown(&file).to_string();
            match result {
                Ok(op) => {
                    let wasm = op.artifact.wasm();
                    let refused =
                        compute_wasm::inspect_bound(wasm, &Caps::DEFAULT, &plugins).refused;
                    if let Some(refused) = refused {
                        let code = "refused-module";
                        self.findings.push(Finding::of_file(Severity::Error, code, shown, refused));
                    }
                    let warnings = op.warnings().iter();
                    self.findings
                        .extend(warnings.map(|one| Finding::of_source(Severity::Warning, one)));
                    self.ops.insert(file, op);
                }
                Err(Failure::Source(diagnostics)) => {
                    let told = diagnostics.iter();
                    self.findings.extend(told.map(|one| Finding::of_source(Severity::Error, one)));
                }
                Err(Failure::Usage(message)) => {
                    let code = "unreadable-op";
                    self.findings.push(Finding::of_file(Severity::Error, code, shown, message));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// What is wrong with what a rule answers with when it is mocked.
    fn check_mock(&self, rule: &WorkspaceRule) -> Option<Finding> {
        if let Some(mock) = &rule.mock
            && let Err(error) =
                serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(&mock.text)
        {
            let file = format!("{}/{}", rule.stack, mock.path);
            let message = format!("a rule that is mocked answers with a JSON object: {error}");
            return Some(Finding::of_file(Severity::Error, "bad-fixture", file, message));
        }
        let exec = rule.parsed.rule.exec()?;
        if rule.mock.is_some() || !matches!(Exec::parse(&exec.node), Ok(Exec::Mock)) {
            return None;
        }
        let denied = self.workspace.settings.denies_mocks;
        let (message, help) = if denied {
            (
                "this target denies mocks, and the rule answers with one",
                "name an op, or apply the workspace elsewhere",
            )
        } else {
            (
                "there is no mock-response.json beside the rule",
                "write one: the JSON object that the rule answers with",
            )
        };
        let diagnostic = Diagnostic::error(Code::BadExec, exec.span, message.to_owned()).help(help);
        Some(Finding::of_rule(&self.workspace, rule, &diagnostic))
    }

    /// Puts refs in the place of names.
    fn resolve(&mut self) {
        let mut findings = Vec::new();
        for rule in &self.workspace.rules {
            findings.extend(self.check_mock(rule));
            let reference = match self.reference_of(rule) {
                Ok(reference) => reference,
                Err(diagnostic) => {
                    findings.extend(
                        diagnostic.map(|one| Finding::of_rule(&self.workspace, rule, &one)),
                    );
                    continue;
                }
            };
            // What cannot be parsed was told above.
            let resolved = txcl::resolve_ops(&rule.file.text, |_| reference);
            if let Ok(text) = resolved {
                let files = self.stacks.entry(rule.stack.clone()).or_default();
                files.push(File::new(rule.file.path.clone(), text));
                if let Some(mock) = &rule.mock
                    && !files.iter().any(|file| file.path == mock.path)
                {
                    files.push(mock.clone());
                }
            }
        }
        for (stack, files) in &self.workspace.served {
            self.stacks.entry(stack.clone()).or_default().extend(files.iter().cloned());
        }
        self.findings.extend(findings);
    }

    /// The ref that a rule's op has; none if it names no op. An op that could not be built was told already.
    fn reference_of(&self, rule: &WorkspaceRule) -> Result<Option<Ref>, Option<Box<Diagnostic>>> {
        let span = rule.parsed.rule.exec().map(|exec| exec.span).unwrap_or_default();
        let error = |message: String| Diagnostic::error(Code::UnresolvedOp, span, message);
        match &rule.op {
            None => Ok(None),
            Some(Op::File(file)) => {
                self.ops.get(file).map(|op| Some(op.artifact.reference().clone())).ok_or(None)
            }
            Some(Op::Url(url)) => Ref::parse(url).map(Some).map_err(|wrong| {
                let service = url.split_once(':').map(|(scheme, _)| scheme);
                let is_service = service.is_some_and(|scheme| {
                    ["http", "https", "ai"].contains(&scheme) || scheme.starts_with("mcp")
                });
                let (message, help) = if is_service {
                    let message = format!("the workspace's file says that this op is `{url}`, and rules call no services here");
                    (message, "write an op that does it from what the document has, and call the service outside; docs/migrating.md")
                } else {
                    let message = format!("the workspace's file says where this op is, but {wrong}");
                    (message, "`compute put FILE` prints a ref")
                };
                Some(Box::new(error(message).help(help)))
            }),
            Some(Op::Missing(name, known)) => {
                let help = match txcl::nearest(name.as_str(), known) {
                    Some(meant) => format!("did you mean `op://{meant}`?"),
                    None => format!(
                        "put {name}.ts, {name}.js or {name}.wasm beside the rule, or say where it is in \
                         compute.toml: [operations.{name}] url = \"compute://…\""
                    ),
                };
                Err(Some(Box::new(error(format!("there is no op `{name}`")).help(help))))
            }
        }
    }

    fn look_for_unused(&mut self) {
        let workspace = &self.workspace;
        let sources: BTreeSet<_> = self.ops.values().flat_map(|op| op.sources()).collect();
        for file in &workspace.unused {
            // What another op imports is used.
            if !sources.contains(file) && !is_shadowed(file, &self.ops) {
                let message = "no rule in this folder runs this op".to_owned();
                let shown = workspace.shown(file).to_string();
                self.findings.push(Finding::of_file(
                    Severity::Warning,
                    "unused-op",
                    shown,
                    message,
                ));
            }
        }
        for folder in &workspace.unserved {
            let message =
                "no rule serves these files: one with `EXEC \"txco://static\"` does".to_owned();
            let shown = workspace.shown(folder).to_string();
            self.findings.push(Finding::of_file(
                Severity::Warning,
                "unserved-files",
                shown,
                message,
            ));
        }
        let names: BTreeSet<_> = workspace
            .rules
            .iter()
            .filter_map(|rule| rule.parsed.rule.exec()?.node.strip_prefix("op://"))
            .collect();
        for name in workspace.settings.operations.keys() {
            if !names.contains(name.as_str()) {
                let message = format!("no rule runs the operation `{name}`");
                let file = "the workspace's file".to_owned();
                self.findings.push(Finding::of_file(Severity::Warning, "unused-op", file, message));
            }
        }
        for (file, key) in &workspace.settings.unread {
            let message = format!("`{key}` is not read here");
            let file = file.clone();
            self.findings.push(Finding::of_file(
                Severity::Warning,
                "unread-setting",
                file,
                message,
            ));
        }
    }
}

/// Whether a file is what another one was made from: `x.ts` beside `x.wasm`.
fn is_shadowed(file: &Path, ops: &BTreeMap<PathBuf, Target>) -> bool {
    ["wasm", "js"].iter().any(|ending| ops.contains_key(&file.with_extension(ending)))
}
