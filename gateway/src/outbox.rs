//! What waits to be written to one connection: bounded, shared with everybody who has something
//! to say to it, emptied by the connection's own task.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::frame::Frame;
use crate::metrics::delivery as metrics;

/// Frames that wait at most, whatever their size: a frame costs its queue entry besides its bytes.
const FRAMES_MAX: usize = 16_384;
/// An empty queue keeps no more room than this, so that idle connections are small.
const FRAMES_KEPT: usize = 8;

/// Why, and how, a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    /// The close code.
    pub(crate) code: u16,
    /// For a developer.
    pub(crate) reason: &'static str,
    /// Whether what waits is written first.
    pub(crate) flush: bool,
}

/// The outbox of a connection. Pushing never waits; who is too slow to read is disconnected.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    bytes_max: usize,
    frames_max: usize,
    /// Somebody writes what waits, as fast as it is read.
    is_read: bool,
    changed: Notify,
    drained: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Frame>,
    /// Bytes queued or taken and not yet written.
    bytes: usize,
    closing: Option<Closing>,
}

impl Outbox {
    /// An empty outbox that holds at most `bytes_max`. Allocates nothing else.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            queue: Mutex::new(Queue::default()),
            bytes_max,
            frames_max: FRAMES_MAX,
            is_read: true,
            changed: Notify::const_new(),
            drained: Notify::const_new(),
        }
    }

    /// An outbox that nobody empties before it is taken whole: waiting for room would be for ever.
    /// Only its bytes bound it.
    pub(crate) fn unread(bytes_max: usize) -> Self {
        Self { is_read: false, frames_max: usize::MAX, ..Self::new(bytes_max) }
    }

    /// Queues a frame. A frame that does not fit empties the outbox and ends the connection with
    /// 4008; once the connection is to end, frames are dropped.
    pub(crate) fn push(&self, frame: Frame) {
        let mut queue = self.lock();
        if queue.closing.is_some() {
            return;
        }
        let bytes = queue.bytes + frame.len();
        if bytes > self.bytes_max || queue.frames.len() >= self.frames_max {
            metrics::outbox_overflowed();
            queue.frames = VecDeque::new();
            queue.closing = Some(Closing { code: 4008, reason: "slow reader", flush: false });
        } else {
            queue.bytes = bytes;
            queue.frames.push_back(frame);
            if queue.frames.len() > 1 {
                // Whoever pushed the first has woken the connection.
                return;
            }
        }
        drop(queue);
        self.changed.notify_one();
    }

    /// Ends the connection after what waits has been written. The first reason counts.
    pub(crate) fn close(&self, code: u16, reason: &'static str) {
        self.end(Closing { code, reason, flush: true });
    }

    /// Ends the connection at once: what waits is dropped.
    pub(crate) fn abort(&self, code: u16, reason: &'static str) {
        self.end(Closing { code, reason, flush: false });
    }

    fn end(&self, closing: Closing) {
        let mut queue = self.lock();
        if queue.closing.is_some() {
            return;
        }
        if !closing.flush {
            queue.frames = VecDeque::new();
        }
        queue.closing = Some(closing);
        drop(queue);
        self.changed.notify_one();
        self.drained.notify_waiters();
    }

    /// Takes everything that waits, in exchange for an empty queue. It counts as waiting until
    /// [`Outbox::written`] says otherwise.
    pub(crate) fn take(&self, into: &mut VecDeque<Frame>) {
        debug_assert!(into.is_empty(), "what was taken is written before more is taken");
        std::mem::swap(&mut self.lock().frames, into);
    }

    /// Bytes that were taken are written.
    pub(crate) fn written(&self, bytes: usize) {
        let mut queue = self.lock();
        queue.bytes = queue.bytes.saturating_sub(bytes);
        let low = queue.bytes <= self.bytes_max / 4;
        if queue.bytes == 0 && queue.frames.capacity() > FRAMES_KEPT {
            queue.frames = VecDeque::new();
        }
        drop(queue);
        if low {
            self.drained.notify_waiters();
        }
    }

    /// Bytes that wait.
    pub(crate) fn backlog(&self) -> usize {
        self.lock().bytes
    }

    /// Whether so much waits that the connection should take on no more work.
    pub(crate) fn is_congested(&self) -> bool {
        self.lock().bytes > self.bytes_max / 2
    }

    /// Why the connection is to end, if it is.
    pub(crate) fn closing(&self) -> Option<Closing> {
        self.lock().closing
    }

    /// Waits until something was pushed or the connection is to end.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits until at most a quarter of the outbox is taken, or the connection is to end: by this
    /// a catch-up keeps pace with its reader. Never waits where there is none.
    pub(crate) async fn room(&self) {
        if !self.is_read {
            return;
        }
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            // Registered before the look: a change in between is not missed.
            drained.as_mut().enable();
            {
                let queue = self.lock();
                if queue.closing.is_some() || queue.bytes <= self.bytes_max / 4 {
                    return;
                }
            }
            drained.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(outbox: &Outbox) -> usize {
        let mut frames = VecDeque::new();
        outbox.take(&mut frames);
        frames.len()
    }

    #[test]
    fn a_reader_that_is_too_slow_is_disconnected_and_its_queue_dropped() {
        let outbox = Outbox::new(100);
        for _ in 0..10 {
            outbox.push(Frame::text(&[b'x'; 18]));
        }
        let closing = outbox.closing().expect("over its bound");
        assert_eq!((closing.code, closing.flush), (4008, false));
        assert_eq!(taken(&outbox), 0);
        outbox.push(Frame::text(b"late"));
        assert_eq!(taken(&outbox), 0);
    }

    #[test]
    fn frames_taken_and_not_written_still_count() {
        let outbox = Outbox::new(100);
        outbox.push(Frame::text(&[b'x'; 58]));
        assert_eq!(taken(&outbox), 1);
        assert_eq!(outbox.backlog(), 60);
        outbox.push(Frame::text(&[b'x'; 58]));
        assert!(outbox.closing().is_some());
    }

    #[test]
    fn what_was_written_makes_room() {
        let outbox = Outbox::new(100);
        for _ in 0..10 {
            outbox.push(Frame::text(&[b'x'; 58]));
            assert_eq!(taken(&outbox), 1);
            outbox.written(60);
        }
        assert_eq!(outbox.closing(), None);
        assert_eq!(outbox.backlog(), 0);
    }

    #[test]
    fn the_first_reason_to_end_counts() {
        let outbox = Outbox::new(100);
        outbox.push(Frame::text(b"first"));
        outbox.close(4003, "revoked");
        outbox.abort(1012, "restart");
        assert_eq!(outbox.closing().map(|closing| closing.code), Some(4003));
        assert_eq!(taken(&outbox), 1, "what waited is flushed");
    }

    #[tokio::test]
    async fn a_catch_up_waits_for_its_reader() {
        let outbox = std::sync::Arc::new(Outbox::new(100));
        outbox.push(Frame::text(&[b'x'; 58]));
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!(taken(&outbox), 1);
        outbox.written(60);
        waiting.await.expect("ends");
    }

    #[tokio::test]
    async fn a_catch_up_does_not_wait_where_nobody_reads() {
        let outbox = Outbox::unread(100);
        outbox.push(Frame::text(&[b'x'; 58]));
        let room = tokio::time::timeout(std::time::Duration::from_secs(5), outbox.room());
        room.await.expect("at once");
        outbox.push(Frame::text(&[b'x'; 58]));
        assert!(outbox.closing().is_some(), "its bytes are bounded all the same");
    }

    #[test]
    fn an_idle_outbox_holds_no_queue() {
        let outbox = Outbox::new(1024 * 1024);
        for _ in 0..100 {
            outbox.push(Frame::ping());
        }
        let mut frames = VecDeque::new();
        outbox.take(&mut frames);
        outbox.written(200);
        assert_eq!(outbox.lock().frames.capacity(), 0);
    }
}
