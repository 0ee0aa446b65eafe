//! What happened to documents.

use std::collections::VecDeque;
use std::io;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use compute_state::TraceText;
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::{Caller, Read};
use super::extract::{Path, Query};
use super::{Answer, Refusals};
use crate::Problem;
use crate::http::{self, BrokenStream, PIECE};
use crate::tenants::Tenant;
use crate::wire::TraceList;

/// How many traces are listed at most.
const MAX_LISTED: usize = 1000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Last {
    /// How many of the newest, at most 1,000
    #[serde(default = "twenty")]
    #[param(default = 20, maximum = 1000)]
    last: usize,
}

const fn twenty() -> usize {
    20
}

/// The newest traces
#[utoipa::path(
    get, path = "/v1/traces", tag = "traces", security(("token" = ["read"])),
    params(Last), responses((status = 200, body = TraceList), Refusals)
)]
pub(super) async fn list(
    caller: Caller<Read>,
    Query(Last { last }): Query<Last>,
) -> Answer<Response> {
    if last > MAX_LISTED {
        return Err(Problem::bad("invalid_query", format!("`last` is at most {MAX_LISTED}")));
    }
    let admitted = caller.admin().await?;
    let ids = admitted.run(|tenant, _| tenant.traces.ids()).await??;
    let newest = ids[ids.len().saturating_sub(last)..].to_vec();
    drop(admitted);
    let memory = caller.memory.clone();
    Ok(json(http::pieces(&memory, list_of(caller, newest))?))
}

/// `{"traces":[…]}`, a piece at a time: each is read when it is wanted, and waits in no memory before.
fn list_of(
    caller: Caller<Read>,
    ids: Vec<String>,
) -> impl Stream<Item = Result<Bytes, BrokenStream>> + Send {
    let open = |tenant: &Tenant, id: String| tenant.traces.read_text(&id).ok();
    let begin = stream::once(async { Ok(Bytes::from_static(b"{\"traces\":[")) });
    begin.chain(Reading::new(caller, ids, open, (b",", b"]}")).pieces())
}

/// Texts that are read one after the other, each when it is wanted.
pub(super) struct Reading<T> {
    caller: Caller<Read>,
    texts: VecDeque<T>,
    open: fn(&Tenant, T) -> Option<TraceText>,
    /// What stands between two, and after the last.
    between: &'static [u8],
    after: &'static [u8],
    text: Option<TraceText>,
    any: bool,
    ended: bool,
}

impl<T: Send + Sync + 'static> Reading<T> {
    pub(super) fn new(
        caller: Caller<Read>,
        texts: impl IntoIterator<Item = T>,
        open: fn(&Tenant, T) -> Option<TraceText>,
        (between, after): (&'static [u8], &'static [u8]),
    ) -> Self {
        let texts = texts.into_iter().collect();
        Self { caller, texts, open, between, after, text: None, any: false, ended: false }
    }

    /// All of them, a piece at a time.
    pub(super) fn pieces(self) -> impl Stream<Item = Result<Bytes, BrokenStream>> + Send {
        stream::unfold(self, |mut reading| async move {
            let piece = reading.next().await?;
            Some((piece, reading))
        })
    }

    /// The next piece of the list.
    async fn next(&mut self) -> Option<Result<Bytes, BrokenStream>> {
        loop {
            match self.next_of_text().await {
                Ok(Some(bytes)) => return Some(Ok(bytes)),
                Ok(None) => {}
                Err(broken) => return Some(Err(broken)),
            }
            let Some(one) = self.texts.pop_front() else {
                let first = !std::mem::replace(&mut self.ended, true) && !self.after.is_empty();
                return first.then(|| Ok(Bytes::from_static(self.after)));
            };
            // One may have been deleted since: the rest are listed without it.
            let open = self.open;
            match self.read(move |tenant| open(tenant, one)).await {
                Ok(text) => self.text = text,
                Err(broken) => return Some(Err(broken)),
            }
            if self.text.is_some() && std::mem::replace(&mut self.any, true) {
                return Some(Ok(Bytes::from_static(self.between)));
            }
        }
    }

    /// The next piece of the trace that is being read, if there is more of it.
    async fn next_of_text(&mut self) -> Result<Option<Bytes>, BrokenStream> {
        let Some(text) = self.text.take() else { return Ok(None) };
        let (bytes, text) = self.read(move |_| piece(text)).await?.map_err(|_| BrokenStream)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.text = Some(text);
        Ok(Some(bytes))
    }

    /// Reads something in a place of its own: who reads slowly holds none.
    async fn read<R: Send + 'static>(
        &self,
        read: impl FnOnce(&Tenant) -> R + Send + 'static,
    ) -> Result<R, BrokenStream> {
        let admitted = self.caller.admin_now().await.map_err(|_| BrokenStream)?;
        admitted.run(|tenant, _| read(tenant)).await.map_err(|_| BrokenStream)
    }
}

fn piece(mut text: TraceText) -> io::Result<(Bytes, TraceText)> {
    let mut bytes = Vec::with_capacity(PIECE);
    io::Read::read_to_end(&mut io::Read::take(&mut text, PIECE as u64), &mut bytes)?;
    Ok((bytes.into(), text))
}

fn json(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A trace
#[utoipa::path(
    get, path = "/v1/traces/{id}", tag = "traces", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The request's id, or the beginning of one", min_length = 1, max_length = 128)),
    responses((status = 200, body = Object), Refusals)
)]
pub(super) async fn show(caller: Caller<Read>, Path(id): Path<String>) -> Answer<Response> {
    let admitted = caller.admin().await?;
    let text = admitted.run(move |tenant, _| tenant.traces.read_text(&id)).await??;
    drop(admitted);
    let memory = caller.memory.clone();
    let reading = Reading::new(caller, [text], |_, text| Some(text), (b"", b""));
    Ok(json(http::pieces(&memory, reading.pieces())?))
}
