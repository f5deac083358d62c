//! A connection, as the router sees it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hansard_model::{ConversationId, DeviceId, LogTime, Seq, UserId};
use hansard_nats::live::LiveEvent;

use crate::frame::Frame;
use crate::outbox::Outbox;
use crate::receipts::order::{Live, Order};
use crate::receipts::told::Told;
use crate::resume::merge::{Merge, Turned};
use crate::router::Router;
use crate::router::drain::RESTARTING;

/// A connection that is attached.
pub(crate) struct Link {
    /// Whose.
    pub(crate) user: UserId,
    /// On which device.
    pub(crate) device: DeviceId,
    /// Where its frames go.
    pub(crate) outbox: Arc<Outbox>,
    /// No presence, no typing.
    pub(crate) background: bool,
    origin: OnceLock<Origin>,
    progress: Mutex<Progress>,
    /// Events were pushed since the last cursor.
    fresh: AtomicBool,
}

/// What a person is shown of a connection of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// When it was opened.
    pub(crate) since: LogTime,
    /// The network that it comes from.
    pub(crate) network: Box<str>,
}

struct Progress {
    /// The catch-up; gone once the feed has passed all of it.
    merge: Option<Box<Merge<Frame>>>,
    cursor: Position,
    /// What was told of receipts, while that is not in order by itself.
    receipts: Order,
    /// Whose typing is shown.
    watched: Box<[ConversationId]>,
}

/// Which cursor a connection has.
enum Position {
    /// None: it is not synced.
    NotYet,
    /// The feed's.
    Live,
    /// That of its `hello`: something is missing, to be caught up from there.
    Frozen(Box<str>),
}

/// A connection's place in the router; it leaves when this is dropped.
pub(crate) struct Attachment {
    link: Arc<Link>,
    router: Arc<Router>,
    /// Where the list of passed events stood; `None` once the catch-up is planned.
    pub(super) joining: Option<u64>,
}

impl Link {
    pub(crate) fn new(
        user: UserId,
        device: DeviceId,
        outbox: Arc<Outbox>,
        background: bool,
    ) -> Self {
        Self {
            user,
            device,
            outbox,
            background,
            origin: OnceLock::new(),
            progress: Mutex::new(Progress {
                merge: Some(Box::new(Merge::new())),
                cursor: Position::NotYet,
                receipts: Order::new(),
                watched: Box::default(),
            }),
            fresh: AtomicBool::new(false),
        }
    }

    /// Notes where the connection comes from.
    pub(crate) fn came_from(&self, origin: Origin) {
        // A connection comes from one place.
        let _ = self.origin.set(origin);
    }

    /// Where the connection comes from, once that is noted.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.get()
    }

    /// Whether the catch-up is over.
    pub(crate) fn is_synced(&self) -> bool {
        !matches!(self.lock().cursor, Position::NotYet)
    }

    /// Hands a live event to the connection. `frame` is encoded by the first that needs it.
    pub(super) fn live(&self, event: &LiveEvent, frame: &mut Option<Frame>) {
        let mut encoded = || frame.get_or_insert_with(|| Frame::event(event)).clone();
        let mut progress = self.lock();
        let now = match &mut progress.merge {
            None => Some(encoded()),
            Some(merge) => merge.live(event.conversation, event.seq, event.payload.len(), encoded),
        };
        if let Some(frame) = now {
            self.fresh.store(true, Ordering::Relaxed);
            self.outbox.push(frame);
        }
    }

    /// Does something with the catch-up; `None` when there is none any more.
    pub(crate) fn with_merge<T>(&self, what: impl FnOnce(&mut Merge<Frame>) -> T) -> Option<T> {
        self.lock().merge.as_deref_mut().map(what)
    }

    /// Pushes a page of a conversation and, in one step with the feed, what was held meanwhile.
    /// `Some(min)`: another page is needed, up to `min`. `Err`: the page was worth nothing.
    pub(crate) fn push_page(
        &self,
        conversation: ConversationId,
        as_of: Seq,
        frames: impl IntoIterator<Item = Frame>,
    ) -> Result<Option<Seq>, PageBehind> {
        let mut progress = self.lock();
        let Some(merge) = progress.merge.as_deref_mut() else { return Ok(None) };
        let (held, again) = match merge.page(conversation, as_of) {
            Turned::Done(held) => (held, None),
            Turned::Again(min) => (Vec::new(), Some(min)),
            Turned::Behind => return Err(PageBehind),
        };
        for frame in frames.into_iter().chain(held) {
            self.outbox.push(frame);
        }
        Ok(again)
    }

    /// Pushes the frames that leave out a conversation up to `upto`, in one step with the feed:
    /// what comes later flows. `false`: more came by already; nothing was pushed.
    pub(crate) fn leave_out(
        &self,
        conversation: ConversationId,
        upto: Seq,
        frames: impl IntoIterator<Item = Frame>,
    ) -> bool {
        let mut progress = self.lock();
        let is_fit =
            progress.merge.as_deref_mut().is_none_or(|merge| merge.leave_out(conversation, upto));
        if is_fit {
            frames.into_iter().for_each(|frame| self.outbox.push(frame));
        }
        is_fit
    }

    /// Whether events were pushed since this was last asked.
    pub(crate) fn take_fresh(&self) -> bool {
        self.fresh.swap(false, Ordering::Relaxed)
    }

    /// Notes what is watched now; gives back what was.
    pub(super) fn replace_watched(&self, watched: &[ConversationId]) -> Box<[ConversationId]> {
        std::mem::replace(&mut self.lock().watched, watched.into())
    }

    pub(super) fn synced(&self, frozen: Option<String>) {
        self.lock().cursor = frozen.map_or(Position::Live, |old| Position::Frozen(old.into()));
    }

    pub(super) fn cursor(&self, live: impl FnOnce() -> String) -> Option<String> {
        match &self.lock().cursor {
            Position::NotYet => None,
            Position::Live => Some(live()),
            Position::Frozen(old) => Some(old.to_string()),
        }
    }

    pub(super) fn settle(&self, position: impl Fn(ConversationId) -> Seq) {
        let mut progress = self.lock();
        if progress.merge.as_deref_mut().is_some_and(|merge| merge.settle(position)) {
            progress.merge = None;
        }
    }

    /// Hands a receipt to the connection, or keeps it until the catch-up has told those before it.
    pub(super) fn receipt(&self, told: &Told) {
        let mut progress = self.lock();
        match progress.receipts.live(told) {
            Live::Tell => {
                self.fresh.store(true, Ordering::Relaxed);
                self.outbox.push(told.frame());
            }
            Live::Keep => {}
            Live::Overflow => self.outbox.close(RESTARTING, "too many receipts: resume"),
        }
    }

    /// Ends the catch-up of receipts: pushes what was `fetched`, and what came by meanwhile.
    pub(super) fn catch_up_receipts(&self, fetched: Vec<Told>, passed: Seq) {
        let mut progress = self.lock();
        for told in progress.receipts.catch_up(fetched, passed) {
            self.outbox.push(told.frame());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The owner answered from before what the feed has delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page is behind the feed")]
pub(crate) struct PageBehind;

impl Attachment {
    pub(super) fn new(link: Arc<Link>, router: Arc<Router>, joining: u64) -> Self {
        Self { link, router, joining: Some(joining) }
    }

    /// The connection.
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The router it is attached to.
    pub(crate) fn router(&self) -> &Arc<Router> {
        &self.router
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.router.detach(&self.link, self.joining.is_some());
    }
}
