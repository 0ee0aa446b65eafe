//! What is kept in SQLite files: whole, durable, and for several processes at once.

mod audit;
mod catalogue;
mod database;
mod jobs;
mod tokens;
mod usage;

pub(crate) use audit::SqliteAudit;
pub use catalogue::SqliteCatalogue;
pub use jobs::SqliteJobs;
pub use tokens::SqliteTokens;
pub(crate) use usage::SqliteUsage;
