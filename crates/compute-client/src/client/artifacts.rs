//! Artifacts: kept, fetched, listed, deleted.

use bytes::Bytes;
use compute::{Artifact, Ref};
use compute_api::{Attached, Computes, Manifest, Uploaded};
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use super::ApiClient;
use crate::Error;
use crate::mode::Mode;
use crate::request::{Call, Request};

/// The kind of a body that is just bytes.
const BYTES: &str = "application/octet-stream";

impl<M: Mode> ApiClient<M> {
    /// Keeps an artifact. What it links to must be there; keeping what is there already changes nothing.
    ///
    /// Fails with [`ErrorKind::Refused`](crate::ErrorKind::Refused) if it could not run, and with
    /// [`ErrorKind::Quota`](crate::ErrorKind::Quota) if the tenant keeps too much.
    pub fn put_artifact(&self, artifact: &Artifact) -> M::Answer<'_, Uploaded> {
        self.call(upload(artifact))
    }

    /// Whether an artifact is there.
    pub fn has_artifact(&self, reference: &Ref) -> M::Answer<'_, bool> {
        let request = Request::new(reqwest::Method::HEAD, path(reference));
        let request = request.accept(|received| {
            received.status.is_success() || received.status == reqwest::StatusCode::NOT_FOUND
        });
        self.call(request.read(|received| Ok(received.status.is_success())))
    }

    /// The bytes of an artifact, checked against its digest.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if it isn't there.
    pub fn artifact(&self, reference: &Ref) -> M::Answer<'_, Bytes> {
        self.checked(artifact(reference), reference.clone())
    }

    /// What is known of an artifact.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if it isn't there.
    pub fn manifest(&self, reference: &Ref) -> M::Answer<'_, Manifest> {
        self.call(manifest(reference))
    }

    /// All manifests, in the order of their refs, fetched page by page while they are read. After an error nothing follows.
    pub fn manifests(&self) -> M::Items<'_, Manifest> {
        M::items(self.pages())
    }

    /// One page of the manifests: those after this ref. Its `next` is what to go on after.
    pub fn manifests_after(&self, after: Option<&Ref>) -> M::Answer<'_, Computes> {
        self.call(page(after))
    }

    /// Keeps something that belongs to an artifact, such as its source map, in place of what had this name. It gives its
    /// address.
    pub fn attach(
        &self,
        reference: &Ref,
        name: &str,
        bytes: impl Into<Bytes>,
    ) -> M::Answer<'_, Ref> {
        self.call(attach(reference, name, bytes.into()))
    }

    /// The bytes of an attachment that a manifest names, checked against its digest.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if it isn't there.
    pub fn attachment(&self, reference: &Ref) -> M::Answer<'_, Bytes> {
        self.checked(attachment(reference), reference.clone())
    }

    /// Deletes an artifact.
    ///
    /// Fails with [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) while a version or another artifact needs it.
    pub fn delete_artifact(&self, reference: &Ref) -> M::Answer<'_, ()> {
        self.call(delete(reference))
    }

    /// All manifests, page by page.
    pub(crate) fn pages(&self) -> BoxStream<'_, Result<Manifest, Error>> {
        let pages = stream::try_unfold(Some(None), move |after: Option<Option<Ref>>| async move {
            let Some(after) = after else { return Ok(None) };
            let Computes { computes, next } = self.fetch(page(after.as_ref())).await?;
            Ok::<_, Error>(Some((stream::iter(computes.into_iter().map(Ok)), next.map(Some))))
        });
        pages.try_flatten().boxed()
    }

    /// The bytes that this asks for, if they are those that the ref means.
    fn checked(&self, call: Call<Bytes>, reference: Ref) -> M::Answer<'_, Bytes> {
        M::answer(Box::pin(async move {
            let bytes = self.fetch(call).await?;
            match reference.verify(&bytes) {
                Ok(()) => Ok(bytes),
                Err(source) => Err(Error::Digest { base: self.base().to_owned(), source }),
            }
        }))
    }
}

fn path(reference: &Ref) -> [&str; 4] {
    ["v1", "computes", reference.alg(), reference.digest()]
}

pub(crate) fn upload(artifact: &Artifact) -> Call<Uploaded> {
    let request = Request::put(path(artifact.reference())).query("engine", artifact.engine());
    request.body(BYTES, artifact.wasm().clone()).known().json()
}

pub(crate) fn artifact(reference: &Ref) -> Call<Bytes> {
    Request::get(path(reference)).bytes()
}

pub(crate) fn manifest(reference: &Ref) -> Call<Manifest> {
    Request::get(path(reference)).part("manifest").json()
}

pub(crate) fn attach(reference: &Ref, name: &str, bytes: Bytes) -> Call<Ref> {
    let request = Request::put(path(reference)).part("attachments").part(name);
    request.body(BYTES, bytes).known().json_as(|Attached { reference }| reference)
}

pub(crate) fn attachment(reference: &Ref) -> Call<Bytes> {
    Request::get(["v1", "attachments", reference.alg(), reference.digest()]).bytes()
}

pub(crate) fn delete(reference: &Ref) -> Call<()> {
    Request::delete(path(reference)).done()
}

fn page(after: Option<&Ref>) -> Call<Computes> {
    let request = Request::get(["v1", "computes"]);
    let Some(after) = after.cloned() else { return request.json() };
    request.query("after", after.as_str()).read(move |received| {
        let page: Computes = serde_json::from_slice(&received.body)?;
        // Else a list could go round for ever.
        if page.next.as_ref().is_some_and(|next| *next <= after) {
            return Err(format!("the list does not go on after {after}").into());
        }
        Ok(page)
    })
}
