//! How far an index is, of which log, and what wrote it.

use hansard_model::Seq;
use serde::{Deserialize, Serialize};

/// What a commit carries besides its documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The form of the documents.
    pub(crate) schema: u32,
    /// The epoch of the log.
    pub(crate) epoch: u64,
    /// All of the partition up to here is in the documents.
    pub(crate) seq: Seq,
    /// The identity of the event there, in hexadecimal; empty before the first.
    pub(crate) digest: String,
    /// The start of the machine that wrote it: files are not synced, so after another start they
    /// may not be what was written.
    #[serde(default)]
    pub(crate) boot: String,
}

impl Position {
    /// Before the first event of a log.
    pub(crate) fn beginning(epoch: u64) -> Self {
        Self {
            schema: crate::schema::SCHEMA,
            epoch,
            seq: Seq::ZERO,
            digest: String::new(),
            boot: boot(),
        }
    }
}

/// Names this start of the machine; empty where the system does not say.
pub(crate) fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Bytes as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
