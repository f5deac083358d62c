//! What a client tells its application, in order.

use std::sync::Arc;
use std::time::Duration;

use hansard_model::{ConversationId, MessageId, Seq};
use hansard_protocol::http::{Conversation, User};
use hansard_protocol::server::{MediaFrame, PresenceFrame, ReceiptFrame, Welcome};

use crate::event::StoredEvent;
use crate::frame::{Gap, Typing};
use crate::refusal::Refusal;

/// Something happened. What it says is durable in the store before it is handed out.
#[derive(Clone, Debug)]
pub enum Update {
    /// A gateway answered; sends go out from here on, the catch-up follows.
    Connected(Arc<Welcome>),
    /// The catch-up is over: what is shown is what the server has.
    Synced,
    /// No connection; the next try starts after `retry_in`.
    Disconnected {
        /// How long until then.
        retry_in: Duration,
        /// Why.
        loss: Loss,
    },
    /// No connection, and none will be tried before [`crate::Client::set_token`].
    Stopped(StopReason),
    /// The log is another one: everything cached was dropped and is loaded anew.
    Reset,
    /// An event of a timeline; each once, in order, own ones included.
    Event(Arc<StoredEvent>),
    /// Events of a timeline were left out; what was cached of it is dropped. Load history anew.
    Gap(Gap),
    /// The reader's own view of a conversation.
    Conversation(Arc<Conversation>),
    /// A person.
    User(Arc<User>),
    /// How far somebody has got, this person on another device included. Never less than before.
    Receipt(ReceiptFrame),
    /// Somebody is typing in a watched conversation.
    Typing(Typing),
    /// Somebody who is watched is there, or is not.
    Presence(PresenceFrame),
    /// What there is to show of a file that a message refers to. Not kept: [`crate::Media::info`]
    /// says the same at any time.
    Media(Arc<MediaFrame>),
    /// A send is stored; once per send.
    Ack {
        /// Where.
        conversation: ConversationId,
        /// Which.
        id: MessageId,
        /// Its place, for ever.
        seq: Seq,
    },
    /// A send was refused for good; it has left the outbox.
    Failed {
        /// Where.
        conversation: ConversationId,
        /// Which.
        id: MessageId,
        /// What it said, so that nothing a person wrote is lost.
        event: Arc<str>,
        /// Why.
        refusal: Refusal,
    },
    /// A send that the log has surely not seen got another id, because this device's clock ran
    /// ahead when it was made.
    Renamed {
        /// Where.
        conversation: ConversationId,
        /// The id until now.
        from: MessageId,
        /// The id from now on.
        to: MessageId,
    },
}

/// Why a connection ended or did not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nobody answered at the address.
    Unreachable,
    /// The gateway is there and takes nobody now.
    Overloaded,
    /// No answer to the connect or to `hello` in time.
    Timeout,
    /// No ping and no frame for 2.5 heartbeats.
    Silent,
    /// A send got no answer in time.
    Unanswered,
    /// The gateway asked to reconnect elsewhere.
    Drained,
    /// The catch-up was cut short and is resumed.
    Incomplete,
    /// The log is another one: the next connection starts anew.
    Reset,
    /// The other side closed with this code (1006: without one).
    Closed(u16),
}

/// Why no connection is tried any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The token is not valid (any more): log in, then [`crate::Client::set_token`].
    Unauthorized,
    /// The session was revoked.
    Revoked,
    /// The client's store failed: nothing is sent or shown any more.
    Store,
    /// The server does not speak with this client (close code 4000 or 4002).
    Incompatible(u16),
}
