//! The catalogue of the gateway's edge metrics: names, descriptions, one function per fact.

pub mod delivery;
pub mod media;
pub mod presence;

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// Connections refused at the door, by reason.
pub const CONNECTIONS_REFUSED_TOTAL: &str = "hansard_gateway_connections_refused_total";
/// Connections accepted.
pub const CONNECTIONS_ACCEPTED_TOTAL: &str = "hansard_gateway_connections_accepted_total";
/// Open connections, HTTP and WebSocket.
pub const CONNECTIONS_OPEN: &str = "hansard_gateway_connections_open";
/// Requests refused for being too fast, by what they wanted.
pub const RATE_LIMITED_TOTAL: &str = "hansard_gateway_rate_limited_total";
/// HTTP requests, by status class.
pub const HTTP_REQUESTS_TOTAL: &str = "hansard_gateway_http_requests_total";
/// Time to answer an HTTP request, in seconds.
pub const HTTP_REQUEST_SECONDS: &str = "hansard_gateway_http_request_seconds";
/// Position of the accounts fold.
pub const ACCOUNTS_APPLIED_SEQ: &str = "hansard_gateway_accounts_applied_seq";
/// Account events that could not be read.
pub const ACCOUNTS_UNREADABLE_TOTAL: &str = "hansard_gateway_accounts_unreadable_total";
/// Waits for the accounts fold to reach the leader, by outcome.
pub const ACCOUNTS_BARRIERS_TOTAL: &str = "hansard_gateway_accounts_barriers_total";
/// Passwords hashed or verified.
pub const PASSWORDS_HASHED_TOTAL: &str = "hansard_gateway_passwords_hashed_total";
/// Inbox reads that had to ask owners because the bucket was behind.
pub const INBOX_OWNERS_ASKED_TOTAL: &str = "hansard_gateway_inbox_owners_asked_total";
/// Inbox reads that went on from an earlier one.
pub const INBOX_REMEMBERED_TOTAL: &str = "hansard_gateway_inbox_remembered_total";
/// Announcements to a user's own devices that were left to the next resume.
pub const ANNOUNCEMENTS_SKIPPED_TOTAL: &str = "hansard_gateway_announcements_skipped_total";
/// Reads that waited for the answer to an identical one under way.
pub const READS_COALESCED_TOTAL: &str = "hansard_gateway_reads_coalesced_total";
/// Times that the log became another and every client began anew.
pub const EPOCHS_TOTAL: &str = "hansard_gateway_epochs_total";
/// Questions to owners about what a stream no longer holds, by what was asked.
pub const PAST_ASKED_TOTAL: &str = "hansard_gateway_past_asked_total";

/// How many are let in per second when a crowd comes, at most.
pub const ADMISSION_PACE: &str = "hansard_gateway_admission_pace_per_second";
/// How long a task of this gateway waits until it runs.
pub const TASK_DELAY_SECONDS: &str = "hansard_gateway_task_delay_seconds";

/// Describes the metrics to the recorder; call once, after it is installed.
pub fn describe() {
    delivery::describe();
    media::describe();
    presence::describe();
    describe_counter!(CONNECTIONS_REFUSED_TOTAL, "Connections refused at the door, by reason");
    describe_counter!(CONNECTIONS_ACCEPTED_TOTAL, "Connections accepted");
    describe_gauge!(CONNECTIONS_OPEN, "Open connections, HTTP and WebSocket");
    describe_counter!(RATE_LIMITED_TOTAL, "Requests refused for being too fast");
    describe_counter!(HTTP_REQUESTS_TOTAL, "HTTP requests, by status class");
    describe_histogram!(HTTP_REQUEST_SECONDS, "Time to answer an HTTP request, in seconds");
    describe_gauge!(ACCOUNTS_APPLIED_SEQ, "Position of the accounts fold");
    describe_counter!(ACCOUNTS_UNREADABLE_TOTAL, "Account events that could not be read");
    counter!(ACCOUNTS_UNREADABLE_TOTAL).increment(0);
    describe_counter!(ACCOUNTS_BARRIERS_TOTAL, "Waits for the accounts fold, by outcome");
    describe_counter!(PASSWORDS_HASHED_TOTAL, "Passwords hashed or verified");
    describe_counter!(INBOX_OWNERS_ASKED_TOTAL, "Partition owners asked by inbox reads");
    describe_counter!(INBOX_REMEMBERED_TOTAL, "Inbox reads that went on from an earlier one");
    describe_counter!(ANNOUNCEMENTS_SKIPPED_TOTAL, "Announcements left to the next resume");
    describe_counter!(READS_COALESCED_TOTAL, "Reads that shared an identical one's answer");
    describe_counter!(EPOCHS_TOTAL, "Times that the log became another");
    describe_gauge!(ADMISSION_PACE, "Handshakes per second that a crowd may have now");
    describe_gauge!(TASK_DELAY_SECONDS, "How long a task waits until it runs, in seconds");
    describe_counter!(PAST_ASKED_TOTAL, "Questions about what a stream no longer holds");
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The gateway holds all it may.
    Full,
    /// The address holds all it may.
    Address,
    /// Too many have not said who they are.
    Unidentified,
    /// Too many shake hands at once.
    Handshakes,
    /// Too many catch up.
    CatchUps,
}

impl Refused {
    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
            Self::Unidentified => "unidentified",
            Self::Handshakes => "handshakes",
            Self::CatchUps => "catch_ups",
        }
    }
}

/// What was asked for too fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limited {
    /// Sends.
    Sends,
    /// Receipts.
    Receipts,
    /// Typing.
    Typing,
    /// Catch-ups.
    CatchUps,
    /// New groups.
    Groups,
    /// HTTP requests.
    Requests,
    /// New uploads.
    Uploads,
    /// Upgrades to WebSocket.
    Handshakes,
    /// New accounts.
    Signups,
    /// Attempts to log in.
    Logins,
}

impl Limited {
    /// The label, and the word in messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sends => "sends",
            Self::Receipts => "receipts",
            Self::Typing => "typing",
            Self::CatchUps => "catch_ups",
            Self::Groups => "groups",
            Self::Requests => "requests",
            Self::Uploads => "uploads",
            Self::Handshakes => "handshakes",
            Self::Signups => "signups",
            Self::Logins => "logins",
        }
    }
}

/// A read waited for the answer to an identical one.
pub(crate) fn read_coalesced() {
    counter!(READS_COALESCED_TOTAL).increment(1);
}

/// The log became another.
pub(crate) fn epoch_begun() {
    counter!(EPOCHS_TOTAL).increment(1);
}

/// What a stream no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// The first events of a group.
    Group,
    /// An event.
    Record,
}

impl Past {
    fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Record => "record",
        }
    }
}

/// An owner was asked about what a stream no longer holds.
pub(crate) fn past_asked(what: Past) {
    counter!(PAST_ASKED_TOTAL, "what" => what.as_str()).increment(1);
}

/// How fast a crowd may come in, and how late tasks run.
pub(crate) fn admission(per_second: f64, delay: Duration) {
    gauge!(ADMISSION_PACE).set(per_second);
    gauge!(TASK_DELAY_SECONDS).set(delay.as_secs_f64());
}

/// A connection was refused at the door.
pub(crate) fn connection_refused(reason: Refused) {
    counter!(CONNECTIONS_REFUSED_TOTAL, "reason" => reason.as_str()).increment(1);
}

/// A connection was opened.
pub(crate) fn connection_opened() {
    counter!(CONNECTIONS_ACCEPTED_TOTAL).increment(1);
    gauge!(CONNECTIONS_OPEN).increment(1.0);
}

/// A connection was closed.
pub(crate) fn connection_closed() {
    gauge!(CONNECTIONS_OPEN).decrement(1.0);
}

/// A request was refused for being too fast.
pub(crate) fn rate_limited(what: Limited) {
    counter!(RATE_LIMITED_TOTAL, "what" => what.as_str()).increment(1);
}

/// An HTTP request was answered.
pub(crate) fn http_request(status: u16, took: Duration) {
    let class = match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    counter!(HTTP_REQUESTS_TOTAL, "status" => class).increment(1);
    histogram!(HTTP_REQUEST_SECONDS).record(took.as_secs_f64());
}

/// The accounts fold reached a position.
pub(crate) fn accounts_applied(seq: u64) {
    gauge!(ACCOUNTS_APPLIED_SEQ).set(seq as f64);
}

/// An account event could not be read.
pub(crate) fn account_unreadable() {
    counter!(ACCOUNTS_UNREADABLE_TOTAL).increment(1);
}

/// The accounts fold was waited for.
pub(crate) fn accounts_barrier(reached: bool) {
    let outcome = if reached { "reached" } else { "missed" };
    counter!(ACCOUNTS_BARRIERS_TOTAL, "outcome" => outcome).increment(1);
}

/// A password was hashed or verified.
pub(crate) fn password_hashed() {
    counter!(PASSWORDS_HASHED_TOTAL).increment(1);
}

/// An inbox read asked the owners of so many partitions.
pub(crate) fn inbox_owners_asked(partitions: usize) {
    counter!(INBOX_OWNERS_ASKED_TOTAL).increment(partitions as u64);
}

/// An inbox read went on from an earlier one.
pub(crate) fn inbox_remembered() {
    counter!(INBOX_REMEMBERED_TOTAL).increment(1);
}

/// An announcement was left to the next resume.
pub(crate) fn announcement_skipped() {
    counter!(ANNOUNCEMENTS_SKIPPED_TOTAL).increment(1);
}
