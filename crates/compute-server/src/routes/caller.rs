//! Who asks, and whether they may.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use compute_flow::{TenantName, TokenScope};

use crate::telemetry::Observed;
use crate::tenants::Tenant;
use crate::{Problem, Server};

/// A caller who may do what `S` says. It is the first thing that a route takes: whoever may not gets to know nothing
/// else.
pub(super) struct Caller<S> {
    pub(super) tenant: Arc<Tenant>,
    needs: PhantomData<S>,
}

/// What a route needs of its caller.
pub(super) trait Needs: Send {
    const SCOPE: TokenScope;
}

macro_rules! needs {
    ($($name:ident)*) => {
        $(
            pub(super) struct $name;

            impl Needs for $name {
                const SCOPE: TokenScope = TokenScope::$name;
            }
        )*
    };
}

needs!(Read Run Update Activate Admin);

impl<S: Needs> FromRequestParts<Server> for Caller<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let name = tenant(&parts.headers, S::SCOPE, server)?;
        let tenants = &server.shared.tenants;
        let tenant = match tenants.opened(&name) {
            Some(tenant) => tenant,
            None => {
                let shared = Arc::clone(&server.shared);
                blocking::unblock(move || shared.tenants.open(&name)).await?
            }
        };
        if let Some(observed) = parts.extensions.get::<Arc<Observed>>() {
            let _ = observed.tenant.set(tenant.name.clone());
        }
        Ok(Self { tenant, needs: PhantomData })
    }
}

fn tenant(headers: &HeaderMap, scope: TokenScope, server: &Server) -> Result<TenantName, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        if server.shared.settings.dev {
            near(headers)?;
            return Ok(TenantName::default());
        }
        return Err(unknown("the request has no token: send `Authorization: Bearer TOKEN`"));
    };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = token.ok_or_else(|| unknown("the header authorization must be `Bearer TOKEN`"))?;
    let info = server.shared.tokens.check(token)?;
    let info = info.ok_or_else(|| unknown("there is no such token, or it has ended"))?;
    if !info.allows(scope) {
        let detail = format!("the token `{}` lacks the scope `{scope}`", info.id);
        let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden", detail);
        return Err(problem.with("scope", scope.name()));
    }
    Ok(info.tenant)
}

fn unknown(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
}

/// That a request without a token comes from this machine, and not from a web page that a browser on it shows: such a
/// page can send requests here, but not without saying so, and names that lead here are not ours.
fn near(headers: &HeaderMap) -> Result<(), Problem> {
    let local = |text: &str| {
        let host = text.rsplit_once(':').filter(|(host, _)| !host.ends_with(':'));
        let host = host.map_or(text, |(host, _)| host).trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    };
    let host = headers.get(header::HOST).map(|host| host.to_str().is_ok_and(local));
    let origin = headers.get(header::ORIGIN).map(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        origin.split_once("://").is_some_and(|(_, host)| local(host))
    });
    if host.unwrap_or(true) && origin.unwrap_or(true) {
        return Ok(());
    }
    let detail = "without a token, requests are taken only for localhost and from it";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}

/// That whoever asks is the operator: the tenant that is there from the start.
pub(super) fn operator<S>(caller: &Caller<S>) -> Result<(), Problem> {
    if caller.tenant.name.is_default() {
        return Ok(());
    }
    let detail = "this is for tokens of the tenant `default`";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}
