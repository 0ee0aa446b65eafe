//! Commands on rules, and on documents that go through them.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod dev;
pub(crate) mod fire;
pub(crate) mod fmt;
pub(crate) mod pull;
pub(crate) mod rollout;
pub(crate) mod shadow;
pub(crate) mod stack;
pub(crate) mod status;
pub(crate) mod trace;
