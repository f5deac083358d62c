//! URLs that need no token, for pictures in pages and players: they say in whose name, for which
//! session and until when, and are signed. Who may not read the file any more, or has logged out, is
//! refused all the same.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hansard_model::media::Variant;
use hansard_model::{DeviceId, LogTime, UploadId, UserId};
use hansard_nats::grant;
use hansard_nats::media::{GrantSecret, UpdateError};

use super::{GrantError, Media};

/// What is signed here, and nothing else.
const LABEL: &str = "hansard media url";

/// What a signed URL lets somebody read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// Which file.
    pub(crate) id: UploadId,
    /// Which of its bytes.
    pub(crate) variant: Variant,
    /// In whose name.
    pub(crate) user: UserId,
    /// By which of their sessions.
    pub(crate) device: DeviceId,
    /// Until then, in milliseconds since the Unix epoch.
    pub(crate) expires_ms: u64,
}

/// Why a signed URL lets nobody read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignatureError {
    /// This deployment did not sign it so.
    #[error("the signature is not valid")]
    Forged,
    /// Its time is over.
    #[error("the URL has expired")]
    Expired,
    /// It cannot be looked at now.
    #[error(transparent)]
    Unknown(#[from] GrantError),
}

impl From<UpdateError> for SignatureError {
    fn from(error: UpdateError) -> Self {
        Self::Unknown(error.into())
    }
}

/// A variant, as `variant=` names it.
pub(crate) fn variant_name(variant: Variant) -> &'static str {
    match variant {
        Variant::File => "file",
        Variant::Thumb => "thumb",
        Variant::Preview => "preview",
    }
}

impl Signed {
    /// The path and query of a URL.
    fn url(&self, secret: &GrantSecret) -> String {
        let Self { id, variant, user, device, expires_ms } = self;
        let signature = grant::sign(secret, LABEL, self.message().as_bytes());
        format!(
            "/v1/media/{id}?variant={}&user={user}&device={device}&expires={expires_ms}&signature={}",
            variant_name(*variant),
            URL_SAFE_NO_PAD.encode(signature),
        )
    }

    fn is_signed(&self, secret: &GrantSecret, signature: &str) -> bool {
        URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| {
            grant::is_signed(secret, LABEL, self.message().as_bytes(), &signature)
        })
    }

    /// None of the parts has a line feed: no two of these are written the same.
    fn message(&self) -> String {
        let Self { id, variant, user, device, expires_ms } = self;
        format!("{id}\n{}\n{user}\n{device}\n{expires_ms}", variant_name(*variant))
    }
}

impl Media {
    /// A URL for a session of `user`, and when it ends.
    ///
    /// # Errors
    /// [`GrantError`]
    pub(crate) async fn url(
        &self,
        (user, device): (UserId, DeviceId),
        id: UploadId,
        variant: Variant,
        lasts: Duration,
    ) -> Result<(String, LogTime), GrantError> {
        let expires_ms = self.clock.now()?.plus(lasts).as_millis();
        let signed = Signed { id, variant, user, device, expires_ms };
        Ok((signed.url(self.secret().await?), LogTime::from_millis(expires_ms)))
    }

    /// Checks that a URL was signed here and is not over.
    ///
    /// # Errors
    /// [`SignatureError`]
    pub(crate) async fn check_url(
        &self,
        signed: &Signed,
        signature: &str,
    ) -> Result<(), SignatureError> {
        if !signed.is_signed(self.secret().await?, signature) {
            return Err(SignatureError::Forged);
        }
        let now = self.clock.now().map_err(GrantError::from)?;
        if now >= LogTime::from_millis(signed.expires_ms) {
            return Err(SignatureError::Expired);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> Signed {
        Signed {
            id: UploadId::from_entropy([1; 20]),
            variant: Variant::Thumb,
            user: UserId::from_entropy([2; 20]),
            device: DeviceId::from_entropy([4; 20]),
            expires_ms: 1_000,
        }
    }

    #[test]
    fn a_signature_is_of_one_file_one_variant_one_session_and_one_time() {
        let secret = GrantSecret::from_bytes([7; 32]);
        let url = signed().url(&secret);
        let signature = url.rsplit_once("signature=").expect("a signature").1;
        assert!(signed().is_signed(&secret, signature));
        for other in [
            Signed { id: UploadId::from_entropy([3; 20]), ..signed() },
            Signed { variant: Variant::File, ..signed() },
            Signed { user: UserId::from_entropy([3; 20]), ..signed() },
            Signed { device: DeviceId::from_entropy([3; 20]), ..signed() },
            Signed { expires_ms: 1_001, ..signed() },
        ] {
            assert!(!other.is_signed(&secret, signature), "{other:?}");
        }
        assert!(!signed().is_signed(&GrantSecret::from_bytes([8; 32]), signature));
        for forged in ["", "!", "AAAA", &signature[..42], &format!("{signature}A")] {
            assert!(!signed().is_signed(&secret, forged), "{forged}");
        }
    }
}
