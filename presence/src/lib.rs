//! Who is there, for gateways: two state machines without I/O and without a clock.
//!
//! 1. [`device`]: at the gateway that a device is connected to, what its connections come to:
//!    grace after a drop, damping of flapping, inactivity, invisibility;
//! 2. [`person`]: at the gateway of somebody who watches, what the devices of a person come to, by
//!    the reports of all gateways, and what becomes of reports that nobody renews.
//!
//! Time is a [`Moment`] that the caller passes in.
//!
//! Invariant: what a person does not want known is no report: it never leaves the first machine.
//! Invariant: a state machine says a change once, and nothing that was undone in time.
#![warn(missing_docs)]
#![warn(clippy::wildcard_enum_match_arm)]

pub mod device;
pub mod person;

use std::time::Duration;

pub use device::{Chosen, Device, Ending};
pub use person::{Person, Shown};

/// A moment: how long after the start of whoever passes it.
pub type Moment = Duration;

/// How long a person is still shown after a device or its gateway was lost: a reconnect within it
/// shows nothing.
pub const GRACE: Duration = Duration::from_secs(10);
/// How long a person is still shown after the last connection of a device was closed in order: a
/// page that is loaded again shows nothing, and a person who leaves is gone within two seconds.
pub const CLOSE_HOLD: Duration = Duration::from_millis(800);
/// A device that leaves twice within this is flapping: the second time counts as a drop.
pub const FLAP_WINDOW: Duration = Duration::from_secs(10);
/// Changes of a device that is there are at least this far apart, however often it says another.
pub const SPACING: Duration = Duration::from_secs(1);
