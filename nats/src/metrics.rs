//! The metrics of the backbone.

use metrics::{counter, describe_counter, describe_histogram, histogram};
use std::time::Duration;

const APPENDS_TOTAL: &str = "hansard_log_appends_total";
const APPEND_ACK_SECONDS: &str = "hansard_log_append_ack_seconds";
const INTERRUPTIONS_TOTAL: &str = "hansard_nats_interruptions_total";

/// Registers the descriptions.
pub fn describe() {
    crate::server::metrics::describe();
    describe_counter!(APPENDS_TOTAL, "Events sent to the log, by outcome");
    describe_histogram!(APPEND_ACK_SECONDS, "Time from sending an event to its acknowledgement");
    describe_counter!(INTERRUPTIONS_TOTAL, "Reconnects and slow-consumer reports of NATS");
}

/// An append ended.
pub(crate) fn append_ended(outcome: &'static str, took: Duration) {
    counter!(APPENDS_TOTAL, "outcome" => outcome).increment(1);
    histogram!(APPEND_ACK_SECONDS).record(took.as_secs_f64());
}

/// The connection was lost, or a subscription overflowed.
pub(crate) fn interrupted() {
    counter!(INTERRUPTIONS_TOTAL).increment(1);
}
