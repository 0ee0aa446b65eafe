//! What is kept in SQLite files: whole, durable, and for several processes at once.

mod catalogue;
mod database;
mod tokens;

pub use catalogue::SqliteCatalogue;
pub use tokens::SqliteTokens;
