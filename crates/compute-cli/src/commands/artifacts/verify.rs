//! `compute verify`: reads stored bytes and checks them against their digests, and builds them again if asked.

use compute::Ref;
use compute_store::Store;
use futures_util::StreamExt as _;

use super::rebuild;
use crate::args::{Cli, VerifyArgs};
use crate::failure::Failure;
use crate::home::open_store;
use crate::show::print_line;

pub(crate) fn verify(cli: &Cli, args: &VerifyArgs) -> Result<(), Failure> {
    let store = open_store(cli)?;
    if let Some(reference) = &args.reference {
        verify_one(&*store, reference)?;
        if args.rebuild {
            rebuild::rebuild(cli, &*store, reference, args.from.as_deref())?;
        }
        return print_line(format!("ok  {reference}"));
    }
    let (mut checked, mut bad) = (0, 0);
    let mut manifests = store.list();
    while let Some(manifest) = pollster::block_on(manifests.next()) {
        checked += 1;
        let verified = match manifest {
            Ok(manifest) => verify_one(&*store, &manifest.reference).map(|()| manifest.reference),
            Err(error) => Err(error.into()),
        };
        match verified {
            Ok(reference) => print_line(format!("ok  {reference}"))?,
            Err(failure) => {
                bad += 1;
                failure.print();
            }
        }
    }
    if bad > 0 {
        return Err(Failure::Host(format!("{bad} of {checked} artifacts are damaged")));
    }
    Ok(())
}

/// Reading from a store verifies; attachments are read, too.
fn verify_one(store: &dyn Store, reference: &Ref) -> Result<(), Failure> {
    let stored = pollster::block_on(store.get(reference))?;
    for attachment in stored.manifest.attachments.values() {
        pollster::block_on(store.attachment(attachment))?;
    }
    Ok(())
}
