//! The pure core of Hansard: what the log contains and which rules it obeys.
//!
//! Everything that two services must agree on is a type or a function here, so that a gateway, a
//! projector and an auditor cannot read the same log differently. Reading order:
//!
//! 1. [`id`]: users, devices, groups, conversations, message ids;
//! 2. [`subject`]: where each of them lives in NATS;
//! 3. [`event`], [`draft`] and [`envelope`]: what is stored;
//! 4. [`record`]: an event as the log holds it, and the one rule that makes it void;
//! 5. [`group`] and [`check`]: the fold of a group and what a gateway checks before it vouches;
//! 6. [`account`]: users, handles and devices, likewise;
//! 7. [`inbox`] and [`query`]: what projectors keep and answer; [`search`], what searchers do;
//! 8. [`receipt`]: how far each member has got;
//! 9. [`presence`] and [`placement`]: who is there, and which gateway a user connects to;
//! 10. [`media`]: files, and who may read them;
//! 11. [`limit`]: every bound.
//!
//! Invariant: no I/O, no clock, no randomness; tokio and async-nats are deliberately absent.
//! Invariant: golden files under `src/**/snapshots` are never edited, only added: they prove that
//! last year's log still reads.
#![warn(missing_docs)]
#![warn(clippy::wildcard_enum_match_arm)]

pub mod account;
pub mod check;
pub mod draft;
pub mod envelope;
pub mod event;
pub mod group;
pub mod id;
pub mod inbox;
pub mod limit;
pub mod media;
pub mod placement;
pub mod presence;
pub mod query;
pub mod receipt;
pub mod record;
pub mod search;
pub mod subject;
pub mod time;

pub use account::AccountEvent;
pub use check::Rejection;
pub use envelope::Envelope;
pub use event::{Event, Role};
pub use group::Group;
pub use id::{
    Bucket, ConversationId, DeviceId, GroupId, MessageId, PartitionCount, PartitionId, Seq,
    UploadId, UserId,
};
pub use record::Record;
pub use time::LogTime;
