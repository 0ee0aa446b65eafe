//! Who asks, whether they may, and what they may take.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use compute::{Account, Cancel, Charge};
use compute_state::{Actor, Rated, TenantName, TokenInfo, TokenScope, Usage};
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use crate::errors::REQUEST_MEMORY;
use crate::http::{self, ChargedBody};
use crate::jobs::Jobs;
use crate::telemetry::Observed;
use crate::tenants::{Entry, Tenant};
use crate::work::{Class, Present, Slot, TooMany};
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
    actor: Arc<Actor>,
    needs: PhantomData<S>,
}

/// A caller who has a place to work.
pub(super) struct Admitted {
    pub(super) tenant: Arc<Tenant>,
    place: Slot,
    /// Who does what is done there.
    actor: Arc<Actor>,
    /// When the work began to be waited for.
    pub(super) accepted: Instant,
    /// When the work must have ended.
    pub(super) deadline: Instant,
    /// What a line of a batch holds besides.
    _line: Option<OwnedSemaphorePermit>,
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
        let (name, actor) = asks(&parts.headers, &parts.uri, S::SCOPE, server).await?;
        check_query(parts)?;
        let entry = server.shared.tenants.entry(&name);
        entry.used.add(Usage { requests: 1, ..Usage::default() });
        let present = entry.requests.enter()?;
        let limit = server.shared.settings.request_memory;
        let memory = entry.memory.child(REQUEST_MEMORY, limit);
        if let Some(observed) = parts.extensions.get::<Arc<Observed>>() {
            observed.is_of(&name, &memory, present);
        }
        server.shared.admit(&entry, Rated::Requests)?;
        let (accepted, server, actor) = (Instant::now(), server.clone(), Arc::new(actor));
        Ok(Self { accepted, memory, server, entry, actor, needs: PhantomData })
    }
}

impl<S: Needs> Caller<S> {
    /// That the caller of a request that goes on for long still may: its token may have been revoked, or have ended. This is what
    /// its headers said of that.
    pub(super) async fn still_may(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if !headers.contains_key(header::AUTHORIZATION) {
            return Ok(());
        }
        asks(headers, &Uri::default(), S::SCOPE, &self.server).await.map(drop)
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
    pub(super) async fn read<T: Send + 'static>(
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

    /// A place to ask the store of artifacts.
    pub(super) async fn storing(&self) -> Result<Admitted, Problem> {
        let wall = self.server.shared.settings.admin_wall;
        self.enter(&self.server.shared.classes.stores, self.accepted, wall).await
    }

    /// A place to read and write what is kept in the state.
    pub(super) async fn admin(&self) -> Result<Admitted, Problem> {
        let wall = self.server.shared.settings.admin_wall;
        self.enter(&self.server.shared.classes.admin, self.accepted, wall).await
    }

    /// The same for a part of an answer that is made while it is sent: the time counts from now.
    pub(super) async fn admin_now(&self) -> Result<Admitted, Problem> {
        let wall = self.server.shared.settings.admin_wall;
        self.enter(&self.server.shared.classes.admin, Instant::now(), wall).await
    }

    /// A place to keep or read the output of a job, in turn, however long that takes.
    pub(super) async fn output_in_turn(&self) -> Result<Admitted, Problem> {
        let wall = self.server.shared.settings.admin_wall;
        let class = &self.server.shared.classes.outputs;
        let place = class.enter_patiently(self.entry.name.as_str()).await?;
        self.admitted(place, Instant::now(), wall, None).await
    }

    /// A place to compile.
    pub(super) async fn upload(&self) -> Result<Admitted, Problem> {
        let settings = &self.server.shared.settings;
        let wall = settings.compile + settings.body_timeout;
        self.enter(&self.server.shared.classes.uploads, self.accepted, wall).await
    }

    /// That the tenant may send one more document.
    pub(super) fn document(&self) -> Result<(), Problem> {
        Ok(self.server.shared.admit(&self.entry, Rated::Documents)?)
    }

    /// Waits until it may: a line of a batch, whose turn that is. Or until the server drains; then it may not. It does not wait for longer
    /// than for a body.
    pub(super) async fn document_in_turn(&self) -> Result<bool, Problem> {
        let limit = self.server.shared.settings.body_timeout;
        tokio::select! {
            biased;
            turn = self.server.shared.admit_in_turn(&self.entry, Rated::Documents, limit) => Ok(turn.map(|()| true)?),
            () = self.server.drains() => Ok(false),
        }
    }

    /// A sandbox, if the tenant has time left today. The time counts from when the request was accepted, or from then.
    pub(super) async fn sandbox(
        &self,
        accepted: Instant,
        wall: Duration,
    ) -> Result<Admitted, Problem> {
        self.server.shared.has_time(&self.entry)?;
        self.enter(&self.server.shared.classes.sandboxes, accepted, wall).await
    }

    async fn enter(
        &self,
        class: &Class,
        accepted: Instant,
        wall: Duration,
    ) -> Result<Admitted, Problem> {
        let place = class.enter(self.entry.name.as_str(), accepted, wall).await?;
        self.admitted(place, accepted, wall, None).await
    }

    /// A sandbox for a line of a batch, in turn, however long that takes: the time counts from when there is one. The tenant must have time
    /// left today by then.
    pub(super) async fn sandbox_in_turn(&self, wall: Duration) -> Result<Admitted, Problem> {
        let (place, line) = self.place_in_turn().await?;
        self.server.shared.has_time(&self.entry)?;
        self.admitted(place, Instant::now(), wall, Some(line)).await
    }

    /// The same for what goes on that was begun while there was time.
    pub(super) async fn sandbox_to_go_on(&self, wall: Duration) -> Result<Admitted, Problem> {
        let (place, line) = self.place_in_turn().await?;
        self.admitted(place, Instant::now(), wall, Some(line)).await
    }

    async fn place_in_turn(&self) -> Result<(Slot, OwnedSemaphorePermit), Problem> {
        let class = &self.server.shared.classes.sandboxes;
        let turn = async {
            let line = Arc::clone(&self.entry.lines).acquire_owned().await;
            let line = line.map_err(|error| Problem::internal(&error))?;
            Ok((class.enter_patiently(self.entry.name.as_str()).await?, line))
        };
        tokio::select! {
            biased;
            turn = turn => turn,
            () = self.server.drains() => Err(ending("it did not run this line")),
        }
    }

    /// The caller that a job of this tenant is, which may take as much memory as any request.
    pub(super) fn of_job(server: &Server, tenant: &TenantName) -> Self {
        let entry = server.shared.tenants.entry(tenant);
        let limit = server.shared.settings.request_memory;
        let memory = entry.memory.child(REQUEST_MEMORY, limit);
        let (accepted, server, actor) = (Instant::now(), server.clone(), Arc::default());
        Self { accepted, memory, server, entry, actor, needs: PhantomData }
    }

    /// Counts what the tenant used.
    pub(super) fn uses(&self, used: Usage) {
        self.entry.used.add(used);
    }

    /// The token of whoever asks, if there is one.
    pub(super) fn token(&self) -> Option<Actor> {
        Some(Actor::clone(&self.actor)).filter(|who| matches!(who, Actor::Token { .. }))
    }

    /// The server's jobs.
    pub(super) fn jobs(&self) -> &Arc<Jobs> {
        &self.server.shared.jobs
    }

    /// One of the batches that there may be, in all and of this tenant, until it is dropped.
    pub(super) fn batch(&self) -> Result<[Present; 2], TooMany> {
        Ok([self.entry.batches.enter()?, self.server.shared.batches.enter()?])
    }

    /// The caller of a line of this batch, which may take as much memory as any request.
    pub(super) fn of_line(&self) -> Self {
        let limit = self.server.shared.settings.request_memory;
        Self {
            accepted: Instant::now(),
            memory: self.entry.memory.child(REQUEST_MEMORY, limit),
            server: self.server.clone(),
            entry: Arc::clone(&self.entry),
            actor: Arc::clone(&self.actor),
            needs: PhantomData,
        }
    }

    async fn admitted(
        &self,
        place: Slot,
        accepted: Instant,
        wall: Duration,
        line: Option<OwnedSemaphorePermit>,
    ) -> Result<Admitted, Problem> {
        let tenant = match self.entry.opened() {
            Some(tenant) => tenant,
            None => {
                let (shared, name) = (Arc::clone(&self.server.shared), self.entry.name.clone());
                place.run(move |_| shared.tenants.open(&name)).await??
            }
        };
        let deadline = accepted.checked_add(wall).unwrap_or(accepted);
        let actor = Arc::clone(&self.actor);
        Ok(Admitted { tenant, place, actor, accepted, deadline, _line: line })
    }
}

impl Admitted {
    /// Does this on a thread for it. It is told to stop when the request goes away, and keeps the place until it
    /// has ended. What it changes is the caller's deed.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tenant, &Cancel) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (tenant, actor) = (Arc::clone(&self.tenant), Arc::clone(&self.actor));
        self.place.run(move |cancel| actor.acts(|| work(&tenant, cancel))).await
    }
}

/// That a request says nothing in its query where nothing is read of that: it would be passed over. Others' routes than those of the
/// API, and what documents come to, are for whoever made them.
fn check_query(parts: &Parts) -> Result<(), Problem> {
    let Some(path) = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str) else {
        return Ok(());
    };
    let asks = parts.uri.query().is_some_and(|query| !query.is_empty());
    if !asks || !path.starts_with("/v1/") || super::takes_query(&parts.method, path) {
        return Ok(());
    }
    Err(Problem::bad("invalid_query", "this takes no parameters after a `?`"))
}

/// Whose request it is, and who asks.
async fn asks(
    headers: &HeaderMap,
    uri: &Uri,
    scope: TokenScope,
    server: &Server,
) -> Result<(TenantName, Actor), Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        if server.shared.settings.dev {
            near(headers, uri)?;
            return Ok((TenantName::default(), Actor::Dev));
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
    let TokenInfo { id, tenant, name, .. } = info;
    Ok((tenant, Actor::Token { id, name }))
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

/// That a server ends, and what it did not do.
pub(super) fn ending(what: &str) -> Problem {
    let detail = format!("the server is ending: {what}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
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
