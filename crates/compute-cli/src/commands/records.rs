//! Commands on records: listed, shown, run again.

pub(crate) mod record;
pub(crate) mod replay;
