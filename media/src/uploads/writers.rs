//! The requests that append to uploads in this process: one at a time for each upload. A client
//! that comes again has given up on its last request, which may not have noticed: it is told to
//! put away what it has.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hansard_model::UploadId;
use tokio_util::sync::CancellationToken;

/// How long a request gets to put away what it has. After that it counts as gone: what it stores
/// then counts for nothing.
const YIELD_WITHIN: Duration = Duration::from_secs(10);

/// One request; clones are of the same one.
#[derive(Clone, Debug, Default)]
struct Active(Arc<Signals>);

#[derive(Debug, Default)]
struct Signals {
    stop: CancellationToken,
    ended: CancellationToken,
}

/// The requests that append; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Writers {
    active: Arc<Mutex<HashMap<UploadId, Active>>>,
}

/// The right to append to an upload in this process, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    writers: Writers,
    upload: UploadId,
    active: Active,
}

impl Turn {
    /// Cancelled when somebody else wants to append.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.active.0.stop
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut all = self.writers.lock();
        // It may have been taken away.
        if all.get(&self.upload).is_some_and(|active| active.is(&self.active)) {
            all.remove(&self.upload);
        }
        drop(all);
        self.active.0.ended.cancel();
    }
}

impl Active {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Writers {
    /// Takes the turn from whoever has it.
    pub(super) async fn take(&self, upload: UploadId) -> Turn {
        loop {
            self.interrupt(upload).await;
            let active = Active::default();
            if let Entry::Vacant(turn) = self.lock().entry(upload) {
                turn.insert(active.clone());
                return Turn { writers: self.clone(), upload, active };
            }
        }
    }

    /// Has whoever appends put away what it has, and waits for it.
    pub(super) async fn interrupt(&self, upload: UploadId) {
        let Some(active) = self.lock().get(&upload).cloned() else { return };
        active.0.stop.cancel();
        if tokio::time::timeout(YIELD_WITHIN, active.0.ended.cancelled()).await.is_err() {
            let mut all = self.lock();
            if all.get(&upload).is_some_and(|other| other.is(&active)) {
                all.remove(&upload);
            }
        }
    }

    /// Has all of them put away what they have.
    pub(super) fn interrupt_all(&self) {
        self.lock().values().for_each(|active| active.0.stop.cancel());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<UploadId, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_comes_later_gets_the_turn_once_the_other_has_put_away_what_it_has() {
        let writers = Writers::default();
        let upload = UploadId::from_entropy([1; 20]);
        let first = writers.take(upload).await;
        let (second, ()) = tokio::join!(writers.take(upload), async {
            first.stop().cancelled().await;
            drop(first);
        });
        // One that never notices.
        let third = writers.take(upload).await;
        assert!(second.stop().is_cancelled() && !third.stop().is_cancelled());
        drop(second);
        assert!(writers.lock().contains_key(&upload), "the turn of the third is its own");
        drop(third);
        assert!(writers.lock().is_empty());
    }
}
