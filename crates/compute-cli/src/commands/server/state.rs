//! `compute state`: what is kept of stacks, secrets and tokens, moved.

use std::path::Path;

use compute_state::{Copied, CopyError, copy};

use crate::args::{Cli, StateCommand, StateCopyArgs};
use crate::failure::{Failure, SECRET_KEY};
use crate::home::Place;
use crate::user;

pub(crate) fn state(cli: &Cli, args: &StateCopyArgs) -> Result<(), Failure> {
    let StateCommand::Copy { from, to } = &args.command;
    let store = user::store_url(cli)?;
    let [old, new] = [from, to].map(|state| Place::new(store.clone(), state));
    if !old.is_there() {
        return Err(Failure::usage(format!("there is no folder {}", from.display())));
    }
    if let (Some(one), Some(other)) = (old.folder(), new.folder())
        && same_folder(one, other)
    {
        return Err(Failure::usage("both are the same folder"));
    }
    // What opens the secrets there is what opens them here.
    let key_file =
        old.folder().map(|folder| folder.join("secret.key")).filter(|file| file.exists());
    if new.folder().is_none() && key_file.is_some() {
        new.vault(key_file.as_deref())?;
    }
    let mut shown = Copied::default();
    let copied = copy(&*old.state()?, &*new.state()?, &mut |done| {
        // Now and then.
        if done.versions >= shown.versions + 1000 {
            crate::show::tell!("{} versions", done.versions);
            shown = done;
        }
    });
    let copied = copied.map_err(|error| match error {
        CopyError::Differs(_) => Failure::usage_of(&error),
        CopyError::Stacks(error) => error.into(),
        CopyError::Secrets(error) => error.into(),
        CopyError::Tokens(error) => error.into(),
        CopyError::State(error) => error.into(),
        error => Failure::host(&error),
    })?;
    let Copied { tenants, versions, secrets, tokens } = copied;
    crate::show::tell!(
        "copied, and the same in both: {tenants} tenants, {versions} versions, {secrets} secrets, {tokens} tokens"
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

fn same_folder(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
