//! `compute token`: who may use a server.

use std::sync::Arc;

use compute_client::api::TokenRequest;
use compute_client::blocking::Client;
use compute_state::{NewToken, TenantName, TokenInfo, TokenScope, Tokens};

use super::{print_json, print_line};
use crate::args::{Cli, TokenArgs, TokenCommand, TokenCreateArgs};
use crate::failure::Failure;
use crate::state::Home;

/// The tokens, here or on a server.
enum Keeper {
    Here(Arc<dyn Tokens>),
    There(Client),
}

pub(crate) fn token(cli: &Cli, args: &TokenArgs) -> Result<(), Failure> {
    let keeper = match Home::new(cli, args.state.state.as_deref())? {
        Home::Here(place) => Keeper::Here(place.tokens()?),
        Home::There(client) => Keeper::There(client),
    };
    match &args.command {
        TokenCommand::Create(args) => create(&keeper, args),
        TokenCommand::Ls { json } => ls(&keeper, *json),
        TokenCommand::Revoke { id } => match &keeper {
            Keeper::Here(tokens) => Ok(tokens.revoke(id, None)?),
            Keeper::There(client) => Ok(client.revoke_token(id)?),
        },
    }
}

fn create(keeper: &Keeper, args: &TokenCreateArgs) -> Result<(), Failure> {
    let scopes = args.scope.iter().copied().collect();
    let new: NewToken = match keeper {
        Keeper::Here(tokens) => {
            tokens.create(args.tenant.as_ref(), &args.name, &scopes, args.expires)?
        }
        Keeper::There(_) if args.tenant.is_some() => {
            return Err(Failure::usage(
                "on a server, a token is for the tenant of your own token: leave out --tenant, or make it where the server's --state is",
            ));
        }
        Keeper::There(client) => {
            let name = args.name.clone();
            client.create_token(&TokenRequest { name, scopes, expires: args.expires })?
        }
    };
    if args.json {
        return print_json(&new);
    }
    anstream::eprintln!(
        "token {} of the tenant {}; it is not shown again",
        new.info.id,
        new.info.tenant
    );
    print_line(&new.token)
}

fn ls(keeper: &Keeper, json: bool) -> Result<(), Failure> {
    let tokens = match keeper {
        Keeper::Here(tokens) => tokens.list(None)?,
        Keeper::There(client) => client.tokens()?,
    };
    if tokens.is_empty() && !json {
        anstream::eprintln!(
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
    format!("{id}  {tenant:<16} {:<24} {created}  {expires:<12} {name}", scopes.join(","))
        .trim_end()
        .to_owned()
}
