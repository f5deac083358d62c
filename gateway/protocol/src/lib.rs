//! The wire contract of Hansard, as types: what a client and a gateway say to each other.
//!
//! Read [`client`] (frames to the server), [`server`] (frames to the client), [`error`] (codes,
//! and what to do about them), then [`http`] and [`media`] (request and response bodies). The prose
//! is `docs/protocol.md`; tests hold it to this crate.
//!
//! Invariant: pure; no I/O, no clock. A field is added, never renamed or removed.
#![warn(missing_docs)]

pub mod client;
pub mod error;
pub mod http;
pub mod media;
pub mod server;

pub use client::{ClientFrame, FrameRef};
pub use error::{ErrorBody, ErrorCode, Retry, Stored};
pub use server::ServerFrame;

/// The WebSocket subprotocol of this contract.
pub const SUBPROTOCOL: &str = "hansard.v1";
/// Largest frame a client may send, in bytes.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
