//! Jobs as rows: read one by one, and put many at once.

use compute::{Ref, Seed};
use compute_state::{
    Actor, ClaimedJob, EndedPart, Job, JobId, JobInfo, JobParts, JobResult, JobState, JobWork,
    JobsError, KeptJob, Lease, PartOf, StateError, TenantName, Webhook,
};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::FromSqlOwned;

use crate::database::{Change, Stop};

/// What [`read_info`] reads of a table `j`.
pub(super) const INFO: &str = "j.tenant, j.id, j.kind, j.target, j.is_batch, j.parts, j.parts_left, j.state, j.priority, j.tried, j.attempts, \
    j.created, j.run_after, j.deadline, j.started, j.ended, j.worker, j.submitted_by";
/// What [`read_job`] reads besides.
pub(super) const JOB: &str = "j.now, j.seed, j.result, j.details, j.output";
/// What [`read_kept`] reads besides.
pub(super) const KEPT: &str =
    "j.input, j.key, j.request, j.fuel, j.fence, j.webhook_id, j.webhook, j.batch, j.first";

fn wrong(what: &str) -> Stop<StateError> {
    Stop::Told(StateError::failed("a job that is kept", format!("its {what} cannot be read")))
}

pub(super) fn read<T: FromSqlOwned, K>(
    row: &Row,
    column: &str,
    convert: impl FnOnce(T) -> Option<K>,
) -> Result<K, Stop<StateError>> {
    convert(row.try_get(column)?).ok_or_else(|| wrong(column))
}

/// The same for whoever says more than what is kept may say.
pub(super) fn told(stop: Stop<StateError>) -> Stop<JobsError> {
    match stop {
        Stop::Sql(error) => Stop::Sql(error),
        Stop::Told(error) => Stop::Told(error.into()),
    }
}

/// What is kept of [`Timestamp::MAX`] is one millisecond too many to be a time again.
pub(super) fn time(millis: i64) -> Timestamp {
    let never = if millis < 0 { Timestamp::UNIX_EPOCH } else { Timestamp::MAX };
    Timestamp::from_millisecond(millis).unwrap_or(never)
}

fn id_of(id: Vec<u8>) -> Option<JobId> {
    Some(JobId::from_bytes(id.try_into().ok()?))
}

/// The number of a line or of parts.
fn read_number(row: &Row, column: &str) -> Result<Option<u32>, Stop<StateError>> {
    Ok(row.try_get::<_, Option<i32>>(column)?.and_then(|number| u32::try_from(number).ok()))
}

pub(super) fn read_id(row: &Row) -> Result<(TenantName, JobId), Stop<StateError>> {
    let id = read(row, "id", id_of)?;
    Ok((read(row, "tenant", |name: String| name.parse().ok())?, id))
}

pub(super) fn read_lease(row: &Row) -> Result<Lease, Stop<StateError>> {
    let (tenant, id) = read_id(row)?;
    Ok(Lease { tenant, id, fence: row.try_get("fence")? })
}

pub(super) fn read_info(row: &Row) -> Result<JobInfo, Stop<StateError>> {
    let at = |column: &str| row.try_get::<_, Option<i64>>(column).map(|at| at.map(time));
    let number = |column: &str| read(row, column, |number: i32| u32::try_from(number).ok());
    let small = |column: &str| read(row, column, |number: i16| u8::try_from(number).ok());
    let kind = small("kind")?;
    let worker: Option<Vec<u8>> = row.try_get("worker")?;
    let parts = read_number(row, "parts")?.zip(read_number(row, "parts_left")?);
    let submitted_by: Option<String> = row.try_get("submitted_by")?;
    Ok(JobInfo {
        id: read_id(row)?.1,
        work: read(row, "target", |target: String| JobWork::of(kind, &target))?,
        is_batch: row.try_get("is_batch")?,
        parts: parts.map(|(all, left)| JobParts { all, left }),
        state: JobState::from_number(small("state")?).ok_or_else(|| wrong("state"))?,
        priority: small("priority")?,
        tried: number("tried")?,
        attempts: number("attempts")?,
        created: time(row.try_get("created")?),
        run_after: at("run_after")?,
        deadline: at("deadline")?,
        started: at("started")?,
        ended: at("ended")?,
        worker: worker.map(|name| String::from_utf8_lossy(&name).into_owned()),
        submitted_by: submitted_by.and_then(|text| Actor::read(&text)),
    })
}

fn read_result(row: &Row) -> Result<Option<JobResult>, Stop<StateError>> {
    Ok(match row.try_get("result")? {
        Some(body) => {
            let output: Option<String> = row.try_get("output")?;
            let output = output.map(|text| text.parse::<Ref>().map_err(|_| wrong("output")));
            Some(JobResult { body, details: row.try_get("details")?, output: output.transpose()? })
        }
        None => None,
    })
}

pub(super) fn read_part(row: &Row) -> Result<EndedPart, Stop<StateError>> {
    let state: i16 = row.try_get("state")?;
    let state = u8::try_from(state).ok().and_then(JobState::from_number);
    Ok(EndedPart {
        first: read_number(row, "first")?.ok_or_else(|| wrong("first"))?,
        state: state.ok_or_else(|| wrong("state"))?,
        result: read_result(row)?,
    })
}

pub(super) fn read_job(row: &Row) -> Result<Job, Stop<StateError>> {
    let result = read_result(row)?;
    let seed = read(row, "seed", |seed: Vec<u8>| Some(Seed::new(seed.try_into().ok()?)))?;
    Ok(Job { info: read_info(row)?, now: row.try_get("now")?, seed, result })
}

pub(super) fn read_kept(row: &Row) -> Result<KeptJob, Stop<StateError>> {
    let key: Option<Vec<u8>> = row.try_get("key")?;
    let batch: Option<Vec<u8>> = row.try_get("batch")?;
    let part_of = batch.and_then(id_of).zip(read_number(row, "first")?);
    let webhook_id: Option<Vec<u8>> = row.try_get("webhook_id")?;
    let webhook = match webhook_id.and_then(id_of) {
        Some(id) => Some((id, read(row, "webhook", |text: String| Webhook::kept(&text))?)),
        None => None,
    };
    Ok(KeptJob {
        tenant: read_id(row)?.0,
        job: read_job(row)?,
        input: row.try_get("input")?,
        key: key.map(|key| String::from_utf8_lossy(&key).into_owned()),
        request: read(row, "request", |request: Vec<u8>| request.try_into().ok())?,
        fuel: row.try_get::<_, Option<i64>>("fuel")?.map(i64::cast_unsigned),
        fence: row.try_get("fence")?,
        webhook,
        part_of: part_of.map(|(batch, first)| PartOf { batch, first }),
    })
}

/// A job that was claimed at this moment.
pub(super) fn read_claimed(row: &Row, now: i64) -> Result<ClaimedJob, Stop<StateError>> {
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

/// Keeps those jobs whose ids and keys are new. Which these are.
pub(super) async fn put(
    change: &Change<'_>,
    jobs: &[&KeptJob],
) -> Result<Vec<(TenantName, JobId)>, Stop<StateError>> {
    let insert =
        "INSERT INTO compute.jobs AS j (tenant, id, kind, target, state, priority, tried, attempts,
            created, run_after, deadline, started, ended, worker, now, seed, result, details,
            input, key, request, fuel, fence, is_batch, parts, parts_left, webhook_id, webhook, batch, first,
            submitted_by, output)
        SELECT * FROM unnest($1::text[], $2::bytea[], $3::smallint[], $4::text[], $5::smallint[],
            $6::smallint[], $7::int[], $8::int[], $9::bigint[], $10::bigint[], $11::bigint[],
            $12::bigint[], $13::bigint[], $14::bytea[], $15::bigint[], $16::bytea[], $17::bytea[],
            $18::bytea[], $19::bytea[], $20::bytea[], $21::bytea[], $22::bigint[], $23::bigint[],
            $24::boolean[], $25::int[], $26::int[], $27::bytea[], $28::text[], $29::bytea[], $30::int[], $31::text[], $32::text[])
        ON CONFLICT DO NOTHING RETURNING j.tenant, j.id";
    let all = |of: fn(&KeptJob) -> i64| jobs.iter().map(|job| of(job)).collect::<Vec<_>>();
    let times = |of: fn(&JobInfo) -> Option<Timestamp>| -> Vec<Option<i64>> {
        jobs.iter().map(|job| of(&job.job.info).map(Timestamp::as_millisecond)).collect()
    };
    let small = |of: fn(&JobInfo) -> u8| -> Vec<i16> {
        jobs.iter().map(|job| i16::from(of(&job.job.info))).collect()
    };
    let numbers = |of: fn(&JobInfo) -> u32| -> Vec<i32> {
        jobs.iter().map(|job| i32::try_from(of(&job.job.info)).unwrap_or(i32::MAX)).collect()
    };
    let texts = |of: fn(&KeptJob) -> &[u8]| jobs.iter().map(|job| of(job)).collect::<Vec<_>>();
    let parts =
        |of: fn(&KeptJob) -> Option<&[u8]>| jobs.iter().map(|job| of(job)).collect::<Vec<_>>();
    let tenants: Vec<_> = jobs.iter().map(|job| job.tenant.as_str()).collect();
    let targets: Vec<_> = jobs.iter().map(|job| job.job.info.work.kept()).collect();
    let counts = |of: fn(&KeptJob) -> Option<u32>| -> Vec<Option<i32>> {
        let number = |number| i32::try_from(number).unwrap_or(i32::MAX);
        jobs.iter().map(|job| of(job).map(number)).collect()
    };
    let output = |job: &KeptJob| Some(job.job.result.as_ref()?.output.as_ref()?.to_string());
    let outputs: Vec<_> = jobs.iter().map(|job| output(job)).collect();
    let are_batches: Vec<_> = jobs.iter().map(|job| job.job.info.is_batch).collect();
    let webhooks: Vec<_> =
        jobs.iter().map(|job| job.webhook.as_ref().map(|(_, one)| one.to_string())).collect();
    let submitters = jobs.iter().map(|job| &job.job.info.submitted_by);
    let submitted_by: Vec<_> = submitters.map(|who| who.as_ref().map(Actor::text)).collect();
    let fuel: Vec<_> = jobs.iter().map(|job| job.fuel.map(u64::cast_signed)).collect();
    let rows = change
        .rows(
            insert,
            &[
                &tenants,
                &texts(|job| job.job.info.id.as_bytes()),
                &small(|info| info.work.kind()),
                &targets,
                &small(|info| info.state.number()),
                &small(|info| info.priority),
                &numbers(|info| info.tried),
                &numbers(|info| info.attempts),
                &all(|job| job.job.info.created.as_millisecond()),
                &times(|info| info.run_after),
                &times(|info| info.deadline),
                &times(|info| info.started),
                &times(|info| info.ended),
                &parts(|job| job.job.info.worker.as_ref().map(String::as_bytes)),
                &all(|job| job.job.now),
                &texts(|job| job.job.seed.as_bytes()),
                &parts(|job| job.job.result.as_ref().map(|result| &*result.body)),
                &parts(|job| job.job.result.as_ref().map(|result| &*result.details)),
                &texts(|job| &job.input),
                &parts(|job| job.key.as_ref().map(String::as_bytes)),
                &texts(|job| &job.request),
                &fuel,
                &all(|job| job.fence),
                &are_batches,
                &counts(|job| job.job.info.parts.map(|parts| parts.all)),
                &counts(|job| job.job.info.parts.map(|parts| parts.left)),
                &parts(|job| job.webhook.as_ref().map(|(id, _)| id.as_bytes().as_slice())),
                &webhooks,
                &parts(|job| job.part_of.as_ref().map(|part| part.batch.as_bytes().as_slice())),
                &counts(|job| job.part_of.map(|part| part.first)),
                &submitted_by,
                &outputs,
            ],
        )
        .await?;
    rows.iter().map(read_id).collect()
}

/// What goes into one statement.
pub(super) fn pieces<T>(all: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    const MOST: usize = 500;
    const BYTES: usize = 16 << 20;
    let (mut pieces, mut rest) = (Vec::new(), all);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fit = rest.iter().take(MOST).take_while(|one| {
            bytes += size(one);
            bytes <= BYTES
        });
        let (piece, other) = rest.split_at(fit.count().max(1));
        pieces.push(piece);
        rest = other;
    }
    pieces
}
