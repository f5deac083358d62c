//! Hashes of what is received, kept between the requests of an upload, so that it need not be read
//! again at its end.
//!
//! Invariant: a hash counts only for the very parts that it was made of. Otherwise somebody could
//! have bytes of theirs taken for others.

use std::sync::Arc;

use hansard_model::UploadId;
use hansard_model::media::{Part, Sha256};
use quick_cache::sync::Cache;
use sha2::Digest as _;

use crate::digest::Digest;

/// Uploads whose hash is kept; for others the bytes are read once more.
const UPLOADS_MAX: usize = 1_024;

/// Which parts, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(parts: &[Part]) -> Self {
        let hash = parts.iter().fold(sha2::Sha256::new(), |hash, part| {
            hash.chain_update(part.generation.to_be_bytes())
                .chain_update(part.offset.to_be_bytes())
                .chain_update(part.len.to_be_bytes())
                .chain_update(part.sha256.0)
        });
        Self(hash.finalize().into())
    }
}

/// The hash of all bytes of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Of what it was made.
    pub(crate) parts: Fingerprint,
    /// The hash.
    pub(crate) sha256: Sha256,
}

/// The hashes so far of uploads that are not finished; clones share them.
#[derive(Clone)]
pub(crate) struct KnownDigests {
    digests: Arc<Cache<UploadId, (Fingerprint, Digest)>>,
}

impl KnownDigests {
    pub(crate) fn new() -> Self {
        Self { digests: Arc::new(Cache::new(UPLOADS_MAX)) }
    }

    /// Keeps the hash of these parts.
    pub(crate) fn keep(&self, upload: UploadId, parts: &[Part], digest: Digest) {
        self.digests.insert(upload, (Fingerprint::of(parts), digest));
    }

    /// The hash of these parts, if it is known.
    pub(crate) fn take(&self, upload: UploadId, parts: &[Part]) -> Option<Digest> {
        let kept = self.digests.remove(&upload).map(|(_, kept)| kept);
        if parts.is_empty() {
            return Some(Digest::default());
        }
        let (fingerprint, digest) = kept?;
        (fingerprint == Fingerprint::of(parts)).then_some(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_counts_only_for_the_parts_it_was_made_of() {
        let upload = UploadId::from_entropy([1; 20]);
        let part = |generation| {
            let sha256 = Sha256([7; 32]);
            Part { upload, generation, offset: 0, len: 3, sha256 }
        };
        let digests = KnownDigests::new();
        let digest = Digest::default().absorb(bytes::Bytes::from_static(b"abc")).await;
        digests.keep(upload, &[part(2)], digest.clone());
        assert!(digests.take(upload, &[part(4)]).is_none(), "of another writer");
        assert!(digests.take(upload, &[part(2)]).is_none(), "it is taken once");
        digests.keep(upload, &[part(2)], digest.clone());
        let taken = digests.take(upload, &[part(2)]).expect("known");
        assert_eq!(taken.finish(), digest.finish());
        assert!(digests.take(upload, &[]).is_some(), "of nothing it is always known");
    }
}
