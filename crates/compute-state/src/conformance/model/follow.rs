//! What follows the end of a job in the same moment.

use compute::Seed;

use super::{Entry, Kept, time, went};
use crate::{
    EndNotice, EndedPart, Job, JobId, JobInfo, JobParts, JobState, JobWork, KeptJob, NewPart,
    PartOf, TenantName, Webhook,
};

impl Kept {
    /// Does what follows the ends of all that have ended.
    pub(super) fn follow(&mut self, now: i64) {
        let mut ended = Vec::new();
        for entry in self.jobs.values_mut() {
            let info = &entry.kept.job.info;
            if info.state.has_ended() && !entry.is_followed {
                entry.is_followed = true;
                ended.push(entry.kept.clone());
            }
        }
        for job in &ended {
            if let Some((id, webhook)) = &job.webhook {
                let teller = teller(job, *id, webhook);
                let key = (job.tenant.clone(), *id);
                self.jobs.entry(key).or_insert_with(|| Entry::new(teller));
            }
            if let Some(PartOf { batch, .. }) = job.part_of {
                self.part_ended(&job.tenant, batch);
            }
        }
        let is_whole = |job: &&KeptJob| {
            let info = &job.job.info;
            (info.is_batch || info.parts.is_some()) && job.part_of.is_none()
        };
        for job in ended.iter().filter(is_whole) {
            let (tenant, id) = (&job.tenant, job.job.info.id);
            let is_part = |kept: &KeptJob| {
                kept.tenant == *tenant && kept.part_of.is_some_and(|part| part.batch == id)
            };
            let parts = self.jobs.values().filter(|entry| is_part(&entry.kept));
            for output in parts.filter_map(Entry::output) {
                went(&mut self.gone, output, now);
            }
            self.jobs.retain(|_, entry| !is_part(&entry.kept));
        }
    }

    fn part_ended(&mut self, tenant: &TenantName, batch: JobId) {
        let Some(entry) = self.jobs.get_mut(&(tenant.clone(), batch)) else { return };
        let info = &mut entry.kept.job.info;
        if let (JobState::Scheduled, Some(JobParts { left, .. })) = (info.state, &mut info.parts) {
            *left -= 1;
            if *left == 0 {
                info.state = JobState::Waiting;
            }
        }
    }

    /// Has a part of a batch wait as a job of its own.
    pub(super) fn split_off(&mut self, batch: &KeptJob, part: NewPart, now: i64) {
        let mut kept = batch.clone();
        let NewPart { id, first, input } = part;
        let info = &mut kept.job.info;
        *info = JobInfo {
            id,
            state: JobState::Waiting,
            parts: None,
            tried: 0,
            created: time(now),
            run_after: None,
            deadline: None,
            started: None,
            ended: None,
            worker: None,
            ..info.clone()
        };
        kept.job.result = None;
        (kept.input, kept.key, kept.fence, kept.webhook) = (input, None, 0, None);
        kept.part_of = Some(PartOf { batch: batch.job.info.id, first });
        self.jobs.insert((kept.tenant.clone(), id), Entry::new(kept));
    }

    pub(super) fn parts(&self, tenant: &TenantName, batch: &JobId, from: u32) -> Vec<EndedPart> {
        let own = self.jobs.values().filter(|entry| entry.kept.tenant == *tenant);
        let mut parts: Vec<_> = own
            .filter_map(|entry| {
                let part = entry.kept.part_of.filter(|part| part.batch == *batch)?;
                let Job { info, result, .. } = entry.kept.job.clone();
                (part.first >= from).then_some(EndedPart {
                    first: part.first,
                    state: info.state,
                    result,
                })
            })
            .collect();
        parts.sort_by_key(|part| part.first);
        let mut bytes = 0;
        let fits = parts.iter().enumerate().take_while(|(number, part)| {
            bytes += part.result.as_ref().map_or(0, |result| result.size() as u64);
            *number == 0 || bytes <= EndedPart::PAGE_BYTES
        });
        let fits = fits.count();
        parts.truncate(fits);
        parts
    }
}

/// The job that tells of the end of another.
fn teller(job: &KeptJob, id: JobId, webhook: &Webhook) -> KeptJob {
    let JobInfo { id: of, state, priority, ended, .. } = job.job.info;
    let ended = ended.unwrap_or_default();
    let notice = EndNotice::new(of, state, ended);
    let info = JobInfo {
        id,
        work: JobWork::Tell(webhook.clone()),
        is_batch: false,
        parts: None,
        state: JobState::Waiting,
        priority,
        tried: 0,
        attempts: Webhook::ATTEMPTS,
        created: ended,
        run_after: None,
        deadline: None,
        started: None,
        ended: None,
        worker: None,
        submitted_by: job.job.info.submitted_by.clone(),
    };
    let now = ended.as_millisecond().saturating_mul(1_000_000);
    KeptJob {
        tenant: job.tenant.clone(),
        job: Job { info, now, seed: Seed::new([0; 32]), result: None },
        input: serde_json::to_vec(&notice).unwrap_or_default(),
        key: None,
        request: [0; 32],
        fuel: None,
        fence: 0,
        webhook: None,
        part_of: None,
    }
}
