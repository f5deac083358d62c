//! Watches: which uploads are looked at again, and when.
//!
//! A watch is written before what it watches is, so that nothing is ever forgotten. It goes only
//! when nothing is left to look at, and never while it is young: whoever wrote it may be about to
//! write what it is for.

use std::collections::BTreeSet;
use std::time::Duration;

use hansard_model::media::{MediaKey, Sha256};
use hansard_model::{LogTime, UploadId};
use hansard_nats::media::{Change, MediaBucket};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// Whoever writes a watch writes what it is for within so long, or writes it again. Less than the
/// age at which a watch may go.
pub(crate) const USED_WITHIN: Duration = Duration::from_secs(15);

const HOUR_MS: u64 = 60 * 60 * 1_000;

/// What the bucket has under [`MediaKey::Watch`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// When it was last written, or what it watches was last begun.
    pub(crate) since: LogTime,
    /// Blobs that the upload may hold besides those of its record: it was about to join them, or to
    /// leave them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) joining: BTreeSet<Sha256>,
}

/// The hour of a moment, since 1970.
pub(crate) fn hour_of(moment: LogTime) -> u64 {
    moment.as_millis() / HOUR_MS
}

/// Has an upload looked at in the hour of `at`, which may be the present one.
///
/// # Errors
/// [`Fault`] when the bucket does not answer: do not write what it is for.
pub(crate) async fn put(
    bucket: &MediaBucket,
    at: LogTime,
    now: LogTime,
    upload: UploadId,
) -> Result<(), Fault> {
    put_joining(bucket, at, now, upload, &BTreeSet::new()).await
}

/// As [`put`], of an upload that is about to join or to leave these blobs.
///
/// # Errors
/// As [`put`].
pub(crate) async fn put_joining(
    bucket: &MediaBucket,
    at: LogTime,
    now: LogTime,
    upload: UploadId,
    joining: &BTreeSet<Sha256>,
) -> Result<(), Fault> {
    let key = MediaKey::Watch(hour_of(at), upload);
    let merge = |found: Option<&Watch>| {
        let mut watch = found.cloned().unwrap_or_default();
        watch.since = watch.since.max(now);
        watch.joining.extend(joining);
        (Change::Put(watch), ())
    };
    bucket.update(key, merge).await?;
    Ok(())
}

/// The upload has joined and left all that it was about to.
///
/// # Errors
/// As [`put`]: the collector finds it later.
pub(crate) async fn settled(
    bucket: &MediaBucket,
    hour: u64,
    upload: UploadId,
) -> Result<(), Fault> {
    let settle = |found: Option<&Watch>| match found {
        Some(found) => (Change::Put(Watch { since: found.since, joining: BTreeSet::new() }), ()),
        None => (Change::Keep, ()),
    };
    bucket.update(MediaKey::Watch(hour, upload), settle).await?;
    Ok(())
}
