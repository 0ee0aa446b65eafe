//! `compute refs`: the refs that rules name, each once.

use std::collections::HashSet;

use crate::args::RefsArgs;
use crate::failure::Failure;
use crate::show::print_line;
use crate::work::target;

pub(crate) fn refs(args: &RefsArgs) -> Result<(), Failure> {
    let files = if args.path.is_dir() {
        let mut files = Vec::new();
        crate::work::rules_below(&args.path, &mut files)?;
        files
    } else {
        vec![args.path.clone()]
    };
    let mut seen = HashSet::new();
    for file in files {
        let rule = target::read(&file)?;
        let rule = String::from_utf8(rule)
            .map_err(|_| Failure::usage(format!("{} is not UTF-8", file.display())))?;
        for reference in compute::scan_refs(&rule) {
            if seen.insert(reference.clone()) {
                print_line(reference)?;
            }
        }
    }
    Ok(())
}
