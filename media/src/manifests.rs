//! Beside its parts every finished upload has a manifest in the object store: what is needed to put
//! its records back after the data of NATS were lost.

use std::collections::BTreeMap;

use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use hansard_archive::Objects;
use hansard_model::UploadId;
use hansard_model::media::{Part, Sha256, Upload};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt as _, PutPayload};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// The form of a manifest.
pub(crate) const FORM: u32 = 1;
/// Bytes of a manifest that is read: far more than any that is written.
const BYTES_MAX: u64 = 8 * 1024 * 1024;

/// An upload and where the bytes are that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// [`FORM`].
    pub(crate) v: u32,
    /// As it was when the manifest was written; what refers to it is in the log.
    pub(crate) upload: Upload,
    /// The blobs of its contents.
    pub(crate) blobs: BTreeMap<Sha256, Located>,
}

/// Where the bytes of a blob are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Located {
    /// Bytes.
    pub(crate) size: u64,
    /// In order and without gaps.
    pub(crate) parts: Vec<Part>,
}

/// The manifests in an object store; clones share it.
#[derive(Clone)]
pub(crate) struct Manifests {
    objects: Objects,
}

impl Manifests {
    pub(crate) fn of(objects: Objects) -> Self {
        Self { objects }
    }

    /// Stores the manifest of an upload over the one that it has.
    pub(crate) async fn put(&self, manifest: &Manifest) -> Result<(), Fault> {
        let text = serde_json::to_vec(manifest)
            .map_err(|error| Error::Generic { store: "manifest", source: error.into() })?;
        let path = self.path(manifest.upload.id);
        self.objects.store.put(&path, PutPayload::from(text)).await?;
        Ok(())
    }

    /// The manifest of an upload; `None`: it has none.
    ///
    /// # Errors
    /// [`Fault::Damaged`] when it cannot be read: it is not taken for absent.
    pub(crate) async fn get(&self, upload: UploadId) -> Result<Option<Manifest>, Fault> {
        let path = self.path(upload);
        let found = match self.objects.store.get(&path).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = || Fault::Damaged { object: path.to_string() };
        if found.meta.size > BYTES_MAX {
            return Err(damaged());
        }
        let text = found.bytes().await?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| damaged())?;
        if manifest.v != FORM || manifest.upload.id != upload {
            return Err(damaged());
        }
        Ok(Some(manifest))
    }

    /// The uploads that have a manifest, as a list shows them.
    pub(crate) fn list(&self) -> BoxStream<'static, Result<UploadId, Fault>> {
        let folder = self.objects.path("media/manifests");
        let listed = self.objects.store.list(Some(&folder)).map_err(Fault::from);
        let ids = listed.try_filter_map(async |object| {
            let name = object.location.filename().and_then(|name| name.strip_suffix(".json"));
            Ok(name.and_then(|name| name.parse().ok()))
        });
        ids.boxed()
    }

    /// Removes the manifest of an upload, if it has one.
    pub(crate) async fn remove(&self, upload: UploadId) -> Result<(), Fault> {
        match self.objects.store.delete(&self.path(upload)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn path(&self, upload: UploadId) -> Path {
        self.objects.path(&format!("media/manifests/{upload}.json"))
    }
}
