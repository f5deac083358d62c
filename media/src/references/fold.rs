//! What an event says about references to uploads, and what that does to the records: pure.

use std::collections::BTreeSet;

use hansard_model::media::{Home, State, Upload};
use hansard_model::{ConversationId, Envelope, Event, LogTime, Seq, UploadId, UserId};
use serde::{Deserialize, Serialize};

use crate::reconcile::state_after_return;

/// References that a record names: beyond, the oldest is left out and the upload is kept for ever.
/// The record must fit a message of NATS.
pub(crate) const REFERENCES_MAX: usize = 10_000;

/// What is known of a message, as the bucket has it under
/// [`MediaKey::Message`](hansard_model::media::MediaKey::Message).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The epoch of the log that says so.
    pub(crate) epoch: u64,
    /// The last event of that log which is in here.
    pub(crate) seq: Seq,
    /// The uploads that it refers to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) uploads: BTreeSet<UploadId>,
    /// It was deleted: an edit that comes later changes nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleted: bool,
}

/// What an event says about the media of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The event.
    pub(crate) seq: Seq,
    /// The message.
    pub(crate) at: Seq,
    /// Who said it.
    pub(crate) sender: UserId,
    /// What.
    pub(crate) media: Media,
}

/// The media of a message, by an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// It has these from now on.
    Are(BTreeSet<UploadId>),
    /// It was deleted.
    Gone,
}

/// A message that refers to something, and the event that says so: itself, or an edit of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Referring {
    pub(crate) message: Seq,
    pub(crate) by: Seq,
}

impl Referring {
    /// The edit that says so.
    fn edit(self) -> Option<Seq> {
        (self.by != self.message).then_some(self.by)
    }
}

/// What is to be done about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What it wants to refer to.
    pub(crate) wants: BTreeSet<UploadId>,
    /// What it referred to before.
    pub(crate) had: BTreeSet<UploadId>,
    /// It was deleted.
    pub(crate) deleted: bool,
}

impl Said {
    /// What an event says; `None`: nothing about media.
    pub(crate) fn read(seq: Seq, envelope: &Envelope) -> Option<Self> {
        let (at, media) = match &envelope.event {
            Event::Message(message) if message.media.is_empty() => return None,
            Event::Message(message) => (seq, Media::Are(ids(&message.media))),
            Event::Edit(edit) => (edit.target, Media::Are(ids(&edit.media))),
            Event::Delete(delete) => (delete.target, Media::Gone),
            Event::Reaction(_)
            | Event::Pin(_)
            | Event::Create(_)
            | Event::Member(_)
            | Event::Title(_)
            | Event::Settings(_) => return None,
        };
        Some(Self { seq, at, sender: envelope.sender, media })
    }

    /// What it means for a message of which `known` was known; `None`: nothing.
    pub(crate) fn step(&self, known: Option<&Known>, epoch: u64) -> Option<Step> {
        let known = known.cloned().unwrap_or_default();
        if known.epoch == epoch && (known.deleted || known.seq >= self.seq) {
            return None;
        }
        let (wants, deleted) = match &self.media {
            Media::Are(wants) => (wants.clone(), false),
            Media::Gone => (BTreeSet::new(), true),
        };
        let is_nothing = wants.is_empty() && known.uploads.is_empty() && !deleted;
        (!is_nothing).then_some(Step { wants, had: known.uploads, deleted })
    }

    /// The message, as far as the event says what it refers to.
    pub(crate) fn referring(&self) -> Referring {
        Referring { message: self.at, by: self.seq }
    }

    /// What is known of the message afterwards, if it refers to `refers`.
    pub(crate) fn known(&self, step: &Step, refers: BTreeSet<UploadId>, epoch: u64) -> Known {
        Known { epoch, seq: self.seq, uploads: refers, deleted: step.deleted }
    }
}

/// The uploads that entries name; others name nothing of ours.
fn ids(media: &[serde_json::Map<String, serde_json::Value>]) -> BTreeSet<UploadId> {
    media.iter().filter_map(|entry| entry.get("id")?.as_str()?.parse().ok()).collect()
}

/// Whether a message may refer to an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Referred {
    /// No: it is not the sender's, or of another conversation, or has no bytes.
    No,
    /// It does already.
    Already,
    /// The record with the reference.
    Now(Box<Upload>),
}

/// Makes a message refer to an upload, if it may: one that is the conversation's, or still its
/// sender's own, which then becomes the conversation's.
pub(crate) fn refer(
    upload: &Upload,
    conversation: ConversationId,
    referring: Referring,
    sender: UserId,
    now: LogTime,
) -> Referred {
    let at = referring.message;
    let has_bytes = match upload.state {
        State::Receiving | State::Finishing => false,
        State::Processing | State::Ready | State::Dying => true,
    };
    let is_theirs = match upload.home {
        Home::Uploader => upload.uploader == sender,
        Home::Conversation(home) => home == conversation,
        Home::Avatar => false,
    };
    if !has_bytes || !is_theirs {
        return Referred::No;
    }
    let is_there = upload.references.contains(&at);
    if is_there && upload.edits.get(&at).copied() == referring.edit() {
        return Referred::Already;
    }
    let mut next = upload.clone();
    next.home = Home::Conversation(conversation);
    // It was put back after a loss, and waited for this.
    if next.state == State::Dying && next.keep_until > now {
        next.state = state_after_return(upload);
    }
    if !is_there && next.references.len() >= REFERENCES_MAX {
        next.keep_until = LogTime::from_nanos(u64::MAX);
        let oldest = next.references.first().copied();
        if oldest.is_some_and(|oldest| oldest > at) {
            return if next == *upload { Referred::Already } else { Referred::Now(Box::new(next)) };
        }
        if let Some(left_out) = next.references.pop_first() {
            next.edits.remove(&left_out);
        }
    }
    next.references.insert(at);
    match referring.edit() {
        Some(edit) => next.edits.insert(at, edit),
        None => next.edits.remove(&at),
    };
    Referred::Now(Box::new(next))
}

/// Takes a reference away; `None`: there was none. When it was the last, the upload is kept until
/// `keep_until`.
pub(crate) fn release(
    upload: &Upload,
    conversation: ConversationId,
    at: Seq,
    keep_until: LogTime,
) -> Option<Upload> {
    if upload.home != Home::Conversation(conversation) || !upload.references.contains(&at) {
        return None;
    }
    let mut next = upload.clone();
    next.references.remove(&at);
    next.edits.remove(&at);
    if next.references.is_empty() {
        next.keep_until = next.keep_until.max(keep_until);
    }
    Some(next)
}

#[cfg(test)]
mod tests;
