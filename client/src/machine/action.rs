//! What the machine wants done, and what is written down.

use std::sync::Arc;

use hansard_model::{ConversationId, MessageId, Seq};
use hansard_protocol::http::{Conversation, User};
use serde_json::value::RawValue;

use crate::event::StoredEvent;
use crate::machine::receipts::Marks;
use crate::update::Update;

/// Something for the loop around the machine to do. All [`Action::Persist`] of one turn are
/// committed in one transaction before any other action of that turn is done.
#[derive(Debug)]
pub enum Action {
    /// Ask this gateway which one to use.
    Discover(String),
    /// Open a socket to this gateway.
    Connect(String),
    /// Write a text frame.
    Transmit(String),
    /// Drop the socket, or the attempt to open one. No `disconnected` is reported for it.
    Disconnect,
    /// Write down.
    Persist(Change),
    /// Tell the application.
    Publish(Update),
    /// Read events of a conversation.
    FetchEvents(EventsRequest),
    /// Read the reader's view of a conversation.
    FetchView(ViewRequest),
}

/// What became of [`Action::Discover`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovered {
    /// Gateways, best first.
    Gateways(Vec<String>),
    /// The server does not say.
    Refused,
    /// Nobody answered.
    NoAnswer,
}

/// `GET /v1/conversations/{c}/events?after=..&min_seq=..`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsRequest {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// After this one.
    pub after: Seq,
    /// The answer must know this event.
    pub at_least: Seq,
    /// To be handed back; answers of an earlier connection are ignored.
    pub generation: u64,
}

/// `GET /v1/conversations/{c}`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewRequest {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// To be handed back.
    pub generation: u64,
}

/// A change of what the store holds.
#[derive(Clone, Debug)]
pub enum Change {
    /// A send joins the outbox.
    Enqueue(OutboxEntry),
    /// The send is about to go out for the first time: its id may be in the log from now on.
    Attempted {
        /// Which.
        row: u64,
    },
    /// The send got another id, and that one was never sent.
    Rename {
        /// Which.
        row: u64,
        /// Its id from now on.
        id: MessageId,
    },
    /// The send is answered and leaves the outbox.
    Settle {
        /// Which.
        row: u64,
    },
    /// The file of a send that joins the outbox is uploaded: its upload leaves the journal.
    Uploaded {
        /// Which upload.
        row: u64,
    },
    /// An event joins its timeline.
    Event(Arc<StoredEvent>),
    /// A timeline continues after this event; what was cached before it is dropped.
    Skip {
        /// Which.
        conversation: ConversationId,
        /// Up to here.
        through: Seq,
    },
    /// The reader's view of a conversation.
    Conversation(Arc<Conversation>),
    /// A person.
    User(Arc<User>),
    /// How far the person has got in a conversation, and what of it the server has.
    Marks {
        /// Which.
        conversation: ConversationId,
        /// How far.
        marks: Marks,
        /// What of it the server has.
        stored: Marks,
    },
    /// Where the connection got to.
    Cursor(String),
    /// Everything but the outbox is dropped.
    Reset,
}

impl Change {
    /// Whether the change has to survive a power cut: only what concerns the outbox before an
    /// answer. The rest is consistent after one, and comes again.
    pub fn is_promise(&self) -> bool {
        matches!(self, Self::Enqueue(_) | Self::Attempted { .. } | Self::Rename { .. })
    }
}

/// A send that is not answered yet.
#[derive(Clone, Debug)]
pub struct OutboxEntry {
    /// Its number in this store, rising; also the `ref` of its frames.
    pub row: u64,
    /// Where to.
    pub conversation: ConversationId,
    /// Its id.
    pub id: MessageId,
    /// What, as it is sent.
    pub event: Box<RawValue>,
    /// How often the id may have gone out: once it has, it is never changed any more, unless the
    /// first and only attempt is known to have stored nothing. After a restart 0 or 1.
    pub attempts: u32,
}

/// What a store holds, for the machine to go on from.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Where the last connection got to.
    pub cursor: Option<String>,
    /// The last event of each timeline, and the first that the reader may see.
    pub timelines: Vec<(ConversationId, Seq, Seq)>,
    /// Sends not answered yet, in order.
    pub outbox: Vec<OutboxEntry>,
    /// The next number for the outbox.
    pub next_row: u64,
    /// How far the person has got, and what of it the server has.
    pub marks: Vec<(ConversationId, Marks, Marks)>,
}
