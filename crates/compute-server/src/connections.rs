//! Connections: how many there may be, which of them make room, how long they may do nothing, and how they end.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Version, header};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

use crate::http::{AtWork, Counted, Life, Turns};
use crate::routes::Runner;
use crate::server::Shared;
use crate::telemetry::warn;
use crate::{Server, ServerError, router};

/// The largest head of a request, in bytes, and how many headers it may have. Each connection may hold as much.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 100;
/// How many requests one HTTP/2 connection may have under way.
const MAX_STREAMS: u32 = 100;
/// How many bytes of bodies one HTTP/2 connection may have sent that nobody has read yet: they are charged when they are read.
const WINDOW: u32 = 128 << 10;
/// How many of them begin before it is another connection's turn.
const TURN: usize = 8;
/// How long requests are taken from open connections once the server ends: what was sent is not lost.
const LAST_REQUESTS: Duration = Duration::from_millis(250);
/// What a connection gets that is one too many, where all others are at work.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 127\r\n\r\n{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"code\":\"busy\",\"detail\":\"the server has too many connections\"}\n";

/// Runs the jobs that wait, from now until the server drains or is dropped: for whoever answers with [`router`] in a server of their
/// own. [`serve`] does so itself. It is called within the tokio runtime that jobs are to run on.
///
/// # Errors
/// [`std::io::Error`] if its threads cannot be started.
pub fn run_jobs(server: &Server) -> io::Result<()> {
    server.run_jobs(Arc::new(Runner::new(server, Handle::current())))
}

/// Answers requests until `shutdown` is done; then takes no more, and finishes what it accepted.
///
/// # Errors
/// [`ServerError::Io`] if the listener fails.
pub async fn serve(
    listener: TcpListener,
    server: Server,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServerError> {
    let shared = &server.shared;
    let (stop, stopping) = watch::channel(false);
    let routes = router(server.clone());
    let take = |stream: TcpStream| {
        let life =
            Arc::new(Life::new((!shared.settings.dev).then(|| Arc::clone(&shared.strangers_pace))));
        let Some(place) = shared.lives.enter(&life) else {
            // A new connection's buffer has room for it.
            let _ = stream.try_write(FULL);
            return;
        };
        let connection = connection(stream, life, routes.clone(), server.clone(), stopping.clone());
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    };
    run_jobs(&server)?;
    let metering = tokio::spawn(meter(Arc::downgrade(shared)));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, _)) => take(stream),
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                // No more files may be open: some will close.
                tracing::warn!(target: "request", %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    // Those that the system has accepted already are answered, too.
    while let Ok(Ok((stream, _))) = tokio::time::timeout(Duration::ZERO, listener.accept()).await {
        take(stream);
    }
    drop(listener);
    // Not before: whoever is told to close comes again, and must not find a listener that is about to go.
    server.drain();
    // What is on its way is answered, with `connection: close`; then those that are idle end.
    tokio::time::sleep(LAST_REQUESTS).await;
    stop.send_replace(true);
    drop(stopping);
    let limit = shared.settings.drain_timeout;
    let jobs = Arc::clone(&shared.jobs);
    let jobs = blocking::unblock(move || jobs.drain(limit));
    // Each connection holds a receiver.
    if tokio::time::timeout(limit, stop.closed()).await.is_err() {
        let connections = shared.connections.load(Ordering::Relaxed);
        tracing::warn!(target: "request", connections, ?limit, "the drain timeout is over: what is not answered is cut off");
    }
    jobs.await;
    let shared = Arc::clone(&server.shared);
    metering.abort();
    blocking::unblock(move || {
        if let Err(error) = shared.usage.add(&shared.tenants, None) {
            warn(&error);
        }
        shared.tenants.settle_records();
        shared.telemetry.finish();
    })
    .await;
    Ok(())
}

/// How often it is told what tenants used.
const METERED: Duration = Duration::from_secs(10);

/// Tells what tenants used, again and again.
async fn meter(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(METERED).await;
        let Some(shared) = shared.upgrade() else { return };
        if let Err(error) = blocking::unblock(move || shared.usage.add(&shared.tenants, None)).await
        {
            warn(&error);
        }
    }
}

/// Whether it is the connection that failed, and not the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection to its end.
async fn connection(
    stream: TcpStream,
    life: Arc<Life>,
    routes: Router,
    server: Server,
    mut stopping: watch::Receiver<bool>,
) {
    let settings = server.shared.settings;
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Watched { stream, life: Arc::clone(&life) });
    let counted = Arc::clone(&life);
    let service = tower::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        let (routes, at_work) = (routes.clone(), AtWork::new(&counted));
        let (server, version) = (server.clone(), request.version());
        if version == Version::HTTP_2 {
            counted.note_http2();
        }
        request.extensions_mut().insert(Arc::clone(&counted));
        async move {
            let mut response = routes.oneshot(request).await;
            if let Ok(response) = &mut response
                && version < Version::HTTP_2
                && server.is_draining()
            {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            drop(at_work);
            response
        }
    });
    let (sender, mut streams) = mpsc::unbounded_channel();
    let mut builder = Builder::new(Streams(sender));
    builder
        .http1()
        // It would count from when a request may come, and end idle connections: [`Life`] counts from its first byte.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD as u32)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .max_concurrent_streams(MAX_STREAMS);
    let mut connection = pin!(builder.serve_connection(io, TowerToHyperService::new(service)));
    // Whoever never sends a whole request is noticed here, and whoever does not read the answer.
    let often = settings.idle_timeout.min(settings.head_timeout).div_f32(4.0);
    let mut look = tokio::time::interval(often.max(Duration::from_millis(50)));
    let mut turns = Turns::new(Arc::clone(&life));
    let mut told = false;
    let mut begun = 0;
    loop {
        tokio::select! {
            _ = poll_fn(|context| turns.poll(context, connection.as_mut())) => return,
            () = life.closed() => return,
            Some(stream) = streams.recv() => {
                tokio::spawn(Counted { life: Arc::clone(&life), work: stream });
                begun += 1;
                if begun % TURN == 0 {
                    tokio::task::yield_now().await;
                }
            }
            _ = stopping.changed(), if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => {
                if life.is_idle(settings.idle_timeout)
                    || life.is_late(settings.head_timeout)
                    || life.is_stuck(settings.answer_timeout)
                {
                    return;
                }
            }
        }
    }
}

/// Takes the requests of an HTTP/2 connection, which begin a few at a time: whoever sends hundreds at once does not
/// delay those who send one. There are never more than [`MAX_STREAMS`].
#[derive(Clone)]
struct Streams(mpsc::UnboundedSender<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        // Without its connection nobody waits for it.
        let _ = self.0.send(Box::pin(stream));
    }
}

/// A stream that says when something moved.
struct Watched {
    stream: TcpStream,
    life: Arc<Life>,
}

impl Watched {
    fn moved<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Ok(_)) = polled {
            self.life.move_on();
        }
        polled
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.life.left_of_turn() == 0 {
            // It is another's turn, and then its own again.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.life.note_read(&buffer.filled()[before..]);
        self.moved(polled)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.life.note_write(&polled);
        self.moved(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.life.note_write(&polled);
        self.moved(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.life.note_flush();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::FULL;

    #[test]
    fn the_answer_to_one_too_many_is_whole() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&503.into(), &"busy".into()));
    }
}
