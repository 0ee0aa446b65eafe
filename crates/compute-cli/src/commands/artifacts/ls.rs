//! `compute ls`: what is stored.

use bytesize::ByteSize;
use compute_store::Manifest;
use futures_util::StreamExt as _;

use crate::args::{Cli, LsArgs};
use crate::failure::Failure;
use crate::home::open_store;
use crate::show::{print_json, print_line};

pub(crate) fn ls(cli: &Cli, args: &LsArgs) -> Result<(), Failure> {
    let store = open_store(cli)?;
    let listed: Vec<_> = pollster::block_on(store.list().collect());
    let mut manifests = Vec::new();
    let mut broken = None;
    for manifest in listed {
        match manifest {
            Ok(manifest) => manifests.push(manifest),
            Err(error) => {
                crate::show::tell!("warning: {error}");
                broken = Some(error);
            }
        }
    }
    manifests.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| a.reference.cmp(&b.reference)));
    for manifest in &manifests {
        if args.json { print_json(manifest)? } else { print_line(line(manifest))? }
    }
    if manifests.is_empty() && broken.is_none() {
        crate::show::tell!("nothing is stored; `compute put FILE` stores a compute");
    }
    broken.map_or(Ok(()), |error| Err(error.into()))
}

fn line(manifest: &Manifest) -> String {
    let size = ByteSize::b(manifest.size).display().iec().to_string();
    let created = manifest.created.strftime("%Y-%m-%d %H:%M");
    format!("{}  {:<8}  {size:>10}  {created}", manifest.reference, manifest.engine)
}
