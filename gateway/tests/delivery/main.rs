//! WebSocket connections and the long poll of a gateway, on a real nats-server and with a
//! projector: messages, resume, membership, and input that means harm.

#[expect(dead_code, reason = "shared with the HTTP tests, which use more of it")]
#[path = "../http/client.rs"]
mod client;
mod epoch;
mod hostile;
mod resume;
#[expect(dead_code, reason = "shared with the HTTP tests, which use more of it")]
#[path = "../http/rig.rs"]
mod rig;
mod sending;
mod sync;
mod wire;
