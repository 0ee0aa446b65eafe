//! Writes traces beside the work: those of all tenants that came together are written together.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use compute::{Account, Charge};
use compute_state::{StateError, StateQuotas, TenantName};

use crate::database::{Database, Seen, Stop};

/// How many bytes of traces wait at most; what comes beyond is lost, and nobody waits for it.
const WAITING: u64 = 32 << 20;
/// How many are written together.
const TOGETHER: usize = 500;
/// How long it takes from one time to the next, at least.
const PAUSE: Duration = Duration::from_millis(20);
/// How long whoever reads waits for what was written.
const SETTLE: Duration = Duration::from_secs(5);
/// What a tenant's turn is locked by, beside its name: any number that others don't take.
const TURN: i32 = 0x7472_6163;
/// How many of a tenant are written before the oldest are deleted.
const SLACK: u64 = 100;
/// The part of the bytes that a tenant may have which is written before the oldest are deleted.
const PART: u64 = 16;

/// Takes traces, and has a thread write them. When it goes, it waits until those that wait are written.
#[derive(Debug)]
pub(crate) struct TraceWriter {
    /// Nothing once this is dropped.
    works: Option<mpsc::Sender<Work>>,
    ended: Mutex<mpsc::Receiver<()>>,
    /// The memory of those that wait.
    pub(crate) memory: Account,
}

enum Work {
    Trace(TenantName, String, Vec<u8>, Charge),
    /// Is answered when all that came before is written, or lost.
    Settle(mpsc::Sender<()>),
}

impl TraceWriter {
    /// Starts the thread; it ends with this.
    pub(crate) fn start(database: Arc<Database>, quotas: StateQuotas) -> Result<Self, StateError> {
        let (works, taken) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let thread = Thread {
            most: i64::try_from(quotas.traces).unwrap_or(i64::MAX),
            quota: quotas.trace_bytes,
            written: HashMap::new(),
            database,
        };
        let started = std::thread::Builder::new().name("traces".to_owned());
        let started = started.spawn(move || {
            thread.run(&taken);
            drop(end);
        });
        started.map_err(|error| StateError::failed("a thread for traces", error))?;
        let memory = Account::new("the memory of traces that wait to be written", WAITING);
        Ok(Self { works: Some(works), ended: Mutex::new(ended), memory })
    }

    /// Takes a trace, whose memory is charged to this account, a part of this one's. What there is no room for is lost.
    pub(crate) fn take(&self, own: &Account, tenant: &TenantName, id: &str, text: Vec<u8>) {
        let charge = own.charge(text.len() + id.len());
        let sent = match (charge, &self.works) {
            (Ok(charge), Some(works)) => {
                works.send(Work::Trace(tenant.clone(), id.to_owned(), text, charge)).is_ok()
            }
            _ => false,
        };
        if !sent {
            tracing::debug!(target: "request", %tenant, "a trace is lost: too many wait");
        }
    }

    /// Waits until all that was taken is written, or lost.
    pub(crate) fn settle(&self) {
        if self.memory.used() == 0 {
            return;
        }
        let (done, settled) = mpsc::channel();
        let sent = self.works.as_ref().is_some_and(|works| works.send(Work::Settle(done)).is_ok());
        if sent {
            let _ = settled.recv_timeout(SETTLE);
        }
    }
}

impl Drop for TraceWriter {
    fn drop(&mut self) {
        self.works = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(SETTLE);
    }
}

/// What the thread has.
struct Thread {
    database: Arc<Database>,
    most: i64,
    quota: u64,
    /// How many were written of each tenant since the oldest were deleted, and their bytes.
    written: HashMap<TenantName, (u64, u64)>,
}

impl Thread {
    fn run(mut self, works: &mpsc::Receiver<Work>) {
        while let Ok(first) = works.recv() {
            let begun = Instant::now();
            let (mut traces, mut settling) = (BTreeMap::new(), Vec::new());
            let mut charges = Vec::new();
            for work in std::iter::once(first).chain(works.try_iter()).take(TOGETHER) {
                match work {
                    Work::Trace(tenant, id, text, charge) => {
                        charges.push(charge);
                        let own: &mut BTreeMap<_, _> = traces.entry(tenant).or_default();
                        // In the place of one that came before it.
                        own.insert(id, (own.len(), text));
                    }
                    Work::Settle(done) => settling.push(done),
                }
            }
            for (tenant, own) in traces {
                if let Err(error) = self.write(&tenant, own) {
                    tracing::debug!(target: "request", %tenant, "traces are lost: {}", compute::with_causes(&error));
                }
            }
            drop(charges);
            let is_waited_for = !settling.is_empty();
            for done in settling {
                let _ = done.send(());
            }
            if !is_waited_for {
                std::thread::sleep(PAUSE.saturating_sub(begun.elapsed()));
            }
        }
    }

    fn write(
        &mut self,
        tenant: &TenantName,
        traces: BTreeMap<String, (usize, Vec<u8>)>,
    ) -> Result<(), StateError> {
        let bytes: usize = traces.values().map(|(_, text)| text.len()).sum();
        let is_due = self.is_due(tenant, traces.len() as u64, bytes as u64);
        let (most, quota) = (self.most, i64::try_from(self.quota).unwrap_or(i64::MAX));
        let mut traces: Vec<_> = traces.into_iter().collect();
        traces.sort_by_key(|(_, (place, _))| *place);
        let ids: Vec<_> = traces.iter().map(|(id, _)| id.as_bytes()).collect();
        let texts: Vec<_> = traces.iter().map(|(_, (_, text))| text.as_slice()).collect();
        self.database.change(tenant, Seen::InAnyOrder, |_| None, async |change| {
            // It need not be on disk when it is answered.
            change.does("SELECT set_config('synchronous_commit', 'off', true)", &[]).await?;
            // Of two nodes that write traces of the same ids, one comes after the other.
            change.does("SELECT pg_advisory_xact_lock($1, hashtext($2))", &[&TURN, &change.tenant]).await?;
            let keep = "INSERT INTO compute.traces (tenant, key, id, text)
                SELECT $1, sha256(id), id, text
                FROM unnest($2::bytea[], $3::bytea[]) WITH ORDINALITY AS of(id, text, place) ORDER BY place
                ON CONFLICT (tenant, key) DO UPDATE SET text = excluded.text, place = DEFAULT";
            change.does(keep, &[&change.tenant, &ids, &texts]).await?;
            if is_due {
                let sweep = "DELETE FROM compute.traces t USING (
                        SELECT key, row_number() OVER newest AS number,
                            sum(octet_length(text)) OVER newest AS bytes
                        FROM compute.traces WHERE tenant = $1 WINDOW newest AS (ORDER BY place DESC)
                    ) old
                    WHERE t.tenant = $1 AND t.key = old.key AND (old.number > $2 OR old.bytes > $3)";
                change.does(sweep, &[&change.tenant, &most, &quota]).await?;
            }
            Ok::<_, Stop<StateError>>(())
        })
    }

    /// Whether it is time to delete the oldest of a tenant; the first time it finds what others left.
    fn is_due(&mut self, tenant: &TenantName, traces: u64, bytes: u64) -> bool {
        let Some((number, all)) = self.written.get_mut(tenant) else {
            self.written.insert(tenant.clone(), (0, 0));
            return true;
        };
        (*number, *all) = (*number + traces, *all + bytes);
        let is_due = *number >= SLACK || *all > self.quota / PART;
        if is_due {
            (*number, *all) = (0, 0);
        }
        is_due
    }
}
