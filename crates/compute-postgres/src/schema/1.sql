CREATE SCHEMA IF NOT EXISTS compute;

CREATE TABLE compute.format (
    version int NOT NULL,
    key_check bytea             -- sealed with the key of all nodes' vaults
);
INSERT INTO compute.format VALUES (0, NULL);

-- How often tokens were changed.
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

CREATE TABLE compute.secrets (
    tenant text COLLATE "C" NOT NULL REFERENCES compute.tenants,
    name text COLLATE "C" NOT NULL,
    sealed bytea NOT NULL,
    set_at bigint NOT NULL,
    PRIMARY KEY (tenant, name)
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

-- A transaction says whose it is. What a statement forgets to say is refused here, whoever owns the tables.
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['stacks', 'versions', 'files', 'refs', 'shadows', 'secrets', 'traces'] LOOP
        EXECUTE format('ALTER TABLE compute.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE compute.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY of_tenant ON compute.%I USING (tenant = current_setting(''compute.tenant'', true))', name);
    END LOOP;
END $$;
