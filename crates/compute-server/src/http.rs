//! Bodies and answers, charged to their requests, errors as they are sent, and what a connection is about.

mod answer;
mod body;
mod life;
mod pace;
mod problem;
mod turns;
mod unread;

pub(crate) use answer::{BrokenStream, GoesOn, PIECE, Shared, charged, json, pieces, written};
pub(crate) use body::{ChargedBody, take};
pub(crate) use life::{Answering, AtWork, Life, Lives};
pub(crate) use pace::Pace;
pub use problem::Problem;
pub(crate) use problem::RETRY_AFTER;
pub(crate) use turns::{Counted, Turns};
pub(crate) use unread::lend;
