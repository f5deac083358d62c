//! The metrics of the archive.

use hansard_nats::streams::StreamName;
use metrics::{counter, describe_counter, describe_gauge, gauge};

const SEGMENTS_TOTAL: &str = "hansard_archive_segments_total";
const EVENTS_TOTAL: &str = "hansard_archive_events_total";
const BYTES_TOTAL: &str = "hansard_archive_bytes_total";
const TRIMMED_TOTAL: &str = "hansard_archive_trimmed_events_total";
const FAILURES_TOTAL: &str = "hansard_archive_failures_total";
const PENDING: &str = "hansard_archive_pending_events";

/// Registers the descriptions.
pub fn describe() {
    describe_counter!(SEGMENTS_TOTAL, "Segments written and verified");
    describe_counter!(EVENTS_TOTAL, "Events in those segments");
    describe_counter!(BYTES_TOTAL, "Bytes of those segments");
    describe_counter!(TRIMMED_TOTAL, "Events removed from streams because segments hold them");
    describe_counter!(FAILURES_TOTAL, "Attempts of the archiver that failed, by cause");
    describe_gauge!(PENDING, "Events of a stream that are not in a segment yet, by stream");
}

pub(crate) fn segment_written(events: u64, bytes: u64) {
    counter!(SEGMENTS_TOTAL).increment(1);
    counter!(EVENTS_TOTAL).increment(events);
    counter!(BYTES_TOTAL).increment(bytes);
}

pub(crate) fn trimmed(events: u64) {
    counter!(TRIMMED_TOTAL).increment(events);
}

pub(crate) fn failed(cause: &'static str) {
    counter!(FAILURES_TOTAL, "cause" => cause).increment(1);
}

pub(crate) fn pending(stream: StreamName, events: u64) {
    // A label for each stream: as many as there are partitions.
    gauge!(PENDING, "stream" => stream.name()).set(events as f64);
}
