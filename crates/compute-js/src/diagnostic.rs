//! What is wrong with the sources, and where.

use std::fmt;

use serde::Serialize;

/// One mistake in the sources, or something that may be one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What kind, in a word for tools: `PARSE_ERROR`.
    pub code: String,
    /// What is wrong, and what to do.
    pub message: String,
    /// The file, relative to the project's folder; empty where the mistake is in no file.
    pub file: String,
    /// The line, from 1; 0 where it is not known.
    pub line: u32,
    /// The column, from 1; 0 where it is not known.
    pub column: u32,
    /// The lines around it, with a mark.
    pub frame: String,
    /// The files between this one and the one that is built, the nearest first: each imports the one before it. Known where an
    /// import leads nowhere.
    pub importers: Vec<String>,
}

impl Diagnostic {
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self { code: "BUILD_ERROR".into(), message: message.into(), ..Self::default() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.frame.is_empty() {
            write!(f, "\n{}", self.frame)?;
        } else if !self.file.is_empty() {
            write!(f, "\n --> {}:{}:{}", self.file, self.line, self.column)?;
        }
        for importer in &self.importers {
            write!(f, "\n  imported by {importer}")?;
        }
        Ok(())
    }
}
