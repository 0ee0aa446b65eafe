//! What a server keeps, through the traits of [`compute_state`], for programs that work here and there alike. What fails
//! has the errors of the same work on this machine; what has none of its own is a [`StateError`] whose source is the
//! client's [`Error`]. What is to become active a server checks itself: it is told no hash of it.

mod schedules;

use std::collections::BTreeSet;
use std::io::Cursor;

use compute_api::{NewToken, SecretInfo, TokenInfo, TokenRequest, TokenScope, Trace};
use compute_state::{
    ActiveStack, Draft, File, RecordPolicies, RecordPolicy, Rollout, SecretError, Secrets, Shadow,
    StackName, Stacks, StacksError, StateError, TenantName, Tokens, TokensError, TraceText, Traces,
    TracesError, Version, VersionInfo,
};
use jiff::Timestamp;

use crate::blocking::Client;
use crate::{Error, ErrorKind};

/// How many traces a server lists at most.
const NEWEST: usize = 1000;

impl From<Error> for StateError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Busy | ErrorKind::Unavailable | ErrorKind::Deadline => {
                Self::unavailable("the server", error)
            }
            _ => Self::failed("the server did not do it", error),
        }
    }
}

fn state<E: From<StateError>>(error: Error) -> E {
    StateError::from(error).into()
}

/// What the error is where there is no such thing.
fn absent<E: From<StateError>>(error: Error, absent: impl FnOnce() -> E) -> E {
    if error.kind() == ErrorKind::NotFound { absent() } else { state(error) }
}

/// What nothing is done with a version for.
fn of_version(error: Error, stack: &StackName, number: u32) -> StacksError {
    let stack = stack.clone();
    match (error.kind(), error.code()) {
        (ErrorKind::NotFound, _) => StacksError::NoVersion { stack, number },
        (ErrorKind::Immutable, _) => StacksError::Immutable { stack, number },
        (_, "version_changed") => StacksError::Changed { stack, number },
        _ => state(error),
    }
}

impl Stacks for Client {
    fn stacks(&self) -> Result<Vec<ActiveStack>, StacksError> {
        Self::stacks(self).map_err(state)
    }

    fn versions(&self, stack: &StackName) -> Result<Vec<VersionInfo>, StacksError> {
        let versions = Self::versions(self, stack);
        versions.map_err(|error| absent(error, || StacksError::NoStack(stack.clone())))
    }

    fn version(&self, stack: &StackName, number: u32) -> Result<Version, StacksError> {
        let none = || StacksError::NoVersion { stack: stack.clone(), number };
        Self::version(self, stack, number).map_err(|error| absent(error, none))
    }

    fn active(&self, stack: &StackName) -> Result<Option<Version>, StacksError> {
        let versions = match Stacks::versions(self, stack) {
            Err(StacksError::NoStack(_)) => return Ok(None),
            versions => versions?,
        };
        let active = versions.iter().find(|one| one.active);
        active.map(|one| Stacks::version(self, stack, one.number)).transpose()
    }

    fn draft(&self, stack: &StackName, files: &[File]) -> Result<Draft, StacksError> {
        let made = self.create_draft(stack, files).map_err(state::<StacksError>)?;
        Ok(Draft::new(stack.clone(), made.number))
    }

    fn edit(&self, draft: &Draft, path: &str, text: Option<&str>) -> Result<(), StacksError> {
        let Draft { stack, number, .. } = draft;
        let Some(text) = text else {
            let deleted = self.delete_file(stack, *number, path);
            return deleted.map(drop).map_err(|error| match error.kind() {
                // The version, or the file.
                ErrorKind::NotFound => match Stacks::version(self, stack, *number) {
                    Ok(_) => StacksError::NoFile {
                        stack: stack.clone(),
                        number: *number,
                        path: path.to_owned(),
                    },
                    Err(error) => error,
                },
                _ => of_version(error, stack, *number),
            });
        };
        let written = self.write_file(stack, *number, path, text);
        written.map(drop).map_err(|error| of_version(error, stack, *number))
    }

    fn delete_draft(&self, draft: &Draft) -> Result<(), StacksError> {
        let deleted = self.delete_version(&draft.stack, draft.number);
        deleted.map_err(|error| of_version(error, &draft.stack, draft.number))
    }

    fn forget(&self, drafts: &[Draft]) -> Result<(), StacksError> {
        for draft in drafts {
            match self.delete_draft(draft) {
                // One that was active before stays, and one that has gone is gone.
                Ok(()) | Err(StacksError::Immutable { .. } | StacksError::NoVersion { .. }) => {}
                failed => return failed,
            }
        }
        Ok(())
    }

    fn activate(&self, versions: &[Draft]) -> Result<(), StacksError> {
        let Err(error) = self.activate_all(versions) else { return Ok(()) };
        if error.kind() == ErrorKind::NotFound {
            // Which of them it is not.
            for one in versions {
                Stacks::version(self, &one.stack, one.number)?;
            }
        }
        Err(state(error))
    }

    fn record_policies(&self) -> Result<RecordPolicies, StacksError> {
        Self::record_policies(self).map_err(state)
    }

    fn set_record_policy(
        &self,
        stack: Option<&StackName>,
        policy: Option<RecordPolicy>,
    ) -> Result<(), StacksError> {
        let set = Self::set_record_policy(self, stack, policy.as_ref());
        set.map_err(|error| match stack {
            Some(stack) => absent(error, || StacksError::NoStack(stack.clone())),
            None => state(error),
        })
    }

    fn shadows(&self) -> Result<Vec<Shadow>, StacksError> {
        Self::shadows(self).map_err(state)
    }

    fn set_shadow(&self, shadow: &Shadow, _hash: Option<&str>) -> Result<(), StacksError> {
        let Shadow { stack, number, .. } = shadow;
        Self::set_shadow(self, shadow).map_err(|error| of_version(error, stack, *number))
    }

    fn remove_shadow(&self, stack: &StackName) -> Result<(), StacksError> {
        match Self::remove_shadow(self, stack) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(state),
        }
    }

    fn rollouts(&self) -> Result<Vec<Rollout>, StacksError> {
        Self::rollouts(self).map_err(state)
    }

    fn set_rollout(&self, rollout: &Rollout, _hash: Option<&str>) -> Result<(), StacksError> {
        let Rollout { stack, number, .. } = rollout;
        Self::set_rollout(self, rollout).map_err(|error| match error.code() {
            "conflict" => StacksError::NotBeside { stack: stack.clone(), number: *number },
            _ => of_version(error, stack, *number),
        })
    }

    fn complete_rollout(&self, version: &Draft) -> Result<(), StacksError> {
        let Draft { stack, number, .. } = version;
        Self::complete_rollout(self, stack, *number).map_err(|error| match error.kind() {
            ErrorKind::NotFound => StacksError::NoRollout { stack: stack.clone(), number: *number },
            _ => of_version(error, stack, *number),
        })
    }

    fn remove_rollout(&self, version: &Draft) -> Result<(), StacksError> {
        let Draft { stack, number, .. } = version;
        Self::remove_rollout(self, stack, *number).map_err(|error| match error.kind() {
            ErrorKind::NotFound => StacksError::NoRollout { stack: stack.clone(), number: *number },
            _ => state(error),
        })
    }
}

impl Secrets for Client {
    fn list(&self) -> Result<Vec<SecretInfo>, SecretError> {
        self.secrets().map_err(state)
    }

    fn set(&self, name: &str, value: &str) -> Result<(), SecretError> {
        compute_state::check_secret_name(name)?;
        self.set_secret(name, value).map_err(|error| match error.code() {
            "secret_too_large" => SecretError::TooLong(value.len()),
            _ => state(error),
        })
    }

    fn delete(&self, name: &str) -> Result<(), SecretError> {
        // A name that none can have is not asked for.
        compute_state::check_secret_name(name).map_err(|_| SecretError::none(name))?;
        let deleted = self.delete_secret(name);
        deleted.map_err(|error| absent(error, || SecretError::none(name)))
    }
}

impl Tokens for Client {
    fn create(
        &self,
        tenant: Option<&TenantName>,
        name: &str,
        scopes: &BTreeSet<TokenScope>,
        expires: Option<Timestamp>,
    ) -> Result<NewToken, TokensError> {
        if tenant.is_some() {
            return Err(TokensError::OtherTenant);
        }
        if scopes.is_empty() {
            return Err(TokensError::NoScope);
        }
        let request = TokenRequest { name: name.to_owned(), scopes: scopes.clone(), expires };
        self.create_token(&request).map_err(|error| match error.kind() {
            // It has scopes, so it is the name that is wrong.
            ErrorKind::Invalid => TokensError::Name,
            _ => state(error),
        })
    }

    fn list(&self, tenant: Option<&TenantName>) -> Result<Vec<TokenInfo>, TokensError> {
        let mut tokens = self.tokens().map_err(state::<TokensError>)?;
        tokens.retain(|token| tenant.is_none_or(|tenant| token.tenant == *tenant));
        Ok(tokens)
    }

    fn revoke(&self, id: &str, tenant: Option<&TenantName>) -> Result<(), TokensError> {
        if let Some(tenant) = tenant
            && !Tokens::list(self, Some(tenant))?.iter().any(|token| token.id == id)
        {
            return Err(TokensError::none(id));
        }
        self.revoke_token(id).map_err(|error| absent(error, || TokensError::none(id)))
    }
}

impl Traces for Client {
    fn ids(&self) -> Result<Vec<String>, TracesError> {
        let traces = self.traces(NEWEST).map_err(state::<TracesError>)?;
        Ok(traces.into_iter().map(|trace| trace.id).collect())
    }

    fn read_text(&self, id: &str) -> Result<TraceText, TracesError> {
        let trace = self.trace(id);
        let trace =
            trace.map_err(|error| absent(error, || TracesError::NotFound(id.to_owned())))?;
        text(&trace)
    }

    /// In one request.
    fn newest(
        &self,
        last: usize,
        wanted: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Vec<(String, TraceText)>, TracesError> {
        let mut traces = self.traces(last.min(NEWEST)).map_err(state::<TracesError>)?;
        traces.retain(|trace| wanted(&trace.id));
        traces.iter().map(|trace| Ok((trace.id.clone(), text(trace)?))).collect()
    }
}

fn text(trace: &Trace) -> Result<TraceText, TracesError> {
    let text = serde_json::to_vec(trace)
        .map_err(|error| TracesError::Broken { id: trace.id.clone(), source: error.into() })?;
    Ok(Box::new(Cursor::new(text)))
}
