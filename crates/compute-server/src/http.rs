//! Bodies and answers, charged to their requests, and what a connection is about.

mod answer;
mod body;
mod life;

pub(crate) use answer::{Broken, PIECE, Shared, charged, pieces};
pub(crate) use body::{Taken, take};
pub(crate) use life::{Answering, AtWork, Life};
