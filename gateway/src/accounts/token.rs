//! Session tokens: `<user>.<device>.<secret>`. The log holds only the secret's hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hansard_model::{DeviceId, UserId};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Random bytes of a secret: 256 bits.
const SECRET_BYTES: usize = 32;
/// Characters of a secret.
const SECRET_CHARS: usize = 43;

/// The text is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token")]
pub(crate) struct ParseTokenError;

/// A token, as shown by a client. It has no `Debug`: it must not reach a log.
pub(crate) struct Token<'a> {
    /// Whose.
    pub(crate) user: UserId,
    /// For which device.
    pub(crate) device: DeviceId,
    secret: &'a str,
}

impl<'a> Token<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`ParseTokenError`] for any other text.
    pub(crate) fn parse(text: &'a str) -> Result<Self, ParseTokenError> {
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(ParseTokenError);
        let (user, device, secret) = (part()?, part()?, part()?);
        let secret_is_one = secret.len() == SECRET_CHARS
            && secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if parts.next().is_some() || !secret_is_one {
            return Err(ParseTokenError);
        }
        let user = user.parse().map_err(|_| ParseTokenError)?;
        let device = device.parse().map_err(|_| ParseTokenError)?;
        Ok(Self { user, device, secret })
    }

    /// Whether the secret is the one whose hash is stored; takes equally long either way.
    pub(crate) fn is_of(&self, secret_sha256: &str) -> bool {
        sha256_hex(self.secret).as_bytes().ct_eq(secret_sha256.as_bytes()).into()
    }
}

/// A new token and the hash of its secret.
pub(crate) struct Minted {
    /// What the client gets, once.
    pub(crate) token: String,
    /// What is stored.
    pub(crate) secret_sha256: String,
}

/// Makes a token.
///
/// # Errors
/// When the system has no randomness.
pub(crate) fn mint(user: UserId, device: DeviceId) -> Result<Minted, getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    let secret = URL_SAFE_NO_PAD.encode(bytes);
    let secret_sha256 = sha256_hex(&secret);
    Ok(Minted { token: format!("{user}.{device}.{secret}"), secret_sha256 })
}

/// A random device id.
///
/// # Errors
/// When the system has no randomness.
pub(crate) fn new_device() -> Result<DeviceId, getrandom::Error> {
    let mut bytes = [0; DeviceId::LEN];
    getrandom::fill(&mut bytes)?;
    Ok(DeviceId::from_entropy(bytes))
}

fn sha256_hex(secret: &str) -> String {
    use std::fmt::Write as _;

    Sha256::digest(secret.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (UserId, DeviceId) {
        (UserId::from_entropy([1; 20]), DeviceId::from_entropy([2; 20]))
    }

    #[test]
    fn a_minted_token_is_of_its_hash_and_of_no_other() {
        let (user, device) = ids();
        let minted = mint(user, device).expect("randomness");
        let other = mint(user, device).expect("randomness");
        let Ok(token) = Token::parse(&minted.token) else { panic!("not a token") };
        assert_eq!((token.user, token.device), (user, device));
        assert!(token.is_of(&minted.secret_sha256));
        assert!(!token.is_of(&other.secret_sha256));
        assert!(!token.is_of(""));
        assert!(!minted.secret_sha256.contains(token.secret));
    }

    #[test]
    fn other_text_is_not_a_token() {
        let (user, device) = ids();
        let secret = "s".repeat(SECRET_CHARS);
        assert!(Token::parse(&format!("{user}.{device}.{secret}")).is_ok());
        for text in [
            String::new(),
            "..".to_owned(),
            format!("{user}.{device}"),
            format!("{user}.{device}.{secret}."),
            format!("{user}.{device}.{secret}x"),
            format!("{user}.*.{secret}"),
            format!("{user}.{device}.{}", "\u{e9}".repeat(SECRET_CHARS)),
        ] {
            assert_eq!(Token::parse(&text).err(), Some(ParseTokenError), "{text}");
        }
    }
}
