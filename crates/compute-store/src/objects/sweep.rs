//! Deletes what is not kept: artifacts, attachments and the remains of dead writers.

use std::collections::HashSet;
use std::path::Path as FilePath;
use std::time::SystemTime;

use compute::Ref;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _};

use super::{
    ATTACHMENTS, COMPUTES, MANIFEST_ENDING, ObjectArtifacts, bytes_key, ref_of, ref_of_manifest,
};
use crate::{StoreError, SweepReport};

pub(super) async fn sweep(
    store: ObjectArtifacts,
    keep: HashSet<Ref>,
    before: Timestamp,
    dry_run: bool,
) -> Result<SweepReport, StoreError> {
    let mut sweep = Sweep { store, before, dry_run, report: SweepReport::default() };
    let left = sweep.artifacts(&keep).await?;
    sweep.attachments(&left).await?;
    sweep.staged_files()?;
    Ok(sweep.report)
}

struct Sweep {
    store: ObjectArtifacts,
    before: Timestamp,
    dry_run: bool,
    report: SweepReport,
}

impl Sweep {
    /// Sweeps the attachments that none of the artifacts left names. A manifest that cannot be read may
    /// name any, so it stops the sweep.
    async fn attachments(&mut self, left: &[Ref]) -> Result<(), StoreError> {
        let mut used = HashSet::new();
        for reference in left {
            used.extend(self.store.manifest(reference).await?.attachments.into_values());
        }
        for object in self.list(ATTACHMENTS).await? {
            let Some(reference) = ref_of(&object.location, "") else { continue };
            if !used.contains(&reference) && self.is_old(&object) {
                self.delete(&object).await?;
                self.report.attachments.push(reference);
            }
        }
        Ok(())
    }

    /// Sweeps artifacts, and says which are left.
    async fn artifacts(&mut self, keep: &HashSet<Ref>) -> Result<Vec<Ref>, StoreError> {
        let objects = self.list(COMPUTES).await?;

        let mut left = Vec::new();
        for object in &objects {
            let Some(reference) = ref_of_manifest(&object.location) else { continue };
            if keep.contains(&reference) {
                left.push(reference);
            } else if self.is_old(object) {
                self.delete(object).await?;
                self.report.artifacts.push(reference);
            } else {
                left.push(reference);
                self.report.young += 1;
            }
        }
        // Bytes whose manifest went just now, or never came because their writer died.
        let needed: HashSet<_> = left.iter().map(bytes_key).collect();
        let swept: HashSet<_> = self.report.artifacts.iter().map(bytes_key).collect();
        for object in &objects {
            if object.location.as_ref().ends_with(MANIFEST_ENDING)
                || needed.contains(&object.location)
            {
                continue;
            }
            if swept.contains(&object.location) {
                self.delete(object).await?;
            } else if self.is_old(object) {
                self.delete(object).await?;
                self.report.remains += 1;
            }
        }
        Ok(left)
    }

    /// The files that a writer to a folder left when it was killed: `<digest>#<number>`, which object
    /// listings do not show.
    fn staged_files(&mut self) -> Result<(), StoreError> {
        let Some(folder) = self.store.folder.clone() else { return Ok(()) };
        let failed = |error: std::io::Error| StoreError::storage("sweep a folder", error);
        for kind in [COMPUTES, ATTACHMENTS] {
            for alg in read_folder(&folder.join(kind)).map_err(failed)? {
                for file in read_folder(&alg).map_err(failed)? {
                    let data = std::fs::metadata(&file).map_err(failed)?;
                    let written = data.modified().map_err(failed)?;
                    let written =
                        written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                    let old =
                        i128::from(self.before.as_millisecond()) > written.as_millis() as i128;
                    if is_staged(&file) && old {
                        self.report.remains += 1;
                        self.report.bytes += data.len();
                        if !self.dry_run {
                            std::fs::remove_file(&file).map_err(failed)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        let objects = self.store.objects.list(Some(&Path::from(folder)));
        objects.try_collect().await.map_err(|error| StoreError::storage("list", error))
    }

    fn is_old(&self, object: &ObjectMeta) -> bool {
        object.last_modified.timestamp_millis() < self.before.as_millisecond()
    }

    async fn delete(&mut self, object: &ObjectMeta) -> Result<(), StoreError> {
        self.report.bytes += object.size;
        if self.dry_run {
            return Ok(());
        }
        match self.store.objects.delete(&object.location).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(StoreError::storage("delete", error)),
        }
    }
}

fn is_staged(file: &FilePath) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.rsplit_once('#').is_some_and(|(_, number)| number.parse::<u64>().is_ok())
}

/// What is in a folder; nothing if there is no such folder.
fn read_folder(folder: &FilePath) -> std::io::Result<Vec<std::path::PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
