//! A partition as its owner holds it.

pub(crate) mod conversation;
pub(crate) mod state;
