//! The names that plugins are bound to, in a JSON file.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use compute::Ref;

use crate::{Bindings, StateError};

/// Bindings in a JSON file, which is replaced whole.
#[derive(Debug)]
pub struct FileBindings {
    file: PathBuf,
    /// Held by whoever changes the file.
    changing: Mutex<()>,
}

impl FileBindings {
    /// The bindings in this file; it is made with the first.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), changing: Mutex::new(()) }
    }

    fn write(&self, bindings: &BTreeMap<String, Ref>) -> io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(&serde_json::to_vec_pretty(bindings)?)?;
        new.persist(&self.file).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Bindings for FileBindings {
    fn bindings(&self) -> Result<BTreeMap<String, Ref>, StateError> {
        let shown = self.file.display();
        let json = match std::fs::read(&self.file) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(StateError::failed(format!("cannot read {shown}"), error)),
        };
        serde_json::from_slice(&json)
            .map_err(|error| StateError::failed(format!("{shown} is damaged"), error))
    }

    fn bind(&self, namespace: &str, plugin: Option<&Ref>) -> Result<Option<Ref>, StateError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bindings = self.bindings()?;
        let before = match plugin {
            Some(plugin) => bindings.insert(namespace.to_owned(), plugin.clone()),
            None => bindings.remove(namespace),
        };
        if plugin.is_some() || before.is_some() {
            self.write(&bindings).map_err(|error| {
                StateError::failed(format!("cannot write {}", self.file.display()), error)
            })?;
        }
        Ok(before)
    }
}
