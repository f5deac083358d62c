//! projector
mod directory;
mod history;
mod inbox;
mod index;
mod parked;
mod partition;
mod queries;
