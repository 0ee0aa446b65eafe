//! A server, as commands reach it: where the token is, and how long it is waited for.

use std::path::Path;
use std::sync::Arc;

use compute_client::Retries;
use compute_client::blocking::Client;
use compute_state::{Draft, Secrets, Stacks, TenantName, Tokens, Traces};
use compute_store::Store;

use super::{Home, NotActive};
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

    fn server(&self) -> Option<&Client> {
        Some(&self.0)
    }
}
