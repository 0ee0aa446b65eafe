//! Jobs as rows.

use compute::{Ref, Seed};
use jiff::Timestamp;
use rusqlite::types::{FromSql, Type};
use rusqlite::{Connection, Row, params};

use crate::{
    Actor, ClaimedJob, EndedPart, Job, JobId, JobInfo, JobParts, JobResult, JobState, JobWork,
    KeptJob, Lease, PartOf, TenantName, Webhook,
};

/// What [`read_info`] reads.
pub(super) const INFO: &str = "id, kind, target, is_batch, parts, parts_left, state, priority, tried, attempts, created, run_after, deadline, started, ended, worker, submitted_by";
/// What [`read_job`] reads besides.
pub(super) const JOB: &str = "now, seed, result, details, output";
/// What [`read_kept`] reads besides.
pub(super) const KEPT: &str =
    "tenant, input, key, request, fuel, fence, webhook_id, webhook, batch, first";

fn wrong(what: &str) -> rusqlite::Error {
    let why = format!("it is no {what} of a job");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Null, why.into())
}

pub(super) fn read<T: FromSql, K>(
    row: &Row<'_>,
    column: &str,
    convert: impl FnOnce(T) -> Option<K>,
) -> rusqlite::Result<K> {
    convert(row.get(column)?).ok_or_else(|| wrong(column))
}

/// What is kept of [`Timestamp::MAX`] is one millisecond too many to be a time again.
pub(super) fn time(millis: i64) -> Timestamp {
    let never = if millis < 0 { Timestamp::UNIX_EPOCH } else { Timestamp::MAX };
    Timestamp::from_millisecond(millis).unwrap_or(never)
}

pub(super) fn read_info(row: &Row<'_>) -> rusqlite::Result<JobInfo> {
    let at = |column: &str| row.get::<_, Option<i64>>(column).map(|at| at.map(time));
    let kind: u8 = row.get("kind")?;
    let parts: Option<u32> = row.get("parts")?;
    let left: Option<u32> = row.get("parts_left")?;
    let submitted_by: Option<String> = row.get("submitted_by")?;
    Ok(JobInfo {
        id: read(row, "id", id_of)?,
        work: read(row, "target", |target: String| JobWork::of(kind, &target))?,
        is_batch: row.get("is_batch")?,
        parts: parts.zip(left).map(|(all, left)| JobParts { all, left }),
        state: read(row, "state", JobState::from_number)?,
        priority: row.get("priority")?,
        tried: row.get("tried")?,
        attempts: row.get("attempts")?,
        created: time(row.get("created")?),
        run_after: at("run_after")?,
        deadline: at("deadline")?,
        started: at("started")?,
        ended: at("ended")?,
        worker: row.get("worker")?,
        submitted_by: submitted_by.and_then(|text| Actor::read(&text)),
    })
}

fn id_of(id: Vec<u8>) -> Option<JobId> {
    Some(JobId::from_bytes(id.try_into().ok()?))
}

fn read_seed(row: &Row<'_>) -> rusqlite::Result<Seed> {
    read(row, "seed", |seed: Vec<u8>| Some(Seed::new(seed.try_into().ok()?)))
}

fn read_result(row: &Row<'_>) -> rusqlite::Result<Option<JobResult>> {
    Ok(match row.get("result")? {
        Some(body) => {
            let output: Option<String> = row.get("output")?;
            let output = output.map(|text| text.parse::<Ref>().map_err(|_| wrong("output")));
            Some(JobResult { body, details: row.get("details")?, output: output.transpose()? })
        }
        None => None,
    })
}

pub(super) fn read_job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let result = read_result(row)?;
    Ok(Job { info: read_info(row)?, now: row.get("now")?, seed: read_seed(row)?, result })
}

pub(super) fn read_part(row: &Row<'_>) -> rusqlite::Result<EndedPart> {
    let state = read(row, "state", JobState::from_number)?;
    Ok(EndedPart { first: row.get("first")?, state, result: read_result(row)? })
}

pub(super) fn read_kept(row: &Row<'_>) -> rusqlite::Result<KeptJob> {
    let (batch, first): (Option<Vec<u8>>, Option<u32>) = (row.get("batch")?, row.get("first")?);
    let webhook_id: Option<Vec<u8>> = row.get("webhook_id")?;
    Ok(KeptJob {
        tenant: read(row, "tenant", |name: String| name.parse().ok())?,
        job: read_job(row)?,
        input: row.get("input")?,
        key: row.get("key")?,
        request: read(row, "request", |request: Vec<u8>| request.try_into().ok())?,
        fuel: row.get::<_, Option<i64>>("fuel")?.map(i64::cast_unsigned),
        fence: row.get("fence")?,
        webhook: match webhook_id.and_then(id_of) {
            Some(id) => Some((id, read(row, "webhook", |text: String| Webhook::kept(&text))?)),
            None => None,
        },
        part_of: batch.and_then(id_of).zip(first).map(|(batch, first)| PartOf { batch, first }),
    })
}

/// A job that was claimed at this moment.
pub(super) fn read_claimed(row: &Row<'_>, now: i64) -> rusqlite::Result<ClaimedJob> {
    let KeptJob { tenant, job, input, fuel, fence, part_of, .. } = read_kept(row)?;
    let left = job.info.deadline.map(|at| at.as_millisecond().saturating_sub(now));
    Ok(ClaimedJob {
        lease: Lease { tenant, id: job.info.id, fence },
        work: job.info.work,
        is_batch: job.info.is_batch,
        part_of,
        parts: job.info.parts,
        input,
        now: job.now,
        seed: job.seed,
        fuel,
        tried: job.info.tried,
        attempts: job.info.attempts,
        left: left.map(super::duration),
    })
}

/// Keeps a job, if there is none of its id.
pub(super) fn put(change: &Connection, kept: &KeptJob) -> rusqlite::Result<()> {
    let KeptJob { tenant, job: Job { info, now, seed, result }, .. } = kept;
    let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millisecond);
    let insert = format!(
        "INSERT INTO jobs ({INFO}, {JOB}, {KEPT}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
         ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32)"
    );
    change.prepare_cached(&insert)?.execute(params![
        info.id.as_bytes(),
        info.work.kind(),
        info.work.kept(),
        info.is_batch,
        info.parts.map(|parts| parts.all),
        info.parts.map(|parts| parts.left),
        info.state.number(),
        info.priority,
        info.tried,
        info.attempts,
        info.created.as_millisecond(),
        millis(info.run_after),
        millis(info.deadline),
        millis(info.started),
        millis(info.ended),
        info.worker,
        info.submitted_by.as_ref().map(Actor::text),
        now,
        seed.as_bytes(),
        result.as_ref().map(|result| &result.body),
        result.as_ref().map(|result| &result.details),
        result.as_ref().and_then(|result| result.output.as_ref()).map(Ref::as_str),
        tenant.as_str(),
        kept.input,
        kept.key,
        kept.request,
        kept.fuel.map(u64::cast_signed),
        kept.fence,
        kept.webhook.as_ref().map(|(id, _)| id.as_bytes()),
        kept.webhook.as_ref().map(|(_, webhook)| webhook.to_string()),
        kept.part_of.as_ref().map(|part| part.batch.as_bytes()),
        kept.part_of.map(|part| part.first),
    ])?;
    Ok(())
}

/// A job of a tenant, if there is one and it is no part of another.
pub(super) fn find<T>(
    connection: &Connection,
    columns: &str,
    tenant: &TenantName,
    id: &JobId,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    let query =
        format!("SELECT {columns} FROM jobs WHERE tenant = ?1 AND id = ?2 AND batch IS NULL");
    let mut query = connection.prepare_cached(&query)?;
    let mut rows = query.query(params![tenant.as_str(), id.as_bytes()])?;
    rows.next()?.map(read).transpose()
}
