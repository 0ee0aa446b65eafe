//! By whom a file is imported: asked for when a build has failed, which is then begun once more.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use rolldown::plugin::{
    HookResolveIdArgs, HookResolveIdOutput, HookResolveIdReturn, HookUsage, Plugin, PluginContext,
    PluginContextResolveOptions,
};

/// Which module imports which, as they are found.
#[derive(Debug, Default)]
pub(crate) struct Importers {
    importers: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Importers {
    /// The modules between this one and the entry, the nearest first, by the shortest way.
    pub(crate) fn chain(&self, module: &str) -> Vec<String> {
        let importers = self.importers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ways = VecDeque::from([vec![module.to_owned()]]);
        let mut seen = BTreeSet::from([module.to_owned()]);
        while let Some(way) = ways.pop_front() {
            let Some(by) = way.last().and_then(|last| importers.get(last)) else {
                // Nobody imports the entry.
                return way.into_iter().skip(1).collect();
            };
            for importer in by {
                if seen.insert(importer.clone()) {
                    ways.push_back(way.iter().cloned().chain([importer.clone()]).collect());
                }
            }
        }
        Vec::new()
    }
}

impl Plugin for Importers {
    fn name(&self) -> Cow<'static, str> {
        "compute:importers".into()
    }

    async fn resolve_id(
        &self,
        ctx: &PluginContext,
        args: &HookResolveIdArgs<'_>,
    ) -> HookResolveIdReturn {
        let Some(importer) = args.importer else { return Ok(None) };
        let options = PluginContextResolveOptions {
            import_kind: args.kind,
            skip_self: true,
            ..PluginContextResolveOptions::default()
        };
        let Ok(found) = ctx.resolve(args.specifier, args.importer, Some(options)).await? else {
            return Ok(None);
        };
        let mut importers = self.importers.lock().unwrap_or_else(PoisonError::into_inner);
        importers.entry(found.id.to_string()).or_default().insert(importer.to_owned());
        Ok(Some(HookResolveIdOutput::from_resolved_id(found)))
    }

    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::ResolveId
    }
}
