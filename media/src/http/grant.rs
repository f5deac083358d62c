//! On whose behalf a request is, and what it may do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use hansard_model::media::{Allows, Grant, Variant};
use hansard_model::{UploadId, UserId};
use hansard_nats::grant::{GRANT_HEADER, open};
use hansard_nats::media::{GrantSecret, MediaBucket};
use hansard_protocol::ErrorCode;
use http::request::Parts;
use tokio::time::Instant;

use super::Shared;
use super::failure::Failure;
use crate::fault::Fault;

/// How often the secret is read again, at most: another one is there after the data of NATS were
/// lost.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The secret of grants, as far as it is known.
pub(crate) struct Grants {
    bucket: MediaBucket,
    secret: Mutex<(GrantSecret, Instant)>,
}

impl Grants {
    /// Reads the secret, which is made when there is none yet.
    pub(crate) async fn open(bucket: MediaBucket) -> Result<Self, Fault> {
        let secret = bucket.grant_secret().await?;
        Ok(Self { bucket, secret: Mutex::new((secret, Instant::now())) })
    }

    fn known(&self) -> (GrantSecret, Instant) {
        self.secret.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn read_again(&self) -> Result<GrantSecret, Fault> {
        let secret = self.bucket.grant_secret().await?;
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner) =
            (secret.clone(), Instant::now());
        Ok(secret)
    }
}

async fn granted(parts: &Parts, shared: &Shared) -> Result<Grant, Failure> {
    let refused = || Failure::new(ErrorCode::Unauthorized, "no grant of a gateway, or an old one");
    let text = parts.headers.get(GRANT_HEADER).and_then(|value| value.to_str().ok());
    let text = text.ok_or_else(refused)?;
    let now = shared.clock.now().map_err(Fault::from)?;
    let (secret, read) = shared.grants.known();
    if let Ok(grant) = open(&secret, text, now) {
        return Ok(grant);
    }
    if read.elapsed() < READ_AGAIN_AFTER {
        return Err(refused());
    }
    let secret = shared.grants.read_again().await?;
    open(&secret, text, now).map_err(|_| refused())
}

/// Somebody who uploads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uploader(pub(super) UserId);

impl FromRequestParts<Arc<Shared>> for Uploader {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, Self::Rejection> {
        let Grant { user, allows, .. } = granted(parts, shared).await?;
        match allows {
            Allows::Upload => Ok(Self(user)),
            Allows::Read(..) => Err(Failure::new(ErrorCode::Forbidden, "the grant is to read")),
        }
    }
}

/// Somebody who reads one variant of an upload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    pub(super) user: UserId,
    pub(super) upload: UploadId,
    pub(super) variant: Variant,
}

impl FromRequestParts<Arc<Shared>> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, Self::Rejection> {
        let Grant { user, allows, .. } = granted(parts, shared).await?;
        match allows {
            Allows::Read(upload, variant) => Ok(Self { user, upload, variant }),
            Allows::Upload => Err(Failure::new(ErrorCode::Forbidden, "the grant is to upload")),
        }
    }
}

/// Either: what is asked of a file depends on it.
pub(super) enum Granted {
    Upload(Uploader),
    Read(Reader),
}

impl FromRequestParts<Arc<Shared>> for Granted {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, Self::Rejection> {
        let Grant { user, allows, .. } = granted(parts, shared).await?;
        Ok(match allows {
            Allows::Upload => Self::Upload(Uploader(user)),
            Allows::Read(upload, variant) => Self::Read(Reader { user, upload, variant }),
        })
    }
}
