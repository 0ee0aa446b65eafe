//! A connection's turns at the processors.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::life::Life;
use super::pace::Pace;

/// How much a connection may use before it counts, while nobody knows whose it is: enough for a first request.
const FREE: Duration = Duration::from_micros(200);

/// A connection's turns, each of them counted.
#[derive(Debug)]
pub(crate) struct Turns {
    life: Arc<Life>,
    /// What it used before anything of it counted.
    free: Duration,
    waits: Option<Wait>,
}

#[derive(Debug)]
struct Wait {
    pace: Arc<Pace>,
    until: Pin<Box<Sleep>>,
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.pace.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    pub(crate) fn new(life: Arc<Life>) -> Self {
        Self { life, free: FREE, waits: None }
    }

    /// Lets the connection go on, if it may.
    pub(crate) fn poll<F: Future>(
        &mut self,
        context: &mut Context<'_>,
        connection: Pin<&mut F>,
    ) -> Poll<F::Output> {
        loop {
            if let Some(wait) = &mut self.waits {
                ready!(wait.until.as_mut().poll(context));
                self.waits = None;
            }
            let Some(pace) = self.life.pace().filter(|_| self.free.is_zero()) else { break };
            let Some(wait) = pace.wait() else { break };
            pace.waiting.fetch_add(1, Ordering::Relaxed);
            self.waits = Some(Wait { pace, until: Box::pin(tokio::time::sleep(wait)) });
        }
        self.life.begin_turn();
        let began = Instant::now();
        let polled = connection.poll(context);
        let used = began.elapsed();
        if self.life.is_known() {
            self.free = Duration::ZERO;
        }
        let counted = used.saturating_sub(self.free);
        self.free = self.free.saturating_sub(used);
        self.life.use_processor(counted);
        polled
    }
}

/// What is done for a connection besides: it counts, too.
pub(crate) struct Counted<F: ?Sized> {
    pub(crate) life: Arc<Life>,
    pub(crate) work: Pin<Box<F>>,
}

impl<F: Future + ?Sized> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let began = Instant::now();
        let polled = self.work.as_mut().poll(context);
        self.life.use_processor(began.elapsed());
        polled
    }
}

impl Life {
    /// Some of the processors was used for it.
    fn use_processor(&self, used: Duration) {
        if let Some(pace) = self.pace().filter(|_| !used.is_zero()) {
            pace.charge(used);
        }
    }
}
