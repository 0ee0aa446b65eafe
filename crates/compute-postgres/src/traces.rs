//! Traces, bounded in number and in bytes.

mod writer;

use std::io::{self, Cursor, Read, Write};
use std::sync::Arc;

use compute::{Account, Charge};
use compute_state::{
    StateError, StateQuotas, TenantName, TraceRoom, TraceStore, TraceText, Traces, TracesError,
    WriteText,
};

use crate::database::{Database, Stop};
pub(crate) use writer::TraceWriter;

/// The longest trace, in bytes: it is one value.
const LONGEST: u64 = 16 << 20;
#[derive(Debug)]
pub(crate) struct PostgresTraces {
    database: Arc<Database>,
    writer: Arc<TraceWriter>,
    tenant: TenantName,
    limit: u64,
    /// Room for those that nobody asked for.
    room: TraceRoom,
    /// The memory of those that wait to be written, and of those that are read.
    waiting: Account,
    reading: Account,
}

impl PostgresTraces {
    pub(crate) fn new(
        database: Arc<Database>,
        (writer, reading): (Arc<TraceWriter>, &Account),
        tenant: TenantName,
        quotas: StateQuotas,
    ) -> Self {
        let (limit, room) = (quotas.trace_bytes.min(LONGEST), TraceRoom::default());
        let half = |of: &Account, name| of.child(name, of.limit() / 2);
        let waiting =
            half(&writer.memory, "the memory of a tenant's traces that wait to be written");
        let reading = half(reading, "the memory of a tenant's traces that are read");
        Self { database, writer, tenant, limit, room, waiting, reading }
    }
}

impl Traces for PostgresTraces {
    fn ids(&self) -> Result<Vec<String>, TracesError> {
        self.writer.settle();
        self.database.read(&self.tenant, async |read| {
            let ids = "SELECT id FROM compute.traces WHERE tenant = $1 ORDER BY place";
            let rows = read.rows(ids, &[&read.tenant]).await?;
            let ids = rows.iter().filter_map(|row| String::from_utf8(row.get(0)).ok());
            Ok(ids.collect())
        })
    }

    fn read_text(&self, id: &str) -> Result<TraceText, TracesError> {
        self.writer.settle();
        let none = || Stop::Told(TracesError::NotFound(id.to_owned()));
        let (text, charge) = self.database.read(&self.tenant, async |read| {
            let one = "SELECT key, octet_length(text) FROM compute.traces WHERE tenant = $1 AND key = sha256($2)";
            let mut found = read.rows(one, &[&read.tenant, &id.as_bytes()]).await?;
            if found.is_empty() && !id.is_empty() {
                let starts = "SELECT key, octet_length(text) FROM compute.traces
                    WHERE tenant = $1 AND substring(id FROM 1 FOR octet_length($2::bytea)) = $2 LIMIT 2";
                found = read.rows(starts, &[&read.tenant, &id.as_bytes()]).await?;
            }
            let [one] = &found[..] else { return Err(none()) };
            // As long as somebody reads it: how slowly, the reader decides.
            let size = usize::try_from(one.get::<_, i32>(1)).unwrap_or(0);
            let charge = self.reading.charge(size).map_err(|error| {
                Stop::Told(StateError::unavailable("the trace", error).into())
            })?;
            let text = "SELECT text FROM compute.traces WHERE tenant = $1 AND key = $2";
            let text: Vec<u8> =
                read.row(text, &[&read.tenant, &one.get::<_, &[u8]>(0)]).await?.get(0);
            Ok((text, charge))
        })?;
        Ok(Box::new(Reading { text: Cursor::new(text), _charge: charge }))
    }
}

/// A trace that is read.
struct Reading {
    text: Cursor<Vec<u8>>,
    _charge: Charge,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.text.read(buffer)
    }
}

impl TraceStore for PostgresTraces {
    fn write(&self, id: &str, text: &mut WriteText<'_>) -> Result<(), TracesError> {
        let mut bounded = Bounded { text: Vec::new(), limit: self.limit, full: false };
        let written = text(&mut bounded);
        if bounded.full {
            return Err(TracesError::TooLarge { limit: bounded.limit });
        }
        written.map_err(|error| StateError::failed("the trace", error))?;
        self.writer.take(&self.waiting, &self.tenant, id, bounded.text);
        Ok(())
    }

    fn write_some(&self, id: &str, text: &mut WriteText<'_>) -> Result<(), TracesError> {
        if self.room.take() { self.write(id, text) } else { Ok(()) }
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
