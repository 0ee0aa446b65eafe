//! `compute pull`: the rules of a version as files.

use std::path::{Component, Path, PathBuf};

use compute_state::StackName;

use crate::args::{Cli, PullArgs};
use crate::failure::Failure;
use crate::home;
use crate::show::print_line;
use crate::work::target;

pub(crate) fn pull(cli: &Cli, args: &PullArgs) -> Result<(), Failure> {
    let (stack, number) = match args.version.split_once('@') {
        Some((stack, number)) => (stack, Some(number)),
        None => (args.version.as_str(), None),
    };
    let stack: StackName = stack.parse().map_err(Failure::usage)?;
    let number = number.map(|number| number.parse::<u32>()).transpose().map_err(|_| {
        Failure::usage(format!("`{}` names no version: write {stack}@3", args.version))
    })?;
    let stacks = home::of(cli, args.state.state.as_deref())?.stacks()?;
    let versions = home::versions(&*stacks, &stack)?;
    let active = || versions.iter().find(|one| one.active).map(|one| one.number);
    let number = number.or_else(active).ok_or_else(|| {
        Failure::usage(format!(
            "no version of {stack} is active; `compute stack show {stack}` lists them"
        ))
    })?;
    let version = stacks.version(&stack, number)?;
    let folder = args.folder.as_deref().unwrap_or(Path::new("")).join("OPS").join(stack.as_str());
    let mut files = Vec::new();
    for file in &version.files {
        files.push((folder.join(below(&file.path)?), &file.text));
    }
    let differs = |(path, text): &&(PathBuf, &String)| {
        std::fs::read_to_string(path).map_or(path.exists(), |there| there != **text)
    };
    let kept: Vec<_> =
        files.iter().filter(differs).map(|(path, _)| path.display().to_string()).collect();
    if !kept.is_empty() && !args.force {
        return Err(Failure::usage(format!(
            "these files are there, and differ: {}; nothing was written (--force writes over them)",
            kept.join(", ")
        )));
    }
    for (path, text) in files {
        target::write_in_folder(&path, text)?;
        print_line(path.display())?;
    }
    anstream::eprintln!("{stack} version {number}: rules name ops by their refs");
    Ok(())
}

/// A rule's path, which stays below its stack's folder, whoever sent it.
fn below(path: &str) -> Result<&Path, Failure> {
    let path = Path::new(path);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
    if stays {
        Ok(path)
    } else {
        Err(Failure::Host(format!("`{}` is no path of a rule", path.display())))
    }
}
