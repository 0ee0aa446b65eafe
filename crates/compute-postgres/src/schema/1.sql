CREATE SCHEMA IF NOT EXISTS compute;

CREATE TABLE compute.format (
    version int NOT NULL,
    key_check bytea             -- sealed with the key of all nodes' vaults, which is another's only while there are no secrets
);
INSERT INTO compute.format VALUES (0, NULL);

-- The last change of tokens; the larger, the later.
CREATE TABLE compute.token_changes (number bigint NOT NULL);
INSERT INTO compute.token_changes VALUES (0);

CREATE TABLE compute.tokens (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    name bytea NOT NULL,
    hash bytea NOT NULL,        -- SHA-256 of the whole token
    scopes text NOT NULL,       -- with commas between them
    created bigint NOT NULL,
    expires bigint
);
CREATE INDEX ON compute.tokens (tenant);

-- Whoever changes what is a tenant's locks its row.
CREATE TABLE compute.tenants (
    name text COLLATE "C" PRIMARY KEY,
    change bigint NOT NULL DEFAULT 0,
    record text                 -- what is recorded where a stack says nothing, as JSON
);

CREATE TABLE compute.stacks (
    tenant text COLLATE "C" NOT NULL REFERENCES compute.tenants,
    name text COLLATE "C" NOT NULL,
    active int,
    record text,                -- what is recorded of its documents, as JSON
    PRIMARY KEY (tenant, name)
);

CREATE TABLE compute.versions (
    tenant text COLLATE "C" NOT NULL,
    stack text COLLATE "C" NOT NULL,
    number int NOT NULL,
    hash text COLLATE "C" NOT NULL,
    created bigint NOT NULL,
    activated bigint,           -- when it last became active
    bytes bigint NOT NULL,      -- of the paths and texts of its files
    rules int NOT NULL,
    PRIMARY KEY (tenant, stack, number),
    FOREIGN KEY (tenant, stack) REFERENCES compute.stacks
);
CREATE INDEX ON compute.versions (tenant, stack, hash);

CREATE TABLE compute.files (
    tenant text COLLATE "C" NOT NULL,
    stack text COLLATE "C" NOT NULL,
    number int NOT NULL,
    key bytea NOT NULL,         -- SHA-256 of the path
    path bytea NOT NULL,
    text bytea NOT NULL,
    PRIMARY KEY (tenant, stack, number, key),
    FOREIGN KEY (tenant, stack, number) REFERENCES compute.versions ON DELETE CASCADE
);

CREATE TABLE compute.refs (
    tenant text COLLATE "C" NOT NULL,
    stack text COLLATE "C" NOT NULL,
    number int NOT NULL,
    ref text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, stack, number, ref),
    FOREIGN KEY (tenant, stack, number) REFERENCES compute.versions ON DELETE CASCADE
);

CREATE INDEX ON compute.refs (tenant, ref);

CREATE TABLE compute.shadows (
    tenant text COLLATE "C" NOT NULL,
    stack text COLLATE "C" NOT NULL,
    number int NOT NULL,
    share int NOT NULL,         -- millionths
    PRIMARY KEY (tenant, stack),
    FOREIGN KEY (tenant, stack, number) REFERENCES compute.versions ON DELETE CASCADE
);

CREATE TABLE compute.rollouts (
    tenant text COLLATE "C" NOT NULL,
    stack text COLLATE "C" NOT NULL,
    number int NOT NULL,
    share int NOT NULL,         -- millionths
    path bytea NOT NULL,        -- where in a document the value is that decides
    PRIMARY KEY (tenant, stack),
    FOREIGN KEY (tenant, stack, number) REFERENCES compute.versions ON DELETE CASCADE
);

CREATE TABLE compute.secrets (
    tenant text COLLATE "C" NOT NULL REFERENCES compute.tenants,
    name text COLLATE "C" NOT NULL,
    sealed bytea NOT NULL,
    set_at bigint NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- A tenant that has secrets. Rows are a tenant's, so each is asked.
CREATE FUNCTION compute.tenant_with_secrets() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    own text := current_setting('compute.tenant', true);
    one text;
    has_some boolean := false;
BEGIN
    FOR one IN SELECT name FROM compute.tenants ORDER BY name LOOP
        PERFORM set_config('compute.tenant', one, true);
        has_some := EXISTS (SELECT 1 FROM compute.secrets WHERE tenant = one);
        EXIT WHEN has_some;
    END LOOP;
    PERFORM set_config('compute.tenant', own, true);
    RETURN CASE WHEN has_some THEN one END;
END $$;

-- Who changed what: of each tenant a log of its stacks, one of its tokens and one of its schedules.
CREATE TABLE compute.audit (
    tenant text COLLATE "C" NOT NULL REFERENCES compute.tenants,
    log text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    entry text NOT NULL,        -- canonical JSON, without the hash
    hash text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, log, number)
);
-- The last entries that went.
CREATE TABLE compute.audit_gone (
    tenant text COLLATE "C" NOT NULL REFERENCES compute.tenants,
    log text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    hash text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, log)
);

CREATE TABLE compute.traces (
    tenant text COLLATE "C" NOT NULL,
    key bytea NOT NULL,         -- SHA-256 of the id
    id bytea NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY,  -- the newest has the largest
    text bytea NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX ON compute.traces (tenant, place);

-- Artifacts that went lately: no version names them meanwhile, and who has them loaded forgets them.
CREATE TABLE compute.released (
    tenant text COLLATE "C" NOT NULL REFERENCES compute.tenants,
    ref text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (tenant, ref)
);
CREATE INDEX ON compute.released (at);

-- What tenants used on each day.
CREATE TABLE compute.usage (
    tenant text COLLATE "C" NOT NULL,
    day text COLLATE "C" NOT NULL,  -- YYYY-MM-DD, in UTC
    requests bigint NOT NULL,
    documents bigint NOT NULL,
    runs bigint NOT NULL,
    jobs bigint NOT NULL,
    wall_us bigint NOT NULL,
    fuel bigint NOT NULL,
    PRIMARY KEY (tenant, day)
);
CREATE INDEX ON compute.usage (day);

-- Which part each node has of what a tenant may use so much of in a second. What a crash takes is asked for again in a second.
CREATE UNLOGGED TABLE compute.shares (
    tenant text COLLATE "C" NOT NULL,
    what smallint NOT NULL,     -- requests, documents
    node bigint NOT NULL,
    demand float8 NOT NULL,     -- how many a second it is asked for
    part float8 NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (tenant, what, node)
-- Each row is changed once a second, and stays on its page.
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE compute.jobs (
    tenant text COLLATE "C" NOT NULL,
    id bytea NOT NULL,          -- a UUID of version 7
    kind smallint NOT NULL,
    target text NOT NULL,
    state smallint NOT NULL,    -- scheduled, waiting, running, done, failed, cancelled
    priority smallint NOT NULL,
    tried int NOT NULL,
    attempts int NOT NULL,
    created bigint NOT NULL,
    run_after bigint,
    deadline bigint,
    started bigint,
    ended bigint,
    worker bytea,
    submitted_by text,          -- JSON
    lease bigint,               -- until when the worker has it
    fence bigint NOT NULL,
    now bigint NOT NULL,        -- what its clock shows, in nanoseconds
    seed bytea NOT NULL,
    fuel bigint,
    key bytea,
    request bytea NOT NULL,
    result bytea,
    details bytea,
    output text COLLATE "C",    -- the artifact that the result is, where that is large
    input bytea NOT NULL,
    is_batch boolean NOT NULL,
    parts int,                  -- of a batch that was split: how many there are, and how many have not ended
    parts_left int,
    batch bytea,                -- of a part: the batch's id, and the number of its first line there
    first int,
    webhook_id bytea,           -- the id of the job that tells of the end
    webhook text,
    bytes bigint NOT NULL GENERATED ALWAYS AS
        (octet_length(input) + COALESCE(octet_length(result) + octet_length(details), 0) + CASE     -- as KeptJob::size
            WHEN batch IS NOT NULL THEN 1024
            WHEN is_batch AND state < 3 AND parts IS NULL THEN octet_length(input) + 1024 * LEAST(128, octet_length(input) / 8 + 1)
            ELSE 0 END) STORED,
    PRIMARY KEY (tenant, id)
-- Each job is changed a few times and goes: what it was goes soon, and so does what is known of how many there are.
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.1, autovacuum_analyze_threshold = 5000);
CREATE UNIQUE INDEX ON compute.jobs (tenant, key) WHERE key IS NOT NULL;
CREATE INDEX ON compute.jobs (tenant, state, id);
CREATE INDEX ON compute.jobs (tenant, priority DESC, id) WHERE state = 1 AND kind <> 2;
CREATE INDEX ON compute.jobs (tenant, priority DESC, id) WHERE state = 1 AND kind = 2;
CREATE INDEX ON compute.jobs (run_after) WHERE state = 0 AND run_after IS NOT NULL;
CREATE INDEX ON compute.jobs (tenant, run_after) WHERE state = 0 AND run_after IS NOT NULL;
CREATE INDEX ON compute.jobs (lease) WHERE state = 2;
CREATE INDEX ON compute.jobs (deadline) WHERE state < 2 AND deadline IS NOT NULL;
CREATE INDEX ON compute.jobs (tenant, deadline) WHERE state < 2 AND deadline IS NOT NULL;
CREATE INDEX ON compute.jobs (tenant, ended, id) WHERE state >= 3 AND batch IS NULL;
CREATE INDEX ON compute.jobs (tenant, output) WHERE output IS NOT NULL;
CREATE UNIQUE INDEX ON compute.jobs (tenant, batch, first) WHERE batch IS NOT NULL;

CREATE TABLE compute.schedules (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    cron text COLLATE "C" NOT NULL,
    time_zone text COLLATE "C" NOT NULL,
    kind smallint NOT NULL,
    target text NOT NULL,
    priority smallint NOT NULL,
    attempts int NOT NULL,
    fuel bigint,
    catch_up smallint NOT NULL,
    next bigint NOT NULL,
    last bigint,
    last_job bytea,
    last_error text,
    created bigint NOT NULL,
    changed bigint NOT NULL,
    input bytea NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE INDEX ON compute.schedules (next);

-- How many jobs each tenant has. Triggers keep it; of each tenant one row, which changes often and stays on its page.
CREATE TABLE compute.job_counts (
    tenant text COLLATE "C" PRIMARY KEY,
    scheduled bigint NOT NULL,
    waiting bigint NOT NULL,
    running bigint NOT NULL,
    ended bigint NOT NULL,
    bytes bigint NOT NULL       -- of jobs, as each says it
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- Artifacts that were outputs of jobs which are not kept any more.
CREATE TABLE compute.gone_outputs (
    tenant text COLLATE "C" NOT NULL,
    output text COLLATE "C" NOT NULL,
    since bigint NOT NULL DEFAULT extract(epoch FROM clock_timestamp()) * 1000,
    deleting bigint,            -- until when somebody deletes it
    PRIMARY KEY (tenant, output)
);
CREATE INDEX ON compute.gone_outputs (since);

CREATE FUNCTION compute.add_to_job_counts(text, bigint, bigint, bigint, bigint, numeric) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO compute.job_counts AS c (tenant, scheduled, waiting, running, ended, bytes) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (tenant) DO UPDATE SET scheduled = c.scheduled + excluded.scheduled,
        waiting = c.waiting + excluded.waiting, running = c.running + excluded.running,
        ended = c.ended + excluded.ended, bytes = c.bytes + excluded.bytes;
END $$;

-- Tenants come by name, so that no two transactions wait for each other.
CREATE FUNCTION compute.count_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM compute.add_to_job_counts(t.tenant, t.scheduled, t.waiting, t.running, t.ended, t.bytes) FROM (
            SELECT tenant, count(*) FILTER (WHERE state = 0) AS scheduled, count(*) FILTER (WHERE state = 1) AS waiting,
                count(*) FILTER (WHERE state = 2) AS running, count(*) FILTER (WHERE state >= 3 AND batch IS NULL) AS ended,
                sum(bytes) AS bytes
            FROM added GROUP BY tenant ORDER BY tenant) t;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM compute.add_to_job_counts(t.tenant, -t.scheduled, -t.waiting, -t.running, -t.ended, -t.bytes) FROM (
            SELECT tenant, count(*) FILTER (WHERE state = 0) AS scheduled, count(*) FILTER (WHERE state = 1) AS waiting,
                count(*) FILTER (WHERE state = 2) AS running, count(*) FILTER (WHERE state >= 3 AND batch IS NULL) AS ended,
                sum(bytes) AS bytes
            FROM gone GROUP BY tenant ORDER BY tenant) t;
        INSERT INTO compute.gone_outputs (tenant, output) SELECT DISTINCT tenant, output FROM gone WHERE output IS NOT NULL
        ON CONFLICT (tenant, output) DO UPDATE SET since = excluded.since;
    ELSE
        -- Where only a lease was renewed, nothing is written.
        PERFORM compute.add_to_job_counts(t.tenant, t.scheduled, t.waiting, t.running, t.ended, t.bytes) FROM (
            SELECT tenant, COALESCE(sum(n) FILTER (WHERE state = 0), 0)::bigint AS scheduled,
                COALESCE(sum(n) FILTER (WHERE state = 1), 0)::bigint AS waiting,
                COALESCE(sum(n) FILTER (WHERE state = 2), 0)::bigint AS running,
                COALESCE(sum(n) FILTER (WHERE state >= 3 AND batch IS NULL), 0)::bigint AS ended,
                sum(n * bytes) AS bytes
            FROM (SELECT tenant, state, batch, bytes, 1 AS n FROM added
                UNION ALL SELECT tenant, state, batch, bytes, -1 FROM gone) both_
            GROUP BY tenant ORDER BY tenant) t
        WHERE t.scheduled <> 0 OR t.waiting <> 0 OR t.running <> 0 OR t.ended <> 0 OR t.bytes <> 0;
        -- What follows the end of a job, whatever ends it: who waits for that is told by a job of its own; a part is one less that
        -- its batch waits for; and a batch's parts go with it.
        IF EXISTS (SELECT 1 FROM added WHERE state >= 3 AND (webhook IS NOT NULL OR is_batch OR parts IS NOT NULL OR batch IS NOT NULL)) THEN
            INSERT INTO compute.jobs (tenant, id, kind, target, state, priority, tried, attempts, created, fence, now, seed, request,
                input, is_batch, submitted_by)
            SELECT a.tenant, a.webhook_id, 2, a.webhook, 1, a.priority, 0, 20, a.ended, 0, a.ended * 1000000,
                decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'),
                convert_to(format('{"job":"%s","state":%s,"ended":%s}', encode(a.id, 'hex')::uuid, a.state, a.ended), 'UTF8'), false, a.submitted_by
            FROM added a JOIN gone g USING (tenant, id) WHERE a.state >= 3 AND g.state < 3 AND a.webhook IS NOT NULL
            ON CONFLICT DO NOTHING;
            UPDATE compute.jobs j SET parts_left = j.parts_left - e.ended, state = CASE WHEN j.parts_left <= e.ended THEN 1 ELSE 0 END
            FROM (SELECT a.tenant, a.batch, count(*)::int AS ended FROM added a JOIN gone g USING (tenant, id)
                WHERE a.state >= 3 AND g.state < 3 AND a.batch IS NOT NULL GROUP BY a.tenant, a.batch) e
            WHERE j.tenant = e.tenant AND j.id = e.batch AND j.state = 0 AND j.parts_left > 0;
            -- One that somebody has at this moment goes when it ends: here, or with the next statement.
            DELETE FROM compute.jobs j USING (
                SELECT p.tenant, p.id FROM added a JOIN gone g USING (tenant, id)
                    JOIN compute.jobs p ON p.tenant = a.tenant AND p.batch = a.id AND p.batch IS NOT NULL
                WHERE a.state >= 3 AND g.state < 3 AND (a.is_batch OR a.parts IS NOT NULL) AND a.batch IS NULL FOR UPDATE OF p SKIP LOCKED) e
            WHERE j.tenant = e.tenant AND j.id = e.id;
            DELETE FROM compute.jobs j USING added a
            WHERE a.state >= 3 AND a.batch IS NOT NULL AND j.tenant = a.tenant AND j.id = a.id AND NOT EXISTS (
                SELECT 1 FROM compute.jobs b WHERE b.tenant = a.tenant AND b.id = a.batch AND b.state < 3);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER added AFTER INSERT ON compute.jobs REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION compute.count_jobs();
CREATE TRIGGER changed AFTER UPDATE ON compute.jobs REFERENCING OLD TABLE AS gone NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION compute.count_jobs();
CREATE TRIGGER gone AFTER DELETE ON compute.jobs REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION compute.count_jobs();

-- Whether any tenant of whom fewer jobs run has some that wait; when time alone does something next; the time.
CREATE FUNCTION compute.look_at_jobs(most_of_tenant bigint, OUT waiting boolean, OUT next bigint, OUT now bigint)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
    PERFORM set_config('compute.jobs', 'all', true);
    waiting := EXISTS (SELECT 1 FROM compute.job_counts c WHERE c.waiting > 0 AND c.running < most_of_tenant);
    next := LEAST(
        (SELECT j.run_after FROM compute.jobs j WHERE j.state = 0 AND j.run_after IS NOT NULL ORDER BY j.run_after LIMIT 1),
        (SELECT j.lease FROM compute.jobs j WHERE j.state = 2 ORDER BY j.lease LIMIT 1),
        (SELECT j.deadline FROM compute.jobs j WHERE j.state < 2 AND j.deadline IS NOT NULL ORDER BY j.deadline LIMIT 1),
        (SELECT s.next FROM compute.schedules s ORDER BY s.next LIMIT 1));
    now := extract(epoch FROM clock_timestamp()) * 1000;
    PERFORM set_config('compute.jobs', '', true);
END $$;

-- The part of each limit that a node gets for a time: that of its demand in all that is told, as far as others have not got it still. Who
-- asks for the same waits, and limits come in one order, so that no two wait for each other.
CREATE FUNCTION compute.share(of_node bigint, lease bigint, tenants text[], whats smallint[], demands float8[], OUT parts float8[])
LANGUAGE plpgsql AS $$
DECLARE
    wanted record;
    others record;
    moment bigint;
BEGIN
    PERFORM set_config('compute.jobs', 'all', true);
    parts := array_fill(0::float8, ARRAY[cardinality(tenants)]);
    FOR wanted IN
        SELECT w.*, hashtextextended(w.tenant, w.what) AS turn
        FROM unnest(tenants, whats, demands) WITH ORDINALITY w (tenant, what, demand, place) ORDER BY turn
    LOOP
        PERFORM pg_advisory_xact_lock(wanted.turn);
        moment := extract(epoch FROM clock_timestamp()) * 1000;
        DELETE FROM compute.shares s WHERE s.tenant = wanted.tenant AND s.what = wanted.what
            AND (s.until <= moment OR s.node = of_node AND wanted.demand <= 0);
        CONTINUE WHEN wanted.demand <= 0;
        SELECT COALESCE(sum(s.demand), 0) AS demand, COALESCE(sum(s.part), 0) AS part INTO others
        FROM compute.shares s WHERE s.tenant = wanted.tenant AND s.what = wanted.what AND s.node <> of_node;
        parts[wanted.place] := GREATEST(LEAST(wanted.demand / (wanted.demand + others.demand), 1 - others.part), 0);
        INSERT INTO compute.shares AS s (tenant, what, node, demand, part, until)
        VALUES (wanted.tenant, wanted.what, of_node, wanted.demand, parts[wanted.place], moment + lease)
        ON CONFLICT (tenant, what, node) DO UPDATE
            SET demand = excluded.demand, part = excluded.part, until = excluded.until;
    END LOOP;
    PERFORM set_config('compute.jobs', '', true);
END $$;

-- A transaction says whose it is. What a statement forgets to say is refused here, whoever owns the tables.
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['stacks', 'versions', 'files', 'refs', 'shadows', 'rollouts', 'secrets', 'traces',
        'audit', 'audit_gone'] LOOP
        EXECUTE format('ALTER TABLE compute.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE compute.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY of_tenant ON compute.%I USING (tenant = current_setting(''compute.tenant'', true))', name);
    END LOOP;
    -- Whoever runs jobs, adds what was used or asks for shares says that, and sees those of all.
    FOREACH name IN ARRAY ARRAY['jobs', 'job_counts', 'gone_outputs', 'schedules', 'usage', 'shares'] LOOP
        EXECUTE format('ALTER TABLE compute.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE compute.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY of_tenant ON compute.%I USING ((SELECT COALESCE(current_setting(''compute.jobs'', true) = ''all'', false))
                OR tenant = (SELECT current_setting(''compute.tenant'', true)))', name);
    END LOOP;
END $$;
