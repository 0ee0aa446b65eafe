//! Changes to versions that were never active, and what ends them.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::quota::kept_bytes;
use super::{SqliteCatalogue, files};
use crate::{Deed, Draft, File, StacksError, manifest_hash};

impl SqliteCatalogue {
    /// Writes a file of a version that was never active, or takes it away.
    pub(super) fn edit_file(
        &self,
        draft: &Draft,
        path: &str,
        text: Option<&str>,
    ) -> Result<(), StacksError> {
        let Draft { stack, number, .. } = draft;
        let name = stack.as_str();
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        self.changeable(&change, draft)?;
        match text {
            Some(text) => {
                self.sql(change.execute(
                    "INSERT OR REPLACE INTO files (stack, number, path, text) VALUES (?1, ?2, ?3, ?4)",
                    params![name, number, path, text],
                ))?;
            }
            None => {
                let gone = self.sql(change.execute(
                    "DELETE FROM files WHERE stack = ?1 AND number = ?2 AND path = ?3",
                    params![name, number, path],
                ))?;
                if gone == 0 {
                    return Err(StacksError::NoFile {
                        stack: stack.clone(),
                        number: *number,
                        path: path.chars().take(200).collect(),
                    });
                }
            }
        }
        let files = self.sql(files(&change, stack, *number))?;
        let hash = manifest_hash(&files);
        self.sql(change.execute(
            "UPDATE versions SET hash = ?3, bytes = ?4 WHERE stack = ?1 AND number = ?2",
            params![name, number, hash, kept_bytes(&files)],
        ))?;
        self.sql(
            change.execute(
                "DELETE FROM refs WHERE stack = ?1 AND number = ?2",
                params![name, number],
            ),
        )?;
        self.sql(keep_refs(&change, draft, &files))?;
        self.within_quota(&change, draft)?;
        Ok(self.commit(change, Deed::draft_edit(draft, path, &hash))?)
    }

    /// That a version is there, and was never active.
    pub(super) fn changeable(
        &self,
        connection: &Connection,
        draft: &Draft,
    ) -> Result<(), StacksError> {
        let Draft { stack, number, .. } = draft;
        let activated: Option<Option<i64>> = self.sql(
            connection
                .query_row(
                    "SELECT activated FROM versions WHERE stack = ?1 AND number = ?2",
                    params![stack.as_str(), number],
                    |row| row.get(0),
                )
                .optional(),
        )?;
        match activated {
            None => Err(StacksError::NoVersion { stack: stack.clone(), number: *number }),
            Some(Some(_)) => Err(StacksError::Immutable { stack: stack.clone(), number: *number }),
            Some(None) => Ok(()),
        }
    }

    /// That a version is there, with the files that it must have.
    pub(super) fn unchanged(
        &self,
        change: &Transaction<'_>,
        version: &Draft,
    ) -> Result<(), StacksError> {
        let Draft { stack, number, hash } = version;
        let kept = "SELECT hash FROM versions WHERE stack = ?1 AND number = ?2";
        let kept = change.query_row(kept, params![stack.as_str(), number], |row| row.get(0));
        let kept: Option<String> = self.sql(kept.optional())?;
        let (stack, number) = (stack.clone(), *number);
        match (kept, hash) {
            (None, _) => Err(StacksError::NoVersion { stack, number }),
            (Some(kept), Some(hash)) if kept != *hash => {
                Err(StacksError::Changed { stack, number })
            }
            _ => Ok(()),
        }
    }

    /// The same, and that it never changes from now on.
    pub(super) fn freeze(
        &self,
        change: &Transaction<'_>,
        version: &Draft,
    ) -> Result<(), StacksError> {
        self.unchanged(change, version)?;
        let freeze = "UPDATE versions SET activated = ?3
            WHERE stack = ?1 AND number = ?2 AND activated IS NULL";
        let now = Timestamp::now().as_millisecond();
        self.sql(change.execute(freeze, params![version.stack.as_str(), version.number, now]))?;
        Ok(())
    }
}

/// Keeps the files of a version that has none.
pub(super) fn keep_files(
    change: &Transaction<'_>,
    draft: &Draft,
    files: &[File],
) -> rusqlite::Result<()> {
    let insert = "INSERT INTO files (stack, number, path, text) VALUES (?1, ?2, ?3, ?4)";
    for file in files {
        change
            .execute(insert, params![draft.stack.as_str(), draft.number, file.path, file.text])?;
    }
    keep_refs(change, draft, files)
}

/// Keeps what the files of a version name.
fn keep_refs(change: &Transaction<'_>, draft: &Draft, files: &[File]) -> rusqlite::Result<()> {
    for file in files.iter().filter(|file| file.is_rule()) {
        for reference in compute::scan_refs(&file.text) {
            change.execute(
                "INSERT OR IGNORE INTO refs (stack, number, ref) VALUES (?1, ?2, ?3)",
                params![draft.stack.as_str(), draft.number, reference.as_str()],
            )?;
        }
    }
    Ok(())
}
