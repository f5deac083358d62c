//! Accounts: users, handles, devices and personal settings are events too, on the stream
//! `ACCOUNTS`; [`Accounts`] is their fold.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{ConversationId, DeviceId, MessageId, Seq, UserId};
use crate::limit;
use crate::presence::{PresenceSettings, Visibility};
use crate::time::LogTime;

/// The name by which people find each other: 2 to 32 of `[a-z0-9_-]`, with single dots between.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(Box<str>);

/// The text is not a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a handle is 2 to 32 of a-z, 0-9, _ and -, with single dots between")]
pub struct ParseHandleError;

impl Handle {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Handle {
    type Err = ParseHandleError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let length = (limit::HANDLE_BYTES_MIN..=limit::HANDLE_BYTES_MAX).contains(&text.len());
        let parts = text.split('.').all(|part| {
            !part.is_empty()
                && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
        });
        if length && parts { Ok(Self(text.into())) } else { Err(ParseHandleError) }
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Something that happened to an account. In the log an object with a `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AccountEvent {
    /// On `acct.handle.<handle>`, once: a user exists and owns the handle.
    UserCreated {
        /// The user.
        user: UserId,
        /// The handle.
        handle: Handle,
        /// The display name.
        name: String,
        /// Password hash in PHC form; `None`: nobody can log in (imported people).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password: Option<String>,
        /// The client's id of the request.
        request: MessageId,
    },
    /// On `acct.user.<user>`.
    ProfileChanged {
        /// The new display name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The new avatar: a media id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        avatar: Option<String>,
        /// Who may see whether they are there, from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        presence: Option<Visibility>,
        /// Who may see when they were there last, from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_seen: Option<Visibility>,
        /// Who may see what they have read, from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read_receipts: Option<Visibility>,
    },
    /// On `acct.device.<user>.<device>`: a session began, or its token was replaced.
    SessionOpened {
        /// SHA-256 of the token's secret, in lower-case hex.
        secret_sha256: String,
        /// What the person calls the device.
        name: String,
        /// When the token ends.
        expires_at: LogTime,
    },
    /// On `acct.device.<user>.<device>`: the session is over.
    SessionRevoked {},
    /// On `acct.settings.<user>.<a>.<b>`: all three are replaced.
    SettingsChanged(ConversationSettings),
}

/// What a user set for one conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationSettings {
    /// No notifications until then.
    #[serde(default)]
    pub muted_until: Option<LogTime>,
    /// Kept on top.
    #[serde(default)]
    pub pinned: bool,
    /// Out of sight.
    #[serde(default)]
    pub archived: bool,
}

/// A user, as folded.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The user.
    pub user: UserId,
    /// The handle.
    pub handle: Handle,
    /// The display name.
    pub name: String,
    /// The avatar: a media id.
    pub avatar: Option<String>,
    /// Password hash in PHC form.
    pub password: Option<String>,
    /// The request that created it.
    pub request: MessageId,
    /// Open sessions.
    pub devices: BTreeMap<DeviceId, Session>,
    /// Personal settings, by conversation, each with the event that said so.
    pub settings: HashMap<ConversationId, (Seq, ConversationSettings)>,
    /// What others may know of their being there.
    pub presence: PresenceSettings,
    /// Who may see what they read.
    pub read_receipts: Visibility,
}

/// A session, as folded.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// SHA-256 of the token's secret, in lower-case hex.
    pub secret_sha256: String,
    /// What the person calls the device.
    pub name: String,
    /// When it was opened.
    pub since: LogTime,
    /// When the token ends.
    pub expires_at: LogTime,
    /// The event that said so: the last of the device's subject.
    pub seq: Seq,
    /// The token that this one replaced.
    pub replaced: Option<ReplacedToken>,
}

/// A token that was replaced by a newer one of the same device. It stays valid for a moment, so
/// that a client that never heard the answer can ask again.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplacedToken {
    /// SHA-256 of the token's secret, in lower-case hex.
    pub secret_sha256: String,
    /// When it ends.
    pub expires_at: LogTime,
}

/// How long a replaced token stays valid.
const REPLACED_TOKEN_FOR: Duration = Duration::from_secs(60);

/// The fold of `ACCOUNTS`.
#[derive(Debug, Default)]
pub struct Accounts {
    users: HashMap<UserId, Account>,
    handles: BTreeMap<Handle, UserId>,
    applied: Seq,
}

/// What an account event was about; see [`Accounts::apply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountSubject {
    /// `acct.handle.<handle>`
    Handle,
    /// `acct.user.<user>`
    User(UserId),
    /// `acct.device.<user>.<device>`
    Device(UserId, DeviceId),
    /// `acct.settings.<user>.<a>.<b>`
    Settings(UserId, ConversationId),
}

impl Accounts {
    /// Applies the event at `seq`; one at or before [`Accounts::applied`] is ignored. An event of
    /// an unknown user, or on a subject it does not belong on, changes nothing.
    pub fn apply(&mut self, seq: Seq, ts: LogTime, subject: AccountSubject, event: AccountEvent) {
        if seq <= self.applied {
            return;
        }
        self.applied = seq;
        match (subject, event) {
            (
                AccountSubject::Handle,
                AccountEvent::UserCreated { user, handle, name, password, request },
            ) => self.create(Account {
                user,
                handle,
                name,
                avatar: None,
                password,
                request,
                devices: BTreeMap::new(),
                settings: HashMap::new(),
                presence: PresenceSettings::default(),
                read_receipts: Visibility::default(),
            }),
            (
                AccountSubject::User(user),
                AccountEvent::ProfileChanged { name, avatar, presence, last_seen, read_receipts },
            ) => {
                if let Some(account) = self.users.get_mut(&user) {
                    account.name = name.unwrap_or_else(|| std::mem::take(&mut account.name));
                    account.avatar = avatar.or_else(|| account.avatar.take());
                    account.presence = account.presence.changed(presence, last_seen);
                    account.read_receipts = read_receipts.unwrap_or(account.read_receipts);
                }
            }
            (
                AccountSubject::Device(user, device),
                AccountEvent::SessionOpened { secret_sha256, name, expires_at },
            ) => {
                if let Some(account) = self.users.get_mut(&user) {
                    let before = account.devices.remove(&device);
                    let since = before.as_ref().map_or(ts, |session| session.since);
                    let replaced = before.map(|session| ReplacedToken {
                        secret_sha256: session.secret_sha256,
                        expires_at: session.expires_at.min(ts.plus(REPLACED_TOKEN_FOR)),
                    });
                    let session = Session { secret_sha256, name, since, expires_at, seq, replaced };
                    account.devices.insert(device, session);
                }
            }
            (AccountSubject::Device(user, device), AccountEvent::SessionRevoked {}) => {
                if let Some(account) = self.users.get_mut(&user) {
                    account.devices.remove(&device);
                }
            }
            (
                AccountSubject::Settings(user, conversation),
                AccountEvent::SettingsChanged(settings),
            ) => {
                if let Some(account) = self.users.get_mut(&user) {
                    account.settings.insert(conversation, (seq, settings));
                }
            }
            (
                _,
                AccountEvent::UserCreated { .. }
                | AccountEvent::ProfileChanged { .. }
                | AccountEvent::SessionOpened { .. }
                | AccountEvent::SessionRevoked {}
                | AccountEvent::SettingsChanged(_),
            ) => {}
        }
    }

    fn create(&mut self, account: Account) {
        let Account { user, handle, .. } = &account;
        // A request makes one user: sent twice at once with two handles, the first in the log
        // counts, and the other handle stays nobody's.
        if self.users.contains_key(user) || self.handles.contains_key(handle) {
            return;
        }
        self.handles.insert(handle.clone(), *user);
        self.users.insert(*user, account);
    }

    /// Notes a position whose event could not be read.
    pub fn skip(&mut self, seq: Seq) {
        self.applied = self.applied.max(seq);
    }

    /// The last position applied.
    pub fn applied(&self) -> Seq {
        self.applied
    }

    /// A user.
    pub fn user(&self, user: UserId) -> Option<&Account> {
        self.users.get(&user)
    }

    /// The owner of a handle.
    pub fn by_handle(&self, handle: &Handle) -> Option<&Account> {
        self.handles.get(handle).and_then(|user| self.users.get(user))
    }

    /// Users whose handle begins with `prefix`, in the order of handles.
    pub fn by_handle_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Account> {
        let from = Handle(prefix.into());
        self.handles
            .range(from..)
            .take_while(move |(handle, _)| handle.as_str().starts_with(prefix))
            .filter_map(|(_, user)| self.users.get(user))
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

#[cfg(test)]
mod tests;
