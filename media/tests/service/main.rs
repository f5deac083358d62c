//! Media services against a real nats-server and a real directory.

mod avatars;
mod client;
mod collecting;
mod downloads;
mod faulty;
mod hand;
mod kills;
mod losses;
mod once;
mod places;
mod process;
mod processing;
mod rig;
mod uploads;
