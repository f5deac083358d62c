//! What operators ask of an owner: the events it could not read, and its views.

use serde::{Deserialize, Serialize};

use crate::id::{ConversationId, PartitionId, Seq};

/// `parked`: events that could not be read, ascending.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ParkedRequest {
    /// After this position.
    pub after: Seq,
    /// At most this many.
    pub limit: usize,
}

/// The answer to `parked`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedReply {
    /// The events.
    pub items: Vec<ParkedItem>,
    /// How many there are in the partition.
    pub count: u64,
}

/// An event that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedItem {
    /// Its position.
    pub seq: Seq,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Why: `not_an_object`, `shape`, `rule_set` or `wrong_subject`.
    pub reason: String,
}

/// `views`: asks the owner to examine or replace a view of its partition. What takes time runs on
/// in the owner: the answer is where it stands, `status` asks again.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ViewsRequest {
    /// What to do.
    pub op: ViewsOp,
    /// With which view; not looked at by `status`.
    #[serde(default)]
    pub view: View,
}

/// What is asked of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewsOp {
    /// Where the views and the last job stand.
    Status,
    /// Build it anew from the log beside the present one, compare, and switch.
    Rebuild,
    /// Compute it anew from the log and report every difference.
    Verify,
    /// Go back to the generation before the last rebuild; only the history has one.
    Rollback,
}

/// A view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// The rows of the partition's store.
    #[default]
    History,
    /// The entries of the inbox bucket.
    Inbox,
    /// The search index: asked of who keeps that.
    Search,
}

/// The answer to `views`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewsStatus {
    /// Which partition.
    pub partition: PartitionId,
    /// All up to here was applied.
    pub applied: Seq,
    /// The rows survive the owner's death up to here; what follows is read from the log again.
    #[serde(default)]
    pub flushed: Seq,
    /// The last event of the partition as last heard.
    pub last_known: Seq,
    /// The epoch of the log that the views belong to.
    pub epoch: u64,
    /// The generation of the history that is served.
    pub generation: u64,
    /// The one before, to which a rollback goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// The inbox bucket holds everything up to here.
    pub bucket: Seq,
    /// Entries of the inbox bucket waiting to be written.
    pub stale: u64,
    /// Events that could not be read.
    pub parked: u64,
    /// The job that runs, or the last one of this owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<ViewsJob>,
}

/// A rebuild, verification or rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewsJob {
    /// What was asked.
    pub op: ViewsOp,
    /// Of which view.
    pub view: View,
    /// How it stands.
    pub state: JobState,
    /// The log was read up to here.
    pub applied: Seq,
    /// It compares at this position.
    pub to: Seq,
    /// Rows or entries compared.
    pub compared: u64,
    /// Of those, different (before a rebuild put them right).
    pub differences: u64,
    /// The first [`DIFFERENCES_MAX`] of them.
    pub found: Vec<Difference>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It runs.
    Running,
    /// It is done.
    Done,
    /// It gave up; nothing was switched.
    Failed,
}

/// Differences that a job names at most; it counts all.
pub const DIFFERENCES_MAX: usize = 100;

/// A row or entry that is not what the log says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its key, readable.
    pub key: String,
    /// What is wrong.
    pub what: DifferenceKind,
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The view lacks it.
    Missing,
    /// The log gives no such row.
    Extra,
    /// It says something else.
    Different,
}
