//! Batches: a body of lines is answered line by line, in order, while it comes.
//!
//! A few lines are worked on at once, each in a task of its own, as a request of its own would be: what holds a sandbox never waits
//! for whoever reads the answers. While as many are worked on, or wait to be read, no more of the body is taken.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::{Buf as _, Bytes};
use compute::{Charge, OverLimit};
use futures_util::stream::{self, Stream};
use futures_util::{FutureExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::task::JoinHandle;

use super::super::caller::{self, Caller, ending};
use super::super::extract::{ArtifactPath, Path};
use super::super::{Answer, Refusals};
use super::{Ran, RequestOptions, RunCall, RunHeaders, admitted};
use crate::errors::REQUEST_MEMORY;
use crate::http;
use crate::wire::{Line, LineAnswer, Lines, MAX_RID, end_line, line_rid};
use crate::{Problem, Server};

/// What batches are, and their answers.
pub(in crate::routes) const NDJSON: &str = "application/x-ndjson";
/// How many lines of a batch there are at once, from when they have come to when their answers are taken, if its tenant may have as
/// many sandboxes.
const WINDOW: usize = 16;
/// How often a line is tried that there is no memory for now, and how long it waits after the first attempt.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(50);
/// What says that others take what this needs for now.
const BUSY: &str = "busy";
/// For how long what comes is still taken when nothing more of it is answered: whoever sends gets to read why.
const LAST: Duration = Duration::from_secs(1);
/// What becomes of the lines that come when the server ends.
const NOT_TAKEN: &str = "it took neither this line nor any after it";
/// How often it is seen at the least whether the caller of a batch still may.
const STILL: Duration = Duration::from_secs(1);
/// How many bytes the id of a batch has less than that of a line.
const NUMBER: usize = 21;

/// Run a compute on each line
///
/// Each line of the body that is not blank is an input, and has a line of the answer: `{"output":…}` or `{"error":{…}}`, in order
/// and as soon as it is known. `x-compute-deadline` and `x-compute-fuel` are for each line. With `x-compute-seed`, line N, counted
/// from 1, has the SHA-256 of `SEED/N` as its seed; with `x-compute-rid`, of at most 107 bytes, it has the id `RID-N`. Read while you send: a batch whose
/// answers are not read is not read either.
#[utoipa::path(
    post, path = "/run/{alg}/{digest}/batch", tag = "invoke", security(("token" = ["run"])),
    params(ArtifactPath, RunHeaders),
    request_body(content = String, content_type = "application/x-ndjson", description = "The inputs: JSON, one a line, each of at most 4 MiB"),
    responses((status = 200, body = LineAnswer<Value>, content_type = "application/x-ndjson", description = "A line for each"), Refusals)
)]
pub(in crate::routes) async fn run_lines(
    caller: Caller<caller::Run>,
    State(server): State<Server>,
    Path(path): Path<ArtifactPath>,
    headers: HeaderMap,
    content: Body,
) -> Answer<Response> {
    let reference = path.reference()?;
    batch(caller, server.clone(), &headers, content, move |call| {
        let (server, reference) = (server.clone(), reference.clone());
        async move {
            let LineCall { caller, options, input, .. } = call;
            let metered = options.fuel.is_some();
            let call = RunCall { is_json: true, ..RunCall::of(options, reference, input) };
            let place = caller.sandbox_in_turn(call.wall(&server)).await?;
            let Ran { outcome, record, _made } = admitted(&server, &caller, place, call).await?;
            let output = match &outcome.result {
                Ok(output) => output,
                Err(failure) => return Err(Failed { record, ..Problem::from(failure).into() }),
            };
            let output: &RawValue =
                serde_json::from_slice(output).map_err(|error| Problem::internal(&error))?;
            let metrics = &outcome.metrics;
            let fuel = metrics.fuel.filter(|_| metered);
            let answer =
                LineAnswer { record, cached: metrics.cached, fuel, ..LineAnswer::ok(output) };
            Ok(Made::of(&caller, &answer)?)
        }
    })
    .await
}

/// What a line asks for.
#[derive(Clone)]
pub(in crate::routes) struct LineCall {
    pub(in crate::routes) caller: Arc<Caller<caller::Run>>,
    pub(in crate::routes) options: RequestOptions,
    pub(in crate::routes) input: Bytes,
    number: u64,
    /// What the input is charged.
    _charge: Arc<Charge>,
}

/// A line of the answer, as it is sent.
pub(in crate::routes) struct Made {
    bytes: Bytes,
    _charge: Option<Charge>,
}

impl Made {
    /// This, as a line. For a large one this takes some time.
    pub(in crate::routes) fn of<S>(caller: &Caller<S>, answer: &impl Serialize) -> Answer<Self> {
        let (mut bytes, charge) = http::json(&caller.memory, answer)?;
        end_line(&mut bytes);
        Ok(Self { bytes: bytes.into(), _charge: Some(charge) })
    }
}

/// A line that has no output.
pub(in crate::routes) struct Failed {
    pub(in crate::routes) problem: Box<Problem>,
    pub(in crate::routes) rid: Option<String>,
    pub(in crate::routes) record: Option<String>,
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), rid: None, record: None }
    }
}

impl Failed {
    /// As a line. It is short, and charged to nobody: some tell of full accounts.
    fn made(self, number: u64) -> Made {
        let Self { problem, rid, record } = self;
        let answer = LineAnswer::<()>::failed(number, problem.members());
        let mut bytes =
            serde_json::to_vec(&LineAnswer { rid, record, ..answer }).unwrap_or_default();
        end_line(&mut bytes);
        Made { bytes: bytes.into(), _charge: None }
    }
}

/// Answers a body line by line.
pub(in crate::routes) async fn batch<F, W>(
    caller: Caller<caller::Run>,
    server: Server,
    headers: &HeaderMap,
    content: Body,
    work: F,
) -> Answer<Response>
where
    F: Fn(LineCall) -> W + Clone + Send + 'static,
    W: Future<Output = Result<Made, Failed>> + Send + 'static,
{
    let options = RequestOptions::read(headers)?;
    let most = MAX_RID - NUMBER;
    if options.rid.as_ref().is_some_and(|rid| rid.len() > most) {
        let detail = format!("the header x-compute-rid of a batch has at most {most} bytes");
        return Err(Problem::bad("invalid_header", detail));
    }
    let present = caller.batch()?;
    let window = server.shared.settings.max_tenant_concurrency.clamp(1, WINDOW);
    let mut reading = Reading {
        charge: caller.memory.empty(),
        caller,
        asks: headers
            .get(header::AUTHORIZATION)
            .map(|token| (header::AUTHORIZATION, token.clone()))
            .into_iter()
            .collect(),
        server,
        body: content,
        rest: Bytes::new(),
        lines: Lines::default(),
        begun: None,
        asked: Instant::now(),
        options,
    };
    if headers.contains_key(header::EXPECT) {
        reading.expect().await?;
    }
    let answers =
        reading.calls().map(move |call| Task::of(call, work.clone())).buffered(window).flat_map(
            move |made| {
                let _ = &present;
                stream::iter(Pieces(made))
            },
        );
    let kind = [(header::CONTENT_TYPE, NDJSON)];
    Ok((Extension(http::GoesOn), kind, Body::from_stream(answers)).into_response())
}

async fn answer<F, W>(call: LineCall, work: F) -> Made
where
    F: Fn(LineCall) -> W,
    W: Future<Output = Result<Made, Failed>>,
{
    let mut attempt = 0;
    loop {
        match work(call.clone()).await {
            Ok(made) => return made,
            // What others take, they give back.
            Err(Failed { problem, .. }) if problem.code == BUSY && attempt + 1 < ATTEMPTS => {
                tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await;
                attempt += 1;
            }
            Err(failed) => return failed.made(call.number),
        }
    }
}

/// A line that is worked on, for as long as somebody waits for it.
enum Task {
    Works {
        line: JoinHandle<Made>,
        number: u64,
    },
    /// It cannot be worked on.
    Made(Option<Made>),
}

impl Task {
    fn of<F, W>(call: Result<LineCall, Made>, work: F) -> Self
    where
        F: Fn(LineCall) -> W + Send + 'static,
        W: Future<Output = Result<Made, Failed>> + Send + 'static,
    {
        match call {
            Ok(call) => {
                let number = call.number;
                Self::Works { line: tokio::spawn(answer(call, work)), number }
            }
            Err(made) => Self::Made(Some(made)),
        }
    }
}

impl Future for Task {
    type Output = Made;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Made> {
        match &mut *self {
            Self::Works { line, number } => Pin::new(line).poll(context).map(|ended| {
                ended.unwrap_or_else(|error| Failed::from(Problem::internal(&error)).made(*number))
            }),
            Self::Made(made) => made.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Self::Works { line, .. } = self {
            line.abort();
        }
    }
}

/// A line in the pieces that a connection takes. It is charged until the last of them is.
struct Pieces(Made);

impl Iterator for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = &mut self.0.bytes;
        let piece = bytes.split_to(bytes.len().min(http::PIECE));
        (!piece.is_empty()).then_some(Ok(piece))
    }
}

/// A body that is read as far as its lines are worked on.
struct Reading {
    caller: Caller<caller::Run>,
    /// The headers, as far as they say who asks.
    asks: HeaderMap,
    server: Server,
    options: RequestOptions,
    body: Body,
    /// What has come of it and is not looked at yet.
    rest: Bytes,
    lines: Lines,
    /// What the line is charged that has come in part.
    charge: Charge,
    /// When the first of it came.
    begun: Option<Instant>,
    /// When it was last asked whether its caller still may.
    asked: Instant,
}

impl Reading {
    /// What the lines ask for, and in the end why no more of them are taken, if there are more.
    fn calls(self) -> impl Stream<Item = Result<LineCall, Made>> + Send {
        stream::unfold(Some((self, false)), |reading| async move {
            let (mut reading, is_over) = reading?;
            if is_over {
                reading.let_go().await;
                return None;
            }
            match reading.next().await {
                Ok(Some(line)) => match reading.turn().await {
                    Ok(()) => Some((reading.call(line).await, Some((reading, false)))),
                    Err(problem) => {
                        let made = Failed::from(problem).made(line.number);
                        Some((Err(made), Some((reading, true))))
                    }
                },
                Ok(None) => None,
                Err(problem) => {
                    let made = Failed::from(problem).made(reading.lines.found() + 1);
                    Some((Err(made), Some((reading, true))))
                }
            }
        })
    }

    /// Waits until the tenant may send one more line, and sees whether the caller still may then.
    async fn turn(&mut self) -> Answer<()> {
        if !self.caller.document_in_turn().await? {
            return Err(ending(NOT_TAKEN));
        }
        self.caller.still_may(&self.asks).await
    }

    /// What a line asks for, or why it cannot.
    async fn call(&mut self, line: Line) -> Result<LineCall, Made> {
        let Line { number, bytes, .. } = line;
        let Some(bytes) = bytes else {
            return Err(Failed::from(Problem::line_too_large()).made(number));
        };
        let caller = self.caller.of_line();
        let mut charge = caller.memory.empty();
        let until = Instant::now() + self.server.shared.settings.body_timeout;
        grown(&self.server, &mut charge, bytes.capacity(), until)
            .await
            .map_err(|problem| Failed::from(problem).made(number))?;
        self.charge = self.caller.memory.empty();
        let options = self.options.of_line(number);
        let (caller, _charge) = (Arc::new(caller), Arc::new(charge));
        Ok(LineCall { caller, options, input: bytes.into(), number, _charge })
    }

    /// Asks for the body: who waits to be told to go on (`expect: 100-continue`) is told before there is an answer, or not at all.
    async fn expect(&mut self) -> Answer<()> {
        if let Some(frame) = self.body.frame().now_or_never().flatten() {
            let frame = frame.map_err(|error| Problem::bad("broken_body", error.to_string()))?;
            self.rest = frame.into_data().unwrap_or_default();
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn next(&mut self) -> Answer<Option<Line>> {
        loop {
            if self.server.is_draining() {
                return Err(ending(NOT_TAKEN));
            }
            while !self.rest.is_empty() {
                let size = self.rest.len().min(http::PIECE);
                let until = self.begun.get_or_insert_with(Instant::now);
                let until = *until + self.server.shared.settings.body_timeout;
                let needed = self.lines.needed(size);
                grown(&self.server, &mut self.charge, needed, until).await?;
                let mut piece = &self.rest[..size];
                let line = self.lines.take(&mut piece);
                let looked_at = size - piece.len();
                self.rest.advance(looked_at);
                if line.is_some() || !self.lines.is_within() {
                    self.begun = None;
                }
                if line.is_some() {
                    return Ok(line);
                }
            }
            if self.asked.elapsed() >= STILL {
                self.caller.still_may(&self.asks).await?;
                self.asked = Instant::now();
            }
            match self.piece().await? {
                Some(piece) => self.rest = piece,
                None => return Ok(self.lines.finish()),
            }
        }
    }

    /// More of the body, if any of it comes in the time that a whole body has otherwise: a batch may go on for hours.
    async fn piece(&mut self) -> Answer<Option<Bytes>> {
        let time = self.server.shared.settings.body_timeout;
        // A line is whole in the time that there is for a body; between lines something comes in it.
        let left = self.begun.map_or(time, |begun| time.saturating_sub(begun.elapsed()));
        let frame = tokio::select! {
            frame = tokio::time::timeout(left, self.body.frame()) => frame,
            () = self.server.drains() => return Err(ending(NOT_TAKEN)),
        };
        let frame = frame.map_err(|_| {
            let detail = format!("no line of the batch arrived whole in {time:?}: send blank lines while there is nothing to send");
            Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
        })?;
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|error| Problem::bad("broken_body", error.to_string()))?;
        Ok(Some(frame.into_data().unwrap_or_default()))
    }

    /// Takes what still comes, for a moment: a connection that is closed while something comes may lose what was answered.
    async fn let_go(&mut self) {
        let rest = async {
            while let Some(Ok(_)) = self.body.frame().await {
                tokio::task::yield_now().await;
            }
        };
        let _ = tokio::time::timeout(LAST, rest).await;
    }
}

/// Charges more, once there is room for it, and not for ever: what others take, they give back.
async fn grown(server: &Server, charge: &mut Charge, bytes: usize, until: Instant) -> Answer<()> {
    loop {
        match charge.grow(bytes) {
            Ok(()) => return Ok(()),
            Err(over @ OverLimit { name: REQUEST_MEMORY, .. }) => return Err(over.into()),
            Err(_) if server.is_draining() => return Err(ending(NOT_TAKEN)),
            Err(over) if Instant::now() >= until => return Err(over.into()),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

impl RequestOptions {
    /// What a batch says of this line of it.
    fn of_line(&self, number: u64) -> Self {
        let rid = self.rid.as_ref().map(|rid| line_rid(rid, number));
        let seed = self.seed.map(|seed| seed.of_line(number));
        Self { rid, seed, ..self.clone() }
    }
}
