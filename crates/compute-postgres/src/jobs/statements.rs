//! What is said to the database about jobs: each statement is about many, and goes by an index.
//!
//! Where jobs are found by their ids, nothing else is said of them that an index of theirs could be taken for: how many there are in a
//! state is known too late, and all that run would be looked through for each.

/// What becomes of those that are found. Parts of batches go with what ends, and only so many at once: a statement may not take for ever.
macro_rules! tended {
    () => {
        ", chosen AS (
    SELECT tenant, id FROM (
        SELECT tenant, id, parts, sum(COALESCE(parts, 0)) OVER (ROWS UNBOUNDED PRECEDING) AS together FROM found) e
    WHERE parts IS NULL OR together <= 1000 OR together = parts
), done AS (
    UPDATE compute.jobs j SET run_after = NULL, lease = NULL,
        state = CASE WHEN j.deadline <= $1 OR j.state = 2 AND j.tried >= j.attempts THEN 4 ELSE 1 END,
        ended = CASE WHEN j.deadline <= $1 OR j.state = 2 AND j.tried >= j.attempts THEN $1 ELSE j.ended END,
        result = CASE WHEN j.deadline <= $1 THEN $2 WHEN j.state = 2 AND j.tried >= j.attempts THEN $4 ELSE j.result END,
        details = CASE WHEN j.deadline <= $1 THEN $3 WHEN j.state = 2 AND j.tried >= j.attempts THEN $5 ELSE j.details END
    FROM chosen e WHERE j.tenant = e.tenant AND j.id = e.id RETURNING 1
)"
    };
}

/// Jobs that are there already, by the place of what names them: their ids or their keys.
pub(super) const SAME: &str = "
FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY e (tenant, id, place)
    JOIN compute.jobs j ON j.tenant = e.tenant AND j.id = e.id";
pub(super) const SAME_KEY: &str = "
FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY e (tenant, key, place)
    JOIN compute.jobs j ON j.tenant = e.tenant AND j.key = e.key AND j.key IS NOT NULL";

/// The time, and what these tenants have.
pub(super) const COUNTS: &str = "
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now,
    c.tenant, c.scheduled + c.waiting + c.running AS jobs, c.ended, c.bytes
FROM (VALUES (1)) one LEFT JOIN compute.job_counts c ON c.tenant = ANY ($1)";

/// Those of whom time alone does something, as of $1, come before anything is done: whoever ends a job has its tenant's numbers first, and
/// then what else that changes, so that no two wait for each other.
pub(super) const TENDED: &str = "
SELECT 1 FROM compute.job_counts c WHERE c.tenant IN (
    (SELECT tenant FROM compute.jobs WHERE state < 2 AND deadline IS NOT NULL AND deadline <= $1 ORDER BY deadline LIMIT 200)
    UNION (SELECT tenant FROM compute.jobs WHERE state = 2 AND lease <= $1 ORDER BY lease LIMIT 1000)
    UNION (SELECT tenant FROM compute.jobs WHERE state = 0 AND run_after IS NOT NULL AND run_after <= $1 ORDER BY run_after LIMIT 1000))
ORDER BY c.tenant FOR UPDATE";

/// What time alone does, as of $1: $2 and $3 become of those that are late, $4 and $5 of those that have no attempt left. Whether more may be
/// late or due than come at once.
pub(super) const TEND: &str = concat!(
    "
WITH late AS (
    SELECT tenant, id, parts FROM compute.jobs WHERE state < 2 AND deadline IS NOT NULL AND deadline <= $1
    ORDER BY deadline LIMIT 200 FOR UPDATE SKIP LOCKED
), lapsed AS (
    SELECT tenant, id, parts FROM compute.jobs WHERE state = 2 AND lease <= $1
    ORDER BY lease LIMIT 1000 FOR UPDATE SKIP LOCKED
), due AS (
    SELECT tenant, id, parts FROM compute.jobs WHERE state = 0 AND run_after IS NOT NULL AND run_after <= $1
    ORDER BY run_after LIMIT 1000 FOR UPDATE SKIP LOCKED
), found AS (SELECT * FROM late UNION SELECT * FROM lapsed UNION SELECT * FROM due)",
    tended!(),
    "
SELECT (SELECT count(*) FROM late) >= 200 OR (SELECT count(*) FROM due) >= 1000 AS is_full"
);

/// The tenants after $1, then those from the first on, of whom jobs are late or due at $2.
pub(super) const TENDED_NEXT: &str = "
SELECT c.tenant FROM (VALUES (1, $1::text, '~'), (2, '', $1)) round (turn, after, last) CROSS JOIN LATERAL (
    SELECT tenant FROM compute.job_counts of
    WHERE tenant > round.after AND tenant <= round.last AND scheduled + waiting > 0 AND (
        EXISTS (SELECT 1 FROM compute.jobs j
            WHERE j.tenant = of.tenant AND j.state = 0 AND j.run_after IS NOT NULL AND j.run_after <= $2)
        OR EXISTS (SELECT 1 FROM compute.jobs j
            WHERE j.tenant = of.tenant AND j.state < 2 AND j.deadline IS NOT NULL AND j.deadline <= $2))
    ORDER BY tenant LIMIT $3
) c ORDER BY round.turn, c.tenant LIMIT $3";

/// These come before anything is done, as in [`TENDED`].
pub(super) const TENDED_EACH: &str =
    "SELECT 1 FROM compute.job_counts c WHERE c.tenant = ANY ($1) ORDER BY c.tenant FOR UPDATE";

/// As [`TEND`], some of each of the tenants of $6.
pub(super) const TEND_EACH: &str = concat!(
    "
WITH late AS (
    SELECT j.* FROM unnest($6::text[]) e (tenant) CROSS JOIN LATERAL (SELECT tenant, id, parts FROM compute.jobs
        WHERE tenant = e.tenant AND state < 2 AND deadline IS NOT NULL AND deadline <= $1
        ORDER BY deadline LIMIT 20 FOR UPDATE SKIP LOCKED) j
), due AS (
    SELECT j.* FROM unnest($6::text[]) e (tenant) CROSS JOIN LATERAL (SELECT tenant, id, parts FROM compute.jobs
        WHERE tenant = e.tenant AND state = 0 AND run_after IS NOT NULL AND run_after <= $1
        ORDER BY run_after LIMIT 100 FOR UPDATE SKIP LOCKED) j
), found AS (SELECT * FROM late UNION SELECT * FROM due)",
    tended!(),
    "
SELECT count(*) FROM done"
);

/// The tenants after one, then those from the first on, that have jobs that may be taken, where each may run so many: of those of $4 only
/// jobs that tell of the ends of others, of those of $5 none of these; of all only such if $6 says so.
pub(super) const TENANTS: &str = "
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now, c.tenant, c.waiting, c.running
FROM (VALUES (1, $1::text, '~'), (2, '', $1)) round (turn, after, last) CROSS JOIN LATERAL (
    SELECT tenant, waiting, running FROM compute.job_counts of
    WHERE tenant > round.after AND tenant <= round.last AND waiting > 0 AND running < $2
        AND (NOT $6 AND tenant <> ALL ($4) OR EXISTS (SELECT 1 FROM compute.jobs j WHERE j.tenant = of.tenant AND j.state = 1 AND j.kind = 2))
        AND (tenant <> ALL ($5) OR EXISTS (SELECT 1 FROM compute.jobs j WHERE j.tenant = of.tenant AND j.state = 1 AND j.kind <> 2))
    ORDER BY tenant LIMIT $3
) c ORDER BY round.turn, c.tenant";

/// The first so many jobs of each of some tenants that wait, those that tell of the ends of others if $4 says so and the others if $5
/// does, that nobody else takes at this moment, and whether they may be taken: of those that are late, more may be left than go at once.
pub(super) const WAITING: &str = "
SELECT e.place, j.tenant, j.id, octet_length(j.input)::bigint AS size, COALESCE(j.deadline > $3, true) AS may
FROM unnest($1::text[], $2::bigint[], $4::boolean[], $5::boolean[]) WITH ORDINALITY e (tenant, share, tells, others, place)
CROSS JOIN LATERAL (
    SELECT * FROM (SELECT tenant, id, input, deadline, priority FROM compute.jobs
        WHERE e.tells AND tenant = e.tenant AND state = 1 AND kind = 2
        ORDER BY priority DESC, id LIMIT e.share FOR UPDATE SKIP LOCKED) tells
    UNION ALL
    SELECT * FROM (SELECT tenant, id, input, deadline, priority FROM compute.jobs
        WHERE e.others AND tenant = e.tenant AND state = 1 AND kind <> 2
        ORDER BY priority DESC, id LIMIT e.share FOR UPDATE SKIP LOCKED) others
    ORDER BY priority DESC, id LIMIT e.share
) j";

pub(super) const CLAIM: &str = "
UPDATE compute.jobs j SET state = 2, tried = j.tried + 1, fence = j.fence + 1, started = $3, lease = $4, worker = $5
FROM unnest($1::text[], $2::bytea[]) e (tenant, id)
WHERE j.tenant = e.tenant AND j.id = e.id";

pub(super) const RENEW: &str = "
UPDATE compute.jobs j SET lease = n.now + $4 FROM unnest($1::text[], $2::bytea[], $3::bigint[]) e (tenant, id, fence),
    (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now, 2::smallint AS running OFFSET 0) n
WHERE j.tenant = e.tenant AND j.id = e.id AND j.state = n.running AND j.fence = e.fence AND j.lease > n.now
RETURNING j.tenant, j.id, j.fence";

/// What is not said of a result leaves it as it is.
pub(super) const FINISH: &str = "
UPDATE compute.jobs j SET state = e.state, lease = NULL, run_after = n.now + e.after,
    ended = CASE WHEN e.state >= 3 THEN n.now ELSE j.ended END, tried = j.tried - e.back,
    result = COALESCE(e.result, j.result), details = COALESCE(e.details, j.details),
    parts = COALESCE(e.parts, j.parts), parts_left = COALESCE(e.parts, j.parts_left),
    output = COALESCE(e.output, j.output)
FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::smallint[], $5::bigint[], $6::int[], $7::bytea[], $8::bytea[], $9::int[],
        $10::text[]) e (tenant, id, fence, state, after, back, result, details, parts, output),
    (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now, 2::smallint AS running OFFSET 0) n
WHERE j.tenant = e.tenant AND j.id = e.id AND j.state = n.running AND j.fence = e.fence AND j.lease > n.now
RETURNING j.tenant, j.id, j.fence";

pub(super) const NOT_ENDED: &str = "
SELECT j.tenant, j.id FROM unnest($1::text[], $2::bytea[]) e (tenant, id)
    JOIN compute.jobs j ON j.tenant = e.tenant AND j.id = e.id WHERE j.state < 3 AND j.batch IS NULL";

/// Ended jobs that are $1 old, or more than $2 or $3 bytes once those of the tenant that ended before are gone; $4 of each of some
/// tenants at once, of those after $6 first, and with $5 bytes together. How many, whether there may be more, and the last tenant.
pub(super) const SWEEP: &str = "
WITH old AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1 AS at), has AS (
    SELECT round.turn, c.* FROM old, (VALUES (1, $6::text, '~'), (2, '', $6)) round (turn, after, last) CROSS JOIN LATERAL (
        SELECT c.tenant, c.ended, c.bytes FROM compute.job_counts c
        WHERE c.tenant > round.after AND c.tenant <= round.last AND c.ended > 0 AND (c.ended > $2 OR c.bytes > $3
            OR EXISTS (SELECT 1 FROM compute.jobs j WHERE j.tenant = c.tenant AND j.state >= 3 AND j.batch IS NULL
                AND j.ended <= old.at))
        ORDER BY c.tenant LIMIT 64
    ) c ORDER BY round.turn, c.tenant LIMIT 64
), one AS (
    SELECT h.turn, h.tenant, h.ended AS number, h.bytes AS all_bytes, j.id, j.ended, j.bytes FROM has h CROSS JOIN LATERAL (
        SELECT * FROM compute.jobs WHERE tenant = h.tenant AND state >= 3 AND batch IS NULL
        ORDER BY ended, id LIMIT $4 FOR UPDATE SKIP LOCKED
    ) j
), rest AS (
    SELECT turn, tenant, id, ended, bytes AS size, number + 1 - row_number() OVER earlier AS number,
        all_bytes + bytes - sum(bytes) OVER earlier AS bytes
    FROM one WINDOW earlier AS (PARTITION BY tenant ORDER BY ended, id)
), going AS (
    SELECT r.turn, r.tenant, r.id, r.size, sum(r.size) OVER (ORDER BY r.turn, r.tenant, r.ended, r.id) AS together FROM rest r, old
    WHERE r.ended <= old.at OR r.number > $2 OR r.bytes > $3
), gone AS (
    DELETE FROM compute.jobs j USING going g
    WHERE j.tenant = g.tenant AND j.id = g.id AND (g.together <= $5::bigint OR g.together = g.size)
    RETURNING g.turn, g.tenant
)
SELECT (SELECT count(*) FROM gone) AS gone,
    (SELECT count(*) FROM going) > (SELECT count(*) FROM gone) OR (SELECT count(*) FROM has) >= 64
        OR EXISTS (SELECT 1 FROM going GROUP BY tenant HAVING count(*) >= $4) AS is_full,
    COALESCE((SELECT tenant FROM gone ORDER BY turn DESC, tenant DESC LIMIT 1),
        (SELECT tenant FROM has ORDER BY turn DESC, tenant DESC LIMIT 1)) AS last";

/// What a page of all jobs would have, in their order.
pub(super) const PAGE: &str = "
SELECT tenant, id, bytes FROM compute.jobs WHERE (tenant, id) > ($1, $2) ORDER BY tenant, id LIMIT $3";

/// Has parts of batches wait as jobs of their own: $1 and $2 say which batch, then come the parts' ids, first lines and inputs.
pub(super) const SPLIT_OFF: &str = "
INSERT INTO compute.jobs (tenant, id, kind, target, state, priority, tried, attempts, created, fence, now, seed, fuel, request, input,
    is_batch, submitted_by, batch, first)
SELECT j.tenant, e.id, j.kind, j.target, 1, j.priority, 0, j.attempts, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0,
    j.now, j.seed, j.fuel, j.request, e.input, j.is_batch, j.submitted_by, j.id, e.first
FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::int[], $5::bytea[]) e (tenant, batch, id, first, input)
    JOIN compute.jobs j ON j.tenant = e.tenant AND j.id = e.batch";

/// The first lines of a batch's parts from one on, how they ended, and how many bytes they have.
pub(super) const PART_SIZES: &str = "
SELECT j.first, COALESCE(octet_length(j.result) + octet_length(j.details), 0)::bigint AS bytes FROM compute.jobs j
WHERE j.tenant = $1 AND j.batch = $2 AND j.batch IS NOT NULL AND j.first >= $3 ORDER BY j.first LIMIT 1000";

/// Those parts from one first line on up to another.
pub(super) const PARTS: &str = "
SELECT j.first, j.state, j.result, j.details, j.output FROM compute.jobs j
WHERE j.tenant = $1 AND j.batch = $2 AND j.batch IS NOT NULL AND j.first >= $3 AND j.first <= $4 ORDER BY j.first";

/// The job that tells of the end of another, and its parts: each is found by an index of its own.
pub(super) const FOLLOWERS: &str = "
SELECT 1 FROM compute.jobs t, (
    SELECT webhook_id AS id FROM compute.jobs WHERE tenant = $1 AND id = $2 AND webhook_id IS NOT NULL
    UNION ALL SELECT id FROM compute.jobs WHERE tenant = $1 AND batch = $2 AND batch IS NOT NULL OFFSET 0
) e WHERE t.tenant = $1 AND t.id = e.id FOR UPDATE OF t NOWAIT";
pub(super) const UNTOLD: &str = "
DELETE FROM compute.jobs t USING (
    SELECT webhook_id AS id FROM compute.jobs WHERE tenant = $1 AND id = $2 AND webhook_id IS NOT NULL
    UNION ALL SELECT id FROM compute.jobs WHERE tenant = $1 AND batch = $2 AND batch IS NOT NULL OFFSET 0
) e WHERE t.tenant = $1 AND t.id = e.id";

/// The job that tells of the next end.
pub(super) const TELLER: &str = "
UPDATE compute.jobs SET webhook_id = $3 WHERE tenant = $1 AND id = $2 AND webhook_id IS NOT NULL";

/// An output is stored: it may not be deleted for a while, unless somebody deletes it at this moment; if that fails, not again for a while.
pub(super) const STORES_OUTPUT: &str = "
INSERT INTO compute.gone_outputs AS g (tenant, output) VALUES ($1, $2)
ON CONFLICT (tenant, output) DO UPDATE SET since = excluded.since,
    deleting = CASE WHEN g.deleting > excluded.since THEN g.deleting END
RETURNING deleting IS NULL";

/// Of those that are $1 old, the ones that a job has are kept.
pub(super) const KEPT_OUTPUTS: &str = "
DELETE FROM compute.gone_outputs g USING compute.jobs j
WHERE g.since <= (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1
    AND j.tenant = g.tenant AND j.output = g.output AND j.output IS NOT NULL";

/// Somebody deletes the others from now on, for $3 at most.
pub(super) const GONE_OUTPUTS: &str = "
UPDATE compute.gone_outputs g SET deleting = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $3 FROM (
    SELECT tenant, output FROM compute.gone_outputs,
        (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now OFFSET 0) n
    WHERE since <= n.now - $1 AND (deleting IS NULL OR deleting <= n.now)
    ORDER BY since LIMIT $2 FOR UPDATE OF gone_outputs SKIP LOCKED) e
WHERE g.tenant = e.tenant AND g.output = e.output RETURNING g.tenant, g.output";

pub(super) const OUTPUT_IS_GONE: &str = "
DELETE FROM compute.gone_outputs WHERE tenant = $1 AND output = $2 AND deleting IS NOT NULL";
