//! `compute gc`: deletes what no root needs.

use bytesize::ByteSize;
use compute_state::tenant_store;
use compute_store::GcOptions;

use crate::args::{Cli, GcArgs};
use crate::failure::Failure;
use crate::home;
use crate::show::print_line;

pub(crate) fn gc(cli: &Cli, args: &GcArgs) -> Result<(), Failure> {
    let place = home::place_for(cli, args.state.state.as_deref(), "gc")?;
    let tenant = args.tenant.clone().unwrap_or_default();
    let store = compute_store::open(&tenant_store(&place.store, &tenant))?;
    let mut roots = args.roots.clone();
    // Every version of every stack can be gone back to.
    roots.extend(place.catalogue(&tenant)?.refs()?);
    if roots.is_empty() {
        return Err(Failure::usage(
            "there are no stacks, and no --root: everything would be deleted; name what to keep",
        ));
    }
    let mut options = GcOptions { roots, min_age: args.min_age, dry_run: args.dry_run };
    // Servers that share a database run nothing more of what goes, and make no version of it meanwhile.
    if place.folder().is_none() && !args.dry_run {
        let catalogue = place.catalogue(&tenant)?;
        let dry = GcOptions { dry_run: true, ..options.clone() };
        for artifact in pollster::block_on(compute_store::gc(&*store, &dry))?.swept.artifacts {
            if !catalogue.release(&artifact)? {
                options.roots.push(artifact);
            }
        }
    }
    let report = pollster::block_on(compute_store::gc(&*store, &options))?;
    let swept = &report.swept;
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
    if swept.young > 0 {
        crate::show::tell!(
            "left {} that no root needs but that are younger than --min-age",
            swept.young
        );
    }
    Ok(())
}
