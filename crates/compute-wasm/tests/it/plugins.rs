//! Plugins, what links to them, and the memory images that are made with them.

mod admitted;
mod images;
mod javy;
