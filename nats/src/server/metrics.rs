//! The figures of the embedded nats-server.

use metrics::{counter, describe_counter};

/// Restarts of the embedded nats-server after it died by itself.
pub const NATS_SERVER_RESTARTS_TOTAL: &str = "hansard_nats_server_restarts_total";

/// Registers the descriptions, and the counters at zero, so that a scrape shows them before the
/// first incident.
pub fn describe() {
    describe_counter!(
        NATS_SERVER_RESTARTS_TOTAL,
        "Restarts of the embedded nats-server after it died by itself"
    );
    counter!(NATS_SERVER_RESTARTS_TOTAL).absolute(0);
}

/// The server died and is started again.
pub(super) fn restarted() {
    counter!(NATS_SERVER_RESTARTS_TOTAL).increment(1);
}
