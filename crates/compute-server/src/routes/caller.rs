//! Who asks, whether they may, and what they may take.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use compute::{Account, Cancel, Charge};
use compute_state::{TenantName, TokenInfo, TokenScope};
use serde::de::DeserializeOwned;

use crate::errors::REQUEST_MEMORY;
use crate::http::{self, ChargedBody};
use crate::telemetry::Observed;
use crate::tenants::{Entry, Tenant};
use crate::work::{Class, Slot};
use crate::{Problem, Server};

/// A caller who may do what `S` says. It is the first thing that a route takes: whoever may not gets to know nothing
/// else. What the tenant has is reached only through a place for the kind of work that it is ([`Caller::admin`],
/// [`Caller::sandbox`], [`Caller::upload`]), and a body only within what the request may take of memory.
pub(super) struct Caller<S> {
    /// When the request's head had come.
    pub(super) accepted: Instant,
    /// What the request may take of memory.
    pub(super) memory: Account,
    server: Server,
    entry: Arc<Entry>,
    needs: PhantomData<S>,
}

/// A caller who has a place to work.
pub(super) struct Admitted {
    pub(super) tenant: Arc<Tenant>,
    place: Slot,
    /// When the work must have ended.
    pub(super) deadline: Instant,
}

/// How many bytes of JSON are read at once, wherever that is.
const READ_AT_ONCE: usize = 64 << 10;

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
        let name = tenant(&parts.headers, &parts.uri, S::SCOPE, server).await?;
        let entry = server.shared.tenants.entry(&name);
        let present = entry.requests.enter()?;
        let limit = server.shared.settings.request_memory;
        let memory = entry.memory.child(REQUEST_MEMORY, limit);
        if let Some(observed) = parts.extensions.get::<Arc<Observed>>() {
            observed.is_of(&name, &memory, present);
        }
        let (accepted, server) = (Instant::now(), server.clone());
        Ok(Self { accepted, memory, server, entry, needs: PhantomData })
    }
}

impl<S> Caller<S> {
    /// Whose request it is.
    pub(super) fn name(&self) -> &TenantName {
        &self.entry.name
    }

    /// The request's body, if it has at most so many bytes.
    pub(super) async fn body(&self, content: Body, limit: u64) -> Result<ChargedBody, Problem> {
        http::take(&self.memory, content, limit, self.server.shared.settings.body_timeout).await
    }

    /// What a body says in a few fields that are texts, and what it is charged.
    pub(super) async fn few<T: DeserializeOwned + Send + 'static>(
        &self,
        taken: ChargedBody,
    ) -> Result<(T, Charge), Problem> {
        self.read(taken, ChargedBody::few).await
    }

    /// The same, in fields that may be many and small.
    pub(super) async fn json<T: DeserializeOwned + Send + 'static>(
        &self,
        taken: ChargedBody,
    ) -> Result<(T, Charge), Problem> {
        self.read(taken, ChargedBody::json).await
    }

    /// A large body is read on a thread for it: whoever sends many does not delay those whose requests come meanwhile.
    async fn read<T: Send + 'static>(
        &self,
        mut taken: ChargedBody,
        read: impl FnOnce(&mut ChargedBody) -> Result<T, Problem> + Send + 'static,
    ) -> Result<(T, Charge), Problem> {
        if taken.bytes.len() <= READ_AT_ONCE {
            return Ok((read(&mut taken)?, taken.charge));
        }
        let admitted = self.admin_now().await?;
        admitted.run(move |_, _| Ok((read(&mut taken)?, taken.charge))).await?
    }

    /// A place to read and write what is kept.
    pub(super) async fn admin(&self) -> Result<Admitted, Problem> {
        let wall = self.server.shared.settings.admin_wall;
        self.enter(&self.server.shared.classes.admin, self.accepted, wall).await
    }

    /// The same for a part of an answer that is made while it is sent: the time counts from now.
    pub(super) async fn admin_now(&self) -> Result<Admitted, Problem> {
        let wall = self.server.shared.settings.admin_wall;
        self.enter(&self.server.shared.classes.admin, Instant::now(), wall).await
    }

    /// A place to compile.
    pub(super) async fn upload(&self) -> Result<Admitted, Problem> {
        let settings = &self.server.shared.settings;
        let wall = settings.compile + settings.body_timeout;
        self.enter(&self.server.shared.classes.uploads, self.accepted, wall).await
    }

    /// A sandbox. The time counts from when the request was accepted, or from then.
    pub(super) async fn sandbox(
        &self,
        accepted: Instant,
        wall: Duration,
    ) -> Result<Admitted, Problem> {
        self.enter(&self.server.shared.classes.sandboxes, accepted, wall).await
    }

    async fn enter(
        &self,
        class: &Class,
        accepted: Instant,
        wall: Duration,
    ) -> Result<Admitted, Problem> {
        let place = class.enter(self.entry.name.as_str(), accepted, wall).await?;
        let tenant = match self.entry.opened() {
            Some(tenant) => tenant,
            None => {
                let (shared, name) = (Arc::clone(&self.server.shared), self.entry.name.clone());
                place.run(move |_| shared.tenants.open(&name)).await??
            }
        };
        let deadline = accepted.checked_add(wall).unwrap_or(accepted);
        Ok(Admitted { tenant, place, deadline })
    }
}

impl Admitted {
    /// Does this on a thread for it. It is told to stop when the request goes away, and keeps the place until it
    /// has ended.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tenant, &Cancel) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let tenant = Arc::clone(&self.tenant);
        self.place.run(move |cancel| work(&tenant, cancel)).await
    }
}

async fn tenant(
    headers: &HeaderMap,
    uri: &Uri,
    scope: TokenScope,
    server: &Server,
) -> Result<TenantName, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        if server.shared.settings.dev {
            near(headers, uri)?;
            return Ok(TenantName::default());
        }
        return Err(unknown("the request has no token: send `Authorization: Bearer TOKEN`"));
    };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = token.ok_or_else(|| unknown("the header authorization must be `Bearer TOKEN`"))?;
    let info = match server.shared.tokens.check_now(token) {
        Some(known) => known?,
        None => look_for(token.to_owned(), server).await?,
    };
    let info = info.ok_or_else(|| unknown("there is no such token, or it has ended"))?;
    if !info.allows(scope) {
        let detail = format!("the token `{}` lacks the scope `{scope}`", info.id);
        let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden", detail);
        return Err(problem.with("scope", scope.name()));
    }
    Ok(info.tenant)
}

/// How long a request waits until its token is looked for.
const LOOK: Duration = Duration::from_millis(500);

/// Has somebody asked who keeps the tokens: whoever sends any word as one keeps no thread from others.
async fn look_for(token: String, server: &Server) -> Result<Option<TokenInfo>, Problem> {
    let busy = || {
        let detail = "too many ask with tokens that are not known here";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
    };
    let _looker = server.shared.lookers.enter().map_err(|_| busy())?;
    let looking = tokio::time::timeout(LOOK, server.shared.looking.acquire()).await;
    let looking = looking.map_err(|_| busy())?;
    let tokens = Arc::clone(&server.shared.tokens);
    let looked = tokio::task::spawn_blocking(move || tokens.check(&token)).await;
    drop(looking);
    let looked = looked.map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the token cannot be checked")
    });
    Ok(looked??)
}

fn unknown(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
}

/// That a request without a token comes from this machine, and not from a web page that a browser on it shows: such a
/// page can send requests here, but not without saying so, and names that lead here are not ours.
fn near(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let local = |text: &str| {
        let host = text.rsplit_once(':').filter(|(host, _)| !host.ends_with(':'));
        let host = host.map_or(text, |(host, _)| host).trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    };
    // HTTP/2 names the host in the address; where both do, both must be here.
    let named = headers.get_all(header::HOST).iter().map(|host| host.to_str().is_ok_and(local));
    let addressed = uri.authority().map(|authority| local(authority.as_str()));
    let is_here = named.chain(addressed).all(|here| here);
    let origin = headers.get(header::ORIGIN).map(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        origin.split_once("://").is_some_and(|(_, host)| local(host))
    });
    if is_here && origin.unwrap_or(true) {
        return Ok(());
    }
    let detail = "without a token, requests are taken only for localhost and from it";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}

/// That whoever asks is the operator: the tenant that is there from the start.
pub(super) fn operator<S>(caller: &Caller<S>) -> Result<(), Problem> {
    if caller.name().is_default() {
        return Ok(());
    }
    let detail = "this is for tokens of the tenant `default`";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}
