//! A server, as commands reach it: where the token is, and how long it is waited for.

use std::path::Path;
use std::sync::Arc;

use compute::{Record, RecordHead, RecordQuery};
use compute_client::blocking::Client;
use compute_client::{ErrorKind, Retries};
use compute_replay::read_record;
use compute_state::{
    AuditOf, AuditPage, DayUsage, Draft, Rollout, Schedules, Secrets, Shadow, Stacks, Tokens,
    Traces,
};
use compute_store::Store;
use jiff::civil::Date;

use super::{Home, HomeJobs, NotActive, damaged, none, parted};
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

fn not_active(error: compute_client::Error) -> NotActive {
    let problems = error.problem().and_then(|problem| problem.activation_problems());
    problems.map_or_else(|| NotActive::Failure(error.into()), NotActive::Problems)
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
        self.0.activate_all(drafts).map(drop).map_err(not_active)
    }

    fn roll_out(&self, rollout: &Rollout) -> Result<(), NotActive> {
        self.0.set_rollout(rollout).map_err(not_active)
    }

    fn shadow(&self, shadow: &Shadow) -> Result<(), NotActive> {
        self.0.set_shadow(shadow).map_err(not_active)
    }

    fn complete(&self, version: &Draft) -> Result<(), NotActive> {
        self.0.complete_rollout(&version.stack, version.number).map_err(not_active)
    }

    fn secrets(&self, _key_file: Option<&Path>) -> Result<Arc<dyn Secrets>, Failure> {
        Ok(Arc::new(self.0.clone()))
    }

    fn schedules(&self) -> Result<Arc<dyn Schedules>, Failure> {
        Ok(Arc::new(self.0.clone()))
    }

    fn tokens(&self) -> Result<Arc<dyn Tokens>, Failure> {
        Ok(Arc::new(self.0.clone()))
    }

    fn audit(&self, of: AuditOf, after: Option<u64>, most: usize) -> Result<AuditPage, Failure> {
        Ok(self.0.audit(of, after, most)?)
    }

    fn usage(&self, from: Option<Date>, to: Option<Date>) -> Result<Vec<DayUsage>, Failure> {
        Ok(self.0.usage(from, to)?)
    }

    fn traces(&self) -> Result<Arc<dyn Traces>, Failure> {
        Ok(Arc::new(self.0.clone()))
    }

    fn jobs(&self) -> Result<HomeJobs, Failure> {
        Ok(HomeJobs::Server(self.0.clone()))
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
