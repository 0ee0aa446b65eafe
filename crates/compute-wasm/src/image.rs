//! Plugins and memory images: taking a plugin apart, and making what each sandbox starts from.

mod divide;
mod making;
mod plugin;

pub(crate) use divide::{Facts, Parts, divide, outline};
pub(crate) use making::{
    GuestFailure, IMAGE_VERSION, ImageError, Making, base_image, copy_of_base, op_image,
};
pub(crate) use plugin::{ImagePlugin, Plugin};
