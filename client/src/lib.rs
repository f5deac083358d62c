//! The Rust SDK of Hansard.
//!
//! Code map, in reading order: [`update`] (what an application sees), [`machine`] (every decision,
//! without I/O), [`store`] (what survives a restart), `engine` (the loop that carries out the
//! decisions), [`client`] (the handle), [`http`] (accounts, inbox and history), [`media`] (files).
//!
//! Invariant: a send is in the store before [`Client::send`] returns, and leaves it only when it
//! is acknowledged or refused for good.
//! Invariant: an update is handed out after what it says is committed.
//! Deliberately absent: TLS (the gateways are reached through a proxy or a private network), a
//! retry of anything but reads and sends with their own id.

pub mod backoff;
pub mod client;
mod engine;
pub mod event;
pub mod frame;
pub mod gateway;
pub mod http;
pub mod machine;
pub mod media;
pub mod refusal;
mod socket;
pub mod store;
pub mod update;

pub use client::{Client, ClientOptions, SendError, StartError, Updates};
pub use event::{Content, StoredEvent};
pub use gateway::Gateway;
pub use http::{Http, HttpError};
pub use machine::receipts::ReceiptPolicy;
pub use media::{Media, MediaError};
pub use refusal::Refusal;
pub use store::{Store, StoreError};
pub use update::{Loss, StopReason, Update};
