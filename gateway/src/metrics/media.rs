//! The catalogue of what passes between clients and media services.

use metrics::{counter, describe_counter};

/// Bytes passed on between clients and media services, by direction.
pub const MEDIA_BYTES_TOTAL: &str = "hansard_gateway_media_bytes_total";
/// Requests about files that no media service answered.
pub const MEDIA_UNANSWERED_TOTAL: &str = "hansard_gateway_media_unanswered_total";

pub(super) fn describe() {
    describe_counter!(MEDIA_BYTES_TOTAL, "Bytes passed on to and from media services");
    describe_counter!(MEDIA_UNANSWERED_TOTAL, "Requests that no media service answered");
    counter!(MEDIA_UNANSWERED_TOTAL).increment(0);
}

/// So many bytes came from a client.
pub(crate) fn bytes_taken(count: usize) {
    counter!(MEDIA_BYTES_TOTAL, "direction" => "in").increment(count as u64);
}

/// So many bytes went to a client.
pub(crate) fn bytes_given(count: usize) {
    counter!(MEDIA_BYTES_TOTAL, "direction" => "out").increment(count as u64);
}

/// No media service answered a request.
pub(crate) fn unanswered() {
    counter!(MEDIA_UNANSWERED_TOTAL).increment(1);
}
