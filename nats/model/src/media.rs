//! Files: what is recorded of an upload and of its bytes, and who may read it.
//!
//! An [`Upload`] is what a client names; a [`Blob`] is bytes, named by their SHA-256, which any
//! number of uploads hold. Both are values of one bucket and change by compare-and-set alone.
//!
//! ```text
//! Receiving -> Finishing -> Processing -> Ready
//!     \____________\____________\____________\____-> Dying -> (removed)
//!                                        Ready <-----/   when something refers to it after all
//! ```
//!
//! Invariant: nothing is removed because a list does not name it. Bytes go when the record that
//! names them says that nobody holds them; a record goes when it has been [`State::Dying`] while
//! every partition of the log was read to its end without finding a reference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{ConversationId, PartitionId, Seq, UploadId, UserId};
use crate::time::LogTime;

/// Bytes of an upload at most, unless the deployment says otherwise.
pub const UPLOAD_BYTES_DEFAULT: u64 = 100 * 1024 * 1024;
/// Unfinished uploads that a user may have.
pub const UNFINISHED_UPLOADS_MAX: usize = 16;
/// Bytes that all uploads of a user may hold, unless the deployment says otherwise.
pub const USER_BYTES_DEFAULT: u64 = 10 * 1024 * 1024 * 1024;
/// Longest file name, in bytes of UTF-8; a longer one is cut.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// Longest type that a client may declare, in bytes.
pub const DECLARED_TYPE_BYTES_MAX: usize = 127;
/// Uploads that hold one blob; for one more the bytes are stored a second time.
pub const HOLDERS_MAX: usize = 10_000;
/// A claim that is older is made again when its upload is sent once more, so that no collector
/// takes it for one that came to nothing.
pub const CLAIM_AGAIN_AFTER_MS: u64 = 60_000;

/// SHA-256 of bytes; as text 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

/// The text is not a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 in lower-case hexadecimal")]
pub struct ParseSha256Error;

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256 {
    type Err = ParseSha256Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(ParseSha256Error),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(ParseSha256Error);
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An object that has a part of some bytes. Its name in the object store is
/// `media/<upload>/<generation>-<offset>-<len>-<sha256>`, so a listing tells all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The upload that stored it.
    pub upload: UploadId,
    /// Which writer of that upload: each request that appends is one.
    pub generation: u32,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub len: u64,
    /// Of these bytes.
    pub sha256: Sha256,
}

/// What has become of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Bytes are missing.
    Receiving,
    /// All bytes are there; they become a blob.
    Finishing,
    /// It can be sent. What can be known and shown of it is being worked out; until then only its
    /// uploader reads it, as it may tell where and by whom a picture was taken.
    Processing,
    /// It can be read.
    Ready,
    /// It is removed unless something refers to it after all. Nobody can send it.
    Dying,
}

/// To whom an upload belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Home {
    /// To who uploaded it: nothing refers to it yet.
    #[default]
    Uploader,
    /// To a conversation, for ever: a message of it refers to the upload, or is about to.
    Conversation(ConversationId),
    /// It is the uploader's avatar: whoever is logged in may read it.
    Avatar,
}

/// Which bytes of an upload.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The file.
    #[default]
    File,
    /// A small picture of it, for lists.
    Thumb,
    /// A picture of it to look at.
    Preview,
}

/// Bytes that an upload holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Which blob. Its name is the SHA-256 of its bytes, unless `sha256` is there.
    pub blob: Sha256,
    /// Of the bytes, if as many uploads as may hold them already ([`HOLDERS_MAX`]), and the blob is
    /// another copy under another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Bytes.
    pub size: u64,
    /// Their type, by their content. `application/octet-stream`: opaque, or of no known type.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Whether a browser may show it rather than save it.
    #[serde(default)]
    pub inline: bool,
    /// Of pictures and videos, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Of pictures and videos, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

impl Content {
    /// Of its bytes.
    pub fn sha256(&self) -> Sha256 {
        self.sha256.unwrap_or(self.blob)
    }
}

/// What was worked out of a file besides its variants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Of sounds and videos, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Of sounds: peaks from 0 to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waveform: Option<Vec<u8>>,
    /// Of pictures: a `ThumbHash` in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// Of documents: pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
    /// Why there is no picture of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Metadata was taken out of the file.
    #[serde(default)]
    pub stripped: bool,
}

/// What its uploader said when it was created.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The name of the file: text for people, never a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its type. Told to those who ask; nothing goes by it.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Keep the file bit for bit: take no metadata out.
    #[serde(default)]
    pub original: bool,
    /// The bytes are encrypted: look at nothing of them.
    #[serde(default)]
    pub opaque: bool,
}

/// An upload, as the bucket has it under `u.<id>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its id: whoever does not know it cannot ask for it.
    pub id: UploadId,
    /// Who uploaded it.
    pub uploader: UserId,
    /// Bytes announced.
    pub length: u64,
    /// What its uploader said.
    pub declared: Declared,
    /// What has become of it.
    pub state: State,
    /// When it was created.
    pub created: LogTime,
    /// An unfinished upload ends then; a finished one that nothing refers to is not removed before.
    pub keep_until: LogTime,
    /// The number of its last writer, a request that appends or a try to process it. It rises by 2:
    /// parts with this very number count as they are stored, all others only as far as they are in
    /// `parts`, which those with the odd one between are once their checksum was right.
    #[serde(default)]
    pub generation: u32,
    /// What earlier requests have stored, in order and without gaps. Once it has `contents`: what
    /// none of its blobs needs, and is to be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Of all bytes that were uploaded; known from [`State::Finishing`] on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// The blob of all bytes that were uploaded, known from [`State::Processing`] on. It stays here
    /// also when the upload no longer holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Sha256>,
    /// The bytes that it holds. From [`State::Processing`] on there is a [`Variant::File`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contents: BTreeMap<Variant, Content>,
    /// What was worked out.
    #[serde(default)]
    pub facts: Facts,
    /// To whom it belongs.
    #[serde(default)]
    pub home: Home,
    /// When a gateway last let it be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<LogTime>,
    /// The messages of its conversation that refer to it now.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub references: BTreeSet<Seq>,
    /// The last edit that says so of these messages, if one does: whoever does not see the message,
    /// as they joined later, sees what it was edited to afterwards.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub edits: BTreeMap<Seq, Seq>,
    /// How often its processing was begun.
    #[serde(default)]
    pub attempts: u32,
    /// How many of these attempts lived to say that something failed which has nothing to do with
    /// the file. The others ended well, or took their worker with them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub faults: u32,
    /// How many of the last of them, in a row, found that bytes of the file are missing or damaged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: u32,
    /// Metadata was to be taken out of it, and cannot be: its uploader alone reads it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Upload {
    /// By how much `generation` rises with each writer.
    pub const WRITER_STEP: u32 = 2;
}

/// Why somebody may not have an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not theirs, or not there: they are told that there is none.
    NotFound,
    /// Not yet: bytes are missing, or it is being processed.
    NotYet,
    /// Never, though they may know of it.
    Withheld,
}

/// What a reader needs besides being logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// To be a member of this conversation who sees one of the messages that refer to it.
    Membership(ConversationId),
}

impl Upload {
    /// What `reader` needs for its bytes.
    ///
    /// # Errors
    /// [`Refused`]
    pub fn readable_by(&self, reader: UserId) -> Result<Needs, Refused> {
        let is_mine = self.uploader == reader;
        match (self.state, self.home) {
            (State::Receiving | State::Finishing, _) if is_mine => Err(Refused::NotYet),
            (State::Receiving | State::Finishing, _) => Err(Refused::NotFound),
            // Also of a conversation that its uploader has left: they had it before.
            (_, Home::Uploader) if is_mine => Ok(Needs::Nothing),
            (State::Dying, _) | (_, Home::Uploader) => Err(Refused::NotFound),
            (State::Processing, Home::Conversation(home)) if is_mine => Ok(Needs::Membership(home)),
            (State::Processing, _) => Err(Refused::NotYet),
            (State::Ready, _) if self.withheld && !is_mine => Err(Refused::Withheld),
            (State::Ready, Home::Conversation(home)) => Ok(Needs::Membership(home)),
            (State::Ready, Home::Avatar) => Ok(Needs::Nothing),
        }
    }

    /// Whether a member who sees events from `view_from` on sees a message that refers to it, or an
    /// edit that has one do so. With no reference known yet its own uploader does.
    pub fn is_seen_from(&self, reader: UserId, view_from: Seq) -> bool {
        self.uploader == reader || self.last_shown().is_some_and(|last| last >= view_from)
    }

    /// The last event that says that a message refers to it; `None`: none does.
    pub fn last_shown(&self) -> Option<Seq> {
        self.edits.values().chain(self.references.last()).max().copied()
    }

    /// Whether `sender` may send it to `conversation`, as far as the record tells: `Some(true)` at
    /// once, `Some(false)` once it was claimed (again), `None` never. Who is not its uploader must
    /// besides be able to see it there.
    pub fn sendable(
        &self,
        sender: UserId,
        conversation: ConversationId,
        now: LogTime,
    ) -> Option<bool> {
        if !matches!(self.state, State::Processing | State::Ready) {
            return None;
        }
        match self.home {
            Home::Uploader if self.uploader == sender => Some(false),
            Home::Conversation(home) if home == conversation => {
                let age = self.claimed.map(|claimed| now.since(claimed).as_millis());
                Some(age.is_some_and(|age| age < u128::from(CLAIM_AGAIN_AFTER_MS)))
            }
            Home::Uploader | Home::Conversation(_) | Home::Avatar => None,
        }
    }
}

/// How far the records were compared with the object store and the log, as the bucket has it under
/// `e`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// The epoch of the log in which the records were compared with the object store.
    pub epoch: u64,
    /// That log was read to its end since, and what it does not say is gone: the records have what
    /// every message refers to.
    pub swept: bool,
}

/// Bytes in the object store, as the bucket has them under `b.<sha256>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Bytes.
    pub size: u64,
    /// Where they are, in order and without gaps.
    pub parts: Vec<Part>,
    /// Who holds it. Empty: it is being removed, and whoever needs these bytes stores their own.
    pub holders: BTreeSet<UploadId>,
}

/// What a user has, as the bucket has it under `o.<user>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// Unfinished uploads, with the bytes announced.
    #[serde(default)]
    pub unfinished: BTreeMap<UploadId, u64>,
    /// Bytes of finished ones.
    #[serde(default)]
    pub bytes: u64,
    /// Finished ones that are being removed: their bytes are no longer counted.
    #[serde(default)]
    pub leaving: BTreeSet<UploadId>,
}

/// How far references are read in a partition, as the bucket has it under `p.<partition>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Everything up to here is in the records.
    pub seq: Seq,
    /// Of this log.
    pub epoch: u64,
}

/// A key of the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKey {
    /// `u.<upload>`: an [`Upload`].
    Upload(UploadId),
    /// `b.<sha256>`: a [`Blob`].
    Blob(Sha256),
    /// `o.<user>`: [`Holdings`].
    Holdings(UserId),
    /// `m.<a>.<b>.<seq>`: what is known of the media of a message, for media services alone.
    Message(ConversationId, Seq),
    /// `p.<partition>`: a [`Position`].
    Position(PartitionId),
    /// `w.<hour>.<upload>`: look at the upload then (hours since 1970): it may have ended, be stuck
    /// in processing, or be referred to no more. Written before what it watches. For media services
    /// alone.
    Watch(u64, UploadId),
    /// `k.grants`: the secret with which gateways vouch to media services and sign URLs.
    GrantKey,
    /// `e`: [`Reconciled`].
    Epoch,
}

impl fmt::Display for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upload(upload) => write!(f, "u.{upload}"),
            Self::Blob(sha256) => write!(f, "b.{sha256}"),
            Self::Holdings(user) => write!(f, "o.{user}"),
            Self::Message(conversation, seq) => write!(f, "m.{conversation}.{seq}"),
            Self::Position(partition) => write!(f, "p.{partition}"),
            Self::Watch(hour, upload) => write!(f, "w.{hour}.{upload}"),
            Self::GrantKey => f.write_str("k.grants"),
            Self::Epoch => f.write_str("e"),
        }
    }
}

/// What a gateway vouches for when it passes a request on to a media service, as JSON in the
/// header `Hansard-Grant: <base64url of it>.<base64url of its HMAC-SHA-256>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// On whose behalf.
    pub user: UserId,
    /// What they may do.
    pub allows: Allows,
    /// Until then.
    pub until: LogTime,
}

/// What a grant allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allows {
    /// To create uploads, and to see, go on with and end their own.
    Upload,
    /// To read one variant of this upload.
    Read(UploadId, Variant),
}

/// What is told to gateways when an upload is ready that messages refer to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyNotice {
    /// Where.
    pub conversation: ConversationId,
    /// The messages.
    pub references: BTreeSet<Seq>,
    /// What clients are told.
    pub upload: Upload,
}
