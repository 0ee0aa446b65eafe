//! Traces, bounded in number and in bytes.

use std::io::{self, Cursor, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use compute_state::{
    StateError, StateQuotas, TenantName, TraceStore, TraceText, Traces, TracesError, WriteText,
};

use crate::database::{Database, Seen, Stop};

/// How many are written before the oldest are deleted.
const SLACK: u64 = 100;
/// The part of the bytes that there may be which is written before the oldest are deleted.
const PART: u64 = 16;
/// The longest trace, in bytes: it is one value.
const LONGEST: u64 = 16 << 20;

#[derive(Debug)]
pub(crate) struct PostgresTraces {
    database: Arc<Database>,
    tenant: TenantName,
    /// How many are kept.
    most: i64,
    /// How many bytes of them.
    quota: u64,
    /// How many were written here since the oldest were last deleted, and their bytes.
    written: [AtomicU64; 2],
}

impl PostgresTraces {
    pub(crate) fn new(database: Arc<Database>, tenant: TenantName, quotas: StateQuotas) -> Self {
        let most = i64::try_from(quotas.traces).unwrap_or(i64::MAX);
        // The first finds what others left.
        let written = [AtomicU64::new(SLACK), AtomicU64::new(0)];
        Self { database, tenant, most, quota: quotas.trace_bytes, written }
    }

    /// Whether it is time to delete the oldest.
    fn is_due(&self, bytes: u64) -> bool {
        let [traces, all] = &self.written;
        let number = traces.fetch_add(1, Ordering::Relaxed);
        let bytes = all.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let is_due = number >= SLACK || bytes > self.quota / PART;
        if is_due {
            self.written.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        }
        is_due
    }
}

impl Traces for PostgresTraces {
    fn ids(&self) -> Result<Vec<String>, TracesError> {
        self.database.read(&self.tenant, async |read| {
            let ids = "SELECT id FROM compute.traces WHERE tenant = $1 ORDER BY place";
            let rows = read.rows(ids, &[&read.tenant]).await?;
            let ids = rows.iter().filter_map(|row| String::from_utf8(row.get(0)).ok());
            Ok(ids.collect())
        })
    }

    fn read_text(&self, id: &str) -> Result<TraceText, TracesError> {
        let none = || Stop::Told(TracesError::NotFound(id.to_owned()));
        let text: Vec<u8> = self.database.read(&self.tenant, async |read| {
            let one = "SELECT text FROM compute.traces WHERE tenant = $1 AND key = sha256($2)";
            if let Some(row) = read.row_if_any(one, &[&read.tenant, &id.as_bytes()]).await? {
                return Ok(row.get(0));
            }
            if id.is_empty() {
                return Err(none());
            }
            let starts = "SELECT key FROM compute.traces
                WHERE tenant = $1 AND substring(id FROM 1 FOR octet_length($2::bytea)) = $2 LIMIT 2";
            let keys = read.rows(starts, &[&read.tenant, &id.as_bytes()]).await?;
            let [one] = &keys[..] else { return Err(none()) };
            let text = "SELECT text FROM compute.traces WHERE tenant = $1 AND key = $2";
            Ok(read.row(text, &[&read.tenant, &one.get::<_, &[u8]>(0)]).await?.get(0))
        })?;
        Ok(Box::new(Cursor::new(text)))
    }
}

impl TraceStore for PostgresTraces {
    fn write(&self, id: &str, text: &mut WriteText<'_>) -> Result<(), TracesError> {
        let mut bounded = Bounded { text: Vec::new(), limit: self.quota.min(LONGEST), full: false };
        let written = text(&mut bounded);
        if bounded.full {
            return Err(TracesError::TooLarge { limit: bounded.limit });
        }
        written.map_err(|error| StateError::failed("the trace", error))?;
        let text = bounded.text;
        let is_due = self.is_due(text.len() as u64);
        let quota = i64::try_from(self.quota).unwrap_or(i64::MAX);
        self.database.change(&self.tenant, Seen::InAnyOrder, async |change| {
            // It need not be on disk when it is answered.
            change.does("SELECT set_config('synchronous_commit', 'off', true)", &[]).await?;
            let keep = "INSERT INTO compute.traces (tenant, key, id, text) VALUES ($1, sha256($2), $2, $3)
                ON CONFLICT (tenant, key) DO UPDATE SET text = excluded.text, place = DEFAULT";
            change.does(keep, &[&change.tenant, &id.as_bytes(), &text]).await?;
            if is_due {
                let sweep = "DELETE FROM compute.traces t USING (
                        SELECT key, row_number() OVER newest AS number,
                            sum(octet_length(text)) OVER newest AS bytes
                        FROM compute.traces WHERE tenant = $1 WINDOW newest AS (ORDER BY place DESC)
                    ) old
                    WHERE t.tenant = $1 AND t.key = old.key AND (old.number > $2 OR old.bytes > $3)";
                change.does(sweep, &[&change.tenant, &self.most, &quota]).await?;
            }
            Ok(())
        })
    }
}

/// A text that is never longer than it may be.
struct Bounded {
    text: Vec<u8>,
    limit: u64,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.text.len() + bytes.len()) as u64 > self.limit {
            self.full = true;
            return Err(io::Error::other("it is too long"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
