//! Which files a bundle is made of, also those of which nothing is left in it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rolldown::plugin::{HookLoadArgs, HookLoadReturn, HookUsage, Plugin, SharedLoadPluginContext};

/// Notes each file that is read as a module.
#[derive(Debug, Default)]
pub(crate) struct Reads(Mutex<BTreeSet<PathBuf>>);

impl Reads {
    /// Those that were read until now.
    pub(crate) fn files(&self) -> BTreeSet<PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Plugin for Reads {
    fn name(&self) -> Cow<'static, str> {
        "compute:reads".into()
    }

    async fn load(&self, _ctx: SharedLoadPluginContext, args: &HookLoadArgs<'_>) -> HookLoadReturn {
        let file = Path::new(args.id);
        if file.is_absolute() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(file.to_owned());
        }
        Ok(None)
    }

    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::Load
    }
}
