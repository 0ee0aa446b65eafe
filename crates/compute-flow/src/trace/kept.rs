//! Traces as they are kept: JSON, under their ids.

use compute_state::{TraceStore, TraceText, Traces, TracesError};

use super::Trace;

impl Trace {
    /// Keeps this trace, in place of what was kept under its id.
    ///
    /// # Errors
    /// [`TracesError::TooLarge`] if it is larger than all may be, and those of whoever keeps it.
    pub fn write(&self, traces: &dyn TraceStore) -> Result<(), TracesError> {
        traces.write(&self.id, &mut |text| Ok(serde_json::to_writer(text, self)?))
    }

    /// The same for a trace that nobody asked for: where many come, one may be left out.
    ///
    /// # Errors
    /// As [`Trace::write`].
    pub fn write_some(&self, traces: &dyn TraceStore) -> Result<(), TracesError> {
        traces.write_some(&self.id, &mut |text| Ok(serde_json::to_writer(text, self)?))
    }

    /// The trace of this id, or the one whose id begins so.
    ///
    /// # Errors
    /// [`TracesError::NotFound`] if there is none, or more than one; [`TracesError::Broken`] if it is not a trace.
    pub fn read(traces: &dyn Traces, id: &str) -> Result<Self, TracesError> {
        Self::from_text(id, traces.read_text(id)?)
    }

    /// The trace of this id, from its text.
    ///
    /// # Errors
    /// [`TracesError::Broken`] if it is not a trace.
    pub fn from_text(id: &str, mut text: TraceText) -> Result<Self, TracesError> {
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| TracesError::Broken {
            id: id.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        text.read_to_end(&mut bytes).map_err(|error| broken(error.into()))?;
        serde_json::from_slice(&bytes).map_err(|error| broken(error.into()))
    }
}
