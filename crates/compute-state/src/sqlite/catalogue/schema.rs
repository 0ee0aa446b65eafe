//! The catalogue's tables, and how older ones become the newest.

use crate::sqlite::audit;

/// Each step from one format to the next; `user_version` counts those that were taken. Steps that were
/// released are never changed.
pub(super) const MIGRATIONS: [&str; 7] = [
    "
CREATE TABLE stacks (
    name TEXT PRIMARY KEY,
    active INTEGER
) STRICT;
CREATE TABLE versions (
    stack TEXT NOT NULL REFERENCES stacks (name),
    number INTEGER NOT NULL,
    hash TEXT NOT NULL,
    created INTEGER NOT NULL,   -- milliseconds since 1970
    activated INTEGER,          -- when it last became active
    PRIMARY KEY (stack, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE files (
    stack TEXT NOT NULL,
    number INTEGER NOT NULL,
    path TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (stack, number, path),
    FOREIGN KEY (stack, number) REFERENCES versions (stack, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE refs (
    stack TEXT NOT NULL,
    number INTEGER NOT NULL,
    ref TEXT NOT NULL,
    PRIMARY KEY (stack, number, ref),
    FOREIGN KEY (stack, number) REFERENCES versions (stack, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX refs_by_ref ON refs (ref);
CREATE TABLE changes (
    number INTEGER NOT NULL     -- how often what is active was changed
) STRICT;
INSERT INTO changes VALUES (0);
",
    "
CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    sealed BLOB NOT NULL,       -- as `Vault::seal` gives it
    set_at INTEGER NOT NULL     -- milliseconds since 1970
) STRICT, WITHOUT ROWID;
",
    "
ALTER TABLE versions ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;  -- of the paths and texts of its files
UPDATE versions SET bytes = (
    SELECT COALESCE(SUM(OCTET_LENGTH(path) + OCTET_LENGTH(text)), 0) FROM files
    WHERE files.stack = versions.stack AND files.number = versions.number
);
",
    "
ALTER TABLE stacks ADD COLUMN record TEXT;  -- what is recorded of its documents, as JSON
CREATE TABLE tenant (
    record TEXT                 -- what is recorded besides, as JSON
) STRICT;
INSERT INTO tenant VALUES (NULL);
CREATE TABLE shadows (
    stack TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    share INTEGER NOT NULL,     -- millionths
    FOREIGN KEY (stack, number) REFERENCES versions (stack, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE rollouts (
    stack TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    share INTEGER NOT NULL,     -- millionths
    path TEXT NOT NULL,
    FOREIGN KEY (stack, number) REFERENCES versions (stack, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
",
    audit::SCHEMA,
    "
-- What gets documents never changes, shadows too.
UPDATE versions SET activated = CAST(unixepoch('subsec') * 1000 AS INTEGER)
WHERE activated IS NULL AND (stack, number) IN (SELECT stack, number FROM shadows);
",
];

/// All stacks, with what is active.
pub(super) const STACKS: &str = "
SELECT s.name, s.active, (SELECT COUNT(*) FROM versions v WHERE v.stack = s.name),
    (SELECT activated FROM versions v WHERE v.stack = s.name AND v.number = s.active)
FROM stacks s ORDER BY s.name";

/// The versions of a stack, or one of them, the newest first.
pub(super) const VERSIONS: &str = "
SELECT v.stack, v.number, v.hash, v.created, v.activated, v.number IS s.active,
    (SELECT COUNT(*) FROM files f WHERE f.stack = v.stack AND f.number = v.number AND f.path LIKE '%.txcl')
FROM versions v JOIN stacks s ON s.name = v.stack
WHERE v.stack = ?1 AND (?2 IS NULL OR v.number = ?2) ORDER BY v.number DESC";
