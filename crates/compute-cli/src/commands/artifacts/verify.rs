//! `compute verify`: reads stored bytes and checks them against their digests, says what is named and not there, and builds
//! computes again if asked.

use std::collections::{BTreeMap, BTreeSet};

use compute::Ref;
use compute_state::TenantName;
use compute_store::{Store, StoreError};
use futures_util::StreamExt as _;

use super::{named, rebuild};
use crate::args::{Cli, VerifyArgs};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::show::print_line;

pub(crate) fn verify(cli: &Cli, args: &VerifyArgs) -> Result<(), Failure> {
    let state = args.state.state.as_deref();
    let home = home::of(cli, state)?;
    let store = home.store()?;
    if let Some(reference) = &args.reference {
        verify_one(&*store, reference)?;
        if args.rebuild {
            rebuild::rebuild(cli, &*store, reference, args.from.as_deref())?;
        }
        return print_line(format!("ok  {reference}"));
    }
    let mut found = Found::default();
    match home.place() {
        // A state that was never made is not made for this.
        Some(place) if !place.is_there() => drop(found.check(&*store)?),
        None => found.check_all(&*home, &*store)?,
        Some(place) => {
            let mut tenants = BTreeSet::from([TenantName::default()]);
            tenants.extend(place.state()?.tenants()?);
            for tenant in &tenants {
                let home = home::of_tenant(cli, state, Some(tenant))?;
                found.check_all(&*home, &*home.store()?)?;
            }
        }
    }
    found.told()
}

/// What was found, of all tenants.
#[derive(Default)]
struct Found {
    checked: usize,
    damaged: BTreeSet<Ref>,
    missing: usize,
    unread: usize,
}

impl Found {
    /// Reads a tenant's artifacts, and looks for those that are named.
    fn check_all(&mut self, home: &dyn Home, store: &dyn Store) -> Result<(), Failure> {
        // First: what is named meanwhile is stored before.
        let named = named::all(home)?;
        let (ok, links) = self.check(store)?;
        for (reference, by) in named.iter().filter(|(reference, _)| !ok.contains(reference)) {
            self.tell_named(store, reference, by)?;
        }
        // The plugin that is part of this program need not be stored.
        let plugin = compute_js_plugin::plugin();
        for (reference, by) in links {
            let is_known = ok.contains(&reference) || reference == *plugin.reference();
            if !is_known && !named.contains_key(&reference) {
                self.tell_named(store, &reference, &by)?;
            }
        }
        Ok(())
    }

    /// Reads what a store has: what is right, and what that links to, with one that does.
    fn check(&mut self, store: &dyn Store) -> Result<(BTreeSet<Ref>, BTreeMap<Ref, Ref>), Failure> {
        let (mut ok, mut links) = (BTreeSet::new(), BTreeMap::new());
        let mut manifests = store.list();
        while let Some(manifest) = pollster::block_on(manifests.next()) {
            self.checked += 1;
            let verified = manifest.map_err(|error| (None, error)).and_then(|manifest| {
                let verified = verify_one(store, &manifest.reference);
                verified.map_err(|error| (Some(manifest.reference.clone()), error))?;
                Ok(manifest)
            });
            match verified {
                Ok(manifest) => {
                    print_line(format!("ok  {}", manifest.reference))?;
                    for link in manifest.links {
                        links.insert(link, manifest.reference.clone());
                    }
                    ok.insert(manifest.reference);
                }
                Err((reference, error)) => self.tell(reference, error),
            }
        }
        Ok((ok, links))
    }

    fn tell(&mut self, reference: Option<Ref>, error: StoreError) {
        let wrong = match &error {
            StoreError::Damaged { reference: what, .. } => reference.or_else(|| Some(what.clone())),
            StoreError::Storage { .. } => None,
            _ => reference,
        };
        match wrong {
            Some(wrong) => drop(self.damaged.insert(wrong)),
            None => self.unread += 1,
        }
        Failure::from(error).print();
    }

    /// Tells of an artifact that somebody needs and that is not right.
    fn tell_named(
        &mut self,
        store: &dyn Store,
        reference: &Ref,
        by: &dyn std::fmt::Display,
    ) -> Result<(), Failure> {
        let what = match pollster::block_on(store.head(reference)) {
            Err(StoreError::NotFound { .. }) => {
                self.missing += 1;
                "not there"
            }
            // That it is damaged was told already, and not who needs it.
            _ if self.damaged.contains(reference) => "not as it was stored",
            // It was stored meanwhile, or is among what could not be read, which is told.
            _ => return Ok(()),
        };
        Failure::Host(format!("{reference} is {what}, and is named by {by}")).print();
        Ok(())
    }

    fn told(&self) -> Result<(), Failure> {
        let mut wrong = Vec::new();
        if !self.damaged.is_empty() {
            let damaged = self.damaged.len();
            wrong.push(format!("{damaged} of {} artifacts are damaged", self.checked));
        }
        if self.missing > 0 {
            let missing = crate::show::count(self.missing, "artifact");
            wrong.push(format!(
                "{missing} not there: bring back the store that had them, or store them again with `compute apply` or `compute put`"
            ));
        }
        if self.unread > 0 {
            wrong.push("not all of the store could be read: what is there may be right".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(Failure::Host(wrong.join("\n"))) }
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
