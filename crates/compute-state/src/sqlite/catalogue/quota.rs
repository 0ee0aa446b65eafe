//! How much a tenant may keep in its catalogue.

use rusqlite::{Connection, params};

use super::SqliteCatalogue;
use crate::{CatalogueSizes, Draft, File, StacksError};

/// The bytes of files, as they are kept.
pub(super) fn kept_bytes(files: &[File]) -> i64 {
    i64::try_from(File::bytes_of(files)).unwrap_or(i64::MAX)
}

/// What there is: of a version, its stack, and all stacks.
const SIZES: &str = "SELECT
    COALESCE(SUM(bytes) FILTER (WHERE stack = ?1 AND number = ?2), 0),
    (SELECT COUNT(*) FROM stacks),
    COUNT(*) FILTER (WHERE activated IS NULL),
    COALESCE(SUM(bytes) FILTER (WHERE activated IS NULL), 0),
    COUNT(*) FILTER (WHERE stack = ?1),
    COALESCE(SUM(bytes), 0)
    FROM versions";

impl SqliteCatalogue {
    /// That what a change leaves is within the quotas; else the change must not be committed.
    pub(super) fn within_quota(
        &self,
        change: &Connection,
        Draft { stack, number, .. }: &Draft,
    ) -> Result<(), StacksError> {
        let sizes = change.query_row(SIZES, params![stack.as_str(), number], |row| {
            let size = |column| row.get(column).map(|size: i64| size.unsigned_abs());
            Ok(CatalogueSizes {
                version_bytes: size(0)?,
                stacks: size(1)?,
                drafts: size(2)?,
                draft_bytes: size(3)?,
                versions: size(4)?,
                bytes: size(5)?,
            })
        });
        self.quotas.hold(&self.sql(sizes)?)
    }
}
