//! Artifacts in an object store: the layout, and how it is written so that readers see all or nothing.

mod sweep;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use compute::{Algorithm, Artifact, BoxFuture, Ref};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error as ObjectError, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};

use crate::runtime::in_runtime;
use crate::{MAX_BYTES, Manifest, NewArtifact, Store, StoreError, Stored, SweepReport, Usage};

/// The largest manifest that is read, in bytes.
const MAX_MANIFEST: u64 = 1 << 20;
/// The longest digest that is looked for. A longer one is nowhere, and some storages choke on it.
const MAX_DIGEST: usize = 128;
/// How long storage that is reached over a network may take to answer, and to take what is put.
const SOON: Duration = Duration::from_secs(30);
const PUT: Duration = Duration::from_secs(300);
/// How many manifests are fetched at once while listing.
const LIST_AHEAD: usize = 16;

/// Keeps artifacts in any storage that the crate `object_store` reaches.
#[derive(Clone, Debug)]
pub struct ObjectArtifacts {
    objects: Arc<dyn ObjectStore>,
    /// The folder, where objects are files.
    folder: Option<PathBuf>,
    /// Whether the storage's client needs a tokio runtime.
    network: bool,
}

impl ObjectArtifacts {
    /// Artifacts in memory.
    #[must_use]
    pub fn in_memory(objects: InMemory) -> Self {
        Self { objects: Arc::new(objects), folder: None, network: false }
    }

    /// Artifacts as files in this folder, which must be the prefix of `objects`.
    #[must_use]
    pub fn in_folder(objects: LocalFileSystem, folder: &FilePath) -> Self {
        Self { objects: Arc::new(objects), folder: Some(folder.to_owned()), network: false }
    }

    /// Artifacts in storage that is reached over a network.
    #[must_use]
    pub fn over_network(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, folder: None, network: true }
    }

    /// Runs work that asks the storage, where its client can work.
    fn run<'a, T: Send + 'static, F>(
        &self,
        work: impl FnOnce(Self) -> F,
    ) -> BoxFuture<'a, Result<T, StoreError>>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let work = work(self.clone());
        if self.network { Box::pin(in_runtime(work)) } else { Box::pin(work) }
    }

    /// The same, where the storage must have answered by then: one that hangs would hold whoever asks for minutes.
    fn run_in_time<'a, T: Send + 'static, F>(
        &self,
        limit: Duration,
        work: impl FnOnce(Self) -> F,
    ) -> BoxFuture<'a, Result<T, StoreError>>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        if !self.network {
            return self.run(work);
        }
        self.run(move |store| {
            let work = work(store);
            async move { in_time(limit, work).await.unwrap_or_else(Err) }
        })
    }

    /// One step of work that has many, as lists have: each has its time.
    async fn step<T>(&self, work: impl Future<Output = T>) -> Result<T, StoreError> {
        if self.network { in_time(SOON, work).await } else { Ok(work.await) }
    }

    async fn put_now(self, new: NewArtifact) -> Result<Manifest, StoreError> {
        let artifact = &new.artifact;
        let reference = artifact.reference();
        for bytes in new.attachments.values().chain([artifact.wasm()]) {
            if bytes.len() as u64 > MAX_BYTES {
                return Err(StoreError::TooLarge { bytes: bytes.len() as u64 });
            }
        }
        artifact.verify().map_err(StoreError::Digest)?;

        let mut attachments = BTreeMap::new();
        for (name, bytes) in &new.attachments {
            let attachment = Ref::of(Algorithm::Sha256, bytes);
            self.put_bytes(&attachment, &attachment_key(&attachment), bytes).await?;
            attachments.insert(name.clone(), attachment);
        }
        self.put_bytes(reference, &bytes_key(reference), artifact.wasm()).await?;

        let manifest = Manifest {
            reference: reference.clone(),
            engine: artifact.engine().to_owned(),
            alg: artifact.alg().to_owned(),
            digest: artifact.digest().to_owned(),
            size: artifact.wasm().len() as u64,
            created: Timestamp::now(),
            links: new.links.clone(),
            attachments,
        };
        self.put_manifest(manifest).await
    }

    /// Writes bytes under their digest, unless they are there. Bytes there that are not the right ones
    /// were damaged, and are replaced.
    async fn put_bytes(
        &self,
        reference: &Ref,
        key: &Path,
        bytes: &Bytes,
    ) -> Result<(), StoreError> {
        if self.create(key, bytes.clone()).await? {
            return Ok(());
        }
        match self.read(reference, key, MAX_BYTES).await {
            Ok(stored) if stored == bytes => self.make_durable(key),
            Ok(_) | Err(StoreError::NotFound { .. } | StoreError::Damaged { .. }) => {
                self.replace(key, bytes.clone()).await
            }
            Err(error) => Err(error),
        }
    }

    async fn put_manifest(&self, new: Manifest) -> Result<Manifest, StoreError> {
        let key = manifest_key(&new.reference);
        if self.create(&key, to_json(&new)?).await? {
            return Ok(new);
        }
        let stored = match self.manifest(&new.reference).await {
            Ok(stored) => stored,
            Err(StoreError::NotFound { .. } | StoreError::Damaged { .. }) => {
                self.replace(&key, to_json(&new)?).await?;
                return Ok(new);
            }
            Err(error) => return Err(error),
        };
        let conflict = |stored: String, given: String| {
            Err(StoreError::Conflict { reference: new.reference.clone(), stored, given })
        };
        if compute::engine_name(&stored.engine) != new.engine {
            let engine = |name: &str| format!("the engine `{name}`");
            return conflict(engine(&stored.engine), engine(&new.engine));
        }
        if stored.links != new.links {
            return conflict(format!("links {:?}", stored.links), format!("links {:?}", new.links));
        }
        let mut merged = stored.clone();
        merged.attachments.extend(new.attachments);
        if merged == stored {
            self.make_durable(&key)?;
        } else {
            self.replace(&key, to_json(&merged)?).await?;
        }
        Ok(merged)
    }

    /// Writes an object if there is none of its name; says whether it did.
    async fn create(&self, key: &Path, bytes: Bytes) -> Result<bool, StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.objects.put_opts(key, bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) => Ok(false),
            Err(error) => Err(StoreError::storage("write", error)),
        }
    }

    async fn replace(&self, key: &Path, bytes: Bytes) -> Result<(), StoreError> {
        let put = self.objects.put(key, bytes.into()).await;
        put.map(|_| ()).map_err(|error| StoreError::storage("write", error))
    }

    /// Makes sure that a file which another writer made outlives a power cut, before it is relied on.
    fn make_durable(&self, key: &Path) -> Result<(), StoreError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let failed = |error: std::io::Error| StoreError::storage("make a file durable", error);
        let file = folder.join(key.as_ref());
        for path in file.ancestors().take_while(|path| path.starts_with(folder)) {
            File::open(path).and_then(|open| open.sync_all()).map_err(failed)?;
        }
        Ok(())
    }

    async fn read(&self, reference: &Ref, key: &Path, most: u64) -> Result<Bytes, StoreError> {
        let object = match self.objects.get(key).await {
            Ok(object) => object,
            Err(ObjectError::NotFound { .. }) => {
                return Err(StoreError::NotFound { reference: reference.clone() });
            }
            Err(error) => return Err(StoreError::storage("read", error)),
        };
        let size = object.meta.size;
        if size > most {
            let problem = format!("it has {size} bytes where {most} are the most");
            return Err(StoreError::damaged(reference, problem));
        }
        object.bytes().await.map_err(|error| StoreError::storage("read", error))
    }

    async fn manifest(&self, reference: &Ref) -> Result<Manifest, StoreError> {
        is_somewhere(reference)?;
        let json = self.read(reference, &manifest_key(reference), MAX_MANIFEST).await?;
        let manifest: Manifest = serde_json::from_slice(&json).map_err(|error| {
            StoreError::damaged(reference, format!("its manifest cannot be read: {error}"))
        })?;
        if manifest.reference != *reference {
            let problem = format!("its manifest is that of {}", manifest.reference);
            return Err(StoreError::damaged(reference, problem));
        }
        Ok(manifest)
    }

    async fn get_now(self, reference: Ref) -> Result<Stored, StoreError> {
        let manifest = self.manifest(&reference).await?;
        let bytes = match self.read(&reference, &bytes_key(&reference), MAX_BYTES).await {
            Err(StoreError::NotFound { .. }) => {
                return Err(StoreError::damaged(&reference, "its bytes are missing"));
            }
            bytes => bytes?,
        };
        let artifact = Artifact::unverified(reference, manifest.engine.clone(), bytes);
        Ok(Stored { manifest, artifact })
    }

    /// The manifest goes first: nobody must find one without its bytes.
    async fn delete_now(self, reference: Ref) -> Result<(), StoreError> {
        let gone = |result: object_store::Result<()>| match result {
            Ok(()) => Ok(true),
            Err(ObjectError::NotFound { .. }) => Ok(false),
            Err(error) => Err(StoreError::storage("delete", error)),
        };
        self.manifest(&reference).await.map(|_| ()).or_else(|error| match error {
            StoreError::Damaged { .. } => Ok(()),
            error => Err(error),
        })?;
        let there = gone(self.objects.delete(&manifest_key(&reference)).await)?;
        gone(self.objects.delete(&bytes_key(&reference)).await)?;
        if there { Ok(()) } else { Err(StoreError::NotFound { reference }) }
    }

    async fn usage_now(self) -> Result<Usage, StoreError> {
        let failed = |error| StoreError::storage("list", error);
        let mut usage = Usage::default();
        for prefix in [COMPUTES, ATTACHMENTS] {
            let prefix = Path::from(prefix);
            let mut objects = self.objects.list(Some(&prefix));
            while let Some(object) = self.step(objects.try_next()).await?.map_err(failed)? {
                usage.bytes = usage.bytes.saturating_add(object.size);
                usage.artifacts += u64::from(ref_of_manifest(&object.location).is_some());
            }
        }
        Ok(usage)
    }

    async fn list_now(self) -> Result<Vec<Result<Manifest, StoreError>>, StoreError> {
        let prefix = Path::from(COMPUTES);
        let failed = |error| StoreError::storage("list", error);
        let mut objects = self.objects.list(Some(&prefix));
        let mut reads = Vec::new();
        while let Some(object) = self.step(objects.try_next()).await?.map_err(failed)? {
            let store = self.clone();
            if let Some(reference) = ref_of_manifest(&object.location) {
                reads.push(async move {
                    store.step(store.manifest(&reference)).await.unwrap_or_else(Err)
                });
            }
        }
        let mut reads = futures_util::stream::iter(reads).buffered(LIST_AHEAD);
        let mut listed = Vec::new();
        while let Some(manifest) = reads.next().await {
            // What is true of one manifest does not concern the others; that storage fails does.
            let fails = matches!(manifest, Err(StoreError::Storage { .. }));
            listed.push(manifest);
            if fails {
                break;
            }
        }
        Ok(listed)
    }
}

impl Store for ObjectArtifacts {
    fn put<'a>(&'a self, new: &'a NewArtifact) -> BoxFuture<'a, Result<Manifest, StoreError>> {
        let new = new.clone();
        self.run_in_time(PUT, |store| store.put_now(new))
    }

    fn get<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Stored, StoreError>> {
        let reference = reference.clone();
        self.run_in_time(SOON, |store| store.get_now(reference))
    }

    fn head<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Manifest, StoreError>> {
        let reference = reference.clone();
        self.run_in_time(SOON, |store| async move { store.manifest(&reference).await })
    }

    fn attachment<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        let reference = reference.clone();
        self.run_in_time(SOON, |store| async move {
            is_somewhere(&reference)?;
            store.read(&reference, &attachment_key(&reference), MAX_BYTES).await
        })
    }

    fn list(&self) -> BoxStream<'_, Result<Manifest, StoreError>> {
        let listed = self.run(Self::list_now);
        let listed = async move {
            futures_util::stream::iter(listed.await.unwrap_or_else(|error| vec![Err(error)]))
        };
        futures_util::stream::once(listed).flatten().boxed()
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        self.run(Self::usage_now)
    }

    fn delete<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<(), StoreError>> {
        let reference = reference.clone();
        self.run_in_time(SOON, |store| store.delete_now(reference))
    }

    fn delete_attachment<'a>(
        &'a self,
        reference: &'a Ref,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let reference = reference.clone();
        self.run_in_time(SOON, |store| async move {
            is_somewhere(&reference)?;
            match store.objects.delete(&attachment_key(&reference)).await {
                Ok(()) | Err(ObjectError::NotFound { .. }) => Ok(()),
                Err(error) => Err(StoreError::storage("delete", error)),
            }
        })
    }

    fn sweep<'a>(
        &'a self,
        keep: &'a HashSet<Ref>,
        before: Timestamp,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<SweepReport, StoreError>> {
        let keep = keep.clone();
        self.run(move |store| sweep::sweep(store, keep, before, dry_run))
    }
}

/// This, if it is done by then.
async fn in_time<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, StoreError> {
    tokio::time::timeout(limit, work).await.map_err(|_| {
        StoreError::storage("wait for an answer", format!("it did not answer within {limit:?}"))
    })
}

/// That a ref is one that anything could be kept under.
fn is_somewhere(reference: &Ref) -> Result<(), StoreError> {
    let known = Algorithm::from_name(reference.alg()).is_some();
    if known && reference.digest().len() <= MAX_DIGEST {
        return Ok(());
    }
    Err(StoreError::NotFound { reference: reference.clone() })
}

const COMPUTES: &str = "computes";
const ATTACHMENTS: &str = "attachments";
const MANIFEST_ENDING: &str = ".json";

fn bytes_key(reference: &Ref) -> Path {
    Path::from(reference.store_key())
}

fn manifest_key(reference: &Ref) -> Path {
    Path::from(format!("{}{MANIFEST_ENDING}", reference.store_key()))
}

fn attachment_key(reference: &Ref) -> Path {
    Path::from(format!("{ATTACHMENTS}/{}/{}", reference.alg(), reference.digest()))
}

/// The ref that an object's name stands for, its ending cut off.
fn ref_of(key: &Path, ending: &str) -> Option<Ref> {
    let mut parts = key.as_ref().strip_suffix(ending)?.split('/').skip(1);
    let (alg, digest) = (parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Ref::parse(&format!("compute://{alg}/{digest}")).ok()
}

fn ref_of_manifest(key: &Path) -> Option<Ref> {
    ref_of(key, MANIFEST_ENDING)
}

fn to_json(manifest: &Manifest) -> Result<Bytes, StoreError> {
    serde_json::to_vec_pretty(manifest)
        .map(Bytes::from)
        .map_err(|error| StoreError::storage("write a manifest", error))
}

#[cfg(test)]
mod tests {
    use object_store::throttle::{ThrottleConfig, ThrottledStore};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn storage_that_hangs_is_not_waited_for() {
        let objects = Arc::new(ThrottledStore::new(InMemory::new(), ThrottleConfig::default()));
        let store = ObjectArtifacts::over_network(Arc::clone(&objects) as _);
        let artifact = |text: String| Artifact::new(Algorithm::Sha256, "wasm", text.into_bytes());
        let new = NewArtifact::new(artifact("one".into()));
        for number in 0..3 * LIST_AHEAD {
            let new = NewArtifact::new(artifact(format!("{number}")));
            store.put(&new).await.unwrap();
        }
        assert_eq!(store.list().collect::<Vec<_>>().await.len(), 3 * LIST_AHEAD);
        let (reference, hangs) = (new.artifact.reference(), Duration::from_secs(24 * 3600));
        objects.config_mut(|config| config.wait_get_per_call = hangs);
        let begun = tokio::time::Instant::now();
        let took = |limit: Duration, error: &StoreError| {
            assert!(matches!(error, StoreError::Storage { .. }), "{error}");
            assert!(begun.elapsed() < limit + Duration::from_secs(1), "{:?}", begun.elapsed());
        };
        took(SOON, store.list().collect::<Vec<_>>().await.last().unwrap().as_ref().unwrap_err());
        took(SOON * 2, &store.get(reference).await.unwrap_err());
        took(SOON * 3, &store.head(reference).await.unwrap_err());
        objects.config_mut(|config| {
            (config.wait_list_per_call, config.wait_put_per_call) = (hangs, hangs);
        });
        took(SOON * 4, &store.usage().await.unwrap_err());
        took(SOON * 5, store.list().next().await.unwrap().as_ref().unwrap_err());
        took(SOON * 5 + PUT, &store.put(&new).await.unwrap_err());
    }
}
