//! Files: who may read and send them, and what is passed on.

mod avatars;
mod passing;
mod reading;
mod sending;
pub(crate) mod service;
mod whole;
