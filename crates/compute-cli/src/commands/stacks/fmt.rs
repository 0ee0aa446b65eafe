//! `compute fmt`: rules in the one style.

use std::path::{Path, PathBuf};

use crate::args::FmtArgs;
use crate::failure::Failure;
use crate::show::print_line;
use crate::work::rules_below;
use crate::work::{project, target};

pub(crate) fn fmt(args: &FmtArgs) -> Result<(), Failure> {
    let (mut changed, mut broken) = (0, 0);
    let files = files(&args.paths)?;
    for file in &files {
        let source = String::from_utf8(target::read(file)?)
            .map_err(|_| Failure::usage(format!("{} is not UTF-8", file.display())))?;
        let formatted = match txcl::format(&source) {
            Ok(formatted) => formatted,
            Err(diagnostics) => {
                broken += 1;
                for one in diagnostics {
                    let shown = one.render(&file.display().to_string(), &source, true);
                    crate::show::tell!("{shown}\n");
                }
                continue;
            }
        };
        if formatted != source {
            changed += 1;
            print_line(file.display())?;
            if !args.check {
                target::write(file, formatted)?;
            }
        }
    }
    let rules = crate::show::count(files.len(), "rule");
    if broken > 0 {
        let what = crate::show::count(broken, "rule");
        return Err(Failure::Guest(format!(
            "{what} of {} cannot be read, and stay as they are",
            files.len()
        )));
    }
    if args.check && changed > 0 {
        let what = crate::show::count(changed, "rule");
        return Err(Failure::Guest(format!("{what} of {} would be rewritten", files.len())));
    }
    crate::show::tell!("{rules}, {changed} rewritten");
    Ok(())
}

/// The rules that these paths mean; without any, those of the workspace.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if paths.is_empty() {
        let here = std::env::current_dir().map_err(|error| Failure::host(&error))?;
        let shown = |path: PathBuf| path.strip_prefix(&here).map(Path::to_owned).unwrap_or(path);
        return Ok(project::find(None)?.rules.into_iter().map(|rule| shown(rule.path)).collect());
    }
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            rules_below(path, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}
