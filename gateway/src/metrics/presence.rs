//! Presence's part of the catalogue: devices, what is said of them, who is told.

use metrics::{counter, describe_counter, describe_gauge, gauge};

/// Devices that are connected, or were a moment ago.
pub const PRESENCE_DEVICES: &str = "hansard_gateway_presence_devices";
/// People who are watched by a connection.
pub const PRESENCE_WATCHED: &str = "hansard_gateway_presence_watched";
/// Reports written into the bucket, heartbeats included.
pub const PRESENCE_REPORTS_TOTAL: &str = "hansard_gateway_presence_reports_total";
/// Changes of own devices that were said to other gateways.
pub const PRESENCE_CHANGES_TOTAL: &str = "hansard_gateway_presence_changes_total";
/// `presence` and `presences` frames pushed to those who watch.
pub const PRESENCE_FRAMES_TOTAL: &str = "hansard_gateway_presence_frames_total";

/// Describes them to the recorder; call once, after it is installed.
pub fn describe() {
    describe_gauge!(PRESENCE_DEVICES, "Devices that are connected, or were a moment ago");
    describe_gauge!(PRESENCE_WATCHED, "People who are watched by a connection");
    describe_counter!(PRESENCE_REPORTS_TOTAL, "Reports of devices written into the bucket");
    describe_counter!(PRESENCE_CHANGES_TOTAL, "Changes of devices said to other gateways");
    describe_counter!(PRESENCE_FRAMES_TOTAL, "Presence frames pushed to those who watch");
}

/// So many devices are there.
pub(crate) fn devices(count: usize) {
    gauge!(PRESENCE_DEVICES).set(count as f64);
}

/// So many people are watched.
pub(crate) fn watched(count: usize) {
    gauge!(PRESENCE_WATCHED).set(count as f64);
}

/// A report was written.
pub(crate) fn report_written() {
    counter!(PRESENCE_REPORTS_TOTAL).increment(1);
}

/// A change was said.
pub(crate) fn change_said() {
    counter!(PRESENCE_CHANGES_TOTAL).increment(1);
}

/// A frame was pushed, of one person or several.
pub(crate) fn told() {
    counter!(PRESENCE_FRAMES_TOTAL).increment(1);
}
