//! The table of streams and buckets: the one place that says what is stored, how, and for how
//! long. Who may write what is [`ServiceRole::publish_deny`](crate::ServiceRole::publish_deny).
//!
//! | Stream | Subjects | Kept | Synced |
//! |---|---|---|---|
//! | `EVENTS_<p>` | `ev.<p>.>` | the hot window; before it, the archive | yes |
//! | `ACCOUNTS` | `acct.>` | for ever | yes |
//! | `RECEIPTS` | `receipt.>` | last | with replicas; on one server no: gateways and clients say them again |
//! | `KV_DEPLOYMENT` | bucket | last | yes |
//! | `KV_GATEWAYS` | bucket, TTL per key | last | yes: a removal relies on it |
//! | `KV_INBOX` | bucket | last | no: a view |
//! | `KV_LAST_SEEN` | bucket | last | no: written again when somebody comes or goes |
//! | `KV_LEASES` | bucket, TTL per key | last | yes: one in memory would be gone with its server |
//! | `KV_MEDIA` | bucket, TTL of removed keys | last | yes: what was uploaded, and what refers to it |
//! | `KV_PRESENCE` | bucket, TTL per key | last | no: gateways say it again. Not in memory: a server on its own forgets such streams altogether, and gateways may not create any |

use std::time::Duration;

use async_nats::jetstream::stream::{
    Compression, Config, DiscardPolicy, PersistenceMode, StorageType,
};
use hansard_model::{PartitionCount, PartitionId, limit};

/// Largest stored event, headers included, in bytes.
const EVENT_MESSAGE_BYTES_MAX: i32 = 128 * 1024;

/// Largest receipt, headers included, in bytes.
const RECEIPT_MESSAGE_BYTES_MAX: i32 = 4 * 1024;

pub(crate) const ACCOUNTS: &str = "ACCOUNTS";
pub(crate) const RECEIPTS: &str = "RECEIPTS";
pub(crate) const DEPLOYMENT_BUCKET: &str = "DEPLOYMENT";
pub(crate) const GATEWAYS_BUCKET: &str = "GATEWAYS";
pub(crate) const INBOX_BUCKET: &str = "INBOX";
pub(crate) const LAST_SEEN_BUCKET: &str = "LAST_SEEN";
pub(crate) const LEASES_BUCKET: &str = "LEASES";
pub(crate) const MEDIA_BUCKET: &str = "MEDIA";
pub(crate) const PRESENCE_BUCKET: &str = "PRESENCE";

/// A stream of what was said and done: those that have an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamName {
    /// The events of a partition.
    Events(PartitionId),
    /// The accounts.
    Accounts,
}

impl StreamName {
    /// Its name in JetStream.
    pub fn name(self) -> String {
        match self {
            Self::Events(partition) => events(partition),
            Self::Accounts => ACCOUNTS.to_owned(),
        }
    }
}

impl std::fmt::Display for StreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Events(partition) => write!(f, "partition {partition}"),
            Self::Accounts => f.write_str("accounts"),
        }
    }
}

/// The stream of a partition.
pub fn events(partition: PartitionId) -> String {
    format!("EVENTS_{partition}")
}

/// The stream of a bucket.
pub(crate) fn bucket_stream(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// The subject of a bucket's key.
pub(crate) fn bucket_subject(bucket: &str, key: &str) -> String {
    format!("$KV.{bucket}.{key}")
}

/// The whole table for a deployment.
pub(crate) fn table(partitions: PartitionCount, replicas: usize) -> Vec<Config> {
    let synced = |config: Config| Config { num_replicas: replicas, ..config };
    // Replicated streams are always written through the Raft log; `async` is for R1 only.
    let rebuildable = |config: Config| Config {
        persist_mode: Some(PersistenceMode::Async),
        num_replicas: 1,
        ..config
    };
    let mut table = vec![
        synced(log(ACCOUNTS.to_owned(), "acct.>".to_owned())),
        synced(bucket(DEPLOYMENT_BUCKET)),
        synced(bucket(GATEWAYS_BUCKET)),
        rebuildable(bucket(INBOX_BUCKET)),
        // A gateway sees that the server it is connected to was away, and says again what that may
        // have lost; the one server of a cluster that had the stream may be another.
        if replicas > 1 { synced(receipts()) } else { rebuildable(receipts()) },
        rebuildable(bucket(LAST_SEEN_BUCKET)),
        synced(bucket(LEASES_BUCKET)),
        synced(bucket(MEDIA_BUCKET)),
        rebuildable(bucket(PRESENCE_BUCKET)),
    ];
    table.extend(partitions.partitions().map(|p| synced(log(events(p), format!("ev.{p}.>")))));
    table
}

fn log(name: String, subject: String) -> Config {
    Config {
        name,
        subjects: vec![subject],
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        duplicate_window: Duration::from_millis(limit::DEDUPLICATION_WINDOW_MS),
        max_message_size: EVENT_MESSAGE_BYTES_MAX,
        allow_direct: true,
        deny_delete: true,
        ..Config::default()
    }
}

fn receipts() -> Config {
    Config {
        name: RECEIPTS.to_owned(),
        subjects: vec!["receipt.>".to_owned()],
        storage: StorageType::File,
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        duplicate_window: Duration::from_secs(1),
        max_message_size: RECEIPT_MESSAGE_BYTES_MAX,
        allow_direct: true,
        ..Config::default()
    }
}

fn bucket(name: &str) -> Config {
    Config {
        name: bucket_stream(name),
        subjects: vec![bucket_subject(name, ">")],
        storage: StorageType::File,
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        allow_direct: true,
        allow_message_ttl: [LEASES_BUCKET, GATEWAYS_BUCKET, MEDIA_BUCKET, PRESENCE_BUCKET]
            .contains(&name),
        duplicate_window: Duration::from_secs(1),
        ..Config::default()
    }
}

/// How an existing stream differs from the table, field by field; empty when it does not.
pub(crate) fn drift(wanted: &Config, found: &Config) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |field: &str, wanted: String, found: String| {
        if wanted != found {
            differences.push(format!("{field} is {found}, should be {wanted}"));
        }
    };
    compare("subjects", format!("{:?}", wanted.subjects), format!("{:?}", found.subjects));
    compare("storage", format!("{:?}", wanted.storage), format!("{:?}", found.storage));
    compare("num_replicas", wanted.num_replicas.to_string(), found.num_replicas.to_string());
    compare("max_age", format!("{:?}", wanted.max_age), format!("{:?}", found.max_age));
    compare("discard", format!("{:?}", wanted.discard), format!("{:?}", found.discard));
    compare(
        "duplicate_window",
        format!("{:?}", wanted.duplicate_window),
        format!("{:?}", found.duplicate_window),
    );
    compare(
        "max_messages_per_subject",
        wanted.max_messages_per_subject.to_string(),
        found.max_messages_per_subject.max(0).to_string(),
    );
    compare("allow_direct", wanted.allow_direct.to_string(), found.allow_direct.to_string());
    compare(
        "persist_mode",
        format!("{:?}", wanted.persist_mode.unwrap_or_default()),
        format!("{:?}", found.persist_mode.unwrap_or_default()),
    );
    compare("republish", format!("{:?}", wanted.republish), format!("{:?}", found.republish));
    compare("compression", is_compressed(wanted).to_string(), is_compressed(found).to_string());
    differences
}

fn is_compressed(config: &Config) -> bool {
    matches!(config.compression, Some(Compression::S2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_outlive_a_server_of_a_cluster() {
        let receipts = |replicas| {
            let table = table(PartitionCount::DEFAULT, replicas);
            let receipts = table.into_iter().find(|config| config.name == RECEIPTS);
            let receipts = receipts.expect("in the table");
            (receipts.num_replicas, receipts.persist_mode)
        };
        assert_eq!(receipts(1), (1, Some(PersistenceMode::Async)));
        assert_eq!(receipts(3), (3, None));
    }
}
