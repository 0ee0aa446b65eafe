//! A document's way through the stacks of a snapshot, from its request to its answer.

mod batch;
mod control;
mod failure;
mod input;
mod mask;
mod merge;
mod mocks;
mod processor;
mod recorder;
mod request;
mod run;
mod step;

pub use batch::Helpers;
pub use failure::{Failure, Reason};
pub use merge::merge;
pub use processor::{Answer, Processor};
pub use request::{Detail, Request, Settings as ProcessorSettings};
