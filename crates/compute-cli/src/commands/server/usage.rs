//! `compute usage`: what tenants used, by day.

use compute_state::{DayUsage, TenantName, Usage};
use serde::Serialize;

use crate::args::{Cli, UsageArgs};
use crate::failure::Failure;
use crate::home;
use crate::show::{print_json, print_line};

pub(crate) fn usage(cli: &Cli, args: &UsageArgs) -> Result<(), Failure> {
    let state = args.state.state.as_deref();
    if args.from.zip(args.to).is_some_and(|(from, to)| from > to) {
        return Err(Failure::usage("--from is after --to: there are no days between"));
    }
    let mut days = Vec::new();
    if args.all_tenants {
        let state = home::place_for(cli, state, "usage --all-tenants")?.state()?;
        let usage = state.usage()?;
        for tenant in state.tenants()? {
            let used = usage.days(&tenant, args.from, args.to)?;
            days.extend(used.into_iter().map(|day| Listed { tenant: Some(tenant.clone()), day }));
        }
    } else {
        let home = home::of_tenant(cli, state, args.tenant.as_ref())?;
        let used = home.usage(args.from, args.to)?;
        days.extend(used.into_iter().map(|day| Listed { tenant: None, day }));
    }
    if args.csv {
        let tenant = if args.all_tenants { "tenant," } else { "" };
        print_line(format!("{tenant}{}", DayUsage::csv_head().trim_end()))?;
    } else if days.is_empty() && !args.json {
        crate::show::tell!("nothing was used on these days");
    }
    let wide = days.iter().filter_map(|day| Some(day.tenant.as_ref()?.as_str().len())).max();
    for listed in &days {
        let Listed { tenant, day } = listed;
        let tenant = tenant.as_ref().map(TenantName::as_str);
        if args.json {
            print_json(listed)?;
        } else if args.csv {
            let tenant = tenant.map_or_else(String::new, |tenant| format!("{tenant},"));
            print_line(format!("{tenant}{}", day.csv().trim_end()))?;
        } else {
            let wide = wide.unwrap_or_default();
            let tenant = tenant.map_or_else(String::new, |tenant| format!("{tenant:<wide$}  "));
            print_line(format!("{tenant}{}", line(day)))?;
        }
    }
    Ok(())
}

/// What was used on a day, and by whom, where that is not the one who was asked for.
#[derive(Serialize)]
struct Listed {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantName>,
    #[serde(flatten)]
    day: DayUsage,
}

fn line(DayUsage { day, used }: &DayUsage) -> String {
    let Usage { requests, documents, runs, jobs, wall_us, fuel } = used;
    let seconds = *wall_us as f64 / 1e6;
    format!(
        "{day}  {requests:>10} requests  {documents:>10} documents  {runs:>10} runs  {jobs:>8} jobs  {seconds:>10.1} s  {fuel:>14} fuel"
    )
}
