//! How much a tenant may keep in its catalogue.

use rusqlite::Connection;

use super::{Catalogue, CatalogueError, Result};
use crate::{File, StackName};

/// How many stacks.
const MAX_STACKS: u64 = 1000;
/// How many versions that were never active.
const MAX_DRAFTS: u64 = 1000;
/// How many bytes all files of versions that were never active have: 256 MiB.
const MAX_DRAFT_BYTES: u64 = 256 << 20;
/// How many versions one stack has.
const MAX_VERSIONS: u64 = 10_000;
/// How many bytes all files have: 1 GiB.
const MAX_BYTES: u64 = 1 << 30;

/// The bytes of files, as they count.
pub(super) fn bytes_of(files: &[File]) -> i64 {
    let bytes: usize = files.iter().map(|file| file.path.len() + file.text.len()).sum();
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Catalogue {
    /// That what a change leaves is within the quotas; else the change must not be committed.
    pub(super) fn within_quota(&self, change: &Connection, stack: &StackName) -> Result<()> {
        let count = |query: &str, of: &[&str]| -> Result<u64> {
            let of = rusqlite::params_from_iter(of);
            let count: i64 = self.sql(change.query_row(query, of, |row| row.get(0)))?;
            Ok(u64::try_from(count).unwrap_or(u64::MAX))
        };
        let never = "FROM versions WHERE activated IS NULL";
        let limits: [(&str, u64, String, &[&str]); 5] = [
            ("stacks", MAX_STACKS, "SELECT COUNT(*) FROM stacks".into(), &[]),
            (
                "versions that were never active",
                MAX_DRAFTS,
                format!("SELECT COUNT(*) {never}"),
                &[],
            ),
            (
                "bytes of files of versions that were never active",
                MAX_DRAFT_BYTES,
                format!("SELECT COALESCE(SUM(bytes), 0) {never}"),
                &[],
            ),
            (
                "versions of a stack",
                MAX_VERSIONS,
                "SELECT COUNT(*) FROM versions WHERE stack = ?1".into(),
                &[stack.as_str()],
            ),
            (
                "bytes of files",
                MAX_BYTES,
                "SELECT COALESCE(SUM(bytes), 0) FROM versions".into(),
                &[],
            ),
        ];
        for (what, limit, query, of) in limits {
            if count(&query, of)? > limit {
                return Err(CatalogueError::Quota { what, limit });
            }
        }
        Ok(())
    }
}
