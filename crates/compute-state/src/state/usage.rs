//! What tenants used, by day.

use std::fmt;
use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{StateError, TenantName};

/// What tenants used on each day, in UTC by the clock of whoever keeps it, for 400 days. All methods block.
pub trait UsageLog: fmt::Debug + Send + Sync {
    /// Adds what was used to the day that it is: all of it or nothing. Gives back what each of these tenants used on that day in all, in
    /// their order; each is named once. Nothing may be added, to be told that.
    ///
    /// # Errors
    /// [`StateError`].
    fn add(&self, used: &[(TenantName, Usage)]) -> Result<Vec<UsedToday>, StateError>;

    /// What a tenant used on the days from one to another, both of them too, the oldest first; days on which it used nothing are left out.
    ///
    /// # Errors
    /// [`StateError`].
    fn days(
        &self,
        tenant: &TenantName,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<Vec<DayUsage>, StateError>;
}

/// For how many days it is kept what was used.
pub const USAGE_DAYS: u32 = 400;

/// What a tenant used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// How many requests, whatever became of them.
    pub requests: u64,
    /// How many documents were taken through stacks, those of batches and jobs too.
    pub documents: u64,
    /// How many computes were run by themselves, those of batches and jobs too.
    pub runs: u64,
    /// How many jobs were run, each attempt.
    pub jobs: u64,
    /// How long guests ran, in microseconds: of runs and of documents.
    pub wall_us: u64,
    /// The fuel that they used, where they were metered.
    pub fuel: u64,
}

impl Usage {
    /// How many numbers it has.
    pub const FIELDS: usize = 6;
    /// What they are called.
    pub const NAMES: [&'static str; Self::FIELDS] =
        ["requests", "documents", "runs", "jobs", "wall_us", "fuel"];

    /// The numbers, in the order of their names.
    #[must_use]
    pub const fn numbers(&self) -> [u64; Self::FIELDS] {
        let Self { requests, documents, runs, jobs, wall_us, fuel } = *self;
        [requests, documents, runs, jobs, wall_us, fuel]
    }

    /// What has these numbers.
    #[must_use]
    pub const fn of(numbers: [u64; Self::FIELDS]) -> Self {
        let [requests, documents, runs, jobs, wall_us, fuel] = numbers;
        Self { requests, documents, runs, jobs, wall_us, fuel }
    }

    /// Whether nothing was used.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a tenant used on the day that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedToday {
    /// What it used.
    pub used: Usage,
    /// How long the day goes on; nothing if it is over by now.
    pub left: Duration,
}

/// What a tenant used on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayUsage {
    /// The day, in UTC.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
    pub day: Date,
    /// What it used.
    #[serde(flatten)]
    pub used: Usage,
}

impl DayUsage {
    /// The first line of a table of them, as CSV (RFC 4180), with its end.
    #[must_use]
    pub fn csv_head() -> String {
        format!("day,{}\r\n", Usage::NAMES.join(","))
    }

    /// Its line of the table, with its end.
    #[must_use]
    pub fn csv(&self) -> String {
        let numbers = self.used.numbers().map(|number| number.to_string());
        format!("{},{}\r\n", self.day, numbers.join(","))
    }
}
