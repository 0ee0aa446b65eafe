//! One version of a stack's rules, checked and made ready once, for any number of documents.

mod index;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use compute::{Account, Ref, parse_json};
use compute_state::{File, StackName, manifest_hash};
use serde_json::Value;
use txcl::{Diagnostic, Exec, Program, RegexBudget, Severity};

use super::estimate::Estimate;
use super::files::StaticFiles;
use super::path::{MOCK, mock_path, rule_path};
use index::Index;

/// How many problems of one stack are told.
const MAX_PROBLEMS: usize = 200;

/// What keeps a rule from being made ready.
#[derive(Clone, Debug)]
pub struct RuleProblem {
    /// The stack.
    pub stack: StackName,
    /// The rule's file, and its text.
    pub file: Arc<File>,
    /// What is wrong.
    pub diagnostic: Diagnostic,
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.diagnostic.position(&self.file.text);
        write!(f, "{}/{}:{line}:{column}: {}", self.stack, self.file.path, self.diagnostic)
    }
}

/// Why a stack was not made ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// What is wrong with its rules: the first 200 problems, and one that says how much was not looked at.
    #[error("{} problems with its rules", .0.len())]
    Problems(Vec<RuleProblem>),
    /// The time was over.
    #[error("the rules were not made ready in time")]
    Deadline,
    /// It takes too much memory.
    #[error("{what} take more than {limit} bytes")]
    TooLarge {
        /// What does.
        what: &'static str,
        /// The most, in bytes.
        limit: usize,
    },
}

/// One version of a stack, made ready.
#[derive(Clone, Debug)]
pub struct Stack {
    name: StackName,
    number: Option<u32>,
    hash: String,
    scopes: Vec<Scope>,
    files: StaticFiles,
    size: usize,
}

/// The rules of one scope, in the order of their names.
#[derive(Clone, Debug)]
pub struct Scope {
    number: u32,
    rules: Vec<StackRule>,
    index: Index,
}

impl Scope {
    fn new(number: u32, rules: Vec<StackRule>) -> Self {
        Self { number, index: Index::new(&rules), rules }
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Its rules.
    #[must_use]
    pub fn rules(&self) -> &[StackRule] {
        &self.rules
    }

    /// The rules that may match a document, in order; those left out cannot.
    pub(crate) fn candidates(&self, document: &Value) -> impl Iterator<Item = &StackRule> {
        self.index.candidates(document).into_iter().filter_map(|at| self.rules.get(at))
    }
}

/// One rule, made ready.
#[derive(Clone, Debug)]
pub struct StackRule {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What it does.
    pub program: Program,
    /// What it runs.
    pub reference: Option<Ref>,
    /// What it answers with when it is mocked: a JSON object.
    pub mock: Option<Arc<str>>,
    /// How long its compute is likely to take.
    pub(crate) estimate: Estimate,
}

impl Stack {
    /// Makes a stack's rules ready.
    ///
    /// # Errors
    /// The errors in its rules: what cannot be read, two rules of one name in a scope, and `op://` names,
    /// which must be resolved first.
    pub fn compile(name: StackName, files: &[File]) -> Result<Self, Vec<RuleProblem>> {
        match Self::compile_until(name.clone(), files, None) {
            Ok(stack) => Ok(stack),
            Err(CompileError::Problems(problems)) => Err(problems),
            Err(other) => {
                let message = other.to_string();
                let span = txcl::Span::new(0, 0);
                let diagnostic = Diagnostic::error(txcl::Code::RegexTooLarge, span, message);
                let file = Arc::new(files.first().map_or_else(|| File::new("", ""), File::clone));
                Err(vec![RuleProblem { stack: name, file, diagnostic }])
            }
        }
    }

    /// Makes a stack's rules ready, if there is time.
    ///
    /// # Errors
    /// As [`CompileError`] says.
    pub fn compile_until(
        name: StackName,
        files: &[File],
        deadline: Option<Instant>,
    ) -> Result<Self, CompileError> {
        let mut problems = Problems { stack: &name, all: Vec::new() };
        let mut regexes = RegexBudget::stack();
        let mut scopes: BTreeMap<u32, BTreeMap<String, StackRule>> = BTreeMap::new();
        // Before any of it is made ready; the rest is not looked at.
        let mut estimate = 0;
        for file in files {
            estimate += size_of_rule(&file.text);
            if estimate > MAX_STACK {
                let what = "the rules of the stack, made ready,";
                return Err(CompileError::TooLarge { what, limit: MAX_STACK });
            }
        }
        let mut mocks = HashMap::new();
        let mut served = StaticFiles::default();
        let mut rules = Vec::with_capacity(files.len());
        for file in files {
            if let Some(of) = mock_path(&file.path) {
                match mock(file) {
                    Ok(text) => drop(mocks.insert(of, text)),
                    Err(diagnostic) => problems.add(file, [*diagnostic]),
                }
                continue;
            }
            match served.add(file) {
                Ok(true) => {}
                Ok(false) => rules.push(file),
                Err(problem) => problems.add(file, [unserved(problem)]),
            }
        }
        for (at, &file) in rules.iter().enumerate() {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(CompileError::Deadline);
            }
            if problems.all.len() >= MAX_PROBLEMS {
                problems.end(file, rules.len() - at);
                break;
            }
            let Some((number, rule_name)) = rule_path(&file.path) else {
                problems.add(file, [misplaced(file)]);
                continue;
            };
            let mut used = RegexBudget::rule();
            let made = rule(rule_name, &file.text, &mut used);
            if !regexes.take(&used) {
                let what = "the regular expressions of the stack, compiled,";
                return Err(CompileError::TooLarge { what, limit: regexes.limit() });
            }
            match made {
                Ok(mut rule) => {
                    let folder = file.path.split('/').next().unwrap_or_default();
                    let own = mocks.get(&(folder, Some(rule_name)));
                    rule.mock = own.or_else(|| mocks.get(&(folder, None))).cloned();
                    let rules = scopes.entry(number).or_default();
                    if rules.insert(rule_name.to_owned(), rule).is_some() {
                        problems.add(file, [twice(number, rule_name)]);
                    }
                }
                Err(diagnostics) => problems.add(file, diagnostics),
            }
        }
        if !problems.all.is_empty() {
            return Err(CompileError::Problems(problems.all));
        }
        let scope = |(number, rules): (u32, BTreeMap<_, _>)| {
            Scope::new(number, rules.into_values().collect())
        };
        let scopes = scopes.into_iter().map(scope).collect();
        let size = estimate + regexes.used();
        Ok(Self { name, number: None, hash: manifest_hash(files), scopes, files: served, size })
    }

    /// About how many bytes the rules in these files would take, made ready, without their regular expressions.
    #[must_use]
    pub fn estimate(files: &[File]) -> usize {
        files.iter().map(|file| size_of_rule(&file.text)).sum()
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &StackName {
        &self.name
    }

    /// The stack, as the version of this number.
    #[must_use]
    pub fn numbered(mut self, number: u32) -> Self {
        self.number = Some(number);
        self
    }

    /// The version's number, if it has one.
    #[must_use]
    pub const fn number(&self) -> Option<u32> {
        self.number
    }

    /// The hash of its files.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Its files.
    pub(crate) const fn files(&self) -> &StaticFiles {
        &self.files
    }

    /// About how many bytes of memory it takes, made ready, and rather too many than too few.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Its scopes, by number.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// Where in [`Stack::scopes`] the lowest scope is whose number is at least this.
    pub(crate) fn scope_from(&self, number: u32) -> Option<usize> {
        let at = self.scopes.partition_point(|scope| scope.number < number);
        (at < self.scopes.len()).then_some(at)
    }
}

/// What the rules of one stack may take, made ready, without their regular expressions: 192 MiB.
const MAX_STACK: usize = 192 << 20;
/// What a rule takes besides its text: its name, its place in the index.
const RULE_BYTES: usize = 1 << 10;
/// What a part of one takes: a path with its segments, a value, a call.
const PART_BYTES: usize = 96;

/// About how many bytes a rule takes, made ready, without its regular expressions: it grows with the parts that it
/// has, and between any two of them is one of these characters.
fn size_of_rule(text: &str) -> usize {
    let parts = text.bytes().filter(|byte| b".,=[(&|@<>".contains(byte)).count();
    RULE_BYTES + 2 * text.len() + PART_BYTES * parts
}

/// The problems of one stack.
struct Problems<'a> {
    stack: &'a StackName,
    all: Vec<RuleProblem>,
}

impl Problems<'_> {
    fn add(&mut self, file: &File, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        let file = Arc::new(file.clone());
        let problem = |diagnostic| RuleProblem {
            stack: self.stack.clone(),
            file: Arc::clone(&file),
            diagnostic,
        };
        self.all.extend(diagnostics.into_iter().map(problem));
    }

    /// Says that no more are told.
    fn end(&mut self, file: &File, files: usize) {
        self.all.truncate(MAX_PROBLEMS);
        let message = format!("and more: {files} of the files were not looked at");
        let span = txcl::Span::new(0, 0);
        self.add(file, [Diagnostic::error(txcl::Code::TooMany, span, message)]);
    }
}

fn rule(name: &str, text: &str, regexes: &mut RegexBudget) -> Result<StackRule, Vec<Diagnostic>> {
    let parsed = txcl::parse(text);
    if !parsed.is_ok() {
        let mut diagnostics = parsed.diagnostics;
        diagnostics.retain(|one| one.severity == Severity::Error);
        if diagnostics.iter().any(|one| one.code == txcl::Code::RegexTooLarge) {
            // They were compiled as far as the budget went.
            regexes.use_up();
        }
        return Err(diagnostics);
    }
    let program = Program::within(&parsed.rule, regexes);
    let reference = match (program.exec(), parsed.rule.exec()) {
        (Some(Exec::Compute(reference)), _) => Some(reference.clone()),
        (Some(Exec::Op(op)), Some(exec)) => {
            let message = format!("`op://{op}` is not resolved");
            let diagnostic = Diagnostic::error(txcl::Code::UnresolvedOp, exec.span, message);
            return Err(vec![diagnostic.help("`compute apply` puts the op's ref in its place")]);
        }
        _ => None,
    };
    Ok(StackRule {
        name: name.to_owned(),
        text: text.to_owned(),
        program,
        reference,
        mock: None,
        estimate: Estimate::default(),
    })
}

/// What rules answer with when they are mocked.
fn mock(file: &File) -> Result<Arc<str>, Box<Diagnostic>> {
    let wrong = |message: String| {
        let span = txcl::Span::new(0, 0);
        let diagnostic = Diagnostic::error(txcl::Code::UnexpectedToken, span, message);
        Box::new(diagnostic.help(
            "a rule that is mocked answers with it: it is a JSON object, such as {\"ok\": true}",
        ))
    };
    if file.text.len() > txcl::MAX_SOURCE {
        let size = file.text.len();
        return Err(wrong(format!(
            "the fixture has {size} bytes; the most is {}",
            txcl::MAX_SOURCE
        )));
    }
    let mut charge = Account::new(MOCK, MAX_STACK as u64).empty();
    match parse_json(file.text.as_bytes(), &mut charge) {
        Ok(Value::Object(_)) => Ok(file.text.as_str().into()),
        Ok(_) => Err(wrong("the fixture is no JSON object".to_owned())),
        Err(error) => Err(wrong(format!("the fixture cannot be read: {error}"))),
    }
}

fn misplaced(file: &File) -> Diagnostic {
    let message = format!("`{}` is not the path of a rule in its stack", file.path);
    Diagnostic::error(txcl::Code::UnexpectedToken, txcl::Span::new(0, 0), message).help(
        "a rule is at `<NNN[_label]>/<name>.txcl`, and what it answers with when it is mocked at \
         `<NNN[_label]>/[<name>.]mock-response.json`; its name 1 to 64 letters, digits, `_` and `-`",
    )
}

fn unserved(problem: String) -> Diagnostic {
    Diagnostic::error(txcl::Code::UnexpectedToken, txcl::Span::new(0, 0), problem)
        .help("leave it out, and serve it from elsewhere")
}

fn twice(number: u32, name: &str) -> Diagnostic {
    let message = format!("the scope {number} has two rules of the name `{name}`");
    Diagnostic::error(txcl::Code::DuplicateKey, txcl::Span::new(0, 0), message)
        .help("folders of the same number are one scope: rename one of the rules")
}
