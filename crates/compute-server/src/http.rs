//! Bodies and answers, charged to their requests, and what a connection is about.

mod answer;
mod body;
mod life;
mod pace;
mod turns;

pub(crate) use answer::{BrokenStream, PIECE, Shared, charged, pieces, written};
pub(crate) use body::{ChargedBody, take};
pub(crate) use life::{Answering, AtWork, Life, Lives};
pub(crate) use pace::Pace;
pub(crate) use turns::{Counted, Turns};
