//! The kinds of work that requests are, by what they need that is scarce: each has places of its own, shares of
//! them for each tenant, and threads of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use compute::Cancel;

use super::admission::{Admission, Permit};
use super::workers::{NICE, SPARE_NICE, Workers};
use crate::{Problem, Settings};

/// The classes there are.
#[derive(Debug)]
pub(crate) struct Classes {
    /// Runs and documents: a place is a sandbox.
    pub(crate) sandboxes: Class,
    /// What compiles.
    pub(crate) uploads: Class,
    /// All else: reading and writing what is kept, checking rules.
    pub(crate) admin: Class,
    /// What asks the store of artifacts, which may take its time, or waits for such work of the same tenant: it keeps no place from what
    /// only asks the state, such as to revoke a token.
    pub(crate) stores: Class,
    /// What keeps and reads the large outputs of jobs, where the store may take its time.
    pub(crate) outputs: Class,
    /// What nobody waits for: it takes a place of the sandboxes as well, a few of them, and one for each tenant, so that it does
    /// not keep those from them who come meanwhile.
    pub(crate) spare: Class,
}

/// One kind of work.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub(crate) admission: Admission,
    workers: Workers,
}

/// A place for work of one kind. Work that is given to it holds the place until it has ended, whoever went away
/// meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    class: Class,
    permit: Arc<Permit>,
}

/// Which part of the sandboxes may do what nobody waits for: one in so many.
const SPARE: usize = 4;

impl Classes {
    pub(crate) fn new(settings: &Settings) -> Self {
        let class = |name, places: usize, share| Class {
            admission: Admission::new(places, share, settings.max_queue),
            workers: Workers::new(name, places, NICE),
        };
        let (uploads, admin) = (settings.max_uploads, settings.max_admin);
        let spare = settings.max_concurrency / SPARE;
        Self {
            sandboxes: class(
                "compute-run",
                settings.max_concurrency,
                settings.max_tenant_concurrency,
            ),
            uploads: class("compute-upload", uploads, uploads.div_ceil(2)),
            admin: class("compute-admin", admin, admin.div_ceil(2)),
            stores: class("compute-store", admin, admin.div_ceil(2)),
            outputs: class("compute-output", admin, admin.div_ceil(2)),
            spare: Class {
                admission: Admission::new(spare, 1, 0),
                workers: Workers::new("compute-spare", spare, SPARE_NICE),
            },
        }
    }
}

impl Class {
    /// A place for this tenant, at once or in turn. The deadline covers the wait.
    pub(crate) async fn enter(
        &self,
        tenant: &str,
        accepted: Instant,
        wall: Duration,
    ) -> Result<Slot, Problem> {
        let left = wall.saturating_sub(accepted.elapsed());
        let permit =
            tokio::time::timeout(left, self.admission.enter(tenant)).await.map_err(|_| {
                let detail = format!("the wall limit of {wall:?} was reached in the queue");
                Problem::new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", detail)
            })??;
        Ok(Slot { class: self.clone(), permit: Arc::new(permit) })
    }

    /// A place for this tenant in turn, however long that takes and however many wait.
    pub(crate) async fn enter_patiently(&self, tenant: &str) -> Result<Slot, Problem> {
        let permit = self.admission.enter_patiently(tenant).await?;
        Ok(Slot { class: self.clone(), permit: Arc::new(permit) })
    }

    /// A place for this tenant, if one is free that nobody waits for.
    pub(crate) fn try_enter(&self, tenant: &str) -> Option<Slot> {
        let permit = Arc::new(self.admission.try_enter(tenant)?);
        Some(Slot { class: self.clone(), permit })
    }
}

impl Slot {
    /// Does this on one of the class's threads. The work is told to stop when nobody waits for it any longer.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cancel) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = Arc::clone(&self.permit);
        let done = self.class.workers.run(move |cancel| {
            let result = work(cancel);
            drop(permit);
            result
        });
        done.await.map_err(|error| Problem::internal(&error))
    }
}
