//! Takes a document through a version that answers nobody, after it has its answer, and counts what is otherwise.

use std::sync::Arc;
use std::time::Duration;

use compute::Charge;
use compute_flow::{Answer, Detail, Request};
use compute_replay::compare_answers;
use compute_state::Shadow;

use super::Helpers;
use crate::Server;
use crate::tenants::{Live, LiveShadow, Tenant};

/// A document that a shadow gets as well.
pub(super) struct ShadowRun {
    live: Arc<Live>,
    /// Which of the shadows.
    at: usize,
    request: Request,
    answer: Answer,
    /// What names the document in what is told of it: its record, or its request.
    id: String,
}

impl ShadowRun {
    /// What is to be done besides, if the document went through the active version of a stack that has a shadow, and is one of its
    /// share. What another version answered says nothing of the active one.
    pub(super) fn of(
        live: Arc<Live>,
        request: Request,
        answer: Answer,
        record: Option<String>,
        drawn: u64,
    ) -> Option<Self> {
        let trace = answer.trace.as_ref()?;
        let is_its = |one: &LiveShadow| {
            let stack = &one.shadow.stack;
            let is_active =
                trace.versions.contains_key(stack) && !answer.rolled_out.contains(stack);
            is_active && one.shadow.share.takes(drawn)
        };
        let at = live.shadows.iter().position(is_its)?;
        let id = record.unwrap_or_else(|| answer.rid.clone());
        Some(Self { live, at, request, answer, id })
    }

    fn shadow(&self) -> &Shadow {
        &self.live.shadows[self.at].shadow
    }

    /// Runs it in a place that is free now, and that nobody waits for; if there is none, it is left out. Nobody waits for it.
    pub(super) fn start(self, server: &Server, tenant: Arc<Tenant>, limit: Duration, held: Charge) {
        let classes = &server.shared.classes;
        let sandboxes = classes.sandboxes.admission.clone();
        let name = tenant.name.as_str();
        let place = classes.spare.try_enter(name);
        let Some((place, sandbox)) =
            place.and_then(|place| Some((place, sandboxes.try_enter(name)?)))
        else {
            tenant.shadows.skipped(self.shadow());
            return;
        };
        tokio::spawn(async move {
            let work = place.run(move |cancel| {
                let _held = (held, sandbox);
                let Self { live, at, mut request, answer, id } = self;
                let LiveShadow { shadow, snapshot, .. } = &live.shadows[at];
                request.rid = Some(answer.rid.clone());
                request.detail = Detail::Off;
                request.recording = None;
                request.cancel = Some(cancel.clone());
                request.deadline = Some(limit);
                request.helpers =
                    Some(Arc::new(Helpers { sandboxes, tenant: tenant.name.clone() }));
                let other = tenant.shadow_processor.process(snapshot, &request);
                tenant.shadows.compared(shadow, &id, &compare_answers(&answer, &other, &live.mask));
            });
            // A panic in it is its own.
            let _ = work.await;
        });
    }
}
