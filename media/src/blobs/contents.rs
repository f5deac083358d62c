//! The bytes that an upload holds: storing small ones whole, reading them, finding them all, and
//! removing what none of them needs.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use hansard_model::UploadId;
use hansard_model::media::{Content, Part, Sha256, Upload};

use super::Blobs;
use crate::fault::Fault;
use crate::manifests::{FORM, Located, Manifest};
use crate::parts::{Reading, Writer};

/// Bytes that were stored and are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The blob that has them.
    pub(crate) blob: Sha256,
    /// Of the bytes, if that is not the name of the blob.
    pub(crate) sha256: Option<Sha256>,
    /// How many.
    pub(crate) size: u64,
}

impl Stored {
    /// As a content of the upload that holds them.
    pub(crate) fn content(
        self,
        media_type: &str,
        inline: bool,
        size: Option<(u32, u32)>,
    ) -> Content {
        let Self { blob, sha256, size: bytes } = self;
        let (width, height) = size.unzip();
        let media_type = media_type.to_owned();
        Content { blob, sha256, size: bytes, media_type, inline, width, height }
    }
}

impl Blobs {
    /// Stores bytes and has the writer's upload hold them.
    pub(crate) async fn store(&self, writer: Writer, bytes: Bytes) -> Result<Stored, Fault> {
        let size = bytes.len() as u64;
        let (own, sha256) = self.parts.put_all(writer, bytes).await?;
        let joined = self.join(writer.upload, sha256, size, &own).await?;
        self.parts.remove(&joined.spare).await?;
        Ok(Stored { blob: joined.blob, sha256: joined.sha256, size })
    }

    /// Where the bytes of a content are.
    ///
    /// # Errors
    /// [`Fault::Missing`] when there is no such blob: whoever holds one finds it.
    pub(crate) async fn locate(&self, content: &Content) -> Result<Vec<Part>, Fault> {
        match self.get(content.blob).await? {
            Some(blob) if blob.size == content.size => Ok(blob.parts),
            Some(_) => Err(Fault::Damaged { object: format!("the blob {}", content.blob) }),
            None => Err(Fault::Missing { object: format!("the blob {}", content.blob) }),
        }
    }

    /// The bytes of a content in order, verified.
    pub(crate) async fn read(&self, content: &Content) -> Result<Reading, Fault> {
        Ok(self.parts.read(self.locate(content).await?))
    }

    /// The first `len` bytes of a content, or all if it has fewer: at most those of its first part.
    pub(crate) async fn head(&self, content: &Content, len: usize) -> Result<Bytes, Fault> {
        let Some(first) = self.locate(content).await?.first().copied() else {
            return Ok(Bytes::new());
        };
        let bytes = self.parts.get(&first).await?;
        Ok(bytes.slice(..len.min(bytes.len())))
    }

    /// What is needed to put the records of an upload back.
    pub(crate) async fn manifest(&self, upload: &Upload) -> Result<Manifest, Fault> {
        let mut blobs = BTreeMap::new();
        for content in upload.contents.values() {
            let parts = self.locate(content).await?;
            blobs.insert(content.blob, Located { size: content.size, parts });
        }
        Ok(Manifest { v: FORM, upload: upload.clone(), blobs })
    }

    /// Removes the objects of an upload that no blob needs which it ever joined: those of its
    /// contents, that of the bytes which were uploaded, and `also`. Only for one that nobody writes
    /// to any more.
    pub(crate) async fn clear(
        &self,
        upload: &Upload,
        also: &BTreeSet<Sha256>,
    ) -> Result<(), Fault> {
        let joined = upload.contents.values().map(|content| content.blob);
        let joined = joined.chain(upload.original).chain(also.iter().copied());
        // In this order: a blob is made of parts that were stored before, and never again later.
        let stored = self.parts.stored(upload.id).await?;
        let mut needed = HashSet::new();
        for blob in joined.collect::<BTreeSet<_>>() {
            needed.extend(self.own_parts(upload.id, blob).await?);
        }
        let spare: Vec<Part> =
            stored.into_iter().filter(|part| !needed.contains(&name_of(part))).collect();
        self.parts.remove(&spare).await
    }

    async fn own_parts(&self, upload: UploadId, blob: Sha256) -> Result<Vec<PartName>, Fault> {
        let parts = self.get(blob).await?.map(|blob| blob.parts).unwrap_or_default();
        Ok(parts.iter().filter(|part| part.upload == upload).map(name_of).collect())
    }
}

/// What tells the parts of one upload apart.
type PartName = (u32, u64, u64, Sha256);

fn name_of(part: &Part) -> PartName {
    (part.generation, part.offset, part.len, part.sha256)
}
