//! A receipt as one side is told of it.

use std::sync::OnceLock;

use hansard_model::receipt::{Audience, Marks};
use hansard_model::{ConversationId, Seq, UserId};
use hansard_nats::receipts::StoredMarks;
use hansard_protocol::ServerFrame;
use hansard_protocol::server::ReceiptFrame;

use crate::frame::Frame;

/// See the module; the frame is encoded once, whoever gets it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Whose marks.
    pub(crate) of: (ConversationId, UserId),
    /// Where in the stream.
    pub(crate) seq: Seq,
    receipt: ReceiptFrame,
    frame: OnceLock<Frame>,
}

impl Told {
    /// As the user's own devices see it.
    pub(crate) fn own(stored: &StoredMarks) -> Self {
        let Marks { delivered, own, .. } = stored.marks;
        let delivered = delivered.max(own);
        Self::new(stored, |conversation, user| ReceiptFrame {
            conversation,
            user,
            delivered: delivered.seq,
            delivered_ts: delivered.ts,
            read: own.seq,
            read_ts: (own.seq > Seq::ZERO).then_some(own.ts),
            read_n: Some(own.n),
        })
    }

    /// As the others see it; `None` when there is nothing for them to see.
    pub(crate) fn to_others(stored: &StoredMarks) -> Option<Self> {
        let Marks { delivered, read, .. } = stored.marks;
        let is_something = delivered.seq > Seq::ZERO;
        is_something.then(|| {
            Self::new(stored, |conversation, user| ReceiptFrame {
                conversation,
                user,
                delivered: delivered.seq,
                delivered_ts: delivered.ts,
                read: read.seq,
                read_ts: (read.seq > Seq::ZERO).then_some(read.ts),
                read_n: None,
            })
        })
    }

    /// As `reader` sees it; `None` when it is none of theirs.
    pub(crate) fn to(reader: UserId, stored: &StoredMarks) -> Option<Self> {
        if stored.key.user == reader {
            return Some(Self::own(stored));
        }
        let is_told = stored.key.audience == Audience::Members;
        Self::to_others(stored).filter(|_| is_told)
    }

    fn new(
        stored: &StoredMarks,
        receipt: impl FnOnce(ConversationId, UserId) -> ReceiptFrame,
    ) -> Self {
        let (conversation, user) = (stored.key.conversation, stored.key.user);
        let receipt = receipt(conversation, user);
        let (of, frame) = ((conversation, user), OnceLock::new());
        Self { of, seq: stored.seq, receipt, frame }
    }

    /// Whether it says more than `other`, of the same marks, for the same side. Places in the
    /// stream do not tell: it is not synced, and what it lost others take the place of.
    pub(crate) fn is_beyond(&self, other: &Self) -> bool {
        let (this, other) = (&self.receipt, &other.receipt);
        this.delivered > other.delivered || this.read > other.read
    }

    /// The frame.
    pub(crate) fn frame(&self) -> Frame {
        let encode = || Frame::server(&ServerFrame::Receipt(self.receipt));
        self.frame.get_or_init(encode).clone()
    }
}
