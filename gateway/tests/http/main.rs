//! The HTTP interface of a gateway, on a real nats-server and with a projector.

mod accounts;
mod client;
mod conversations;
mod edge;
mod mentions;
mod rig;
mod socket;
mod sockets;
mod trimmed;
