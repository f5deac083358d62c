//! The metrics of the backbone.

use metrics::{counter, describe_counter, describe_histogram, histogram};
use std::time::Duration;

const APPENDS_TOTAL: &str = "hansard_log_appends_total";
const APPEND_ACK_SECONDS: &str = "hansard_log_append_ack_seconds";
const LIVE_MESSAGES_TOTAL: &str = "hansard_nats_live_messages_total";
const LIVE_BYTES_TOTAL: &str = "hansard_nats_live_bytes_total";
const LIVE_DROPPED_TOTAL: &str = "hansard_nats_live_dropped_total";
const INTERRUPTIONS_TOTAL: &str = "hansard_nats_interruptions_total";

/// Registers the descriptions.
pub fn describe() {
    crate::server::metrics::describe();
    describe_counter!(APPENDS_TOTAL, "Events sent to the log, by outcome");
    describe_histogram!(APPEND_ACK_SECONDS, "Time from sending an event to its acknowledgement");
    describe_counter!(LIVE_MESSAGES_TOTAL, "Messages of the live feed that came in, by kind");
    describe_counter!(LIVE_BYTES_TOTAL, "Bytes of them, headers and subjects included, by kind");
    describe_counter!(LIVE_DROPPED_TOTAL, "Contents that came by interest when too many waited");
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

/// What a message of the live feed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LiveKind {
    /// An event.
    Event,
    /// The order of events.
    Order,
    /// Somebody types.
    Typing,
}

/// A message of the live feed came in.
pub(crate) fn live_came(kind: LiveKind, bytes: usize) {
    let kind = match kind {
        LiveKind::Event => "event",
        LiveKind::Order => "order",
        LiveKind::Typing => "typing",
    };
    counter!(LIVE_MESSAGES_TOTAL, "kind" => kind).increment(1);
    counter!(LIVE_BYTES_TOTAL, "kind" => kind).increment(bytes as u64);
}

/// A content came by interest when too many waited.
pub(crate) fn live_dropped() {
    counter!(LIVE_DROPPED_TOTAL).increment(1);
}
