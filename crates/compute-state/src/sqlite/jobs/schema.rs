//! The tables of jobs and schedules. Triggers keep the numbers of each tenant, so that nothing is counted when they are asked for.

use crate::sqlite::audit;

/// Each step from one format to the next. Steps that were released are never changed.
pub(super) const MIGRATIONS: [&str; 2] = [
    "
CREATE TABLE jobs (
    tenant TEXT NOT NULL,
    id BLOB NOT NULL,
    kind INTEGER NOT NULL,
    target TEXT NOT NULL,
    state INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    tried INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    created INTEGER NOT NULL,   -- this and all times: milliseconds since 1970
    run_after INTEGER,
    deadline INTEGER,
    started INTEGER,
    ended INTEGER,
    worker TEXT,
    submitted_by TEXT,          -- JSON
    lease INTEGER,              -- until when the worker has it
    fence INTEGER NOT NULL,
    now INTEGER NOT NULL,       -- nanoseconds since 1970
    seed BLOB NOT NULL,
    fuel INTEGER,
    key TEXT,
    request BLOB NOT NULL,
    result BLOB,
    details BLOB,
    output TEXT,                -- the artifact that the result is, where that is large
    input BLOB NOT NULL,
    is_batch INTEGER NOT NULL,
    parts INTEGER,              -- of a batch that was split: how many there are, and how many have not ended
    parts_left INTEGER,
    batch BLOB,                 -- of a part: the batch's id, and the number of its first line there
    first INTEGER,
    webhook_id BLOB,            -- the id of the job that tells of the end
    webhook TEXT,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE UNIQUE INDEX jobs_by_key ON jobs (tenant, key) WHERE key IS NOT NULL;
CREATE INDEX jobs_by_state ON jobs (tenant, state, id);
CREATE INDEX jobs_waiting ON jobs (tenant, priority DESC, id) WHERE state = 1 AND kind <> 2;
CREATE INDEX jobs_telling ON jobs (tenant, priority DESC, id) WHERE state = 1 AND kind = 2;
CREATE INDEX jobs_scheduled ON jobs (run_after) WHERE state = 0 AND run_after IS NOT NULL;
CREATE INDEX jobs_scheduled_of ON jobs (tenant, run_after) WHERE state = 0 AND run_after IS NOT NULL;
CREATE INDEX jobs_running ON jobs (lease) WHERE state = 2;
CREATE INDEX jobs_late ON jobs (deadline) WHERE state < 2 AND deadline IS NOT NULL;
CREATE INDEX jobs_late_of ON jobs (tenant, deadline) WHERE state < 2 AND deadline IS NOT NULL;
CREATE INDEX jobs_ended ON jobs (tenant, ended, id) WHERE state >= 3 AND batch IS NULL;
CREATE INDEX jobs_output ON jobs (tenant, output) WHERE output IS NOT NULL;
CREATE UNIQUE INDEX jobs_parts ON jobs (tenant, batch, first) WHERE batch IS NOT NULL;

CREATE TABLE schedules (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    cron TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    kind INTEGER NOT NULL,
    target TEXT NOT NULL,
    priority INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    fuel INTEGER,
    catch_up INTEGER NOT NULL,
    next INTEGER NOT NULL,
    last INTEGER,
    last_job BLOB,
    last_error TEXT,
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    input BLOB NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT;
CREATE INDEX schedules_due ON schedules (next);

CREATE TABLE counts (
    tenant TEXT PRIMARY KEY,
    scheduled INTEGER NOT NULL DEFAULT 0,
    waiting INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0,
    ended INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0    -- of inputs and results; of parts of batches besides, and of those that a batch will have (KeptJob::size)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
    INSERT INTO counts (tenant) VALUES (NEW.tenant) ON CONFLICT (tenant) DO NOTHING;
    UPDATE counts SET scheduled = scheduled + (NEW.state = 0), waiting = waiting + (NEW.state = 1),
        running = running + (NEW.state = 2), ended = ended + (NEW.state >= 3 AND NEW.batch IS NULL),
        bytes = bytes + length(NEW.input) + 1024 * (NEW.batch IS NOT NULL)
            + (NEW.is_batch AND NEW.state < 3 AND NEW.parts IS NULL AND NEW.batch IS NULL) * (length(NEW.input) + 1024 * min(128, length(NEW.input) / 8 + 1))
            + ifnull(length(NEW.result) + length(NEW.details), 0)
    WHERE tenant = NEW.tenant;
END;
CREATE TRIGGER jobs_changed AFTER UPDATE OF state, parts, result, details ON jobs BEGIN
    UPDATE counts SET scheduled = scheduled - (OLD.state = 0) + (NEW.state = 0),
        waiting = waiting - (OLD.state = 1) + (NEW.state = 1),
        running = running - (OLD.state = 2) + (NEW.state = 2),
        ended = ended - (OLD.state >= 3 AND OLD.batch IS NULL) + (NEW.state >= 3 AND NEW.batch IS NULL),
        bytes = bytes + ((NEW.is_batch AND NEW.state < 3 AND NEW.parts IS NULL AND NEW.batch IS NULL)
                - (OLD.is_batch AND OLD.state < 3 AND OLD.parts IS NULL AND OLD.batch IS NULL)) * (length(NEW.input) + 1024 * min(128, length(NEW.input) / 8 + 1))
            - ifnull(length(OLD.result) + length(OLD.details), 0)
            + ifnull(length(NEW.result) + length(NEW.details), 0)
    WHERE tenant = NEW.tenant;
END;
CREATE TRIGGER jobs_gone AFTER DELETE ON jobs BEGIN
    UPDATE counts SET scheduled = scheduled - (OLD.state = 0), waiting = waiting - (OLD.state = 1),
        running = running - (OLD.state = 2), ended = ended - (OLD.state >= 3 AND OLD.batch IS NULL),
        bytes = bytes - length(OLD.input) - 1024 * (OLD.batch IS NOT NULL)
            - (OLD.is_batch AND OLD.state < 3 AND OLD.parts IS NULL AND OLD.batch IS NULL) * (length(OLD.input) + 1024 * min(128, length(OLD.input) / 8 + 1))
            - ifnull(length(OLD.result) + length(OLD.details), 0)
    WHERE tenant = OLD.tenant;
END;

-- Artifacts that were outputs of jobs which are not kept any more.
CREATE TABLE gone_outputs (
    tenant TEXT NOT NULL,
    output TEXT NOT NULL,
    since INTEGER NOT NULL,
    deleting INTEGER,           -- until when somebody deletes it
    PRIMARY KEY (tenant, output)
) STRICT, WITHOUT ROWID;
CREATE INDEX gone_outputs_since ON gone_outputs (since);
CREATE TRIGGER jobs_output_gone AFTER DELETE ON jobs WHEN OLD.output IS NOT NULL BEGIN
    INSERT INTO gone_outputs (tenant, output, since)
    VALUES (OLD.tenant, OLD.output, CAST(1000 * (julianday('now') - 2440587.5) * 86400 AS INTEGER))
    ON CONFLICT (tenant, output) DO UPDATE SET since = excluded.since;
END;

-- What follows the end of a job, whatever ends it: who waits for that is told by a job of its own; a part is one less that its batch
-- waits for; and a batch's parts go with it.
CREATE TRIGGER jobs_told AFTER UPDATE OF state ON jobs WHEN NEW.state >= 3 AND OLD.state < 3 AND NEW.webhook IS NOT NULL BEGIN
    INSERT OR IGNORE INTO jobs (tenant, id, kind, target, state, priority, tried, attempts, created, fence, now, seed, request, input, is_batch, submitted_by)
    VALUES (NEW.tenant, NEW.webhook_id, 2, NEW.webhook, 1, NEW.priority, 0, 20, NEW.ended, 0, NEW.ended * 1000000,
        zeroblob(32), zeroblob(32), CAST(format('{\"job\":\"%s-%s-%s-%s-%s\",\"state\":%d,\"ended\":%d}',
            lower(hex(substr(NEW.id, 1, 4))), lower(hex(substr(NEW.id, 5, 2))), lower(hex(substr(NEW.id, 7, 2))),
            lower(hex(substr(NEW.id, 9, 2))), lower(hex(substr(NEW.id, 11, 6))), NEW.state, NEW.ended) AS BLOB), 0, NEW.submitted_by);
END;
CREATE TRIGGER jobs_part_ended AFTER UPDATE OF state ON jobs WHEN NEW.state >= 3 AND OLD.state < 3 AND NEW.batch IS NOT NULL BEGIN
    UPDATE jobs SET parts_left = parts_left - 1, state = iif(parts_left = 1, 1, 0)
    WHERE tenant = NEW.tenant AND id = NEW.batch AND state = 0 AND parts_left > 0;
END;
CREATE TRIGGER jobs_batch_ended AFTER UPDATE OF state ON jobs WHEN NEW.state >= 3 AND OLD.state < 3
    AND (NEW.is_batch OR NEW.parts IS NOT NULL) AND NEW.batch IS NULL BEGIN
    DELETE FROM jobs WHERE tenant = NEW.tenant AND batch = NEW.id;
END;
",
    audit::SCHEMA,
];

/// What is to do, and when something will be: jobs that may be taken where each tenant may run so many; the first time that comes, the
/// first lease that ends, the first deadline, the first time of a schedule.
pub(super) const LOOK: &str =
    "SELECT EXISTS (SELECT 1 FROM counts WHERE waiting > 0 AND running < ?1),
    (SELECT run_after FROM jobs WHERE state = 0 AND run_after IS NOT NULL ORDER BY run_after LIMIT 1),
    (SELECT lease FROM jobs WHERE state = 2 ORDER BY lease LIMIT 1),
    (SELECT deadline FROM jobs WHERE state < 2 AND deadline IS NOT NULL ORDER BY deadline LIMIT 1),
    (SELECT next FROM schedules ORDER BY next LIMIT 1)";

/// Jobs whose deadline has passed before they were run: ?1 is now, ?2 and ?3 what became of them. Parts of batches go with them, and only so many
/// at once.
pub(super) const LATE: &str = "UPDATE jobs SET state = 4, run_after = NULL, ended = ?1, result = ?2, details = ?3
    WHERE rowid IN (SELECT place FROM (
        SELECT place, parts, sum(ifnull(parts, 0)) OVER (ROWS UNBOUNDED PRECEDING) AS together FROM (SELECT rowid AS place, parts FROM jobs
            WHERE state < 2 AND deadline IS NOT NULL AND deadline <= ?1 ORDER BY deadline LIMIT 200))
        WHERE parts IS NULL OR together <= 1000 OR together = parts)";

/// Jobs whose time has come.
pub(super) const DUE: &str = "UPDATE jobs SET state = 1, run_after = NULL
    WHERE rowid IN (SELECT rowid FROM jobs WHERE state = 0 AND run_after <= ?1 ORDER BY run_after LIMIT 1000)";

/// How many [`LATE`] and [`DUE`] are about at most.
pub(super) const MOST_LATE: usize = 200;
pub(super) const MOST_DUE: usize = 1000;

/// The tenants that come after one of whom jobs are late or due, at ?2.
pub(super) const TENDED: &str = "SELECT tenant FROM counts c WHERE tenant > ?1 AND scheduled + waiting > 0 AND (
        EXISTS (SELECT 1 FROM jobs j WHERE j.tenant = c.tenant AND j.state = 0 AND j.run_after IS NOT NULL AND j.run_after <= ?2)
        OR EXISTS (SELECT 1 FROM jobs j WHERE j.tenant = c.tenant AND j.state < 2 AND j.deadline IS NOT NULL AND j.deadline <= ?2))
    ORDER BY tenant LIMIT ?3";

/// As [`LATE`] and [`DUE`], some of each of the tenants that ?4 and ?2 name.
pub(super) const LATE_OF_EACH: &str = "UPDATE jobs SET state = 4, run_after = NULL, ended = ?1, result = ?2, details = ?3
    WHERE rowid IN (SELECT place FROM (
        SELECT j.rowid AS place, j.parts, sum(ifnull(j.parts, 0)) OVER (ROWS UNBOUNDED PRECEDING) AS together
        FROM json_each(?4) e JOIN jobs j ON j.rowid IN (SELECT rowid FROM jobs
            WHERE tenant = e.value AND state < 2 AND deadline IS NOT NULL AND deadline <= ?1 ORDER BY deadline LIMIT 20))
        WHERE parts IS NULL OR together <= 1000 OR together = parts)";
pub(super) const DUE_OF_EACH: &str = "UPDATE jobs SET state = 1, run_after = NULL
    WHERE rowid IN (SELECT j.rowid FROM json_each(?2) e JOIN jobs j ON j.rowid IN (SELECT rowid FROM jobs
        WHERE tenant = e.value AND state = 0 AND run_after IS NOT NULL AND run_after <= ?1 ORDER BY run_after LIMIT 100))";

/// Jobs whose lease has lapsed: ?2 and ?3 are what became of those that are late, ?4 and ?5 of those that have no attempt left.
pub(super) const LAPSED: &str = "UPDATE jobs SET lease = NULL,
    state = iif(deadline <= ?1 OR tried >= attempts, 4, 1),
    ended = iif(deadline <= ?1 OR tried >= attempts, ?1, ended),
    result = CASE WHEN deadline <= ?1 THEN ?2 WHEN tried >= attempts THEN ?4 ELSE result END,
    details = CASE WHEN deadline <= ?1 THEN ?3 WHEN tried >= attempts THEN ?5 ELSE details END
    WHERE rowid IN (SELECT place FROM (
        SELECT place, parts, sum(ifnull(parts, 0)) OVER (ROWS UNBOUNDED PRECEDING) AS together FROM (SELECT rowid AS place, parts FROM jobs
            WHERE state = 2 AND lease <= ?1 ORDER BY lease LIMIT 1000))
        WHERE parts IS NULL OR together <= 1000 OR together = parts)";

/// The tenants that come after one and have jobs that may be taken, where each may run so many: of those of ?4 only jobs that
/// tell of the ends of others, of those of ?5 none of these; of all only such if ?6 says so.
pub(super) const TENANTS: &str = "SELECT tenant, waiting, running FROM counts c
    WHERE tenant > ?1 AND waiting > 0 AND running < ?2
        AND (NOT ?6 AND tenant NOT IN (SELECT value FROM json_each(?4))
            OR EXISTS (SELECT 1 FROM jobs j INDEXED BY jobs_telling WHERE j.tenant = c.tenant AND j.state = 1 AND j.kind = 2))
        AND (tenant NOT IN (SELECT value FROM json_each(?5))
            OR EXISTS (SELECT 1 FROM jobs j INDEXED BY jobs_waiting WHERE j.tenant = c.tenant AND j.state = 1 AND j.kind <> 2))
    ORDER BY tenant LIMIT ?3";

/// The first jobs of a tenant that wait, those that tell of the ends of others if ?4 says so and the others if ?5 does, and whether they
/// may be taken: of those that are late, more may be left than go at once.
pub(super) const WAITING: &str = "SELECT row, size, may FROM (
    SELECT * FROM (SELECT rowid AS row, length(input) AS size, ifnull(deadline > ?2, 1) AS may, priority, id FROM jobs
        WHERE ?4 AND tenant = ?1 AND state = 1 AND kind = 2 ORDER BY priority DESC, id LIMIT ?3)
    UNION ALL
    SELECT * FROM (SELECT rowid AS row, length(input) AS size, ifnull(deadline > ?2, 1) AS may, priority, id FROM jobs
        WHERE ?5 AND tenant = ?1 AND state = 1 AND kind <> 2 ORDER BY priority DESC, id LIMIT ?3)
    ) ORDER BY priority DESC, id LIMIT ?3";

/// Ended jobs that are as old as ?1, or more than ?2 or ?3 bytes once those of the tenant that ended before are gone; ?4 of a tenant at
/// once, of the tenants after ?6 first; and whether they are among the first that have ?5 bytes together.
pub(super) const GOING: &str = "WITH has AS (
        SELECT tenant, ended, bytes FROM counts WHERE ended > 0 AND (ended > ?2 OR bytes > ?3
            OR EXISTS (SELECT 1 FROM jobs j WHERE j.tenant = counts.tenant AND j.state >= 3
                AND j.batch IS NULL AND j.ended <= ?1))
    ), one AS (
        SELECT h.tenant, h.ended AS number, h.bytes, j.rowid AS place, j.ended, j.id,
            length(j.input) + ifnull(length(j.result) + length(j.details), 0) AS size
        FROM has h JOIN jobs j ON j.rowid IN (
            SELECT rowid FROM jobs INDEXED BY jobs_ended WHERE tenant = h.tenant AND state >= 3 AND batch IS NULL
            ORDER BY ended, id LIMIT ?4)
    ), rest AS (
        SELECT tenant, place, ended, id, size, number + 1 - row_number() OVER earlier AS number,
            bytes + size - sum(size) OVER earlier AS bytes
        FROM one WINDOW earlier AS (PARTITION BY tenant ORDER BY ended, id)
    ), going AS (
        SELECT place, tenant, size, row_number() OVER turns AS turn, sum(size) OVER turns AS together
        FROM rest WHERE ended <= ?1 OR number > ?2 OR bytes > ?3 WINDOW turns AS (ORDER BY tenant <= ?6, tenant, ended, id)
    )
    SELECT place, tenant, together <= ?5 OR together = size FROM going ORDER BY turn";

/// Has a part of a batch wait as a job of its own: ?1 and ?2 say which batch, then come the part's id, its first line, its input, and
/// the time.
pub(super) const SPLIT_OFF: &str = "INSERT INTO jobs (tenant, id, kind, target, state, priority, tried, attempts, created, fence, now,
        seed, fuel, request, input, is_batch, submitted_by, batch, first)
    SELECT tenant, ?3, kind, target, 1, priority, 0, attempts, ?6, 0, now, seed, fuel, request, ?5, is_batch, submitted_by, id, ?4
    FROM jobs WHERE tenant = ?1 AND id = ?2";

/// The parts of a batch from one first line on.
pub(super) const PARTS: &str = "SELECT first, state, result, details, output FROM jobs
    WHERE tenant = ?1 AND batch = ?2 AND first >= ?3 ORDER BY first";
