//! Questions that wait for a position to be applied.

use std::time::Duration;

use hansard_model::Seq;
use hansard_nats::query::Question;
use tokio::time::Instant;

use crate::queries::Request;

/// How long a question waits before it is told that the view is behind.
const WAIT: Duration = Duration::from_secs(2);
/// Questions of a partition that wait at most; beyond it they are told at once.
const WAITING_MAX: usize = 1_024;

/// A question and what it asks.
pub(crate) type Asked = (Question, Request);

/// Questions that wait, the longest waiting first.
#[derive(Default)]
pub(crate) struct Waiting {
    questions: Vec<(Instant, Asked)>,
}

impl Waiting {
    /// Whether no more may wait.
    pub(crate) fn is_full(&self) -> bool {
        self.questions.len() >= WAITING_MAX
    }

    /// Lets a question wait, unless it [is full](Self::is_full).
    pub(crate) fn push(&mut self, asked: Asked) {
        if !self.is_full() {
            self.questions.push((Instant::now() + WAIT, asked));
        }
    }

    /// Those that need not wait any longer.
    pub(crate) fn take_ready(&mut self, applied: Seq) -> impl Iterator<Item = Asked> + use<'_> {
        let is_ready = move |entry: &mut (Instant, Asked)| entry.1.1.min_seq() <= applied;
        self.questions.extract_if(.., is_ready).map(|(_, asked)| asked)
    }

    /// Those that waited in vain.
    pub(crate) fn take_expired(&mut self) -> impl Iterator<Item = Asked> + use<'_> {
        let now = Instant::now();
        let count = self.questions.partition_point(|(deadline, _)| *deadline <= now);
        self.questions.drain(..count).map(|(_, asked)| asked)
    }
}
