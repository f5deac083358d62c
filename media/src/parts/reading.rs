//! Parts one after the other, the next ones being read while one is used.

use std::collections::VecDeque;
use std::vec::IntoIter;

use bytes::Bytes;
use hansard_model::media::Part;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::AbortOnDropHandle;

use super::Parts;
use crate::fault::Fault;

/// Parts of one reader that are read before they are asked for.
const AHEAD_MAX: usize = 2;
/// The same of all readers: beyond, a part is read when it is asked for.
pub(super) const ALL_AHEAD_MAX: usize = 8;

/// Somebody who reads parts in order. Besides the one that they have, a few are in memory.
pub(crate) struct Reading {
    parts: Parts,
    rest: IntoIter<Part>,
    under_way: VecDeque<UnderWay>,
}

struct UnderWay {
    bytes: AbortOnDropHandle<Result<Bytes, Fault>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Reading {
    pub(super) fn new(parts: Parts, wanted: Vec<Part>) -> Self {
        Self { parts, rest: wanted.into_iter(), under_way: VecDeque::with_capacity(AHEAD_MAX) }
    }

    /// The bytes of the next part, verified. `None` after the last one, and after a fault.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        if self.under_way.is_empty() {
            self.begin(None);
        }
        self.look_ahead();
        let bytes = (&mut self.under_way.front_mut()?.bytes).await;
        self.under_way.pop_front();
        let bytes = bytes.unwrap_or_else(|error| Err(Fault::of_task(error)));
        match &bytes {
            Ok(_) => self.look_ahead(),
            Err(_) => {
                self.rest = Vec::new().into_iter();
                self.under_way.clear();
            }
        }
        Some(bytes)
    }

    fn look_ahead(&mut self) {
        while self.under_way.len() < AHEAD_MAX && self.rest.len() > 0 {
            let Some(room) = self.parts.room_ahead() else { return };
            self.begin(Some(room));
        }
    }

    fn begin(&mut self, room: Option<OwnedSemaphorePermit>) {
        let Some(part) = self.rest.next() else { return };
        let parts = self.parts.clone();
        let bytes = tokio::spawn(async move { parts.get(&part).await });
        self.under_way.push_back(UnderWay { bytes: AbortOnDropHandle::new(bytes), _room: room });
    }
}
