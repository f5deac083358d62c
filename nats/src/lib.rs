//! The backbone of Hansard: everything that touches NATS.
//!
//! Reading order:
//!
//! 1. [`server`] and [`embedded`]: the embedded nats-server, a supervised child;
//! 2. [`connection`]: one connection of one role, and who may publish what;
//! 3. [`streams`] and [`deployment`]: the table of streams and buckets, provisioning, drift;
//! 4. [`log`]: append with pipelined acks, leader reads, the dense reader, log time;
//! 5. [`live`], [`query`], [`search`]: what projectors and searchers tell gateways, unasked and
//!    asked;
//! 6. [`lease`], [`ownership`]: which process owns which partition;
//! 7. [`inbox`], [`accounts`], [`receipts`], [`registry`], [`presence`],
//!    [`sessions`], [`media`]: the other streams and buckets, and what gateways ask each other;
//! 8. [`grant`]: with what gateways vouch to media services.
//!
//! Invariant: the types of async-nats stop here; callers see `hansard_model` types and bytes.
//! Invariant: an acknowledgement is never assumed. A timeout is [`log::AppendError::Unknown`], not
//! a failure.
//! Deliberately absent: `republish`, durable consumers, and guards on ordinary messages; the
//! design page measured why.

pub mod accounts;
pub mod connection;
pub mod deployment;
mod direct;
pub mod durability;
pub mod embedded;
pub mod grant;
pub mod inbox;
pub mod lease;
pub mod live;
pub mod log;
pub mod media;
pub mod metrics;
pub mod ownership;
pub mod presence;
pub mod query;
pub mod raw;
pub mod receipts;
pub mod registry;
pub mod search;
pub mod server;
pub mod sessions;
pub mod streams;
mod tail;

pub use connection::{Connection, Endpoint, ServiceRole};
pub use deployment::Deployment;
pub use log::{Log, LogClock};
pub use server::Durability;
