//! The parts of a request that routes take, refused as every other mistake is: with a problem.

use axum::extract::{FromRequestParts, Path as AnyPath, Query as AnyQuery};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

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
