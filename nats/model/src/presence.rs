//! Presence as gateways tell it to each other: one report for each device and gateway.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, UserId};
use crate::time::LogTime;

/// Shards of users by the first character of their ids: what a gateway listens to at once.
pub const SHARDS: usize = 32;

/// What a device that is there contributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// The person is not at it.
    Away,
    /// The person is at it.
    Online,
}

/// How a person is shown to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonState {
    /// No device is there, or none that they want known.
    #[default]
    Offline,
    /// At none of their devices.
    Away,
    /// Here.
    Online,
}

impl From<DeviceState> for PersonState {
    fn from(state: DeviceState) -> Self {
        match state {
            DeviceState::Away => Self::Away,
            DeviceState::Online => Self::Online,
        }
    }
}

/// To whom something of a person is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// To everybody who shares a conversation with them.
    #[default]
    Shared,
    /// To nobody.
    Nobody,
}

/// What a person lets others know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceSettings {
    /// Whether they are there.
    #[serde(default)]
    pub presence: Visibility,
    /// When they were last.
    #[serde(default)]
    pub last_seen: Visibility,
}

impl PresenceSettings {
    /// With what is given changed, and the rest as it is.
    #[must_use]
    pub fn changed(self, presence: Option<Visibility>, last_seen: Option<Visibility>) -> Self {
        Self {
            presence: presence.unwrap_or(self.presence),
            last_seen: last_seen.unwrap_or(self.last_seen),
        }
    }
}

/// A device of a user at a gateway, as text `<bucket>.<user>.<device>.<gateway>`. Each gateway
/// writes its own keys, so two gateways of one device do not overwrite each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PresenceKey {
    /// Whose.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// Where it is connected.
    pub gateway: DeviceId,
}

/// The text is not a presence key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a presence key")]
pub struct ParsePresenceKeyError;

impl fmt::Display for PresenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, device, gateway } = self;
        write!(f, "{}.{user}.{device}.{gateway}", user.bucket())
    }
}

impl FromStr for PresenceKey {
    type Err = ParsePresenceKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut tokens = text.split('.');
            let bucket = tokens.next()?;
            let user: UserId = tokens.next()?.parse().ok()?;
            let (device, gateway) = (tokens.next()?.parse().ok()?, tokens.next()?.parse().ok()?);
            let is_whole = tokens.next().is_none() && user.bucket() == bucket;
            is_whole.then_some(Self { user, device, gateway })
        };
        parse().ok_or(ParsePresenceKeyError)
    }
}

/// What a gateway says of a device that is connected to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// Rises with everything that the gateway says of any device: the later one counts.
    pub rev: u64,
    /// `None`: it is gone, or its person wants it to seem so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<DeviceState>,
    /// When this was said.
    pub at: LogTime,
    /// Whether others may know when it was there last.
    #[serde(default)]
    pub tells_last_seen: bool,
}

/// The shard of a user, below [`SHARDS`].
pub fn shard_of(user: UserId) -> usize {
    // Ids are base32 in lower case: a to z, 2 to 7.
    match user.as_str().as_bytes().first() {
        Some(letter @ b'a'..=b'z') => usize::from(letter - b'a'),
        Some(digit @ b'2'..=b'7') => usize::from(digit - b'2') + 26,
        Some(_) | None => 0,
    }
}

/// The text of a shard: a subject token.
pub fn shard_token(shard: usize) -> char {
    let shard = u8::try_from(shard % SHARDS).unwrap_or_default();
    char::from(if shard < 26 { b'a' + shard } else { b'2' + shard - 26 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_parse_what_they_print(ids in any::<[[u8; 20]; 3]>()) {
            let [user, device, gateway] = ids;
            let key = PresenceKey {
                user: UserId::from_entropy(user),
                device: DeviceId::from_entropy(device),
                gateway: DeviceId::from_entropy(gateway),
            };
            prop_assert_eq!(key.to_string().parse(), Ok(key));
            let shard = shard_of(key.user);
            prop_assert!(shard < SHARDS);
            prop_assert!(key.to_string().starts_with(shard_token(shard)));
        }
    }

    #[test]
    fn others_are_no_keys() {
        for text in ["", "aa", "aa.bb.cc.dd"] {
            assert_eq!(text.parse::<PresenceKey>(), Err(ParsePresenceKeyError), "{text}");
        }
    }

    #[test]
    fn a_report_is_stored_as_it_was() {
        let at = LogTime::from_millis(1_700_000_000_000);
        let report =
            DeviceReport { rev: 7, state: Some(DeviceState::Away), at, tells_last_seen: true };
        let text = serde_json::to_string(&report).expect("JSON");
        let stored =
            r#"{"rev":7,"state":"away","at":"2023-11-14T22:13:20.000Z","tells_last_seen":true}"#;
        assert_eq!(text, stored);
        assert_eq!(serde_json::from_str::<DeviceReport>(stored).expect("JSON"), report);
    }
}
