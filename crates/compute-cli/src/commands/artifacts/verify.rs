//! `compute verify`: reads stored bytes and checks them against their digests, and builds them again if asked.

use compute::Ref;
use compute_store::{Store, StoreError};
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
    let (mut checked, mut bad, mut unread) = (0, 0, 0);
    let mut manifests = store.list();
    while let Some(manifest) = pollster::block_on(manifests.next()) {
        checked += 1;
        let verified = match manifest {
            Ok(manifest) => verify_one(&*store, &manifest.reference).map(|()| manifest.reference),
            Err(error) => Err(error),
        };
        match verified {
            Ok(reference) => print_line(format!("ok  {reference}"))?,
            Err(error) => {
                let is_unread = matches!(error, StoreError::Storage { .. });
                *if is_unread { &mut unread } else { &mut bad } += 1;
                Failure::from(error).print();
            }
        }
    }
    match (bad, unread) {
        (0, 0) => Ok(()),
        (_, 0) => Err(Failure::Host(format!("{bad} of {checked} artifacts are damaged"))),
        (0, _) => Err(Failure::Host(
            "not all of the store could be read: what is there may be right".to_owned(),
        )),
        _ => Err(Failure::Host(format!(
            "{bad} of {checked} artifacts are damaged, and not all of the store could be read"
        ))),
    }
}

/// Reading from a store verifies; attachments are read, too.
fn verify_one(store: &dyn Store, reference: &Ref) -> Result<(), StoreError> {
    let stored = pollster::block_on(store.get(reference))?;
    for attachment in stored.manifest.attachments.values() {
        pollster::block_on(store.attachment(attachment))?;
    }
    Ok(())
}
