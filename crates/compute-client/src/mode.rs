//! How a client's methods give what they find: as futures, or when it is there. Each method is written once, for both.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use compute::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt as _};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::error::Error;

type Result<T> = std::result::Result<T, Error>;

/// How the methods of an [`ApiClient`](crate::ApiClient) give what they find: [`Async`] or
/// [`Blocking`](crate::blocking::Blocking).
pub trait Mode: sealed::Runs {
    /// What one method gives, in the end a `Result<T, Error>`.
    type Answer<'a, T>;
    /// What a list gives, item after item.
    type Items<'a, T>;
}

pub(crate) mod sealed {
    //! What the crate itself needs of a mode.

    use super::{BoxFuture, BoxStream, Future, Mode, Result, fmt};

    /// How requests run.
    pub trait Runs: Clone + fmt::Debug + Send + Sync + Sized + 'static {
        /// What requests run on.
        ///
        /// # Errors
        /// If the system gives no thread.
        fn start() -> std::io::Result<Self>;

        /// This work, where it can run, for whoever polls it.
        fn run<'a, T: Send + 'static>(
            &'a self,
            work: impl Future<Output = Result<T>> + Send + 'static,
        ) -> BoxFuture<'a, Result<T>>;

        /// What came, as the mode gives it.
        fn answer<'a, T>(future: BoxFuture<'a, Result<T>>) -> <Self as Mode>::Answer<'a, T>
        where
            Self: Mode;

        /// What comes, as the mode gives it.
        fn items<'a, T>(stream: BoxStream<'a, Result<T>>) -> <Self as Mode>::Items<'a, T>
        where
            Self: Mode;
    }
}

/// Methods give futures, and lists are streams. They are polled on a tokio runtime with time and I/O.
#[derive(Clone, Copy, Debug)]
pub struct Async;

impl Mode for Async {
    type Answer<'a, T> = BoxFuture<'a, Result<T>>;
    type Items<'a, T> = BoxStream<'a, Result<T>>;
}

impl sealed::Runs for Async {
    fn start() -> std::io::Result<Self> {
        Ok(Self)
    }

    fn run<'a, T: Send + 'static>(
        &'a self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> BoxFuture<'a, Result<T>> {
        Box::pin(work)
    }

    fn answer<'a, T>(future: BoxFuture<'a, Result<T>>) -> BoxFuture<'a, Result<T>> {
        future
    }

    fn items<'a, T>(stream: BoxStream<'a, Result<T>>) -> BoxStream<'a, Result<T>> {
        stream
    }
}

/// Methods give results, and lists are iterators: each waits for the server.
#[derive(Clone, Debug)]
pub struct Blocking(Arc<Background>);

impl Mode for Blocking {
    type Answer<'a, T> = Result<T>;
    type Items<'a, T> = Items<'a, T>;
}

impl sealed::Runs for Blocking {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("compute-client")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Arc::new(Background { handle, runtime: Some(runtime) })))
    }

    fn run<'a, T: Send + 'static>(
        &'a self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> BoxFuture<'a, Result<T>> {
        Box::pin(async move { Task(self.0.handle.spawn(work)).await })
    }

    fn answer<'a, T>(future: BoxFuture<'a, Result<T>>) -> Result<T> {
        pollster::block_on(future)
    }

    fn items<'a, T>(stream: BoxStream<'a, Result<T>>) -> Items<'a, T> {
        Items(stream)
    }
}

/// The thread that requests run on.
#[derive(Debug)]
struct Background {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Drop for Background {
    fn drop(&mut self) {
        // A client may go where nothing may wait: in an async program.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Work on another thread, which ends when nobody waits for it.
struct Task<T>(JoinHandle<Result<T>>);

impl<T> Future for Task<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|joined| match joined {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(Error::Setup { source: error.into() }),
            },
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a server lists, fetched while it is read.
pub struct Items<'a, T>(BoxStream<'a, Result<T>>);

impl<T> Iterator for Items<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        pollster::block_on(self.0.next())
    }
}

impl<T> fmt::Debug for Items<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").finish_non_exhaustive()
    }
}
