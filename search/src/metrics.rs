//! The metrics of search.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::fold::Tally;
use crate::progress::PartitionProgress;

const RECORDS_TOTAL: &str = "hansard_search_records_total";
const COMMIT_SECONDS: &str = "hansard_search_commit_seconds";
const ANSWERS_TOTAL: &str = "hansard_search_answers_total";
const QUERY_SECONDS: &str = "hansard_search_query_seconds";
const TENURES_TOTAL: &str = "hansard_search_tenures_total";
const REBUILDS_TOTAL: &str = "hansard_search_rebuilds_total";
const SNAPSHOTS_TOTAL: &str = "hansard_search_snapshots_total";
const SNAPSHOT_BYTES_TOTAL: &str = "hansard_search_snapshot_bytes_total";
const PARTITIONS_OWNED: &str = "hansard_search_partitions_owned";
const LAG_EVENTS: &str = "hansard_search_lag_events";

/// Registers the descriptions.
pub fn describe() {
    describe_counter!(
        RECORDS_TOTAL,
        "Records of the log applied, by outcome (valid, void, unreadable)"
    );
    describe_histogram!(COMMIT_SECONDS, "Time to make what was applied searchable");
    describe_counter!(
        ANSWERS_TOTAL,
        "Searches in a partition, by outcome (found, behind, bad_request, busy, failed, unheld)"
    );
    describe_histogram!(QUERY_SECONDS, "Time to search a partition, without waiting");
    describe_counter!(TENURES_TOTAL, "Ownerships of a partition's index, by how they ended");
    describe_counter!(REBUILDS_TOTAL, "Indexes that were begun anew, by reason");
    describe_counter!(
        SNAPSHOTS_TOTAL,
        "Snapshots of indexes, by outcome (taken, failed, restored, not_restored)"
    );
    describe_counter!(SNAPSHOT_BYTES_TOTAL, "Bytes of files written for snapshots");
    describe_gauge!(PARTITIONS_OWNED, "Partitions whose index this process owns");
    describe_gauge!(LAG_EVENTS, "Events of owned partitions that are not searchable yet");
    for end in ["ended", "stopped"] {
        counter!(TENURES_TOTAL, "end" => end).increment(0);
    }
}

/// What the records of a batch were.
pub(crate) fn applied(tally: Tally) {
    counter!(RECORDS_TOTAL, "outcome" => "valid").increment(tally.valid);
    counter!(RECORDS_TOTAL, "outcome" => "void").increment(tally.void);
    counter!(RECORDS_TOTAL, "outcome" => "unreadable").increment(tally.unreadable);
}

/// A commit ended.
pub(crate) fn committed(took: Duration) {
    histogram!(COMMIT_SECONDS).record(took.as_secs_f64());
}

/// A search in a partition was dealt with.
pub(crate) fn answered(outcome: &'static str) {
    counter!(ANSWERS_TOTAL, "outcome" => outcome).increment(1);
}

/// A partition was searched.
pub(crate) fn searched(took: Duration) {
    histogram!(QUERY_SECONDS).record(took.as_secs_f64());
}

/// An ownership ended: `ended` or `stopped`.
pub(crate) fn tenure_ended(how: &'static str) {
    counter!(TENURES_TOTAL, "end" => how).increment(1);
}

/// An index is begun anew: `other_log`, `other_form`, `damaged` or `asked`.
pub(crate) fn begun_anew(reason: &'static str) {
    counter!(REBUILDS_TOTAL, "reason" => reason).increment(1);
}

/// A snapshot was `taken` or `restored`, or not: `failed`, `not_restored`.
pub(crate) fn snapshot(outcome: &'static str) {
    counter!(SNAPSHOTS_TOTAL, "outcome" => outcome).increment(1);
}

/// A file of a snapshot was written.
pub(crate) fn snapshot_written(bytes: u64) {
    counter!(SNAPSHOT_BYTES_TOTAL).increment(bytes);
}

/// Where the partitions of this process stand.
pub(crate) fn standing(partitions: &[PartitionProgress]) {
    let owned = || partitions.iter().filter(|partition| partition.owned);
    gauge!(PARTITIONS_OWNED).set(owned().count() as f64);
    gauge!(LAG_EVENTS).set(owned().map(PartitionProgress::lag).sum::<u64>() as f64);
}
