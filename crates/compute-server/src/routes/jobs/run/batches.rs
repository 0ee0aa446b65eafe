//! Batches as jobs: split into parts, which any server runs line by line, and put together again in their order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use axum::http::StatusCode;
use blocking::unblock;
use bytes::Bytes;
use compute::{Charge, OverLimit, Ref};
use compute_state::{ClaimedJob, EndedPart, JobId, JobResult, JobState, NewPart, Usage};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::super::caller::{Caller, Run};
use super::{
    Made, attempt, done, failed, in_time, is_passing, json, no_memory, not_begun, options,
};
use crate::http::ChargedBody;
use crate::jobs::Verdict;
use crate::wire::{JobDetails, JobRequest, Line, LineAnswer, Lines, end_line, line_rid};
use crate::{Problem, Server};

/// Into how many parts a batch is split, about.
const PARTS: usize = 128;
/// How many lines a part has at the least, and from how many bytes on it gets no more.
const LEAST_LINES: usize = 4;
const LEAST_BYTES: usize = 256 << 10;
/// How many bytes are worked on at once where others are answered meanwhile.
const AT_ONCE: usize = 64 << 10;
/// What a batch fails with that gives too much.
const TOO_LARGE: &str = "output_too_large";

pub(super) async fn run(server: &Server, caller: &Caller<Run>, job: ClaimedJob) -> Verdict {
    if let Some(part) = job.part_of {
        return match lines(server, caller, &job, part.batch, part.first).await {
            Ok(Output { lines, charge }) => {
                let verdict = done(caller, lines, JobDetails::default()).await;
                drop(charge);
                verdict
            }
            Err(verdict) => verdict,
        };
    }
    if job.parts.is_some() {
        return match gather(caller, &job).await {
            Ok(output) => whole(caller, output).await,
            Err(verdict) => verdict,
        };
    }
    // What is kept of it besides.
    let _copy = match caller.memory.charge(job.input.len()) {
        Ok(charge) => charge,
        Err(over) => return no_memory(over),
    };
    let (job, parts) = unblock(move || {
        let parts = parts_of(&job);
        (job, parts)
    })
    .await;
    if parts.len() > 1 {
        return Verdict::Split(parts);
    }
    match lines(server, caller, &job, job.lease.id, 1).await {
        Ok(output) => whole(caller, output).await,
        Err(verdict) => verdict,
    }
}

/// The parts that a batch is split into.
fn parts_of(job: &ClaimedJob) -> Vec<NewPart> {
    let parts = split(&job.input).into_iter().map(|Part { first, bytes, .. }| NewPart {
        id: JobId::beside(&job.lease.id),
        first,
        input: job.input.get(bytes).unwrap_or_default().to_vec(),
    });
    parts.collect()
}

/// Lines of answers, as they come.
struct Output {
    lines: Vec<u8>,
    charge: Charge,
}

impl Output {
    fn new(caller: &Caller<Run>) -> Self {
        Self { lines: Vec::new(), charge: caller.memory.empty() }
    }

    /// Adds lines, each with its end. If there is no room for them, this says what becomes of the job.
    fn add(
        &mut self,
        lines: &[u8],
        no_memory: impl FnOnce(OverLimit) -> Verdict,
    ) -> Result<(), Verdict> {
        if self.lines.len() + lines.len() > JobRequest::MAX_BATCH_OUTPUT {
            let limit = JobRequest::MAX_BATCH_OUTPUT;
            let detail = format!("the outputs of a batch have at most {limit} bytes together");
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, TOO_LARGE, detail);
            return Err(failed(problem.with("limit", limit), &JobDetails::default()));
        }
        let needed = self.lines.len() + lines.len();
        if needed > self.lines.capacity() {
            let capacity = needed.max(2 * self.lines.capacity());
            let grown = self.charge.grow(capacity - self.lines.capacity());
            grown.map_err(no_memory)?;
            self.lines.reserve_exact(capacity - self.lines.len());
        }
        self.lines.extend_from_slice(lines);
        Ok(())
    }
}

/// The result of a batch: an array of what each line gave.
async fn whole(caller: &Caller<Run>, output: Output) -> Verdict {
    caller.uses(Usage { jobs: 1, ..Usage::default() });
    let Output { mut lines, charge } = output;
    let lines = unblock(move || {
        // Each line's end, which stands nowhere else, is a comma, and the last one ends the array.
        lines.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b',');
        match lines.last_mut() {
            Some(last) => *last = b']',
            None => lines.push(b']'),
        }
        lines.insert(0, b'[');
        lines
    })
    .await;
    let verdict = done(caller, lines, JobDetails::default()).await;
    drop(charge);
    verdict
}

/// Does with each line of a part, or of a small batch, what the job does.
async fn lines(
    server: &Server,
    caller: &Caller<Run>,
    job: &ClaimedJob,
    batch: JobId,
    first: u32,
) -> Result<Output, Verdict> {
    let began = Instant::now();
    let mut output = Output::new(caller);
    let mut found = Lines::default();
    let mut rest = job.input.as_slice();
    let mut ran = false;
    loop {
        let line = found.take(&mut rest);
        let Some(Line { number, bytes, .. }) = line.or_else(|| found.finish()) else { break };
        let number = u64::from(first) + number - 1;
        let Some(bytes) = bytes else {
            let line = answered(number, Err(Problem::line_too_large()), JobDetails::default());
            output.add(&line, no_room(number, ran))?;
            continue;
        };
        let rid = line_rid(&batch.to_string(), number);
        let left = job.left.map(|left| left.saturating_sub(began.elapsed()));
        let options = options(job, rid.clone(), job.seed.of_line(number), left);
        let charge = caller.memory.charge(bytes.len());
        let charge = charge.map_err(no_room(number, ran))?;
        let input = ChargedBody { bytes: Bytes::from(bytes), charge };
        let Made { output: made, details } =
            attempt(server, caller, &job.work, options, input, ran).await?;
        ran = true;
        // All of it is tried again, as often as it may be; what is the same each time is the same then.
        if let Err(problem) = &made
            && is_passing(problem)
            && job.tried < job.attempts
        {
            return Err(failed(problem.clone().with("line", number), &details));
        }
        let size = made.as_ref().map_or(0, Vec::len);
        let line = match size <= AT_ONCE {
            true => answered(number, made, details),
            false => {
                let _copy = caller.memory.charge(size).map_err(no_room(number, ran))?;
                unblock(move || answered(number, made, details)).await
            }
        };
        output.add(&line, no_room(number, ran))?;
    }
    Ok(output)
}

/// What becomes of a job that has no room for a line. Once one ran, all of them run again: as often as the job may be tried, and no more.
fn no_room(line: u64, ran: bool) -> impl FnOnce(OverLimit) -> Verdict {
    move |over| match ran {
        true => failed(Problem::from(over).with("line", line), &JobDetails::default()),
        false => no_memory(over),
    }
}

/// What a line gave, as a line.
fn answered(number: u64, made: Result<Vec<u8>, Problem>, details: JobDetails) -> Vec<u8> {
    let JobDetails { record, fuel, .. } = details;
    let mut line = match made.as_deref().map(serde_json::from_slice::<&RawValue>) {
        Ok(Ok(output)) => json(&LineAnswer { record, fuel, ..LineAnswer::ok(output) }),
        Ok(Err(error)) => {
            let problem = Problem::internal(&error).members();
            json(&LineAnswer { record, fuel, ..LineAnswer::<()>::failed(number, problem) })
        }
        Err(problem) => {
            let problem = problem.clone().members();
            json(&LineAnswer { record, fuel, ..LineAnswer::<()>::failed(number, problem) })
        }
    };
    end_line(&mut line);
    line
}

/// What all parts gave, in their order.
async fn gather(caller: &Caller<Run>, job: &ClaimedJob) -> Result<Output, Verdict> {
    let mut output = Output::new(caller);
    // Of what is read at once.
    let page = usize::try_from(EndedPart::PAGE_BYTES).unwrap_or(usize::MAX);
    let _page = caller.memory.charge(page).map_err(no_memory)?;
    let input = job.input.clone();
    let mut expected: BTreeMap<u32, u32> =
        unblock(move || split(&input).into_iter().map(|part| (part.first, part.lines)).collect())
            .await;
    let (id, mut from) = (job.lease.id, 0);
    loop {
        let page = caller.ask(move |queue, tenant| queue.parts(tenant, &id, from)).await;
        let page: Vec<EndedPart> = page.map_err(not_begun)?;
        let Some(last) = page.last() else { break };
        from = last.first + 1;
        for EndedPart { first, state, result } in page {
            let Some(lines) = expected.remove(&first) else { continue };
            match (state, result) {
                (JobState::Done, Some(JobResult { output: Some(reference), .. })) => {
                    let (stored, _charge) = stored(caller, &reference).await?;
                    output.add(&stored, no_memory)?;
                }
                (JobState::Done, Some(result)) => output.add(&result.body, no_memory)?,
                (_, result) => missing(&mut output, first, lines, result)?,
            }
        }
    }
    if expected.is_empty() {
        return Ok(output);
    }
    let why = "parts of the batch are not there any more";
    let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", why);
    Err(failed(problem, &JobDetails::default()))
}

/// What a part gave, where that is large.
pub(super) async fn stored(
    caller: &Caller<Run>,
    reference: &Ref,
) -> Result<(Bytes, Charge), Verdict> {
    let read = in_time(async {
        let admitted = match caller.output_in_turn().await {
            Ok(admitted) => admitted,
            Err(problem) => return Ok(Err(not_begun(problem))),
        };
        let store = &*admitted.tenant.store;
        let size = store.head(reference).await?.size;
        let charge = match caller.memory.charge(usize::try_from(size).unwrap_or(usize::MAX)) {
            Ok(charge) => charge,
            Err(over) => return Ok(Err(no_memory(over))),
        };
        let stored = store.get(reference).await?;
        Ok(Ok((stored.artifact.wasm().clone(), charge)))
    });
    read.await.unwrap_or_else(|problem| Err(failed(problem, &JobDetails::default())))
}

/// For each line of a part that failed, why; a part that gave too much is the end of all of them.
fn missing(
    output: &mut Output,
    first: u32,
    lines: u32,
    result: Option<JobResult>,
) -> Result<(), Verdict> {
    let told =
        result.and_then(|result| serde_json::from_slice::<Map<String, Value>>(&result.body).ok());
    if told.as_ref().is_some_and(|told| told["code"] == TOO_LARGE) {
        let told = json(&told.unwrap_or_default());
        return Err(Verdict::Failed(JobResult::new(told, json(&JobDetails::default()))));
    }
    let problem = told.unwrap_or_else(|| {
        let detail = "the part of the batch with this line was ended";
        Map::from_iter([("code".into(), "cancelled".into()), ("detail".into(), detail.into())])
    });
    for number in first..first.saturating_add(lines) {
        let mut line = json(&LineAnswer::<()>::failed(number.into(), problem.clone()));
        end_line(&mut line);
        output.add(&line, no_memory)?;
    }
    Ok(())
}

/// A part of a batch: the number of its first line, how many there are, and where they are.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    first: u32,
    lines: u32,
    bytes: Range<usize>,
}

/// How a batch is split: the same each time.
fn split(input: &[u8]) -> Vec<Part> {
    let ends =
        || input.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let all = ends().count() + usize::from(!input.is_empty() && !input.ends_with(b"\n"));
    let (most_lines, most_bytes) =
        (all.div_ceil(PARTS).max(LEAST_LINES), (input.len() / PARTS).max(LEAST_BYTES));
    let mut parts = Vec::new();
    let (mut begin, mut first, mut lines) = (0, 1, 0);
    let last = (!input.ends_with(b"\n")).then_some(input.len());
    for end in ends().chain(last) {
        lines += 1;
        if lines as usize >= most_lines || end - begin >= most_bytes || end == input.len() {
            if end > begin {
                parts.push(Part { first, lines, bytes: begin..end });
            }
            (begin, first, lines) = (end, first + lines, 0);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use compute::OverLimit;

    use super::{LEAST_BYTES, PARTS, no_room, split};
    use crate::errors::SERVER_MEMORY;
    use crate::jobs::Verdict;

    /// It would run for ever, and no attempt be counted.
    #[test]
    fn what_ran_is_not_said_to_be_unbegun() {
        let over = |name| OverLimit { name, limit: 1 };
        assert_eq!(no_room(1, false)(over(SERVER_MEMORY)), Verdict::NoRoom);
        assert_eq!(no_room(1, false)(over("the memory of a tenant")), Verdict::NotNow);
        for name in [SERVER_MEMORY, "the memory of a tenant"] {
            assert!(matches!(no_room(1, true)(over(name)), Verdict::Passing(_)));
        }
    }

    #[test]
    fn parts_have_all_lines_once_and_in_order() {
        let large = vec![b'1'; LEAST_BYTES];
        for lines in [0, 1, 3, 4, 5, 8, 9, 511, 512, 513, 10_000] {
            for ends in [true, false] {
                let mut input: Vec<u8> =
                    (0..lines).flat_map(|line| format!("{line}\n").into_bytes()).collect();
                if lines == 9 {
                    input.splice(0..0, [large.clone(), b"\n".to_vec()].concat());
                }
                if !ends {
                    input.pop();
                }
                let parts = split(&input);
                assert!(parts.len() <= PARTS + 1, "{lines}: {}", parts.len());
                assert!(lines == 0 || !parts.is_empty());
                let (mut at, mut number) = (0, 1);
                for part in &parts {
                    assert_eq!((part.bytes.start, part.first), (at, number), "{lines}");
                    let text = &input[part.bytes.clone()];
                    assert_eq!(
                        text.trim_ascii().split(|byte| *byte == b'\n').count(),
                        part.lines as usize
                    );
                    (at, number) = (part.bytes.end, number + part.lines);
                }
                assert_eq!(at, input.len());
            }
        }
    }
}
