//! Every bound of the protocol and the log, in one place. Units are in the names.

/// Longest message text, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Longest group title, in bytes of UTF-8.
pub const TITLE_BYTES_MAX: usize = 256;
/// Longest emoji of a reaction, in bytes of UTF-8 (it is one grapheme besides).
pub const EMOJI_BYTES_MAX: usize = 64;
/// Reactions one user may have on one message.
pub const REACTIONS_PER_USER_MAX: usize = 20;
/// Entries of `mentions` in one message.
pub const MENTIONS_MAX: usize = 100;
/// Entries of `media` in one message.
pub const MEDIA_MAX: usize = 20;
/// Size of the application's own `event.data`, in bytes of compact JSON.
pub const DATA_BYTES_MAX: usize = 4 * 1024;
/// Size of a whole event, in bytes of compact JSON: unknown fields are stored as sent, but bounded.
pub const EVENT_BYTES_MAX: usize = 48 * 1024;
/// Nesting of arrays and objects in an event.
pub const EVENT_DEPTH_MAX: usize = 16;
/// Members of a group, unless the deployment says otherwise.
pub const GROUP_MEMBERS_DEFAULT: usize = 100;
/// Members that one `create` may name besides the creator: its event stays far below the
/// server's message limit, larger groups grow by `member` events.
pub const CREATE_MEMBERS_MAX: usize = 1_000;
/// Longest handle, in bytes.
pub const HANDLE_BYTES_MAX: usize = 32;
/// Shortest handle, in bytes.
pub const HANDLE_BYTES_MIN: usize = 2;
/// Longest display or device name, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 128;
/// Shortest and longest password, in bytes.
pub const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=256;
/// Devices (sessions) a user may have.
pub const DEVICES_PER_USER_MAX: usize = 50;

/// Window in which a stream remembers a `Nats-Msg-Id`, in milliseconds (design: W).
pub const DEDUPLICATION_WINDOW_MS: u64 = 120_000;
/// How far a client's clock may run ahead, in milliseconds (design: d).
pub const CLIENT_CLOCK_TOLERANCE_MS: u64 = 30_000;
/// Bound of the difference between any nats-server clock and a gateway's estimate of log time, in
/// milliseconds (design: e).
pub const LOG_TIME_ERROR_MS: u64 = 1_000;
/// How long a gateway vouches for a membership it has compared with the leader, in milliseconds
/// (design: L).
pub const MEMBERSHIP_LEASE_MS: u64 = 2_000;
/// Age at which a membership is compared again before it is vouched for, in milliseconds.
pub const MEMBERSHIP_COMPARE_AFTER_MS: u64 = 1_000;

/// Events that one message tells the order of.
pub const LIVE_ORDER_ITEMS_MAX: usize = 256;
/// Bytes of such a message, about; a single event that has more goes alone.
pub const LIVE_ORDER_BYTES_MAX: usize = 64 * 1024;

/// Items of a page, when the caller does not say.
pub const PAGE_ITEMS_DEFAULT: usize = 50;
/// Items of a page at most.
pub const PAGE_ITEMS_MAX: usize = 500;
/// Bytes of bodies in one page at most; a page that reaches it says there is more.
pub const PAGE_BYTES_MAX: usize = 512 * 1024;
/// Events of one conversation in a catch-up, when the client does not say.
pub const CATCH_UP_DEFAULT: usize = 100;
/// Events of one conversation in a catch-up at most.
pub const CATCH_UP_MAX: usize = 1_000;
/// Conversations in the catch-up of a client without a cursor.
pub const FIRST_LOAD_CONVERSATIONS: usize = 50;
/// Members of a group up to which everybody is told how far the others have got; in larger ones
/// the list is for who asks.
pub const RECEIPTS_TOLD_MEMBERS_MAX: usize = 100;

/// Members of a group up to which its members see each other come and go; in larger ones who is
/// there is for who asks.
pub const PRESENCE_TOLD_MEMBERS_MAX: usize = 100;
/// Users whose presence a connection may watch.
pub const WATCHED_USERS_MAX: usize = 200;
/// People of one `presences` frame.
pub const PRESENCE_BATCH_MAX: usize = 128;
/// Conversations whose typing a connection may watch.
pub const WATCHED_CONVERSATIONS_MAX: usize = 4;
