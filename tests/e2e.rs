//! The whole system: the real binary on a real nats-server, driven from outside as a client would,
//! paused, killed and restarted for real.
//!
//! One program with a module per subject, because linking is what takes time. Read `harness` first.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]
#![expect(clippy::print_stdout, reason = "the runner shows what a failed test says of itself")]

mod archive;
mod conversation;
mod discovery;
mod epoch;
mod faults;
mod groups;
mod harness;
mod herd;
mod history;
mod hostile;
mod import;
mod interest;
mod media;
mod once;
mod presence;
mod receipts;
mod removal;
mod restarts;
mod restore;
mod resume;
mod s3;
mod search;
mod sessions;
mod suggestions;
mod views;
