//! Cursors: read in one step with the feed, so that each covers exactly what was pushed before it.

use std::collections::VecDeque;

use hansard_model::UserId;
use hansard_protocol::ServerFrame;

use crate::cursor::Cursor;
use crate::frame::Frame;
use crate::router::{Link, Router, State};

impl Router {
    /// Makes a frame of the connection's cursor and pushes it, in one step with the feed: the
    /// cursor covers exactly what was pushed before it. The cursor is `None` before `synced`.
    pub(crate) fn push_with_cursor(
        &self,
        link: &Link,
        frame: impl FnOnce(Option<String>) -> ServerFrame,
    ) {
        let state = self.lock();
        let cursor = link.cursor(|| self.cursor_of(&state, link.user));
        link.outbox.push(Frame::server(&frame(cursor)));
    }

    /// Ends the catch-up: from here on the connection has a cursor of its own (or keeps `frozen`,
    /// when something is missing), which `frame` gets.
    pub(crate) fn push_synced(
        &self,
        link: &Link,
        frozen: Option<String>,
        frame: impl FnOnce(String) -> ServerFrame,
    ) {
        let state = self.lock();
        link.synced(frozen);
        link.settle(|conversation| state.known_position(conversation.partition(self.partitions)));
        let cursor = link.cursor(|| self.cursor_of(&state, link.user)).unwrap_or_default();
        link.outbox.push(Frame::server(&frame(cursor)));
    }

    /// Ends the catch-up of a connection without a socket: what is in its outbox, and a last
    /// frame with the cursor that covers exactly this.
    pub(crate) fn finish(
        &self,
        link: &Link,
        frozen: Option<String>,
        frame: impl FnOnce(String) -> ServerFrame,
    ) -> Vec<Frame> {
        let state = self.lock();
        let mut frames = VecDeque::new();
        link.outbox.take(&mut frames);
        let cursor = frozen.unwrap_or_else(|| self.cursor_of(&state, link.user));
        frames.push_back(Frame::server(&frame(cursor)));
        frames.into()
    }

    /// Forgets of a connection's catch-up what the feed has passed.
    pub(crate) fn settle(&self, link: &Link) {
        let state = self.lock();
        link.settle(|conversation| state.known_position(conversation.partition(self.partitions)));
    }

    fn cursor_of(&self, state: &State, user: UserId) -> String {
        let accounts = self.announcements.told(user);
        let (epoch, receipts) = (self.epoch(), state.receipts);
        let mut positions = state.known_positions();
        state.owed.hold(user, self.partitions, &mut positions);
        Cursor { epoch, positions, accounts, receipts }.to_text()
    }

    /// Pushes a `cursor` frame; none before `synced`.
    pub(crate) fn push_cursor(&self, link: &Link) {
        let state = self.lock();
        if let Some(cursor) = link.cursor(|| self.cursor_of(&state, link.user)) {
            link.outbox.push(Frame::server(&ServerFrame::Cursor { cursor }));
        }
    }
}
