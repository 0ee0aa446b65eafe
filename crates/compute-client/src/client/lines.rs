//! Batches: lines go to the server and come back while others are still on their way.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use compute::Ref;
use compute_api::LineAnswer;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::ApiClient;
use super::invoke::{CallOptions, with};
use crate::error::{BoxError, Error, Problem};
use crate::mode::Mode;
use crate::request::Request;
use crate::send::Server;

/// How much of the lines is read at once from a reader.
const PIECE: usize = 64 << 10;
/// How long nothing is sent before a blank line is, which keeps a batch open that has nothing to send.
const QUIET: Duration = Duration::from_secs(10);

/// The lines of a batch, as they come: JSON, one a line. Blank lines do not count.
pub struct BatchInput(BoxStream<'static, io::Result<Bytes>>);

impl BatchInput {
    /// What this reader has, read on a thread of its own as fast as the server takes it.
    pub fn reader(mut reader: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        std::thread::spawn(move || {
            let mut buffer = vec![0; PIECE];
            loop {
                let piece = match reader.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(bytes) => Ok(Bytes::copy_from_slice(&buffer[..bytes])),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let is_last = piece.is_err();
                if sender.blocking_send(piece).is_err() || is_last {
                    return;
                }
            }
        });
        Self(received(receiver).boxed())
    }

    /// What this stream gives, in pieces of any size.
    pub fn stream(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self(stream.boxed())
    }
}

impl From<Bytes> for BatchInput {
    fn from(lines: Bytes) -> Self {
        Self::stream(stream::iter([Ok(lines)]))
    }
}

impl From<String> for BatchInput {
    fn from(lines: String) -> Self {
        Bytes::from(lines).into()
    }
}

impl fmt::Debug for BatchInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchInput").finish_non_exhaustive()
    }
}

/// What became of one line of a batch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BatchAnswer {
    /// The output as JSON, or why there is none.
    pub output: Result<Box<RawValue>, Problem>,
    /// The document's id: that of its trace.
    pub rid: Option<String>,
    /// The id of its record, if it is recorded.
    pub record: Option<String>,
    /// Whether an earlier run on the same had given it.
    pub cached: bool,
    /// The fuel that computes used, if they were metered.
    pub fuel: Option<u64>,
    /// All of it, as the line that came.
    pub line: Bytes,
}

impl BatchAnswer {
    /// What a line of an answer says.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(line: Bytes) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let LineAnswer { output, error, rid, record, cached, fuel } =
            serde_json::from_slice::<LineAnswer>(&line)?;
        let output = match (output, error) {
            (Some(output), None) => Ok(output),
            (None, Some(members)) => {
                let problem = Problem::of(members).ok_or("its error is no problem")?;
                Err(Problem { rid: rid.clone(), ..problem })
            }
            _ => return Err("it has not one of `output` and `error`".into()),
        };
        Ok(Self { output, rid, record, cached, fuel, line })
    }
}

impl<M: Mode> ApiClient<M> {
    /// Runs a stored compute on each of these lines. What becomes of each comes in their order, and as soon as it is known; a line
    /// that fails is an answer, too. The clock, the time and the fuel are for each; its seed and its id are made of those of the
    /// batch and the number of the line.
    ///
    /// Lines are sent as fast as answers are taken. A batch may take any time, is sent once, and ends when nobody takes its answers.
    pub fn invoke_lines(
        &self,
        reference: &Ref,
        lines: impl Into<BatchInput>,
        options: &CallOptions,
    ) -> M::Items<'_, BatchAnswer> {
        let request = Request::post(["run", reference.alg(), reference.digest(), "batch"]);
        self.lines(request, lines.into(), options)
    }

    /// Takes each of these lines through the active versions, from `STACK` or `STACK/SCOPE` on. As
    /// [`ApiClient::invoke_lines`] otherwise.
    pub fn process_lines(
        &self,
        stage: &str,
        lines: impl Into<BatchInput>,
        options: &CallOptions,
    ) -> M::Items<'_, BatchAnswer> {
        let request =
            Request::post(std::iter::once("stacks").chain(stage.split('/')).chain(["batch"]));
        self.lines(request, lines.into(), options)
    }

    fn lines(
        &self,
        request: Request,
        input: BatchInput,
        options: &CallOptions,
    ) -> M::Items<'_, BatchAnswer> {
        let request = with(request, Bytes::new(), options);
        let request = request.header("content-type", "application/x-ndjson");
        let (sender, answers) = mpsc::channel(1);
        let server = Arc::clone(&self.server);
        let work = self.mode.run(async move {
            if let Err(error) = exchange(&server, request, input, &sender).await {
                // Nobody may listen any longer.
                let _ = sender.send(Err(error)).await;
            }
            Ok(())
        });
        let ended = stream::once(work).filter_map(async |ended| ended.err().map(Err));
        M::items(stream::select(received(answers), ended).boxed())
    }
}

/// Sends and receives at once, until the answer or whoever takes it ends.
async fn exchange(
    server: &Server,
    request: Request,
    input: BatchInput,
    answers: &mpsc::Sender<Result<BatchAnswer, Error>>,
) -> Result<(), Error> {
    let (sender, pieces) = mpsc::channel(1);
    let send = async {
        let mut input = input.0;
        while let Some(piece) = input.next().await {
            let piece = piece.map_err(|source| Error::Input { source })?;
            if sender.send(piece).await.is_err() {
                break;
            }
        }
        drop(sender);
        // The answer says when it is over.
        std::future::pending().await
    };
    let receive = async {
        let mut response = server.begin(&request, kept_open(pieces)).await?;
        while let Some(line) = response.line().await? {
            let answer = BatchAnswer::read(line).map_err(|error| response.unexpected(error))?;
            if answers.send(Ok(answer)).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = send => ended,
        ended = receive => ended,
        () = answers.closed() => Ok(()),
    }
}

/// These pieces of lines, and blank lines between them while there are none.
fn kept_open(
    pieces: mpsc::Receiver<Bytes>,
) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + Sync {
    stream::unfold((pieces, true), |(mut pieces, mut at_start)| async move {
        let piece = loop {
            match tokio::time::timeout(QUIET, pieces.recv()).await {
                Ok(piece) => break piece?,
                Err(_) if at_start => break Bytes::from_static(b"\n"),
                // In a line it would end it.
                Err(_) => {}
            }
        };
        at_start = piece.last().map_or(at_start, |last| *last == b'\n');
        Some((Ok(piece), (pieces, at_start)))
    })
}

fn received<T: Send>(receiver: mpsc::Receiver<T>) -> impl Stream<Item = T> + Send {
    stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) })
}
