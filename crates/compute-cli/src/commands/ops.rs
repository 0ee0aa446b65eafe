//! Commands on ops and other computes: made, run, measured.

pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod forecast;
pub(crate) mod init;
pub(crate) mod run;
pub(crate) mod test;
