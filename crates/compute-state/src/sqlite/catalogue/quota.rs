//! How much a tenant may keep in its catalogue.

use rusqlite::Connection;

use super::SqliteCatalogue;
use crate::{Draft, File, StacksError, StateError};

/// The bytes of files, as they count.
pub(super) fn bytes_of(files: &[File]) -> i64 {
    let bytes: usize = files.iter().map(|file| file.path.len() + file.text.len()).sum();
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl SqliteCatalogue {
    /// That what a change leaves is within the quotas; else the change must not be committed.
    pub(super) fn within_quota(
        &self,
        change: &Connection,
        Draft { stack, number }: &Draft,
    ) -> Result<(), StacksError> {
        let quotas = &self.quotas;
        let count = |query: &str, of: &[&str]| -> Result<u64, StateError> {
            let of = rusqlite::params_from_iter(of);
            let count: i64 = self.sql(change.query_row(query, of, |row| row.get(0)))?;
            Ok(u64::try_from(count).unwrap_or(u64::MAX))
        };
        let never = "FROM versions WHERE activated IS NULL";
        let number = number.to_string();
        let limits: [(&str, u64, String, &[&str]); 6] = [
            (
                "bytes of files of a version",
                quotas.version_bytes,
                "SELECT COALESCE(SUM(bytes), 0) FROM versions WHERE stack = ?1 AND number = ?2"
                    .into(),
                &[stack.as_str(), &number],
            ),
            ("stacks", quotas.stacks, "SELECT COUNT(*) FROM stacks".into(), &[]),
            (
                "versions that were never active",
                quotas.drafts,
                format!("SELECT COUNT(*) {never}"),
                &[],
            ),
            (
                "bytes of files of versions that were never active",
                quotas.draft_bytes,
                format!("SELECT COALESCE(SUM(bytes), 0) {never}"),
                &[],
            ),
            (
                "versions of a stack",
                quotas.versions,
                "SELECT COUNT(*) FROM versions WHERE stack = ?1".into(),
                &[stack.as_str()],
            ),
            (
                "bytes of files",
                quotas.bytes,
                "SELECT COALESCE(SUM(bytes), 0) FROM versions".into(),
                &[],
            ),
        ];
        for (what, limit, query, of) in limits {
            if count(&query, of)? > limit {
                return Err(StacksError::Quota { what, limit });
            }
        }
        Ok(())
    }
}
