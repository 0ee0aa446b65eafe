//! Errors as answers: the one place that says which error has which status and which code.

use axum::http::StatusCode;
use compute::{ErrorKind, OverLimit, Status, with_causes};
use compute_flow::{ActivationError, Reason};
use compute_state::{
    JobsError, SchedulesError, SecretError, StacksError, StateError, TokensError, TracesError,
};
use compute_store::StoreError;
use serde_json::json;

use crate::Problem;
use crate::http::RETRY_AFTER;
use crate::telemetry::warn;
use crate::tenants::{LiveError, QuotaError, Refused, TENANT_RULES, TenantError};
use crate::work::{Full, TooMany};

/// What the memory of all requests is called.
pub(crate) const SERVER_MEMORY: &str = "the memory of all requests";
/// What the memory of one request is called.
pub(crate) const REQUEST_MEMORY: &str = "the memory of one request";

impl From<OverLimit> for Problem {
    fn from(over: OverLimit) -> Self {
        // A request that is too large by itself is so whenever it comes; what others take, they give back.
        let (status, code) = if over.name == REQUEST_MEMORY {
            (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large")
        } else {
            (StatusCode::TOO_MANY_REQUESTS, "busy")
        };
        Self::new(status, code, over.to_string()).with("limit", over.limit)
    }
}

impl From<TooMany> for Problem {
    fn from(many: TooMany) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", many.to_string()).with("limit", many.0)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let new = |code| Self::new(StatusCode::TOO_MANY_REQUESTS, code, refused.to_string());
        match refused {
            Refused::Rate { limit, .. } => new("rate_exceeded").with("limit", limit),
            // Not a moment too soon.
            Refused::Time { left, .. } => {
                new("quota_exceeded").with(RETRY_AFTER, left.as_secs() + 1)
            }
        }
    }
}

impl From<QuotaError> for Problem {
    fn from(quota: QuotaError) -> Self {
        Self::new(StatusCode::CONFLICT, "quota_exceeded", quota.to_string())
            .with("limit", quota.limit)
    }
}

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", full.to_string())
    }
}

impl From<compute::Error> for Problem {
    fn from(error: compute::Error) -> Self {
        let detail = with_causes(&error);
        match &error {
            compute::Error::NotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, "missing_compute_artifact", detail)
            }
            compute::Error::UnsupportedAlgorithm { .. } => {
                Self::bad("unsupported_digest_alg", detail)
            }
            compute::Error::InvalidInput { .. } => Self::bad("invalid_input", detail),
            compute::Error::LimitAboveCap { .. } => Self::bad("limit_above_cap", detail),
            compute::Error::UnknownEngine { .. } => Self::bad("unknown_engine", detail),
            compute::Error::Busy { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail),
            compute::Error::Refused { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_module", detail)
            }
            // What is stored was damaged: no caller's bytes come here.
            compute::Error::DigestMismatch { .. } => unavailable(&error, detail),
            error => match error.kind() {
                ErrorKind::Artifact => {
                    Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_module", detail)
                }
                ErrorKind::Unavailable => {
                    unavailable(error, "what this needs does not answer now; try again")
                }
                _ => Self::internal(error),
            },
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = with_causes(&error);
        match error {
            StoreError::NotFound { .. } => Self::not_found(detail),
            StoreError::Conflict { .. } => Self::new(StatusCode::CONFLICT, "conflict", detail),
            StoreError::Digest(error) => error.into(),
            // What the store says is for the operator: it may name places that are none of a tenant's.
            StoreError::Storage { .. } => {
                unavailable(&error, "the store of artifacts does not answer now; try again")
            }
            error => unavailable(&error, detail),
        }
    }
}

/// Something that the server needs does not answer: the operator wants to know it, too.
fn unavailable(error: &(dyn std::error::Error + 'static), detail: impl Into<String>) -> Problem {
    warn(error);
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
}

impl From<ActivationError> for Problem {
    fn from(error: ActivationError) -> Self {
        match error {
            ActivationError::Problems(problems) => {
                let (code, detail) = problems
                    .first()
                    .map_or_else(Default::default, |first| (first.code.name(), first.to_string()));
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
                    .with("problems", json!(problems))
            }
            ActivationError::Stacks(error) => error.into(),
            ActivationError::Store(error) => error.into(),
            ActivationError::Deadline { .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", error.to_string())
            }
            ActivationError::TooLarge { limit, .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "version_too_large", error.to_string())
                    .with("limit", limit)
            }
            error => Self::internal(&error),
        }
    }
}

impl From<StateError> for Problem {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Unavailable { .. } => unavailable(
                &error,
                "what the server keeps cannot be reached or written now; try again",
            ),
            error => Self::internal(&error),
        }
    }
}

impl From<StacksError> for Problem {
    fn from(error: StacksError) -> Self {
        match error {
            StacksError::NoStack(_)
            | StacksError::NoVersion { .. }
            | StacksError::NoRollout { .. }
            | StacksError::NoFile { .. } => Self::not_found(with_causes(&error)),
            StacksError::Quota { limit, .. } => {
                Self::new(StatusCode::CONFLICT, "quota_exceeded", with_causes(&error))
                    .with("limit", limit)
            }
            StacksError::Released(_) => {
                Self::new(StatusCode::CONFLICT, "artifact_deleted", with_causes(&error))
            }
            StacksError::NotBeside { .. } => {
                Self::new(StatusCode::CONFLICT, "conflict", with_causes(&error))
            }
            StacksError::Changed { .. } => {
                Self::new(StatusCode::CONFLICT, "version_changed", with_causes(&error))
            }
            StacksError::Immutable { .. } => {
                Self::new(StatusCode::CONFLICT, "version_immutable", with_causes(&error))
            }
            StacksError::State(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<JobsError> for Problem {
    fn from(error: JobsError) -> Self {
        let text = error.to_string();
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, text.clone());
        match error {
            JobsError::NotFound(_) => Self::not_found(text),
            JobsError::Ended { state, .. } => conflict("job_ended").with("state", state.name()),
            JobsError::NotFailed { state, .. } => {
                conflict("job_not_failed").with("state", state.name())
            }
            JobsError::KeyReused(id) => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, "idempotency_key_reused", text).with("job", id.to_string())
            }
            JobsError::Quota { limit, .. } => conflict("quota_exceeded").with("limit", limit),
            JobsError::State(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<SchedulesError> for Problem {
    fn from(error: SchedulesError) -> Self {
        let text = error.to_string();
        match error {
            SchedulesError::NotFound(_) => Self::not_found(text),
            SchedulesError::Quota(limit) => {
                Self::new(StatusCode::CONFLICT, "quota_exceeded", text).with("limit", limit)
            }
            SchedulesError::Released(_) => {
                Self::new(StatusCode::CONFLICT, "artifact_deleted", text)
            }
            SchedulesError::State(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Name(_) => Self::bad("invalid_name", error.to_string()),
            SecretError::TooLong(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "secret_too_large", error.to_string())
            }
            SecretError::Quota { limit } => {
                Self::new(StatusCode::CONFLICT, "quota_exceeded", error.to_string())
                    .with("limit", limit)
            }
            SecretError::TooMany { .. } => {
                Self::new(StatusCode::CONFLICT, "too_many_secrets", error.to_string())
            }
            SecretError::NoSecret(_) => Self::not_found(error.to_string()),
            SecretError::State(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<TokensError> for Problem {
    fn from(error: TokensError) -> Self {
        match error {
            TokensError::NoScope | TokensError::Name => {
                Self::bad("invalid_body", error.to_string())
            }
            TokensError::TooMany { .. } => {
                Self::new(StatusCode::CONFLICT, "quota_exceeded", error.to_string())
            }
            TokensError::NoToken(_) => Self::not_found(error.to_string()),
            TokensError::State(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<LiveError> for Problem {
    fn from(error: LiveError) -> Self {
        let text = error.to_string();
        let over = match error {
            LiveError::TooLarge(over) => over,
            LiveError::Rule(_) => return Self::internal(&error),
            LiveError::Stacks(error) => return error.into(),
            LiveError::Secret(error) => return error.into(),
        };
        let problem = if over.name == TENANT_RULES {
            Self::new(StatusCode::CONFLICT, "quota_exceeded", text)
        } else {
            // Others may make smaller ones active.
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
        };
        problem.with("limit", over.limit)
    }
}

impl From<TenantError> for Problem {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::State(error) => error.into(),
            TenantError::Store(error) => error.into(),
        }
    }
}

impl From<TracesError> for Problem {
    fn from(error: TracesError) -> Self {
        match error {
            TracesError::NotFound(_) => Self::not_found(with_causes(&error)),
            TracesError::State(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<&compute::Failure> for Problem {
    fn from(failure: &compute::Failure) -> Self {
        let status = status_of_run(failure.status());
        Self::new(status, "compute_failed", failure.to_string())
            .with("status_name", failure.status().name())
    }
}

/// The status of an answer to a run that failed.
const fn status_of_run(status: Status) -> StatusCode {
    match status {
        Status::Ok => StatusCode::OK,
        Status::WallLimit => StatusCode::GATEWAY_TIMEOUT,
        Status::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl From<&compute_flow::Failure> for Problem {
    fn from(failure: &compute_flow::Failure) -> Self {
        let status = match &failure.reason {
            Reason::Input(_) => StatusCode::BAD_REQUEST,
            Reason::UnknownStage(_) => StatusCode::NOT_FOUND,
            // What others take, they give back.
            Reason::OutOfMemory(over) if over.name != REQUEST_MEMORY => {
                return Self::from(*over);
            }
            Reason::TooLarge { .. } | Reason::OutOfMemory(_) | Reason::TooDeep { .. } => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Reason::Guest(failure) => status_of_run(failure.status()),
            Reason::Host(_) | Reason::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            Reason::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let mut problem = Self::new(status, failure.reason.code(), failure.to_string());
        if let Some(stage) = &failure.stage {
            problem = problem.with("stage", stage.to_string());
        }
        if let Some(op) = &failure.op {
            problem = problem.with("op", op.as_str());
        }
        if !failure.transitions.is_empty() {
            let shown = failure.transitions.iter().map(ToString::to_string);
            problem = problem.with("transitions", shown.collect::<Vec<_>>());
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use compute_flow::ActivationError;
    use compute_state::StacksError;

    use crate::Problem;

    #[test]
    fn what_was_changed_meanwhile_is_a_conflict_of_its_own() {
        let changed = StacksError::Changed { stack: "a/b".parse().unwrap(), number: 7 };
        let problem = Problem::from(ActivationError::Stacks(changed));
        assert_eq!((problem.status.as_u16(), problem.code), (409, "version_changed"));
    }
}
