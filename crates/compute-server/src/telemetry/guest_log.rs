//! What computes log, written to the server's own log.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};

use compute::{Level, Log, LogWriter, Mask, Printable, Ref};
use compute_state::TenantName;

/// How many runs' logs wait to be written.
const WAITING_LOGS: usize = 256;
/// How many lines of one run's log are written.
const LINES: usize = 200;

/// Takes what computes log, and writes it beside them: a flood of it slows nobody, and what is too much is dropped
/// and counted.
#[derive(Clone, Debug)]
pub(crate) struct GuestLog {
    sender: SyncSender<Logged>,
    pub(crate) dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Logged {
    tenant: TenantName,
    reference: Ref,
    rid: String,
    log: Log,
    mask: Arc<Mask>,
}

impl GuestLog {
    pub(crate) fn new() -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel::<Logged>(WAITING_LOGS);
        std::thread::Builder::new().name("guest-log".to_owned()).spawn(move || {
            while let Ok(logged) = receiver.recv() {
                logged.write();
            }
        })?;
        Ok(Self { sender, dropped: Arc::default() })
    }

    /// What takes the logs of this tenant's runs, under the mask that the tenant has then.
    pub(crate) fn of(
        &self,
        tenant: &TenantName,
        mask: impl Fn() -> Arc<Mask> + Send + Sync + 'static,
    ) -> Arc<dyn LogWriter> {
        let (own, tenant) = (self.clone(), tenant.clone());
        Arc::new(move |reference: &Ref, rid: &str, log: &Log| {
            if !tracing::enabled!(target: "guest", tracing::Level::ERROR) {
                return;
            }
            let (tenant, reference) = (tenant.clone(), reference.clone());
            // A document may carry a secret to an op that was not given it.
            let mask = mask();
            let logged = Logged { tenant, reference, rid: rid.to_owned(), log: log.clone(), mask };
            if let Err(TrySendError::Full(_)) = own.sender.try_send(logged) {
                own.dropped.fetch_add(1, Ordering::Relaxed);
            }
        })
    }
}

impl Logged {
    fn write(&self) {
        let Self { tenant, reference, rid, log, mask } = self;
        let tenant = tenant.as_str();
        // Where it was cut off, a secret may have been, too.
        let hidden = |text| if log.dropped > 0 { mask.cut_text(text) } else { mask.text(text) };
        let text = String::from_utf8_lossy(&log.bytes);
        let text = hidden(&text);
        let bare = text.lines().map(|line| (Level::Info, Cow::Borrowed(line)));
        let lines = log.lines.iter().map(|line| (line.level, hidden(&line.text)));
        let total = log.lines.len() + text.lines().count();
        for (level, text) in lines.chain(bare).take(LINES) {
            // What a guest says stays on its line.
            let text = Printable::line(&text);
            match level {
                Level::Debug => tracing::debug!(target: "guest", tenant, %reference, rid, "{text}"),
                Level::Info => tracing::info!(target: "guest", tenant, %reference, rid, "{text}"),
                Level::Warn => tracing::warn!(target: "guest", tenant, %reference, rid, "{text}"),
                Level::Error => tracing::error!(target: "guest", tenant, %reference, rid, "{text}"),
            }
        }
        let (lines, bytes) = (total.saturating_sub(LINES), log.dropped);
        if lines > 0 || bytes > 0 {
            tracing::warn!(target: "guest", tenant, %reference, rid, lines, bytes, "more was logged, and dropped");
        }
    }
}
