//! The HTTP interface of a gateway, on a real nats-server and with a projector.

mod accounts;
mod client;
mod conversations;
mod edge;
mod media;
mod mentions;
mod pins;
mod rig;
mod sockets;
mod suggestions;
mod trimmed;
#[expect(dead_code, reason = "shared with the tests of delivery, which use more of it")]
#[path = "../delivery/wire.rs"]
mod wire;
