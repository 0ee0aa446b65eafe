//! A runtime for network storage, for callers that have none.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::StoreError;

/// Runs a future where the storage's network client can work: in the caller's tokio runtime if there
/// is one, else in one of our own.
pub(crate) async fn in_runtime<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    static OWN: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    if Handle::try_current().is_ok() {
        return work.await;
    }
    let runtime = OWN.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("compute-store").enable_all().build()
    });
    match runtime {
        Ok(runtime) => runtime
            .spawn(work)
            .await
            .unwrap_or_else(|error| Err(StoreError::storage("wait for a task", error))),
        Err(error) => Err(StoreError::storage("start a network thread", error.to_string())),
    }
}
