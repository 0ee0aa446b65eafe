//! What must hold before a version becomes active.

use std::fmt;
use std::time::{Duration, Instant};

use compute::Ref;
use compute_state::{Draft, File, Rollout, Shadow, StackName, Stacks, StacksError, manifest_hash};
use compute_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::path::rule_path;
use super::stack::{CompileError, RuleProblem, Stack};

/// How many problems are told.
const MAX_PROBLEMS: usize = 200;

/// Something that keeps a version from becoming active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ActivationProblem))]
#[non_exhaustive]
pub struct Problem {
    /// What kind it is.
    pub code: ProblemCode,
    /// The stack.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stack: StackName,
    /// The rule's scope; none if the problem is the stack's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<u32>,
    /// The rule's name.
    pub name: String,
    /// The ref that it names.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub reference: Option<Ref>,
    /// What is wrong, in a line.
    pub message: String,
}

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemCode {
    /// The store has no such artifact.
    MissingComputeArtifact,
    /// An `op://` name is left.
    UnresolvedOpRef,
    /// A rule has errors.
    InvalidRule,
}

impl ProblemCode {
    /// The code, as answers have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingComputeArtifact => "missing_compute_artifact",
            Self::UnresolvedOpRef => "unresolved_op_ref",
            Self::InvalidRule => "invalid_rule",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: stack {}", self.code.name(), self.stack)?;
        if let Some(scope) = self.scope {
            write!(f, ", scope {scope}")?;
        }
        write!(f, ", rule {}: {}", self.name, self.message)
    }
}

/// Why versions did not become active.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivationError {
    /// Everything that keeps them from it.
    #[error("{}", lines(.0))]
    Problems(Vec<Problem>),
    /// The versions cannot be read or written.
    #[error(transparent)]
    Stacks(#[from] StacksError),
    /// The store cannot say whether it has an artifact.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There was no time to look at all of them.
    #[error("the rules were not made ready within {limit:?}")]
    Deadline {
        /// How much time there was.
        limit: Duration,
    },
    /// A version takes too much memory.
    #[error("{what} take more than {limit} bytes")]
    TooLarge {
        /// What does.
        what: &'static str,
        /// The most, in bytes.
        limit: usize,
    },
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// Makes versions active at one moment, if everything that all of them name is there; else nothing changes.
/// It blocks, until the deadline at most.
///
/// # Errors
/// As [`ActivationError`] says.
pub fn activate(
    versions: &[Draft],
    stacks: &dyn Stacks,
    store: &dyn Store,
    deadline: Instant,
) -> Result<(), ActivationError> {
    let checked = check_all(versions, stacks, store, deadline)?;
    Ok(stacks.activate(&checked)?)
}

/// Has a version answer a part of a stack's documents in place of the active one, if everything that it names is there. It blocks,
/// until the deadline at most.
///
/// # Errors
/// As [`ActivationError`] says.
pub fn roll_out(
    rollout: &Rollout,
    stacks: &dyn Stacks,
    store: &dyn Store,
    deadline: Instant,
) -> Result<(), ActivationError> {
    let version = Draft::new(rollout.stack.clone(), rollout.number);
    let checked = check(&version, stacks, store, deadline)?;
    Ok(stacks.set_rollout(rollout, checked.hash.as_deref())?)
}

/// Gives a version a part of a stack's documents besides the active one, if everything that it names is there. It blocks, until the
/// deadline at most.
///
/// # Errors
/// As [`ActivationError`] says.
pub fn shadow(
    shadow: &Shadow,
    stacks: &dyn Stacks,
    store: &dyn Store,
    deadline: Instant,
) -> Result<(), ActivationError> {
    let version = Draft::new(shadow.stack.clone(), shadow.number);
    let checked = check(&version, stacks, store, deadline)?;
    Ok(stacks.set_shadow(shadow, checked.hash.as_deref())?)
}

/// Makes the version active that answers a part of a stack's documents, if everything that it names is there. It blocks, until the
/// deadline at most.
///
/// # Errors
/// As [`ActivationError`] says.
pub fn complete(
    version: &Draft,
    stacks: &dyn Stacks,
    store: &dyn Store,
    deadline: Instant,
) -> Result<(), ActivationError> {
    let checked = check(version, stacks, store, deadline)?;
    Ok(stacks.complete_rollout(&checked)?)
}

/// As [`check`], of several.
fn check_all(
    versions: &[Draft],
    stacks: &dyn Stacks,
    store: &dyn Store,
    deadline: Instant,
) -> Result<Vec<Draft>, ActivationError> {
    let (mut checked, mut all) = (Vec::with_capacity(versions.len()), Vec::new());
    for version in versions {
        match check(version, stacks, store, deadline) {
            Ok(one) => checked.push(one),
            Err(ActivationError::Problems(problems)) => all.extend(problems),
            Err(error) => return Err(error),
        }
        if all.len() > MAX_PROBLEMS {
            break;
        }
    }
    if all.is_empty() { Ok(checked) } else { Err(ActivationError::Problems(all)) }
}

/// That a version may get documents: with the hash of the files of which that is known. It takes time, and another process may change
/// it meanwhile.
fn check(
    version: &Draft,
    stacks: &dyn Stacks,
    store: &dyn Store,
    deadline: Instant,
) -> Result<Draft, ActivationError> {
    let Draft { stack, number, .. } = version;
    let files = stacks.version(stack, *number)?.files;
    let found = version.clone().with_hash(Some(&manifest_hash(&files)));
    if version.hash.is_some() && found != *version {
        return Err(StacksError::Changed { stack: stack.clone(), number: *number }.into());
    }
    match pollster::block_on(validate(stack, &files, store, deadline))? {
        Ok(_) => Ok(found),
        Err(problems) => Err(ActivationError::Problems(problems)),
    }
}

/// What keeps a version from becoming active: the first 200 problems. It blocks, until the deadline at most.
///
/// # Errors
/// Those of the versions and the store, and [`ActivationError::Deadline`].
pub fn problems(
    version: &Draft,
    stacks: &dyn Stacks,
    store: &dyn Store,
    deadline: Instant,
) -> Result<Vec<Problem>, ActivationError> {
    match check(version, stacks, store, deadline) {
        Ok(_) => Ok(Vec::new()),
        Err(ActivationError::Problems(problems)) => Ok(problems),
        Err(error) => Err(error),
    }
}

/// Makes a version ready: every rule must be right, and the store must have everything that rules run.
///
/// # Errors
/// The store's, if it cannot say, and [`ActivationError::Deadline`]. The inner error is the problems there are.
pub async fn validate(
    name: &StackName,
    files: &[File],
    store: &dyn Store,
    deadline: Instant,
) -> Result<Result<Stack, Vec<Problem>>, ActivationError> {
    let limit = deadline.saturating_duration_since(Instant::now());
    let stack = match Stack::compile_until(name.clone(), files, Some(deadline)) {
        Ok(stack) => stack,
        Err(CompileError::Deadline) => return Err(ActivationError::Deadline { limit }),
        Err(CompileError::TooLarge { what, limit }) => {
            return Err(ActivationError::TooLarge { what, limit });
        }
        Err(CompileError::Problems(wrong)) => {
            let wrong = wrong.iter().map(|one| problem_of(name, one));
            return Ok(Err(wrong.collect()));
        }
    };
    let missing = missing(&stack, store, deadline).await?;
    match missing {
        None => Err(ActivationError::Deadline { limit }),
        Some(missing) if missing.is_empty() => Ok(Ok(stack)),
        Some(missing) => Ok(Err(missing)),
    }
}

fn problem_of(name: &StackName, one: &RuleProblem) -> Problem {
    let (scope, rule) = rule_path(&one.file.path).unzip();
    let unresolved = one.diagnostic.code == txcl::Code::UnresolvedOp;
    let (line, column) = one.diagnostic.position(&one.file.text);
    Problem {
        code: if unresolved { ProblemCode::UnresolvedOpRef } else { ProblemCode::InvalidRule },
        stack: name.clone(),
        scope,
        name: rule.unwrap_or(&one.file.path).to_owned(),
        reference: None,
        message: format!("line {line}, column {column}: {}", one.diagnostic),
    }
}

/// The refs in a stack's rules that the store lacks; none if there is no time to ask.
async fn missing(
    stack: &Stack,
    store: &dyn Store,
    deadline: Instant,
) -> Result<Option<Vec<Problem>>, StoreError> {
    let mut known = std::collections::BTreeMap::new();
    let mut problems = Vec::new();
    for scope in stack.scopes() {
        for rule in scope.rules() {
            let Some(reference) = &rule.reference else { continue };
            let there = match known.get(reference) {
                Some(there) => *there,
                None => {
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                    let there = match store.head(reference).await {
                        Ok(_) => true,
                        Err(StoreError::NotFound { .. }) => false,
                        Err(error) => return Err(error),
                    };
                    known.insert(reference.clone(), there);
                    there
                }
            };
            if !there && problems.len() < MAX_PROBLEMS {
                problems.push(Problem {
                    code: ProblemCode::MissingComputeArtifact,
                    stack: stack.name().clone(),
                    scope: Some(scope.number()),
                    name: rule.name.clone(),
                    reference: Some(reference.clone()),
                    message: format!("the store has no {reference}"),
                });
            }
        }
    }
    Ok(Some(problems))
}
