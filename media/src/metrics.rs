//! The metrics of media services.

mod upkeep;

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

pub(crate) use self::upkeep::{
    collected, collection_failed, following, processed, record, restored, tenure_ended, visited,
};

const UPLOADS_TOTAL: &str = "hansard_media_uploads_total";
const RECEIVED_BYTES_TOTAL: &str = "hansard_media_received_bytes_total";
const SENT_BYTES_TOTAL: &str = "hansard_media_sent_bytes_total";
const REFUSED_TOTAL: &str = "hansard_media_refused_total";
const TRANSFERS: &str = "hansard_media_transfers";
const TRANSFERS_CUT_TOTAL: &str = "hansard_media_transfers_cut_total";
const PLACE_WAIT_SECONDS: &str = "hansard_media_place_wait_seconds";
const UNREADABLE_TOTAL: &str = "hansard_media_unreadable_objects_total";
const BLOBS_HEALED_TOTAL: &str = "hansard_media_blobs_healed_total";

/// Registers the descriptions.
pub fn describe() {
    upkeep::describe();
    describe_counter!(UPLOADS_TOTAL, "Uploads, by outcome (created, finished, ended)");
    describe_counter!(RECEIVED_BYTES_TOTAL, "Bytes of uploads that were stored");
    describe_counter!(SENT_BYTES_TOTAL, "Bytes of files that were verified and sent");
    describe_counter!(REFUSED_TOTAL, "Requests that were refused, by code");
    describe_gauge!(TRANSFERS, "Requests that move bytes now, by direction (upload, download)");
    describe_counter!(
        TRANSFERS_CUT_TOTAL,
        "Requests that were cut off, by direction and reason (displaced, slow)"
    );
    describe_histogram!(PLACE_WAIT_SECONDS, "Time that requests wait for a place, by direction");
    describe_counter!(
        UNREADABLE_TOTAL,
        "Objects that are missing or damaged, as they were asked for, by fault (missing, damaged)"
    );
    describe_counter!(
        BLOBS_HEALED_TOTAL,
        "Blobs with missing objects that a new upload of the same bytes replaced"
    );
    for fault in ["missing", "damaged"] {
        counter!(UNREADABLE_TOTAL, "fault" => fault).increment(0);
    }
    counter!(BLOBS_HEALED_TOTAL).increment(0);
}

/// An upload was `created`, `finished`, or `ended` by its uploader.
pub(crate) fn upload(outcome: &'static str) {
    counter!(UPLOADS_TOTAL, "outcome" => outcome).increment(1);
}

/// Bytes of an upload are stored.
pub(crate) fn received(bytes: u64) {
    counter!(RECEIVED_BYTES_TOTAL).increment(bytes);
}

/// Bytes of a file were verified and go to a reader.
pub(crate) fn sent(bytes: u64) {
    counter!(SENT_BYTES_TOTAL).increment(bytes);
}

/// A request was refused.
pub(crate) fn refused(code: &'static str) {
    counter!(REFUSED_TOTAL, "code" => code).increment(1);
}

/// An `upload` or `download` begins (1) or ends (-1).
pub(crate) fn transfers(direction: &'static str, change: f64) {
    gauge!(TRANSFERS, "direction" => direction).increment(change);
}

/// An `upload` or `download` was cut off: it was `slow`, or `displaced` by somebody who had less.
pub(crate) fn transfer_cut(direction: &'static str, reason: &'static str) {
    counter!(TRANSFERS_CUT_TOTAL, "direction" => direction, "reason" => reason).increment(1);
}

/// An `upload` or `download` has a place.
pub(crate) fn place_waited(direction: &'static str, waited: Duration) {
    histogram!(PLACE_WAIT_SECONDS, "direction" => direction).record(waited);
}

/// An object that a record names is `missing` or `damaged`.
pub(crate) fn unreadable(fault: &'static str) {
    counter!(UNREADABLE_TOTAL, "fault" => fault).increment(1);
}

/// The objects of a blob were missing, and are there again.
pub(crate) fn blob_healed() {
    counter!(BLOBS_HEALED_TOTAL).increment(1);
}
