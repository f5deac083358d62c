//! The gateway is about to stop: everybody is asked to go elsewhere, not all at once.

use std::sync::Arc;
use std::time::Duration;

use hansard_protocol::ServerFrame;
use hansard_protocol::server::Reconnect;

use crate::frame::Frame;
use crate::router::{Link, Router, State};

/// Steps of a drain.
const STEPS: u32 = 20;
/// What remains of the period, in steps, for those asked last to leave by themselves.
const GRACE_STEPS: u32 = 5;
/// Close code: come back elsewhere.
pub(super) const RESTARTING: u16 = 1012;

impl Router {
    /// Asks every connection to leave, spread over `period`, and ends each a little later, after
    /// what waits for it was written. Returns when all are gone, which a slow reader may delay: the
    /// caller bounds it.
    pub(crate) async fn drain(&self, period: Duration, reconnect: Reconnect) {
        let links = self.stop_attaching();
        let step = period / STEPS;
        let groups = (STEPS - GRACE_STEPS) as usize;
        let size = links.len().div_ceil(groups).max(1);
        let grace_ms = u64::try_from((step * GRACE_STEPS).as_millis()).unwrap_or(u64::MAX);
        let mut asked: std::collections::VecDeque<&[Arc<Link>]> = std::collections::VecDeque::new();
        let mut groups = links.chunks(size);
        loop {
            let group = groups.next();
            let is_last = group.is_none();
            if let Some(group) = group {
                let frame = Frame::server(&ServerFrame::Drain {
                    after_ms: grace_ms,
                    url: None,
                    reconnect: Some(reconnect),
                });
                group.iter().for_each(|link| link.outbox.push(frame.clone()));
                asked.push_back(group);
            }
            if is_last || asked.len() > GRACE_STEPS as usize {
                let Some(group) = asked.pop_front() else { break };
                group.iter().for_each(|link| link.outbox.close(RESTARTING, "restarting"));
            }
            tokio::time::sleep(step).await;
        }
        // The sender is part of self: it is not gone.
        let _ = self.attached.subscribe().wait_for(|count| *count == 0).await;
    }

    fn stop_attaching(&self) -> Vec<Arc<Link>> {
        let mut state = self.lock();
        state.draining = true;
        state.users.values().flat_map(|user| user.links.iter().cloned()).collect()
    }

    /// Ends all connections, to resume elsewhere or here: something is missing that cannot be
    /// repaired in place.
    pub(crate) fn close_all(&self, code: u16, reason: &'static str) {
        self.lock().close_all(code, reason);
    }
}

impl State {
    pub(super) fn close_all(&self, code: u16, reason: &'static str) {
        for user in self.users.values() {
            user.links.iter().for_each(|link| link.outbox.close(code, reason));
        }
    }
}
