//! Media services: files arrive whole, are stored once, and go only where a message took them.
//!
//! Any number of services run; each takes uploads and serves downloads that gateways pass on to it,
//! and owns some partitions of the log, whose messages it follows for what they refer to. Reading
//! order:
//!
//! 1. [`hansard_model::media`]: the records, and who may read;
//! 2. `parts`, `manifests`: objects and their names; `blobs`: bytes that are stored once;
//! 3. `uploads`: from creation to a blob; `holdings`: what each user has;
//! 4. [`Progress`], [`metrics`]: how it is watched.
//!
//! - Invariant: what was acknowledged to an uploader is durable in the object store.
//! - Invariant: nothing is removed because a list does not name it, only because a record says so;
//!   a record that cannot be read is an error, and never absent.
//! - Invariant: bytes leave only after they were compared with their hash.
//! - Invariant: a process can die at any moment. Whoever comes next goes on.
#![warn(clippy::wildcard_enum_match_arm)]

mod blobs;
mod collector;
mod digest;
mod fault;
mod holdings;
mod manifests;
pub mod metrics;
mod parts;
mod processing;
mod progress;
mod reconcile;
mod references;
mod uploads;
mod watch;

pub use self::fault::Fault;
pub use self::progress::Progress;
