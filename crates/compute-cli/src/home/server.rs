//! A server, as commands reach it: where the token is, and how long it is waited for.

use std::path::Path;
use std::sync::Arc;

use compute::{Record, RecordHead, RecordQuery};
use compute_client::blocking::Client;
use compute_client::{ErrorKind, Retries};
use compute_replay::read_record;
use compute_state::{Draft, Secrets, Stacks, TenantName, Tokens, Traces};
use compute_store::Store;

use super::{Home, NotActive, damaged, none, parted};
use crate::failure::Failure;

/// The variable that holds the token, unless a target names another.
const TOKEN: &str = "COMPUTE_TOKEN";
/// Somebody waits, and wants to know at once that there is no server.
const RETRIES: Retries = Retries { refused: false, ..Retries::DEFAULT };

/// The server at this URL. The token is in this variable, or in `COMPUTE_TOKEN`.
pub(crate) fn connect(url: &str, variable: Option<&str>) -> Result<Client, Failure> {
    let variable = variable.unwrap_or(TOKEN);
    let hint = format!("put a token into {variable}: `compute token create` makes one");
    let mut builder = Client::builder(url).token_hint(hint).retries(RETRIES);
    if let Some(token) = std::env::var(variable).ok().filter(|token| !token.is_empty()) {
        builder = builder.token(token);
    }
    let client = builder.build()?;
    if client.exposes_token() {
        crate::show::tell!(
            "warning: {} is not https: whoever is on the way can read the token",
            client.base()
        );
    }
    Ok(client)
}

fn read(json: &[u8]) -> Result<Record, Failure> {
    read_record(json).map_err(|error| Failure::Host(format!("a record of the server: {error}")))
}

/// A server.
#[derive(Debug)]
pub(super) struct Remote(pub(super) Client);

impl Home for Remote {
    fn store(&self) -> Result<Arc<dyn Store>, Failure> {
        Ok(Arc::new(self.0.store()))
    }

    fn stacks(&self) -> Result<Arc<dyn Stacks>, Failure> {
        Ok(Arc::new(self.0.clone()))
    }

    fn activate(&self, drafts: &[Draft]) -> Result<(), NotActive> {
        let Err(error) = self.0.activate_all(drafts) else { return Ok(()) };
        let problems = error.problem().and_then(|problem| problem.activation_problems());
        Err(problems.map_or_else(|| NotActive::Failure(error.into()), NotActive::Problems))
    }

    fn secrets(
        &self,
        tenant: Option<&TenantName>,
        _key_file: Option<&Path>,
    ) -> Result<Arc<dyn Secrets>, Failure> {
        if tenant.is_some() {
            return Err(Failure::usage(
                "on a server, secrets are those of the tenant of your token: leave out --tenant",
            ));
        }
        Ok(Arc::new(self.0.clone()))
    }

    fn tokens(&self) -> Result<Arc<dyn Tokens>, Failure> {
        Ok(Arc::new(self.0.clone()))
    }

    fn traces(&self) -> Result<Arc<dyn Traces>, Failure> {
        Ok(Arc::new(self.0.clone()))
    }

    fn record_heads(&self, query: &RecordQuery, last: usize) -> Result<Vec<RecordHead>, Failure> {
        let list = self.0.records(query, last)?;
        damaged(list.damaged, self.0.base());
        Ok(list.records)
    }

    fn records(
        &self,
        query: &RecordQuery,
        last: usize,
    ) -> Result<(Vec<Record>, Vec<String>), Failure> {
        let exported = self.0.export_records(query, last)?;
        Ok(parted(exported.iter().map(|json| read(json))))
    }

    fn record(&self, id: &str) -> Result<Record, Failure> {
        let found = self.0.record(id);
        read(&found.map_err(|error| match error.kind() {
            ErrorKind::NotFound => none(id),
            _ => error.into(),
        })?)
    }

    fn server(&self) -> Option<&Client> {
        Some(&self.0)
    }
}
