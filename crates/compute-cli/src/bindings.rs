//! The names that plugins are bound to, in a file among the user's settings.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use compute::Ref;

use crate::context;
use crate::failure::Failure;

/// Namespaces, each with the plugin that modules which import from it link to.
pub(crate) type Bindings = BTreeMap<String, Ref>;

/// The bindings there are.
pub(crate) fn read() -> Result<Bindings, Failure> {
    let file = file()?;
    let json = match std::fs::read(&file) {
        Ok(json) => json,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Bindings::new()),
        Err(error) => {
            return Err(Failure::Host(format!("cannot read {}: {error}", file.display())));
        }
    };
    serde_json::from_slice(&json).map_err(|error| {
        Failure::Host(format!(
            "{} is damaged: {error}; `compute plugin bind` writes it",
            file.display()
        ))
    })
}

/// Replaces the bindings.
pub(crate) fn write(bindings: &Bindings) -> Result<(), Failure> {
    let file = file()?;
    let failed =
        |error: std::io::Error| Failure::Host(format!("cannot write {}: {error}", file.display()));
    let json = serde_json::to_vec_pretty(bindings).map_err(|error| Failure::host(&error))?;
    let folder = context::settings_folder()?;
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let mut new = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
    new.write_all(&json).map_err(failed)?;
    new.persist(&file).map_err(|error| failed(error.error))?;
    Ok(())
}

fn file() -> Result<PathBuf, Failure> {
    Ok(context::settings_folder()?.join("plugins.json"))
}
