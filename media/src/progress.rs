//! What a media service tells of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How far a media service is; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    serves: Arc<AtomicBool>,
}

impl Progress {
    /// Of one that has not started.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether gateways have been told where it listens, not longer ago than they remember.
    pub fn serves(&self) -> bool {
        self.serves.load(Ordering::Relaxed)
    }

    pub(crate) fn set_serves(&self, serves: bool) {
        self.serves.store(serves, Ordering::Relaxed);
    }
}
