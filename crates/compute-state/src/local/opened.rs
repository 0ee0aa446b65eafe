//! A file that is opened when it is first asked for, and once.

use std::sync::{Arc, Mutex, PoisonError};

use crate::StateError;

/// What is opened at most once, whoever asks for it and however often. What cannot be opened is tried again.
#[derive(Debug)]
pub(super) struct Opened<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Opened<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Opened<T> {
    pub(super) fn get(
        &self,
        open: impl FnOnce() -> Result<T, StateError>,
    ) -> Result<Arc<T>, StateError> {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            return Ok(Arc::clone(opened));
        }
        Ok(Arc::clone(opened.insert(Arc::new(open()?))))
    }
}
