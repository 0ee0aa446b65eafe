//! A server, as a client sees it.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use compute::{Artifact, BoxFuture, Ref};
use compute_api::{
    Activation, Attached, Computes, NewDraft, ProblemBody, RuleFile, RunAnswer, RunRequest,
    SecretList, SecretValue, StackVersion, Stacks, TokenList, TokenRequest, TraceList, Uploaded,
    VersionFiles, Versions,
};
use compute_flow::{ActiveStack, Draft, File, NewToken, StackName, Trace, Version, VersionInfo};
use compute_store::{Manifest, NewArtifact, Store, StoreError, Stored, SweepReport, Usage};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::blocking::{Client as Http, RequestBuilder, Response};
use reqwest::{Method, StatusCode};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::failure::Failure;
use crate::state::NotActive;

/// The variable that holds the token, unless a target names another.
const TOKEN: &str = "COMPUTE_TOKEN";
/// How long a connection may take, and how long an answer may.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(120);

/// A server.
#[derive(Clone)]
pub(crate) struct Client {
    http: Http,
    base: Url,
    token: Option<String>,
    /// Where the token is looked for.
    variable: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// What a server said instead of what it was asked for, or that it said nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error("{0}")]
    Problem(Box<Said>),
    #[error("cannot reach {base}: is a server running there?")]
    Unreachable { base: String, source: reqwest::Error },
    #[error(
        "the server at {base} answered what this program does not understand: is it one of another version, or something else?"
    )]
    Strange { base: String, source: Box<dyn std::error::Error + Send + Sync> },
}

/// A problem that a server told.
#[derive(Debug)]
pub(crate) struct Said {
    status: StatusCode,
    problem: ProblemBody,
    /// All of it.
    whole: Value,
    /// Where the token was looked for.
    variable: String,
    /// The id of the request, where the server gave it one.
    rid: Option<String>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, problem, variable, .. } = self;
        f.write_str(&problem.detail)?;
        if *status == StatusCode::UNAUTHORIZED {
            return write!(f, "; put a token into {variable}: `compute token create` makes one");
        }
        write!(f, " [{}]", problem.code)
    }
}

type Result<T, E = RemoteError> = std::result::Result<T, E>;

impl RemoteError {
    fn said(&self) -> Option<&Said> {
        match self {
            Self::Problem(said) => Some(said),
            Self::Unreachable { .. } | Self::Strange { .. } => None,
        }
    }

    /// The code of the server's problem.
    pub(crate) fn code(&self) -> &str {
        self.said().map_or("", |said| &said.problem.code)
    }

    /// What keeps versions from becoming active, if that is what it is about.
    fn problems(&self) -> Option<Vec<compute_flow::Problem>> {
        serde_json::from_value(self.said()?.whole.get("problems")?.clone()).ok()
    }

    /// The id of the request that failed, where the server gave it one.
    pub(crate) fn rid(&self) -> Option<&str> {
        self.said()?.rid.as_deref()
    }

    /// Whether a token is missing, or does not allow it.
    pub(crate) fn is_of_the_token(&self) -> bool {
        let of_the_token = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        self.said().is_some_and(|said| of_the_token.contains(&said.status))
    }

    fn is_not_found(&self) -> bool {
        self.said().is_some_and(|said| said.status == StatusCode::NOT_FOUND)
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        let Some(status) = error.said().map(|said| said.status) else { return Self::host(&error) };
        match error.code() {
            // What the same commands say of what is on this machine.
            "missing_compute_artifact" => {
                Self::Host(format!("{error}; `compute ls` lists what is stored"))
            }
            code if GUESTS.contains(&code) => Self::Guest(error.to_string()),
            "invalid_module" | "busy" => Self::host(&error),
            _ if status.is_client_error() => Self::usage_of(&error),
            _ => Self::host(&error),
        }
    }
}

/// The codes of what a rule or a compute did.
const GUESTS: [&str; 10] = [
    "compute_failed",
    "expression_failed",
    "output_not_object",
    "missing_secret",
    "invalid_control",
    "scope_ttl_exhausted",
    "fuel_exhausted",
    "document_too_large",
    "deadline_exceeded",
    "cancelled",
];

fn rid_of(response: &Response) -> Option<String> {
    Some(response.headers().get("x-compute-rid")?.to_str().ok()?.to_owned())
}

/// A part of a path.
fn part(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn compute(reference: &Ref) -> String {
    format!("v1/computes/{}/{}", part(reference.alg()), part(reference.digest()))
}

fn stack_path(stack: &StackName) -> String {
    format!("v1/stacks/{}", part(stack.as_str()))
}

impl Client {
    /// The server at this URL. The token is in this variable, or in `COMPUTE_TOKEN`.
    pub(crate) fn new(url: &str, variable: Option<&str>) -> std::result::Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::usage(format!(
                "`{url}` is not a server's URL: {why}; give one such as http://127.0.0.1:7700"
            ))
        };
        let mut base = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
        if !["http", "https"].contains(&base.scheme()) || base.host().is_none() {
            return Err(wrong("it does not begin with http:// or https://"));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let variable = variable.unwrap_or(TOKEN).to_owned();
        let token = std::env::var(&variable).ok().filter(|token| !token.is_empty());
        let near = base.host_str().is_some_and(|host| {
            let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
        });
        if token.is_some() && base.scheme() == "http" && !near {
            anstream::eprintln!(
                "warning: {base} is not https: whoever is on the way can read the token"
            );
        }
        let http = Http::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .user_agent(concat!("compute/", env!("CARGO_PKG_VERSION")))
            // A token is for the server that it was given for.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::host(&error))?;
        Ok(Self { http, base, token, variable })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn strange(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RemoteError {
        RemoteError::Strange { base: self.base.to_string(), source: source.into() }
    }

    /// The answer, if it is not a problem.
    fn send(&self, request: RequestBuilder) -> Result<Response> {
        let unreachable = |source| RemoteError::Unreachable { base: self.base.to_string(), source };
        let response = request.send().map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let rid = rid_of(&response);
        let text = response.text().map_err(|error| self.strange(error))?;
        let whole: Value = serde_json::from_str(&text).unwrap_or_default();
        let Ok(problem) = ProblemBody::deserialize(&whole) else {
            return Err(self.strange(format!("status {status}")));
        };
        let variable = self.variable.clone();
        Err(RemoteError::Problem(Box::new(Said { status, problem, whole, variable, rid })))
    }

    fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        self.send(request)?.json().map_err(|error| self.strange(error))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.json(self.request(Method::GET, path))
    }

    pub(crate) fn stacks(&self) -> Result<Vec<ActiveStack>> {
        Ok(self.get::<Stacks>("v1/stacks")?.stacks)
    }

    /// The versions of a stack; nothing if there is no such stack.
    pub(crate) fn versions(&self, stack: &StackName) -> Result<Option<Vec<VersionInfo>>> {
        match self.get::<Versions>(&stack_path(stack)) {
            Ok(versions) => Ok(Some(versions.versions)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn version(&self, stack: &StackName, number: u32) -> Result<Version> {
        let path = format!("{}/versions/{number}", stack_path(stack));
        let version: VersionFiles = self.get(&path)?;
        let file = |file: RuleFile| File::new(file.path, file.text);
        Ok(Version::new(version.info, version.files.into_iter().map(file).collect()))
    }

    pub(crate) fn draft(&self, stack: &StackName, files: &[File]) -> Result<Draft> {
        let file = |file: &File| RuleFile { path: file.path.clone(), text: file.text.clone() };
        let new = NewDraft { files: files.iter().map(file).collect() };
        let path = format!("{}/drafts", stack_path(stack));
        let made: VersionInfo = self.json(self.request(Method::POST, &path).json(&new))?;
        Ok(Draft::new(stack.clone(), made.number))
    }

    pub(crate) fn forget(&self, drafts: &[Draft]) -> Result<()> {
        for draft in drafts {
            let path = format!("{}/versions/{}", stack_path(&draft.stack), draft.number);
            match self.send(self.request(Method::DELETE, &path)) {
                // One that was active before stays.
                Err(error) if error.code() != "version_immutable" => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn activate(&self, drafts: &[Draft]) -> std::result::Result<(), NotActive> {
        let version =
            |draft: &Draft| StackVersion { stack: draft.stack.clone(), number: draft.number };
        let versions = Activation { versions: drafts.iter().map(version).collect() };
        match self.json::<Versions>(self.request(Method::POST, "v1/activate").json(&versions)) {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.problems() {
                Some(problems) => NotActive::Problems(problems),
                None => NotActive::Failure(error.into()),
            }),
        }
    }

    pub(crate) fn traces(&self, last: usize) -> Result<Vec<Trace>> {
        Ok(self.get::<TraceList>(&format!("v1/traces?last={last}"))?.traces)
    }

    /// A trace; nothing if there is none of this id.
    pub(crate) fn trace(&self, id: &str) -> Result<Option<Trace>> {
        match self.get(&format!("v1/traces/{}", part(id))) {
            Ok(trace) => Ok(Some(trace)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a document through a stack: what came of it, and the request's id.
    pub(crate) fn fire(
        &self,
        stage: &str,
        input: Vec<u8>,
        headers: &[(&'static str, String)],
    ) -> Result<(String, Option<String>)> {
        let stage: Vec<_> = stage.split('/').map(part).collect();
        let mut request =
            self.request(Method::POST, &format!("stacks/{}", stage.join("/"))).body(input);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = self.send(request)?;
        let rid = rid_of(&response);
        Ok((response.text().map_err(|error| self.strange(error))?, rid))
    }

    pub(crate) fn run(&self, request: &RunRequest) -> Result<RunAnswer> {
        self.json(self.request(Method::POST, "v1/run").json(request))
    }

    pub(crate) fn tokens(&self) -> Result<TokenList> {
        self.get("v1/tokens")
    }

    pub(crate) fn create_token(&self, request: &TokenRequest) -> Result<NewToken> {
        self.json(self.request(Method::POST, "v1/tokens").json(request))
    }

    pub(crate) fn revoke_token(&self, id: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, &format!("v1/tokens/{}", part(id)))).map(drop)
    }

    pub(crate) fn secrets(&self) -> Result<SecretList> {
        self.get("v1/secrets")
    }

    pub(crate) fn set_secret(&self, name: &str, value: String) -> Result<()> {
        let request = self.request(Method::PUT, &format!("v1/secrets/{}", part(name)));
        self.send(request.json(&SecretValue { value })).map(drop)
    }

    pub(crate) fn delete_secret(&self, name: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, &format!("v1/secrets/{}", part(name)))).map(drop)
    }
}

/// A server's artifacts as a store; [`compute_store::Verified`] believes none of its bytes. Its answers are waited for on the calling thread.
#[derive(Debug)]
pub(crate) struct RemoteStore {
    client: Client,
}

impl RemoteStore {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client }
    }

    fn upload(&self, new: &NewArtifact) -> Result<Manifest> {
        let client = &self.client;
        let artifact = &new.artifact;
        let path = compute(artifact.reference());
        let put = client
            .request(Method::PUT, &format!("{path}?engine={}", part(artifact.engine())))
            .body(artifact.wasm().clone());
        client.json::<Uploaded>(put)?;
        for (name, bytes) in &new.attachments {
            let path = format!("{path}/attachments/{}", part(name));
            client.json::<Attached>(client.request(Method::PUT, &path).body(bytes.clone()))?;
        }
        client.get(&format!("{path}/manifest"))
    }

    fn bytes(&self, path: &str) -> Result<Bytes> {
        let response = self.client.send(self.client.request(Method::GET, path))?;
        response.bytes().map_err(|error| self.client.strange(error))
    }

    fn all(&self) -> Result<Vec<Manifest>> {
        let mut all = Vec::new();
        let mut path = "v1/computes".to_owned();
        loop {
            let Computes { computes, next } = self.client.get(&path)?;
            all.extend(computes);
            let Some(next) = next else { return Ok(all) };
            path = format!("v1/computes?after={}", part(next.as_str()));
        }
    }

    fn failed(action: &'static str, reference: &Ref, error: RemoteError) -> StoreError {
        if error.is_not_found() {
            return StoreError::NotFound { reference: reference.clone() };
        }
        StoreError::storage(action, error)
    }
}

impl Store for RemoteStore {
    fn put<'a>(
        &'a self,
        new: &'a NewArtifact,
    ) -> BoxFuture<'a, std::result::Result<Manifest, StoreError>> {
        Box::pin(
            async move { self.upload(new).map_err(|error| StoreError::storage("put it", error)) },
        )
    }

    fn get<'a>(
        &'a self,
        reference: &'a Ref,
    ) -> BoxFuture<'a, std::result::Result<Stored, StoreError>> {
        Box::pin(async move {
            let failed = |error| Self::failed("get it", reference, error);
            let path = compute(reference);
            let manifest: Manifest =
                self.client.get(&format!("{path}/manifest")).map_err(failed)?;
            let bytes = self.bytes(&path).map_err(failed)?;
            let engine = manifest.engine.clone();
            let artifact = Artifact::unverified(reference.clone(), engine, bytes);
            Ok(Stored::new(manifest, artifact))
        })
    }

    fn head<'a>(
        &'a self,
        reference: &'a Ref,
    ) -> BoxFuture<'a, std::result::Result<Manifest, StoreError>> {
        Box::pin(async move {
            let path = format!("{}/manifest", compute(reference));
            self.client.get(&path).map_err(|error| Self::failed("look for it", reference, error))
        })
    }

    fn attachment<'a>(
        &'a self,
        reference: &'a Ref,
    ) -> BoxFuture<'a, std::result::Result<Bytes, StoreError>> {
        Box::pin(async move {
            let (alg, digest) = (part(reference.alg()), part(reference.digest()));
            let bytes = self.bytes(&format!("v1/attachments/{alg}/{digest}"));
            bytes.map_err(|error| Self::failed("get it", reference, error))
        })
    }

    fn list(&self) -> BoxStream<'_, std::result::Result<Manifest, StoreError>> {
        let listed = self.all().map_err(|error| StoreError::storage("list", error));
        let items = match listed {
            Ok(manifests) => manifests.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(items).boxed()
    }

    fn usage(&self) -> BoxFuture<'_, std::result::Result<Usage, StoreError>> {
        Box::pin(async move {
            Err(StoreError::storage("count", "a server counts what it keeps by itself"))
        })
    }

    fn delete<'a>(
        &'a self,
        reference: &'a Ref,
    ) -> BoxFuture<'a, std::result::Result<(), StoreError>> {
        Box::pin(async move {
            let sent = self.client.send(self.client.request(Method::DELETE, &compute(reference)));
            sent.map(drop).map_err(|error| Self::failed("delete it", reference, error))
        })
    }

    fn sweep<'a>(
        &'a self,
        _keep: &'a HashSet<Ref>,
        _before: Timestamp,
        _dry_run: bool,
    ) -> BoxFuture<'a, std::result::Result<SweepReport, StoreError>> {
        Box::pin(async move {
            Err(StoreError::storage("sweep", "a server's store is swept where the server is"))
        })
    }
}
