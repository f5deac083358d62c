//! The metrics of the projector.

use std::time::Duration;

use hansard_model::subject::QueryVerb;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::parked::ParkReason;
use crate::progress::PartitionProgress;

const RECORDS_TOTAL: &str = "hansard_projector_records_total";
const PARKED_TOTAL: &str = "hansard_projector_parked_total";
const PUBLISHED_TOTAL: &str = "hansard_projector_live_published_total";
const REPUBLISHED_TOTAL: &str = "hansard_projector_live_republished_total";
const STORE_TO_LIVE_SECONDS: &str = "hansard_projector_batch_seconds";
const ANSWERS_TOTAL: &str = "hansard_projector_answers_total";
const INBOX_WRITES_TOTAL: &str = "hansard_projector_inbox_writes_total";
const STORE_READS_TOTAL: &str = "hansard_projector_store_reads_total";
const STORE_WRITES_TOTAL: &str = "hansard_projector_store_written_bytes_total";
const VIEW_DIFFERENCES_TOTAL: &str = "hansard_projector_view_differences_total";
const TENURES_TOTAL: &str = "hansard_projector_tenures_total";
const PARTITIONS_OWNED: &str = "hansard_projector_partitions_owned";
const LAG_EVENTS: &str = "hansard_projector_lag_events";
const UNFLUSHED_EVENTS: &str = "hansard_projector_unflushed_events";
const INBOX_STALE: &str = "hansard_projector_inbox_stale";

/// Registers the descriptions, and what is alerted on at zero: a counter that is not there until it
/// counts hides its first increment from whoever looks at increases.
pub fn describe() {
    describe_counter!(RECORDS_TOTAL, "Records of the log applied, by outcome (valid, void)");
    describe_counter!(PARKED_TOTAL, "Valid events that could not be read, by reason");
    describe_counter!(PUBLISHED_TOTAL, "Events published on the live feed");
    describe_counter!(
        REPUBLISHED_TOTAL,
        "Events published again, after a takeover or interruption"
    );
    describe_histogram!(STORE_TO_LIVE_SECONDS, "Time to apply and publish what had arrived");
    describe_counter!(
        ANSWERS_TOTAL,
        "Questions, by verb and outcome (answered, refused, unheld, failed)"
    );
    describe_counter!(
        INBOX_WRITES_TOTAL,
        "Writes of the inbox bucket, by outcome (written, failed)"
    );
    describe_counter!(
        STORE_READS_TOTAL,
        "Reads of stores that no cache answered, by what was read (window, conversation)"
    );
    describe_counter!(STORE_WRITES_TOTAL, "Bytes of rows written into stores, keys included");
    describe_counter!(
        VIEW_DIFFERENCES_TOTAL,
        "Rows and inbox entries that were not what the log says, when views were examined"
    );
    describe_counter!(TENURES_TOTAL, "Ownerships of a partition, by how they ended");
    describe_gauge!(PARTITIONS_OWNED, "Partitions owned by this process");
    describe_gauge!(LAG_EVENTS, "Events of owned partitions that are not applied yet");
    describe_gauge!(
        UNFLUSHED_EVENTS,
        "Applied events of owned partitions that no object of a store holds yet"
    );
    describe_gauge!(INBOX_STALE, "Entries of the inbox bucket waiting to be written");
    for reason in ParkReason::ALL {
        counter!(PARKED_TOTAL, "reason" => reason.as_str()).increment(0);
    }
    for end in ["ended", "stopped"] {
        counter!(TENURES_TOTAL, "end" => end).increment(0);
    }
    counter!(VIEW_DIFFERENCES_TOTAL).increment(0);
}

/// What the records of a batch were.
pub(crate) fn applied(valid: u64, void: u64) {
    counter!(RECORDS_TOTAL, "outcome" => "valid").increment(valid);
    counter!(RECORDS_TOTAL, "outcome" => "void").increment(void);
}

/// A valid event could not be read.
pub(crate) fn parked(reason: ParkReason) {
    counter!(PARKED_TOTAL, "reason" => reason.as_str()).increment(1);
}

/// A batch was applied and published.
pub(crate) fn published(events: u64, took: Duration) {
    counter!(PUBLISHED_TOTAL).increment(events);
    histogram!(STORE_TO_LIVE_SECONDS).record(took.as_secs_f64());
}

/// Events were published again.
pub(crate) fn republished(events: u64) {
    counter!(REPUBLISHED_TOTAL).increment(events);
}

/// A question was dealt with.
pub(crate) fn answered(verb: QueryVerb, outcome: &'static str) {
    counter!(ANSWERS_TOTAL, "verb" => verb.as_str(), "outcome" => outcome).increment(1);
}

/// No cache had what was asked for.
pub(crate) fn store_read(what: &'static str) {
    counter!(STORE_READS_TOTAL, "of" => what).increment(1);
}

/// Rows were written.
pub(crate) fn store_written(bytes: u64) {
    counter!(STORE_WRITES_TOTAL).increment(bytes);
}

/// A row or an inbox entry is not what the log says.
pub(crate) fn view_differs() {
    counter!(VIEW_DIFFERENCES_TOTAL).increment(1);
}

/// A flush of the inbox ended.
pub(crate) fn flushed(written: u64, failed: u64) {
    counter!(INBOX_WRITES_TOTAL, "outcome" => "written").increment(written);
    counter!(INBOX_WRITES_TOTAL, "outcome" => "failed").increment(failed);
}

/// An ownership ended: `ended` or `stopped`.
pub(crate) fn tenure_ended(how: &'static str) {
    counter!(TENURES_TOTAL, "end" => how).increment(1);
}

/// Where the partitions of this process stand.
pub(crate) fn standing(partitions: &[PartitionProgress]) {
    let owned = || partitions.iter().filter(|partition| partition.owned);
    gauge!(PARTITIONS_OWNED).set(owned().count() as f64);
    gauge!(LAG_EVENTS).set(owned().map(PartitionProgress::lag).sum::<u64>() as f64);
    gauge!(UNFLUSHED_EVENTS).set(owned().map(PartitionProgress::unflushed).sum::<u64>() as f64);
    gauge!(INBOX_STALE).set(owned().map(|partition| partition.stale).sum::<u64>() as f64);
}
