//! `compute pull`: the rules of a version as files.

use std::path::{Component, Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
        let bytes = match file.is_served() {
            true => STANDARD.decode(&file.text).map_err(|error| Failure::host(&error))?,
            false => file.text.clone().into_bytes(),
        };
        files.push((folder.join(below(&file.path)?), bytes));
    }
    let differs = |(path, bytes): &&(PathBuf, Vec<u8>)| {
        std::fs::read(path).map_or(path.exists(), |there| there != *bytes)
    };
    let kept: Vec<_> =
        files.iter().filter(differs).map(|(path, _)| path.display().to_string()).collect();
    if !kept.is_empty() && !args.force {
        return Err(Failure::usage(format!(
            "these files are there, and differ: {}; nothing was written (--force writes over them)",
            kept.join(", ")
        )));
    }
    for (path, bytes) in files {
        target::write_in_folder(&path, bytes)?;
        print_line(path.display())?;
    }
    crate::show::tell!("{stack} version {number}: rules name ops by their refs");
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
