//! The parts of a request that routes take, refused as every other mistake is: with a problem.

use axum::extract::{FromRequestParts, Path as AnyPath, Query as AnyQuery};
use axum::http::request::Parts;
use compute::Ref;
use compute_state::{Draft, StackName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::{Problem, Server};

/// What stands in the path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Server> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let found = AnyPath::from_request_parts(parts, server).await;
        found
            .map(|AnyPath(path)| Self(path))
            .map_err(|error| Problem::bad("invalid_path", error.body_text()))
    }
}

/// An artifact's address, in a path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ArtifactPath {
    /// The digest algorithm
    #[param(pattern = "^(sha256|blake3)$")]
    pub(super) alg: String,
    /// The digest, in hex
    #[param(pattern = "^[0-9a-f]{64}$")]
    pub(super) digest: String,
}

impl ArtifactPath {
    pub(super) fn reference(&self) -> Result<Ref, Problem> {
        Ref::parse(&format!("compute://{}/{}", self.alg, self.digest))
            .map_err(|error| Problem::bad("invalid_ref", error.to_string()))
    }
}

/// A stack's name, in a path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct StackPath {
    /// The stack; a `/` in its name is written `%2F`
    #[param(pattern = "^[A-Za-z0-9_-]{1,128}$")]
    stack: String,
}

impl StackPath {
    pub(super) fn name(&self) -> Result<StackName, Problem> {
        self.stack
            .parse::<StackName>()
            .map_err(|error| Problem::bad("invalid_stack", error.to_string()))
    }
}

/// A version of a stack, in a path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct VersionPath {
    /// The stack; a `/` in its name is written `%2F`
    #[param(pattern = "^[A-Za-z0-9_-]{1,128}$")]
    stack: String,
    /// The version
    #[param(minimum = 1, maximum = 4294967295_u64)]
    number: u32,
}

impl VersionPath {
    pub(super) fn draft(self) -> Result<Draft, Problem> {
        Ok(Draft::new(StackPath { stack: self.stack }.name()?, self.number))
    }
}

/// A file of a version, in a path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct FilePath {
    /// The stack; a `/` in its name is written `%2F`
    #[param(pattern = "^[A-Za-z0-9_-]{1,128}$")]
    stack: String,
    /// The version
    #[param(minimum = 1, maximum = 4294967295_u64)]
    number: u32,
    /// The scope's folder, `<NNN[_label]>`
    #[param(pattern = "^[0-9]{1,9}(_[A-Za-z0-9_-]{0,64})?$")]
    scope: String,
    /// The file, `<name>.txcl`
    #[param(pattern = r"^[A-Za-z0-9_-]{1,64}\.txcl$")]
    file: String,
}

impl FilePath {
    /// The version, and the file's path in it.
    pub(super) fn split(self) -> Result<(Draft, String), Problem> {
        let version = VersionPath { stack: self.stack, number: self.number };
        Ok((version.draft()?, format!("{}/{}", self.scope, self.file)))
    }
}

/// What stands after the `?`.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Server> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let found = AnyQuery::from_request_parts(parts, server).await;
        found
            .map(|AnyQuery(query)| Self(query))
            .map_err(|error| Problem::bad("invalid_query", error.body_text()))
    }
}
