//! `compute token`: who may use a server.

use compute::Printable;
use compute_state::{TenantName, TokenInfo, TokenScope, Tokens, TokensError};
use jiff::Timestamp;

use crate::args::{Cli, TokenArgs, TokenCommand, TokenCreateArgs};
use crate::failure::Failure;
use crate::home;
use crate::show::{print_json, print_line};

pub(crate) fn token(cli: &Cli, args: &TokenArgs) -> Result<(), Failure> {
    let tokens = home::of(cli, args.state.state.as_deref())?.tokens()?;
    match &args.command {
        TokenCommand::Create(args) => create(&*tokens, args),
        TokenCommand::Ls { json } => ls(&*tokens, *json),
        TokenCommand::Revoke { id } => Ok(tokens.revoke(id, None)?),
    }
}

fn create(tokens: &dyn Tokens, args: &TokenCreateArgs) -> Result<(), Failure> {
    if let Some(end) = args.expires.filter(|end| *end <= Timestamp::now()) {
        return Err(Failure::usage(format!("--expires {end} is over already")));
    }
    let scopes = args.scope.iter().copied().collect();
    let new = tokens.create(args.tenant.as_ref(), &args.name, &scopes, args.expires);
    let new = new.map_err(|error| match error {
        TokensError::OtherTenant => Failure::usage(
            "on a server, a token is for the tenant of your own token: leave out --tenant, or make it where the server's --state is",
        ),
        error => error.into(),
    })?;
    if args.json {
        return print_json(&new);
    }
    crate::show::tell!(
        "token {} of the tenant {}; it is not shown again",
        new.info.id,
        new.info.tenant
    );
    print_line(&new.token)
}

fn ls(tokens: &dyn Tokens, json: bool) -> Result<(), Failure> {
    let tokens = tokens.list(None)?;
    if tokens.is_empty() && !json {
        crate::show::tell!(
            "there are no tokens yet; `compute token create --scope admin` makes one"
        );
    }
    for token in &tokens {
        if json { print_json(token)? } else { print_line(line(token))? }
    }
    Ok(())
}

fn line(token: &TokenInfo) -> String {
    let TokenInfo { id, tenant, name, scopes, created, expires, .. } = token;
    let scopes: Vec<_> = scopes.iter().map(|scope: &TokenScope| scope.name()).collect();
    let tenant: &TenantName = tenant;
    let expires = expires.map_or_else(|| "never ends".to_owned(), |end| format!("ends {end}"));
    let created = created.strftime("%Y-%m-%d");
    format!(
        "{id}  {tenant:<16} {:<24} {created}  {expires:<12} {}",
        scopes.join(","),
        Printable::line(name)
    )
    .trim_end()
    .to_owned()
}
