//! `compute gc`: deletes what no root needs.

use std::collections::BTreeSet;

use bytesize::ByteSize;
use compute::Ref;
use compute_state::{
    AuditOf, Catalogue, Deed, JobQueue, JobWork, KeptJob, TenantName, tenant_store,
};
use compute_store::{GcOptions, Store};

use crate::args::{Cli, GcArgs};
use crate::failure::Failure;
use crate::home;
use crate::show::print_line;
use crate::work::plan;

/// How many artifacts one entry of the log of who changed what names.
const TOLD: usize = 25;

/// What jobs that have not ended will run, and those of schedules; and what jobs gave that have ended.
fn of_jobs(queue: &dyn JobQueue, tenant: &TenantName) -> Result<BTreeSet<Ref>, Failure> {
    let mut refs = BTreeSet::new();
    let mut keep = |of: &TenantName, work: &JobWork| {
        if let JobWork::Run(reference) = work
            && of == tenant
        {
            refs.insert(reference.clone());
        }
    };
    let mut last = None;
    loop {
        let page = queue.kept(last.as_ref())?;
        for KeptJob { tenant: of, job, .. } in &page {
            if !job.info.state.has_ended() {
                keep(of, &job.info.work);
            } else if let Some(output) = job.result.as_ref().and_then(|one| one.output.clone()) {
                keep(of, &JobWork::Run(output));
            }
        }
        let Some(one) = page.last() else { break };
        last = Some((one.tenant.clone(), one.job.info.id));
    }
    let mut last = None;
    loop {
        let page = queue.kept_schedules(last.as_ref())?;
        page.iter().for_each(|(of, one)| keep(of, &one.info.work));
        let Some((of, one)) = page.last() else { break };
        last = Some((of.clone(), one.info.name.clone()));
    }
    Ok(refs)
}

/// That a store has what active versions name, as it has to: another one, of which they say nothing, would be emptied.
fn has_what_is_active(catalogue: &dyn Catalogue, store: &dyn Store) -> Result<(), Failure> {
    for version in catalogue.running()?.active {
        let files = catalogue.version(&version.stack, version.number)?.files;
        for reference in plan::references(&files) {
            if let Err(error) = pollster::block_on(store.head(&reference)) {
                return Err(Failure::Host(format!(
                    "nothing was deleted: version {} of {}, which is active, names {reference}, and the store does not give it ({error}): \
                     is --store the one of this state? If it is, bring the artifact back: `compute verify` names all that are missing",
                    version.number, version.stack
                )));
            }
        }
    }
    Ok(())
}

pub(crate) fn gc(cli: &Cli, args: &GcArgs) -> Result<(), Failure> {
    let place = home::place_for(cli, args.state.state.as_deref(), "gc")?;
    let tenant = args.tenant.clone().unwrap_or_default();
    let store = compute_store::open(&tenant_store(&place.store, &tenant))?;
    let roots = args.roots.clone();
    // Every version of every stack can be gone back to. What one names may never have been there; that keeps nothing else.
    let catalogue = place.has(&tenant).then(|| place.catalogue(&tenant)).transpose()?;
    let mut needed = catalogue.as_ref().map(|kept| kept.refs()).transpose()?.unwrap_or_default();
    needed.extend(of_jobs(&*place.state()?.jobs()?, &tenant)?);
    if roots.is_empty() && needed.is_empty() {
        return Err(Failure::usage(
            "there are no stacks, and no --root: everything would be deleted; name what to keep",
        ));
    }
    if let Some(catalogue) = catalogue.as_ref().filter(|_| !args.dry_run) {
        has_what_is_active(&**catalogue, &*store)?;
    }
    let mut options = GcOptions { roots, needed, min_age: args.min_age, dry_run: args.dry_run };
    // Servers that share a database run nothing more of what goes, and make no version of it meanwhile.
    if place.folder().is_none() && !args.dry_run {
        let (catalogue, jobs) = (place.catalogue(&tenant)?, place.state()?.jobs()?);
        let dry = GcOptions { dry_run: true, ..options.clone() };
        for artifact in pollster::block_on(compute_store::gc(&*store, &dry))?.swept.artifacts {
            // What was submitted meanwhile keeps what it runs.
            if !catalogue.release(&artifact)? || jobs.naming(&tenant, &artifact)?.is_some() {
                options.needed.push(artifact);
            }
        }
    }
    let report = pollster::block_on(compute_store::gc(&*store, &options))?;
    let swept = &report.swept;
    if !args.dry_run && !swept.artifacts.is_empty() {
        let log = place.state()?.tenant(&tenant)?.audit(AuditOf::Stacks)?;
        for some in swept.artifacts.chunks(TOLD) {
            log.write(&Deed::artifact_delete(some))?;
        }
    }
    for reference in swept.artifacts.iter().chain(&swept.attachments) {
        print_line(reference)?;
    }
    crate::show::tell!(
        "{} {} artifacts, {} attachments and {} remains of dead writers, {}; kept {}",
        if args.dry_run { "would delete" } else { "deleted" },
        swept.artifacts.len(),
        swept.attachments.len(),
        swept.remains,
        ByteSize::b(swept.bytes).display().iec(),
        report.kept,
    );
    for reference in &report.missing {
        crate::show::tell!(
            "{reference} is not there, though a version, a schedule, a job or an artifact names it: `compute verify` says which"
        );
    }
    if swept.young > 0 {
        crate::show::tell!(
            "left {} that no root needs but that are younger than --min-age",
            swept.young
        );
    }
    Ok(())
}
