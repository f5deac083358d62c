//! With what gateways vouch to media services, and sign URLs: HMAC-SHA-256 with the deployment's
//! [`GrantSecret`], which clients never see.
//!
//! A grant is signed as JSON, which begins with a brace; everything else is signed behind a label
//! and a zero byte. So no signature of one kind is one of another.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hansard_model::LogTime;
use hansard_model::media::Grant;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::media::GrantSecret;

/// The request header that has a grant.
pub const GRANT_HEADER: &str = "hansard-grant";
/// Longest text of a grant, in bytes; what is longer is not looked at.
const GRANT_BYTES_MAX: usize = 1024;

/// Why a grant allows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// It was not made with this deployment's secret, or is none.
    #[error("not a grant of this deployment")]
    Forged,
    /// Its time is over.
    #[error("the grant is over")]
    Expired,
}

/// A grant as text, for [`GRANT_HEADER`].
pub fn seal(secret: &GrantSecret, grant: &Grant) -> String {
    // Ids, times and closed enums: all of it can be written.
    let json = serde_json::to_vec(grant).unwrap_or_default();
    let signature = mac(secret, &[&json]).finalize().into_bytes();
    format!("{}.{}", URL_SAFE_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode(signature))
}

/// The grant of a text, if this deployment's secret made it and it is not over.
///
/// # Errors
/// [`GrantError`]
pub fn open(secret: &GrantSecret, text: &str, now: LogTime) -> Result<Grant, GrantError> {
    if text.len() > GRANT_BYTES_MAX {
        return Err(GrantError::Forged);
    }
    let (json, signature) = text.split_once('.').ok_or(GrantError::Forged)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| GrantError::Forged);
    let (json, signature) = (decode(json)?, decode(signature)?);
    mac(secret, &[&json]).verify_slice(&signature).map_err(|_| GrantError::Forged)?;
    let grant: Grant = serde_json::from_slice(&json).map_err(|_| GrantError::Forged)?;
    if now >= grant.until {
        return Err(GrantError::Expired);
    }
    Ok(grant)
}

/// Signs a message of a kind that `label` names.
pub fn sign(secret: &GrantSecret, label: &str, message: &[u8]) -> [u8; 32] {
    mac(secret, &[label.as_bytes(), &[0], message]).finalize().into_bytes().into()
}

/// Whether this is the signature of a message, in a time that does not depend on how much of it is
/// right.
pub fn is_signed(secret: &GrantSecret, label: &str, message: &[u8], signature: &[u8]) -> bool {
    mac(secret, &[label.as_bytes(), &[0], message]).verify_slice(signature).is_ok()
}

fn mac(secret: &GrantSecret, parts: &[&[u8]]) -> Hmac<Sha256> {
    // A key that is shorter than a block is one with zeros behind it.
    let mut key = [0; 64];
    key[..secret.as_bytes().len()].copy_from_slice(secret.as_bytes());
    let mut mac = Hmac::<Sha256>::new(&key.into());
    parts.iter().for_each(|part| mac.update(part));
    mac
}

#[cfg(test)]
mod tests {
    use hansard_model::media::{Allows, Variant};
    use hansard_model::{UploadId, UserId};

    use super::*;

    const NOW: LogTime = LogTime::from_millis(1_000);

    fn grant() -> Grant {
        let upload = UploadId::from_entropy([2; 20]);
        Grant {
            user: UserId::from_entropy([1; 20]),
            allows: Allows::Read(upload, Variant::Thumb),
            until: LogTime::from_millis(2_000),
        }
    }

    #[test]
    fn a_grant_is_read_as_it_was_made_until_it_is_over() {
        let secret = GrantSecret::from_bytes([7; 32]);
        let text = seal(&secret, &grant());
        assert!(text.len() < GRANT_BYTES_MAX / 2, "{text}");
        assert_eq!(open(&secret, &text, NOW), Ok(grant()));
        assert_eq!(open(&secret, &text, grant().until), Err(GrantError::Expired));
    }

    #[test]
    fn what_was_changed_or_made_by_others_is_forged() {
        let secret = GrantSecret::from_bytes([7; 32]);
        let text = seal(&secret, &grant());
        let (json, signature) = text.split_once('.').expect("two parts");
        let other = Grant { user: UserId::from_entropy([3; 20]), ..grant() };
        let other = seal(&GrantSecret::from_bytes([8; 32]), &other);
        let foreign = other.split_once('.').expect("two parts").0;
        let signed = URL_SAFE_NO_PAD.encode(sign(&secret, "", b"x"));
        for forged in [
            other.clone(),
            format!("{foreign}.{signature}"),
            format!("{json}."),
            format!("{json}.{}", &signature[1..]),
            format!("{}.{signed}", URL_SAFE_NO_PAD.encode("x")),
            String::new(),
            ".".to_owned(),
            "a".repeat(GRANT_BYTES_MAX + 1),
        ] {
            assert_eq!(open(&secret, &forged, NOW), Err(GrantError::Forged), "{forged}");
        }
    }

    #[test]
    fn a_signature_is_of_one_message_of_one_kind() {
        let secret = GrantSecret::from_bytes([7; 32]);
        let signature = sign(&secret, "url", b"message");
        assert!(is_signed(&secret, "url", b"message", &signature));
        assert!(!is_signed(&secret, "url", b"massage", &signature));
        assert!(!is_signed(&secret, "ur", b"lmessage", &signature));
        assert!(!is_signed(&secret, "", b"url\0message", &signature));
        assert!(!is_signed(&secret, "url", b"message", &signature[..31]));
        assert!(!is_signed(&GrantSecret::from_bytes([8; 32]), "url", b"message", &signature));
    }

    #[test]
    fn the_code_is_that_of_rfc_4231() {
        // Test case 2, whose key is shorter; with zeros behind it is the same.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let mac = mac(&GrantSecret::from_bytes(key), &[b"what do ya want ", b"for nothing?"]);
        let code: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(code, known);
    }
}
