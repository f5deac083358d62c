//! What was fetched of a conversation, as frames within bounds.

use hansard_model::query::Item;
use hansard_model::{ConversationId, Seq};
use hansard_nats::live::LiveEvent;
use hansard_protocol::ServerFrame;

use crate::frame::Frame;
use crate::router::tails::TailEvent;

/// Bytes of events of one conversation in a page of a catch-up; older ones become the gap.
const CONVERSATION_BYTES_MAX: usize = 384 * 1024;

/// Events of a conversation, ascending, as of a position.
#[derive(Default)]
pub(super) struct Fetched {
    pub(super) items: Vec<TailEvent>,
    pub(super) as_of: Seq,
    pub(super) bytes: usize,
    pub(super) more_before: bool,
    /// The client wants no events: the newest is there to say up to where the gap goes.
    pub(super) none_wanted: bool,
}

impl Fetched {
    /// Whether it holds as many bytes as a conversation may have in a page.
    pub(super) fn is_enough(&self) -> bool {
        self.bytes > CONVERSATION_BYTES_MAX
    }

    /// The frames: the gap, if something is left out, then the newest events that fit.
    pub(super) fn into_frames(
        self,
        conversation: ConversationId,
        after: Seq,
        bytes_left: &mut usize,
    ) -> Vec<Frame> {
        let mut bytes_max = CONVERSATION_BYTES_MAX.min(*bytes_left);
        if self.none_wanted {
            bytes_max = 0;
        }
        let mut frames = Vec::with_capacity(self.items.len() + 1);
        let mut gap_to = None;
        let mut room = bytes_max;
        for item in self.items.iter().rev() {
            let Some(left) = room.checked_sub(item.frame.len()) else {
                gap_to = Some(item.seq);
                break;
            };
            room = left;
            frames.push(item.frame.clone());
        }
        if gap_to.is_none() && self.more_before {
            gap_to = self.items.first().map(|first| first.prev);
        }
        *bytes_left -= (bytes_max - room).min(*bytes_left);
        if let Some(to) = gap_to.filter(|to| *to > after) {
            let gap = gap(conversation, after, to);
            *bytes_left = bytes_left.saturating_sub(gap.len());
            frames.push(gap);
        }
        frames.reverse();
        frames
    }
}

pub(super) fn gap(conversation: ConversationId, from: Seq, to: Seq) -> Frame {
    Frame::server(&ServerFrame::Gap { conversation, from, to })
}

/// An event of a page, ready to be sent.
pub(super) fn event(conversation: ConversationId, item: &Item) -> TailEvent {
    let frame = Frame::event(&LiveEvent {
        conversation,
        seq: item.seq,
        prev: item.prev,
        n: item.n,
        ts: item.ts,
        follows: Seq::ZERO,
        payload: bytes::Bytes::copy_from_slice(item.body.get().as_bytes()),
    });
    TailEvent { seq: item.seq, prev: item.prev, frame }
}

#[cfg(test)]
mod tests;
