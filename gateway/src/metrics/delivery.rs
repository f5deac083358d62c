//! Delivery's part of the catalogue: connections, frames, the live feed, resumes.

use metrics::{counter, describe_counter, describe_gauge, gauge};

/// WebSocket connections that have said who they are.
pub const SOCKETS_IDENTIFIED: &str = "hansard_gateway_sockets_identified";
/// WebSocket connections that ended, by close code.
pub const SOCKETS_CLOSED_TOTAL: &str = "hansard_gateway_sockets_closed_total";
/// `event` frames encoded: one for each event, however many receive it.
pub const FRAMES_ENCODED_TOTAL: &str = "hansard_gateway_frames_encoded_total";
/// Frames written to sockets.
pub const FRAMES_OUT_TOTAL: &str = "hansard_gateway_frames_out_total";
/// Bytes written to sockets.
pub const BYTES_OUT_TOTAL: &str = "hansard_gateway_bytes_out_total";
/// Messages read from sockets.
pub const FRAMES_IN_TOTAL: &str = "hansard_gateway_frames_in_total";
/// Connections whose reader was too slow.
pub const OUTBOX_OVERFLOWS_TOTAL: &str = "hansard_gateway_outbox_overflows_total";
/// Catch-ups, by outcome.
pub const RESUMES_TOTAL: &str = "hansard_gateway_resumes_total";
/// Holes in the live feed that were found.
pub const HOLES_FOUND_TOTAL: &str = "hansard_gateway_feed_holes_found_total";
/// Holes in the live feed that were filled.
pub const HOLES_REPAIRED_TOTAL: &str = "hansard_gateway_feed_holes_repaired_total";
/// Live events dropped because they had been seen.
pub const LIVE_REPEATED_TOTAL: &str = "hansard_gateway_live_events_repeated_total";
/// Live events taken, from the feed or from a repair.
pub const LIVE_EVENTS_TOTAL: &str = "hansard_gateway_live_events_total";
/// Events that the feed moved over because nobody here gets them.
pub const LIVE_PASSED_OVER_TOTAL: &str = "hansard_gateway_live_events_passed_over_total";
/// Whether the live feed is followed by interest (1) or whole (0).
pub const FEED_BY_INTEREST: &str = "hansard_gateway_feed_by_interest";
/// Subscriptions to what is of interest.
pub const FEED_INTERESTS: &str = "hansard_gateway_feed_interests";
/// Contents that were wanted and did not come in time.
pub const FEED_CONTENT_LATE_TOTAL: &str = "hansard_gateway_feed_content_late_total";

/// Reads of history that catch-ups asked of owners.
pub const HISTORY_READS_TOTAL: &str = "hansard_gateway_history_reads_total";
/// Conversations that were caught up from what had been read before.
pub const HISTORY_SHARED_TOTAL: &str = "hansard_gateway_history_shared_total";

/// Receipts taken from the stream and told to those whom they concern.
pub const RECEIPTS_TOLD_TOTAL: &str = "hansard_gateway_receipts_told_total";

/// Describes them to the recorder; call once, after it is installed.
pub fn describe() {
    describe_gauge!(SOCKETS_IDENTIFIED, "WebSocket connections that have said who they are");
    describe_counter!(SOCKETS_CLOSED_TOTAL, "WebSocket connections that ended, by close code");
    describe_counter!(FRAMES_ENCODED_TOTAL, "Event frames encoded, once for all receivers");
    describe_counter!(FRAMES_OUT_TOTAL, "Frames written to sockets");
    describe_counter!(BYTES_OUT_TOTAL, "Bytes written to sockets");
    describe_counter!(FRAMES_IN_TOTAL, "Messages read from sockets");
    describe_counter!(OUTBOX_OVERFLOWS_TOTAL, "Connections whose reader was too slow");
    describe_counter!(RESUMES_TOTAL, "Catch-ups, by outcome");
    describe_counter!(HOLES_FOUND_TOTAL, "Holes found in the live feed");
    describe_counter!(HOLES_REPAIRED_TOTAL, "Holes in the live feed that were filled");
    describe_counter!(LIVE_REPEATED_TOTAL, "Live events dropped because they had been seen");
    describe_counter!(LIVE_EVENTS_TOTAL, "Live events taken, from the feed or from a repair");
    describe_counter!(LIVE_PASSED_OVER_TOTAL, "Live events that nobody here gets");
    describe_gauge!(FEED_BY_INTEREST, "Whether the live feed is followed by interest");
    describe_gauge!(FEED_INTERESTS, "Subscriptions to what is of interest");
    describe_counter!(FEED_CONTENT_LATE_TOTAL, "Live events whose content did not come in time");
    describe_counter!(HISTORY_READS_TOTAL, "Reads of history that catch-ups asked of owners");
    describe_counter!(HISTORY_SHARED_TOTAL, "Conversations caught up without a read of their own");
    describe_counter!(RECEIPTS_TOLD_TOTAL, "Receipts taken from the stream and told");
}

/// A connection said who it is.
pub(crate) fn identified() {
    gauge!(SOCKETS_IDENTIFIED).increment(1.0);
}

/// An owner was asked for history.
pub(crate) fn history_read() {
    counter!(HISTORY_READS_TOTAL).increment(1);
}

/// A conversation was caught up without a read of its own.
pub(crate) fn history_shared() {
    counter!(HISTORY_SHARED_TOTAL).increment(1);
}

/// A receipt was taken from the stream.
pub(crate) fn receipt_told() {
    counter!(RECEIPTS_TOLD_TOTAL).increment(1);
}

/// An identified connection is gone.
pub(crate) fn departed() {
    gauge!(SOCKETS_IDENTIFIED).decrement(1.0);
}

/// A connection ended. `code` is what was sent, or 1006 when there was no close at all.
pub(crate) fn socket_closed(code: u16) {
    let code = match code {
        1000 => "1000",
        1001 => "1001",
        1006 => "1006",
        1011 => "1011",
        1012 => "1012",
        4000 => "4000",
        4001 => "4001",
        4002 => "4002",
        4003 => "4003",
        4008 => "4008",
        4009 => "4009",
        _ => "other",
    };
    counter!(SOCKETS_CLOSED_TOTAL, "code" => code).increment(1);
}

/// An event was encoded for its receivers.
pub(crate) fn frame_encoded() {
    counter!(FRAMES_ENCODED_TOTAL).increment(1);
}

/// Frames went out on a socket.
pub(crate) fn written(frames: usize, bytes: usize) {
    counter!(FRAMES_OUT_TOTAL).increment(frames as u64);
    counter!(BYTES_OUT_TOTAL).increment(bytes as u64);
}

/// A message was read from a socket.
pub(crate) fn message_read() {
    counter!(FRAMES_IN_TOTAL).increment(1);
}

/// A reader was too slow.
pub(crate) fn outbox_overflowed() {
    counter!(OUTBOX_OVERFLOWS_TOTAL).increment(1);
}

/// A catch-up ended.
pub(crate) fn resumed(complete: bool) {
    let outcome = if complete { "complete" } else { "incomplete" };
    counter!(RESUMES_TOTAL, "outcome" => outcome).increment(1);
}

/// The live feed has a hole.
pub(crate) fn hole_found() {
    counter!(HOLES_FOUND_TOTAL).increment(1);
}

/// The hole was filled.
pub(crate) fn hole_repaired() {
    counter!(HOLES_REPAIRED_TOTAL).increment(1);
}

/// A live event had been seen.
pub(crate) fn live_repeated() {
    counter!(LIVE_REPEATED_TOTAL).increment(1);
}

/// A live event was taken.
pub(crate) fn live_event() {
    counter!(LIVE_EVENTS_TOTAL).increment(1);
}

/// The feed moved over an event.
pub(crate) fn live_passed_over() {
    counter!(LIVE_PASSED_OVER_TOTAL).increment(1);
}

/// How the feed is followed from here on.
pub(crate) fn feed_by_interest(by_interest: bool) {
    gauge!(FEED_BY_INTEREST).set(f64::from(u8::from(by_interest)));
}

/// So many subscriptions are in force.
pub(crate) fn feed_interests(count: usize) {
    gauge!(FEED_INTERESTS).set(count as f64);
}

/// A wanted content did not come in time.
pub(crate) fn feed_content_late() {
    counter!(FEED_CONTENT_LATE_TOTAL).increment(1);
}
