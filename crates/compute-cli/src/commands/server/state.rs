//! `compute state`: what is kept of stacks, secrets, tokens, jobs and schedules, moved.

use std::path::Path;

use compute_state::{Copied, CopyError, LocalState, State, Vault, copy};

use crate::args::{Cli, StateCommand, StateCopyArgs};
use crate::failure::{Failure, SECRET_KEY};
use crate::home::{Place, named_key};
use crate::user;

pub(crate) fn state(cli: &Cli, args: &StateCopyArgs) -> Result<(), Failure> {
    let StateCommand::Copy { from, to } = &args.command;
    let store = user::store_url(cli)?;
    let (old, new) = (Place::new(store.clone(), from)?, Place::new(store, to)?);
    if !old.is_there() {
        return Err(Failure::usage(format!("there is no state in {}", from.display())));
    }
    if let (Some(one), Some(other)) = (old.folder(), new.folder())
        && same_folder(one, other)
    {
        return Err(Failure::usage("both are the same folder"));
    }
    let key_file = old.folder().map(|folder| LocalState::new(folder).key_file());
    let key_file = key_file.filter(|file| file.exists());
    let vault = match new.folder() {
        Some(_) => None,
        None => opens_all(&*old.state()?, &old, key_file.as_deref())?,
    };
    if let Some(vault) = &vault {
        new.check_key(vault)?;
    }
    let mut shown = Copied::default();
    let copied = copy(&*old.state()?, &*new.state()?, &mut |done| {
        // Now and then.
        if done.versions >= shown.versions + 1000 || done.jobs >= shown.jobs + 10_000 {
            crate::show::tell!("{} versions, {} jobs", done.versions, done.jobs);
            shown = done;
        }
    });
    let copied = copied.map_err(|error| match error {
        CopyError::Differs(_) | CopyError::Lives(_) => Failure::usage_of(&error),
        CopyError::Stacks(error) => error.into(),
        CopyError::Secrets(error) => error.into(),
        CopyError::Tokens(error) => error.into(),
        CopyError::State(error) => error.into(),
        error => Failure::host(&error),
    })?;
    let Copied { tenants, versions, secrets, tokens, jobs, schedules, audit } = copied;
    crate::show::tell!(
        "copied, and the same in both: {tenants} tenants, {versions} versions, {secrets} secrets, {tokens} tokens, {jobs} jobs, {schedules} schedules, {audit} entries of the audit log"
    );
    if secrets > 0 {
        let key = match &key_file {
            Some(file) => format!("the key in {}", file.display()),
            None => "the same key as before".to_owned(),
        };
        crate::show::tell!(
            "the secrets open with {key}: put it into {SECRET_KEY}, or name its file with --secret-key-file"
        );
    }
    Ok(())
}

/// What opens all secrets of a state: the key in the environment, or in this file; nothing if there are none.
fn opens_all(
    state: &dyn State,
    place: &Place,
    key_file: Option<&Path>,
) -> Result<Option<Vault>, Failure> {
    let mut sealed = Vec::new();
    for tenant in state.tenants()? {
        sealed.extend(state.tenant(&tenant)?.catalogue()?.sealed_secrets()?);
    }
    if sealed.is_empty() {
        return Ok(None);
    }
    let of_file = key_file.map(Vault::from_file).transpose()?;
    let opens =
        |vault: &Vault| sealed.iter().all(|(name, sealed)| vault.open(name, sealed).is_ok());
    let found = [named_key()?, of_file].into_iter().flatten().find(opens);
    found.map(Some).ok_or_else(|| {
        let file = key_file.map(|file| format!(" or in {}", file.display())).unwrap_or_default();
        Failure::usage(format!(
            "no key that is at hand opens all secrets of {}: put the one that they were sealed with into {SECRET_KEY}{file}, or forget those that nothing opens (`compute secret rm`)",
            place.shown()
        ))
    })
}

fn same_folder(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
