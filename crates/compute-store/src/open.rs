//! Opens a store by its URL.

use std::path::Path as FilePath;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use url::Url;

use crate::{ObjectArtifacts, Store, StoreError, Verified};

/// The environment variables that configure a cloud's client start with one of these.
const CLOUD_VARIABLES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// Opens the store at this URL; everything read from it is verified.
///
/// | URL | store |
/// |---|---|
/// | `file:///folder` | files, made when first written |
/// | `memory:` | memory, gone with the process |
/// | `s3://bucket/prefix` | S3 and what speaks its protocol; credentials from `AWS_…` |
/// | `gs://bucket/prefix` | Google Cloud Storage; credentials from `GOOGLE_…` |
/// | `az://container/prefix` | Azure; credentials from `AZURE_…` |
///
/// # Errors
/// [`StoreError::Url`] for anything else.
pub fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    let refuse = |problem: String| StoreError::Url { url: url.to_owned(), problem };
    let parsed = Url::parse(url).map_err(|error| refuse(error.to_string()))?;
    let objects = match parsed.scheme() {
        "memory" => ObjectArtifacts::in_memory(InMemory::new()),
        "file" => {
            let folder = parsed
                .to_file_path()
                .map_err(|()| refuse("a file URL has three slashes and a whole path".into()))?;
            open_folder(&folder)?
        }
        "s3" | "s3a" | "gs" | "az" | "azure" | "abfs" | "abfss" | "https" => {
            let variables = std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .filter(|(name, _)| CLOUD_VARIABLES.iter().any(|start| name.starts_with(start)));
            let (bucket, prefix) = object_store::parse_url_opts(&parsed, variables)
                .map_err(|error| refuse(error.to_string()))?;
            ObjectArtifacts::over_network(prefixed(bucket, prefix))
        }
        scheme => return Err(refuse(format!("its scheme `{scheme}` is unknown"))),
    };
    Ok(Arc::new(Verified::new(objects)))
}

fn open_folder(folder: &FilePath) -> Result<ObjectArtifacts, StoreError> {
    std::fs::create_dir_all(folder).map_err(|error| {
        StoreError::storage("make the store's folder", in_folder(&error, folder))
    })?;
    let files = LocalFileSystem::new_with_prefix(folder)
        .map_err(|error| StoreError::storage("open the store's folder", error))?;
    Ok(ObjectArtifacts::in_folder(files.with_fsync(true), folder))
}

fn in_folder(error: &std::io::Error, folder: &FilePath) -> String {
    format!("{}: {error}", folder.display())
}

fn prefixed(
    bucket: Box<dyn object_store::ObjectStore>,
    prefix: Path,
) -> Arc<dyn object_store::ObjectStore> {
    Arc::new(PrefixStore::new(bucket, prefix))
}
