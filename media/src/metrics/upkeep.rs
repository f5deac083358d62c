//! The metrics of what is done about uploads when nobody asks for anything.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const RECORDS_TOTAL: &str = "hansard_media_records_total";
const TENURES_TOTAL: &str = "hansard_media_tenures_total";
const PARTITIONS_OWNED: &str = "hansard_media_partitions_owned";
const LAG_EVENTS: &str = "hansard_media_lag_events";
const ROUND_SECONDS: &str = "hansard_media_collector_round_seconds";
const ROUNDS_FAILED_TOTAL: &str = "hansard_media_collector_rounds_failed_total";
const COLLECTED_TOTAL: &str = "hansard_media_collected_total";
const RESTORED_TOTAL: &str = "hansard_media_restored_records_total";
const PROCESSING_SECONDS: &str = "hansard_media_processing_seconds";

/// Registers the descriptions.
pub(super) fn describe() {
    describe_counter!(
        RECORDS_TOTAL,
        "Records of the log read for references, by outcome (kept, valid, void, unreadable)"
    );
    describe_counter!(TENURES_TOTAL, "Ownerships of a partition's references, by how they ended");
    describe_gauge!(PARTITIONS_OWNED, "Partitions whose references this process keeps");
    describe_gauge!(LAG_EVENTS, "Events of owned partitions that were not read for references yet");
    describe_histogram!(ROUND_SECONDS, "Time of a round of the collector");
    describe_counter!(ROUNDS_FAILED_TOTAL, "Rounds of the collector that ended early");
    describe_counter!(
        COLLECTED_TOTAL,
        "What the collector did about uploads, by outcome (ended, failed, finished, forgotten, \
         left_blobs, processed, removed, revived, avatar_settled)"
    );
    describe_counter!(RESTORED_TOTAL, "Records of uploads that were put back from manifests");
    describe_histogram!(
        PROCESSING_SECONDS,
        "Time to process an upload, by outcome (ready, given_up, not_needed, failed)"
    );
    counter!(ROUNDS_FAILED_TOTAL).increment(0);
    for end in ["ended", "stopped"] {
        counter!(TENURES_TOTAL, "end" => end).increment(0);
    }
}

/// A record of the log was `kept` as a reference, or was `valid`, `void` or `unreadable`.
pub(crate) fn record(outcome: &'static str) {
    counter!(RECORDS_TOTAL, "outcome" => outcome).increment(1);
}

/// An ownership ended: `ended` or `stopped`.
pub(crate) fn tenure_ended(how: &'static str) {
    counter!(TENURES_TOTAL, "end" => how).increment(1);
}

/// Where the partitions of this process stand.
pub(crate) fn following(owned: usize, lag: u64) {
    gauge!(PARTITIONS_OWNED).set(owned as f64);
    gauge!(LAG_EVENTS).set(lag as f64);
}

/// A round of the collector ended.
pub(crate) fn collected(took: Duration) {
    histogram!(ROUND_SECONDS).record(took.as_secs_f64());
}

/// A round of the collector ended early.
pub(crate) fn collection_failed() {
    counter!(ROUNDS_FAILED_TOTAL).increment(1);
}

/// Something was done about an upload.
pub(crate) fn visited(outcome: &'static str) {
    counter!(COLLECTED_TOTAL, "outcome" => outcome).increment(1);
}

/// The record of an upload was put back.
pub(crate) fn restored() {
    counter!(RESTORED_TOTAL).increment(1);
}

/// An upload was processed, or not.
pub(crate) fn processed(outcome: &'static str, took: Duration) {
    histogram!(PROCESSING_SECONDS, "outcome" => outcome).record(took.as_secs_f64());
}
