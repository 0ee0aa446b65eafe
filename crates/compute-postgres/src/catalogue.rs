//! The versions of stacks, and which of them are active.

mod policies;
mod rollouts;
mod secrets;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use compute::Ref;
use compute_state::{
    ActiveStack, Catalogue, CatalogueSizes, Deed, Draft, File, RecordPolicies, RecordPolicy,
    Rollout, Running, Shadow, StackName, Stacks, StacksError, StateError, StateQuotas, TenantName,
    Version, VersionInfo, manifest_hash,
};
use jiff::Timestamp;
use tokio_postgres::Row;

use crate::database::released::{RELEASING, SCHEDULED};
use crate::database::{Change, Database, Seen, Stop};

/// The time, by the database's clock.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// For how long it is remembered, so that who was cut off meanwhile is told, in milliseconds.
const REMEMBERED: i64 = 24 * 3_600_000;

const STACKS: &str = "
SELECT s.name, s.active, (SELECT count(*)::int FROM compute.versions v WHERE v.tenant = $1 AND v.stack = s.name),
    (SELECT activated FROM compute.versions v WHERE v.tenant = $1 AND v.stack = s.name AND v.number = s.active)
FROM compute.stacks s WHERE s.tenant = $1 ORDER BY s.name";

/// Versions and what is known of them; what follows says which.
const VERSIONS: &str = "
SELECT v.stack, v.number, v.hash, v.created, v.activated, COALESCE(v.number = s.active, false), v.rules
FROM compute.versions v JOIN compute.stacks s ON s.tenant = $1 AND s.name = v.stack WHERE v.tenant = $1";

#[derive(Debug)]
pub(crate) struct PostgresCatalogue {
    database: Arc<Database>,
    tenant: TenantName,
    quotas: StateQuotas,
    /// The change number, as far as it is known here.
    number: Arc<AtomicI64>,
}

type Stopped = Stop<StacksError>;

impl PostgresCatalogue {
    pub(crate) fn open(
        database: Arc<Database>,
        tenant: TenantName,
        quotas: StateQuotas,
    ) -> Result<Self, StateError> {
        // What changes from now on is told; what was changed before is read after.
        let number = database.watch.follow(&tenant);
        let now: i64 = database.read(&tenant, async |read| {
            let query = "SELECT change FROM compute.tenants WHERE name = $1";
            let row = read.row_if_any(query, &[&read.tenant]).await?;
            Ok::<_, Stop<StateError>>(row.map_or(0, |row| row.get(0)))
        })?;
        number.fetch_max(now, Ordering::AcqRel);
        Ok(Self { database, tenant, quotas, number })
    }

    fn change<T>(
        &self,
        seen: Seen,
        deed: impl Fn(&T) -> Option<Deed>,
        work: impl AsyncFn(&Change<'_>) -> Result<T, Stopped>,
    ) -> Result<T, StacksError> {
        self.database.change(&self.tenant, seen, deed, work)
    }

    fn read<T>(
        &self,
        work: impl AsyncFn(&Change<'_>) -> Result<T, Stopped>,
    ) -> Result<T, StacksError> {
        self.database.read(&self.tenant, work)
    }

    /// That what a change leaves is within the quotas; else it must not be committed.
    async fn within_quota(&self, change: &Change<'_>, draft: &Draft) -> Result<(), Stopped> {
        let Draft { stack, number, .. } = draft;
        let sizes = "SELECT
            COALESCE(sum(bytes) FILTER (WHERE stack = $2 AND number = $3), 0)::bigint,
            (SELECT count(*) FROM compute.stacks WHERE tenant = $1),
            count(*) FILTER (WHERE activated IS NULL),
            COALESCE(sum(bytes) FILTER (WHERE activated IS NULL), 0)::bigint,
            count(*) FILTER (WHERE stack = $2),
            COALESCE(sum(bytes), 0)::bigint
            FROM compute.versions WHERE tenant = $1";
        let row =
            change.row(sizes, &[&change.tenant, &stack.as_str(), &number_of(*number)]).await?;
        let size = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
        let sizes = CatalogueSizes {
            version_bytes: size(0),
            stacks: size(1),
            drafts: size(2),
            draft_bytes: size(3),
            versions: size(4),
            bytes: size(5),
        };
        self.quotas.hold(&sizes).map_err(Stop::Told)
    }

    /// Keeps the files of a version that has none, and what it is known by.
    async fn keep_files(
        change: &Change<'_>,
        draft: &Draft,
        files: &[File],
    ) -> Result<(), tokio_postgres::Error> {
        let (name, number) = (draft.stack.as_str(), number_of(draft.number));
        let paths: Vec<_> = files.iter().map(|file| file.path.as_bytes()).collect();
        let texts: Vec<_> = files.iter().map(|file| file.text.as_bytes()).collect();
        let insert = "INSERT INTO compute.files (tenant, stack, number, key, path, text)
            SELECT $1, $2, $3::int, sha256(path), path, text
            FROM unnest($4::bytea[], $5::bytea[]) AS of(path, text)";
        change.does(insert, &[&change.tenant, &name, &number, &paths, &texts]).await?;
        Self::describe(change, draft, files).await.map(drop)
    }

    /// Keeps what a version is known by, and what its files name, in place of what was. The hash of its files.
    async fn describe(
        change: &Change<'_>,
        draft: &Draft,
        files: &[File],
    ) -> Result<String, tokio_postgres::Error> {
        let (stack, number) = (draft.stack.as_str(), number_of(draft.number));
        let rules = files.iter().filter(|file| file.is_rule());
        let count = i32::try_from(rules.clone().count()).unwrap_or(i32::MAX);
        let update = "UPDATE compute.versions SET hash = $4, bytes = $5, rules = $6
            WHERE tenant = $1 AND stack = $2 AND number = $3";
        let bytes = i64::try_from(File::bytes_of(files)).unwrap_or(i64::MAX);
        let hash = manifest_hash(files);
        change.does(update, &[&change.tenant, &stack, &number, &hash, &bytes, &count]).await?;
        let delete = "DELETE FROM compute.refs WHERE tenant = $1 AND stack = $2 AND number = $3";
        change.does(delete, &[&change.tenant, &stack, &number]).await?;
        let refs = rules.flat_map(|file| compute::scan_refs(&file.text));
        let refs: Vec<_> = refs.map(|reference| reference.as_str().to_owned()).collect();
        let insert = "INSERT INTO compute.refs (tenant, stack, number, ref)
            SELECT DISTINCT $1, $2, $3::int, ref FROM unnest($4::text[]) AS of(ref)";
        change.does(insert, &[&change.tenant, &stack, &number, &refs]).await?;
        Ok(hash)
    }

    /// That nothing that a version names is about to go.
    async fn all_there(change: &Change<'_>, draft: &Draft) -> Result<(), Stopped> {
        let query = format!(
            "SELECT r.ref FROM compute.refs r JOIN compute.released d ON d.tenant = r.tenant AND d.ref = r.ref
             WHERE r.tenant = $1 AND r.stack = $2 AND r.number = $3 AND d.at > {NOW} - $4 LIMIT 1"
        );
        let (stack, number) = (draft.stack.as_str(), number_of(draft.number));
        let row = change.row_if_any(&query, &[&change.tenant, &stack, &number, &RELEASING]).await?;
        let released = row.and_then(|row| row.get::<_, &str>(0).parse().ok());
        released.map_or(Ok(()), |one| Err(Stop::Told(StacksError::Released(one))))
    }

    /// That a version is there, and was never active.
    async fn changeable(change: &Change<'_>, draft: &Draft) -> Result<(), Stopped> {
        let Draft { stack, number, .. } = draft;
        let query = "SELECT activated FROM compute.versions
            WHERE tenant = $1 AND stack = $2 AND number = $3";
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&change.tenant, &stack.as_str(), &number_of(*number)];
        let row = change.row_if_any(query, &values).await?;
        let (stack, number) = (stack.clone(), *number);
        match row.map(|row| row.get::<_, Option<i64>>(0)) {
            None => Err(Stop::Told(StacksError::NoVersion { stack, number })),
            Some(Some(_)) => Err(Stop::Told(StacksError::Immutable { stack, number })),
            Some(None) => Ok(()),
        }
    }

    /// That a version is there, with the files that it must have.
    async fn unchanged(change: &Change<'_>, version: &Draft) -> Result<(), Stopped> {
        let Draft { stack, number, hash, .. } = version;
        let info = info(change, stack, *number).await?;
        match hash {
            Some(hash) if info.hash != *hash => {
                let (stack, number) = (stack.clone(), *number);
                Err(Stop::Told(StacksError::Changed { stack, number }))
            }
            _ => Ok(()),
        }
    }

    /// The same, and that it never changes from now on.
    async fn freeze(change: &Change<'_>, version: &Draft) -> Result<(), Stopped> {
        Self::unchanged(change, version).await?;
        let freeze = format!(
            "UPDATE compute.versions SET activated = {NOW}
             WHERE tenant = $1 AND stack = $2 AND number = $3 AND activated IS NULL"
        );
        let (stack, number) = (version.stack.as_str(), number_of(version.number));
        change.does(&freeze, &[&change.tenant, &stack, &number]).await?;
        Ok(())
    }

    /// Makes versions active, each for all documents of its stack.
    async fn make_active(change: &Change<'_>, versions: &[Draft]) -> Result<(), Stopped> {
        for version in versions {
            Self::unchanged(change, version).await?;
            let (name, kept) = (version.stack.as_str(), number_of(version.number));
            let update = format!(
                "UPDATE compute.versions SET activated = {NOW} WHERE tenant = $1 AND stack = $2 AND number = $3"
            );
            change.does(&update, &[&change.tenant, &name, &kept]).await?;
            let update = "UPDATE compute.stacks SET active = $3 WHERE tenant = $1 AND name = $2";
            change.does(update, &[&change.tenant, &name, &kept]).await?;
            rollouts::delete(change, &version.stack).await?;
        }
        Ok(())
    }
}

/// A version's number as it is kept. None is as large as one that cannot be.
fn number_of(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn no_version(stack: &StackName, number: u32) -> Stopped {
    Stop::Told(StacksError::NoVersion { stack: stack.clone(), number })
}

/// What is kept there is not what this program writes.
fn unreadable(what: &'static str) -> Stopped {
    Stop::Told(StateError::failed(what, "it cannot be read").into())
}

fn stack_of(row: &Row, column: usize) -> Result<StackName, Stopped> {
    row.get::<_, &str>(column).parse().map_err(|_| unreadable("the name of a stack"))
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn whole(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn info_of(row: &Row) -> Result<VersionInfo, Stopped> {
    Ok(VersionInfo {
        stack: stack_of(row, 0)?,
        number: whole(row.get(1)),
        hash: row.get(2),
        created: time(row.get(3)),
        activated: row.get::<_, Option<i64>>(4).map(time),
        active: row.get(5),
        rules: whole(row.get(6)),
    })
}

async fn info(read: &Change<'_>, stack: &StackName, number: u32) -> Result<VersionInfo, Stopped> {
    let query = format!("{VERSIONS} AND v.stack = $2 AND v.number = $3");
    let row = read.row_if_any(&query, &[&read.tenant, &stack.as_str(), &number_of(number)]).await?;
    info_of(&row.ok_or_else(|| no_version(stack, number))?)
}

async fn files(read: &Change<'_>, stack: &StackName, number: u32) -> Result<Vec<File>, Stopped> {
    let query = "SELECT path, text FROM compute.files
        WHERE tenant = $1 AND stack = $2 AND number = $3 ORDER BY path";
    let rows = read.rows(query, &[&read.tenant, &stack.as_str(), &number_of(number)]).await?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| unreadable("a file"));
    rows.iter().map(|row| Ok(File { path: text(row.get(0))?, text: text(row.get(1))? })).collect()
}

impl Stacks for PostgresCatalogue {
    fn stacks(&self) -> Result<Vec<ActiveStack>, StacksError> {
        self.read(async |read| {
            let rows = read.rows(STACKS, &[&read.tenant]).await?;
            let stack = |row: &Row| {
                Ok(ActiveStack {
                    stack: stack_of(row, 0)?,
                    active: row.get::<_, Option<i32>>(1).map(whole),
                    versions: whole(row.get(2)),
                    activated: row.get::<_, Option<i64>>(3).map(time),
                })
            };
            rows.iter().map(stack).collect()
        })
    }

    fn versions(&self, stack: &StackName) -> Result<Vec<VersionInfo>, StacksError> {
        self.read(async |read| {
            let query = format!("{VERSIONS} AND v.stack = $2 ORDER BY v.number DESC");
            let rows = read.rows(&query, &[&read.tenant, &stack.as_str()]).await?;
            if rows.is_empty() {
                return Err(Stop::Told(StacksError::NoStack(stack.clone())));
            }
            rows.iter().map(info_of).collect()
        })
    }

    fn version(&self, stack: &StackName, number: u32) -> Result<Version, StacksError> {
        self.read(async |read| {
            let info = info(read, stack, number).await?;
            Ok(Version::new(info, files(read, stack, number).await?))
        })
    }

    fn info(&self, stack: &StackName, number: u32) -> Result<VersionInfo, StacksError> {
        self.read(async |read| info(read, stack, number).await)
    }

    fn active(&self, stack: &StackName) -> Result<Option<Version>, StacksError> {
        self.read(async |read| {
            let query = format!("{VERSIONS} AND v.stack = $2 AND v.number = s.active");
            let row = read.row_if_any(&query, &[&read.tenant, &stack.as_str()]).await?;
            let Some(row) = row else { return Ok(None) };
            let info = info_of(&row)?;
            let files = files(read, stack, info.number).await?;
            Ok(Some(Version::new(info, files)))
        })
    }

    fn draft(&self, stack: &StackName, files: &[File]) -> Result<Draft, StacksError> {
        let (name, hash) = (stack.as_str(), manifest_hash(files));
        let made =
            |(draft, is_new): &(Draft, bool)| is_new.then(|| Deed::draft_create(draft, &hash));
        let drafted = self.change(Seen::ByReaders, made, async |change| {
            let same = "SELECT number FROM compute.versions
                WHERE tenant = $1 AND stack = $2 AND hash = $3 ORDER BY number DESC LIMIT 1";
            if let Some(row) = change.row_if_any(same, &[&change.tenant, &name, &hash]).await? {
                return Ok((Draft::new(stack.clone(), whole(row.get(0))), false));
            }
            let insert =
                "INSERT INTO compute.stacks (tenant, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            change.does(insert, &[&change.tenant, &name]).await?;
            let insert = format!(
                "INSERT INTO compute.versions (tenant, stack, number, hash, created, bytes, rules)
                 SELECT $1, $2, COALESCE(max(number), 0) + 1, $3, {NOW}, 0, 0
                 FROM compute.versions WHERE tenant = $1 AND stack = $2 RETURNING number"
            );
            let number: i32 = change.row(&insert, &[&change.tenant, &name, &hash]).await?.get(0);
            let draft = Draft::new(stack.clone(), whole(number));
            Self::keep_files(change, &draft, files).await?;
            Self::all_there(change, &draft).await?;
            self.within_quota(change, &draft).await?;
            Ok((draft, true))
        });
        Ok(drafted?.0)
    }

    fn edit(&self, draft: &Draft, path: &str, text: Option<&str>) -> Result<(), StacksError> {
        let Draft { stack, number, .. } = draft;
        let (name, kept_number) = (stack.as_str(), number_of(*number));
        let edited = |hash: &String| Some(Deed::draft_edit(draft, path, hash));
        let hash = self.change(Seen::ByReaders, edited, async |change| {
            Self::changeable(change, draft).await?;
            let path_bytes = path.as_bytes();
            match text {
                Some(text) => {
                    let put = "INSERT INTO compute.files (tenant, stack, number, key, path, text)
                        VALUES ($1, $2, $3, sha256($4), $4, $5)
                        ON CONFLICT (tenant, stack, number, key) DO UPDATE SET text = excluded.text";
                    let text = text.as_bytes();
                    change
                        .does(put, &[&change.tenant, &name, &kept_number, &path_bytes, &text])
                        .await?;
                }
                None => {
                    let delete = "DELETE FROM compute.files
                        WHERE tenant = $1 AND stack = $2 AND number = $3 AND key = sha256($4)";
                    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                        [&change.tenant, &name, &kept_number, &path_bytes];
                    if change.does(delete, &values).await? == 0 {
                        let path = path.chars().take(200).collect();
                        let (stack, number) = (stack.clone(), *number);
                        return Err(Stop::Told(StacksError::NoFile { stack, number, path }));
                    }
                }
            }
            let files = files(change, stack, *number).await?;
            let hash = Self::describe(change, draft, &files).await?;
            Self::all_there(change, draft).await?;
            self.within_quota(change, draft).await?;
            Ok(hash)
        });
        hash.map(drop)
    }

    fn delete_draft(&self, draft: &Draft) -> Result<(), StacksError> {
        let gone = |&(): &()| Deed::draft_delete(std::slice::from_ref(draft));
        self.change(Seen::ByReaders, gone, async |change| {
            Self::changeable(change, draft).await?;
            forget(change, draft).await?;
            Ok(())
        })
    }

    fn forget(&self, drafts: &[Draft]) -> Result<(), StacksError> {
        let gone = |gone: &Vec<Draft>| Deed::draft_delete(gone);
        let gone = self.change(Seen::ByReaders, gone, async |change| {
            let mut gone = Vec::new();
            for draft in drafts {
                if forget(change, draft).await? {
                    gone.push(draft.clone());
                }
            }
            Ok(gone)
        });
        gone.map(drop)
    }

    fn activate(&self, versions: &[Draft]) -> Result<(), StacksError> {
        let deed = |&(): &()| Some(Deed::activate(versions));
        self.change(Seen::ByDocuments, deed, async |change| {
            Self::make_active(change, versions).await
        })
    }

    fn record_policies(&self) -> Result<RecordPolicies, StacksError> {
        self.policies()
    }

    fn set_record_policy(
        &self,
        stack: Option<&StackName>,
        policy: Option<RecordPolicy>,
    ) -> Result<(), StacksError> {
        self.set_policy(stack, policy)
    }

    fn shadows(&self) -> Result<Vec<Shadow>, StacksError> {
        self.all_shadows()
    }

    fn set_shadow(&self, shadow: &Shadow, hash: Option<&str>) -> Result<(), StacksError> {
        self.put_shadow(shadow, hash)
    }

    fn remove_shadow(&self, stack: &StackName) -> Result<(), StacksError> {
        self.delete_shadow(stack)
    }

    fn rollouts(&self) -> Result<Vec<Rollout>, StacksError> {
        self.read(async |read| {
            let rollouts = rollouts::all(read).await?;
            Ok(rollouts.into_iter().map(|(rollout, _)| rollout).collect())
        })
    }

    fn set_rollout(&self, rollout: &Rollout, hash: Option<&str>) -> Result<(), StacksError> {
        self.put_rollout(rollout, hash)
    }

    fn complete_rollout(&self, version: &Draft) -> Result<(), StacksError> {
        self.end_rollout(version)
    }

    fn remove_rollout(&self, version: &Draft) -> Result<(), StacksError> {
        self.delete_rollout(version)
    }
}

/// Forgets a version that was never active, and its stack if that has no other: whether there was one.
async fn forget(change: &Change<'_>, draft: &Draft) -> Result<bool, tokio_postgres::Error> {
    let (name, number) = (draft.stack.as_str(), number_of(draft.number));
    let delete = "DELETE FROM compute.versions
        WHERE tenant = $1 AND stack = $2 AND number = $3 AND activated IS NULL";
    let gone = change.does(delete, &[&change.tenant, &name, &number]).await?;
    let delete = "DELETE FROM compute.stacks WHERE tenant = $1 AND name = $2
        AND NOT EXISTS (SELECT 1 FROM compute.versions WHERE tenant = $1 AND stack = $2)";
    change.does(delete, &[&change.tenant, &name]).await?;
    Ok(gone > 0)
}

impl Catalogue for PostgresCatalogue {
    fn running(&self) -> Result<Running, StacksError> {
        self.read(async |read| {
            let query = format!("{VERSIONS} AND v.number = s.active ORDER BY v.stack");
            let active = read.rows(&query, &[&read.tenant]).await?;
            let active = active.iter().map(info_of).collect::<Result<_, Stopped>>()?;
            Ok(Running { active, rollouts: rollouts::all(read).await? })
        })
    }

    fn change_number(&self) -> Result<i64, StacksError> {
        if self.database.watch.is_stale() {
            return Err(self.database.away().into());
        }
        Ok(self.number.load(Ordering::Acquire))
    }

    fn restore(&self, version: &Version) -> Result<(), StacksError> {
        let info = &version.info;
        let (name, number) = (info.stack.as_str(), number_of(info.number));
        let created = info.created.as_millisecond();
        let activated = info.activated.map(Timestamp::as_millisecond);
        self.change(Seen::ByDocuments, |_| None, async |change| {
            let insert = "INSERT INTO compute.stacks (tenant, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            change.does(insert, &[&change.tenant, &name]).await?;
            let kept = "SELECT hash FROM compute.versions WHERE tenant = $1 AND stack = $2 AND number = $3";
            let kept = change.row_if_any(kept, &[&change.tenant, &name, &number]).await?;
            match kept.map(|row| row.get::<_, String>(0)) {
                Some(hash) if hash == info.hash => {}
                Some(_) => {
                    let (stack, number) = (info.stack.clone(), info.number);
                    return Err(Stop::Told(StacksError::Taken { stack, number }));
                }
                None => {
                    let insert = "INSERT INTO compute.versions
                        (tenant, stack, number, hash, created, bytes, rules) VALUES ($1, $2, $3, $4, $5, 0, 0)";
                    change
                        .does(insert, &[&change.tenant, &name, &number, &info.hash, &created])
                        .await?;
                    let draft = Draft::new(info.stack.clone(), info.number);
                    Self::keep_files(change, &draft, &version.files).await?;
                }
            }
            let update = "UPDATE compute.versions SET created = $4, activated = $5
                WHERE tenant = $1 AND stack = $2 AND number = $3";
            change.does(update, &[&change.tenant, &name, &number, &created, &activated]).await?;
            if info.active {
                let update = "UPDATE compute.stacks SET active = $3 WHERE tenant = $1 AND name = $2";
                change.does(update, &[&change.tenant, &name, &number]).await?;
                let delete = "DELETE FROM compute.rollouts WHERE tenant = $1 AND stack = $2";
                change.does(delete, &[&change.tenant, &name]).await?;
            }
            Ok(())
        })
    }

    fn release(&self, artifact: &Ref) -> Result<bool, StacksError> {
        let artifact = artifact.as_str();
        self.change(
            Seen::ByReaders,
            |_| None,
            async |change| {
                let named = "SELECT 1 FROM compute.refs WHERE tenant = $1 AND ref = $2 LIMIT 1";
                for named in [named, SCHEDULED] {
                    if change.row_if_any(named, &[&change.tenant, &artifact]).await?.is_some() {
                        return Ok(false);
                    }
                }
                let forget = format!("DELETE FROM compute.released WHERE at < {NOW} - $1");
                change.does(&forget, &[&REMEMBERED]).await?;
                let put = format!(
                    "INSERT INTO compute.released (tenant, ref, at) VALUES ($1, $2, {NOW})
                 ON CONFLICT (tenant, ref) DO UPDATE SET at = excluded.at"
                );
                change.does(&put, &[&change.tenant, &artifact]).await?;
                change.notify(&format!("released {} {artifact}", change.tenant)).await?;
                Ok(true)
            },
        )
    }

    fn naming(&self, artifact: &Ref) -> Result<Option<Draft>, StacksError> {
        self.read(async |read| {
            let query = "SELECT stack, number FROM compute.refs WHERE tenant = $1 AND ref = $2
                ORDER BY stack, number DESC LIMIT 1";
            let row = read.row_if_any(query, &[&read.tenant, &artifact.as_str()]).await?;
            row.map(|row| {
                let stack = row.get::<_, &str>(0).parse().map_err(|_| unreadable("a stack"))?;
                Ok(Draft::new(stack, whole(row.get(1))))
            })
            .transpose()
        })
    }

    fn refs(&self) -> Result<Vec<Ref>, StacksError> {
        self.read(async |read| {
            let query = "SELECT DISTINCT ref FROM compute.refs WHERE tenant = $1 ORDER BY ref";
            let rows = read.rows(query, &[&read.tenant]).await?;
            let parsed = rows.iter().map(|row| row.get::<_, &str>(0).parse());
            parsed.map(|one| one.map_err(|_| unreadable("a ref"))).collect()
        })
    }
}
