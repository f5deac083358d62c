//! Answering: what is searched now, and what waits for its position.

use std::sync::Arc;
use std::time::Duration;

use hansard_model::search::{SearchAnswer, SearchOutcome};
use hansard_model::{PartitionId, Seq};
use hansard_nats::ownership::Tenure;
use hansard_nats::search::Question;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::index::View;
use crate::metrics;
use crate::query::search;

/// How long a question waits before it is told that the index is behind.
const WAIT: Duration = Duration::from_secs(2);
/// Questions of a partition that wait at most; beyond it they are told at once.
const WAITING_MAX: usize = 1_024;
/// Questions of a partition that are taken at once; beyond, they are told to come again.
const TAKEN_MAX: usize = 512;

/// Takes the questions of one partition.
pub(super) struct Desk {
    partition: PartitionId,
    tenure: Tenure,
    searching: Arc<Semaphore>,
    view: View,
    /// All up to here is in the view.
    searchable: Seq,
    /// The longest waiting first.
    waiting: Vec<(Instant, Question)>,
    taken: JoinSet<()>,
}

impl Desk {
    pub(super) fn new(
        partition: PartitionId,
        tenure: Tenure,
        searching: Arc<Semaphore>,
        view: View,
        searchable: Seq,
    ) -> Self {
        let (waiting, taken) = (Vec::new(), JoinSet::new());
        Self { partition, tenure, searching, view, searchable, waiting, taken }
    }

    /// Takes a question: answers it now, or once its position is searchable.
    pub(super) fn take(&mut self, question: Question) {
        if self.min_of(&question) <= self.searchable {
            self.answer(question);
        } else if self.waiting.len() >= WAITING_MAX {
            self.refuse(question, SearchOutcome::Behind);
        } else {
            self.waiting.push((Instant::now() + WAIT, question));
        }
    }

    /// Somebody waits for what is applied and not searchable.
    pub(super) fn is_awaited(&self, applied: Seq) -> bool {
        self.waiting.iter().any(|(_, question)| self.min_of(question) <= applied)
    }

    /// From now on this is searchable.
    pub(super) fn advance(&mut self, view: View, searchable: Seq) {
        (self.view, self.searchable) = (view, searchable);
        let partition = self.partition;
        let is_ready = |question: &Question| question.request.min_of(partition) <= searchable;
        let ready: Vec<Question> = self
            .waiting
            .extract_if(.., |(_, question)| is_ready(question))
            .map(|(_, question)| question)
            .collect();
        for question in ready {
            self.answer(question);
        }
    }

    /// Tells those that waited in vain.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        let count = self.waiting.partition_point(|(deadline, _)| *deadline <= now);
        let expired: Vec<Question> =
            self.waiting.drain(..count).map(|(_, question)| question).collect();
        for question in expired {
            self.refuse(question, SearchOutcome::Behind);
        }
    }

    fn min_of(&self, question: &Question) -> Seq {
        question.request.min_of(self.partition)
    }

    fn answer(&mut self, question: Question) {
        while self.taken.try_join_next().is_some() {}
        if self.taken.len() >= TAKEN_MAX {
            return self.refuse(question, SearchOutcome::Busy);
        }
        let (partition, as_of, tenure) = (self.partition, self.searchable, self.tenure.clone());
        let (view, searching) = (self.view.clone(), Arc::clone(&self.searching));
        self.taken.spawn(async move {
            // The semaphore is never closed.
            let place = searching.acquire_owned().await;
            let request = question.request.clone();
            let searched = tokio::task::spawn_blocking(move || {
                let _place = place;
                let began = std::time::Instant::now();
                let searched = search(&view, partition, &request);
                metrics::searched(began.elapsed());
                searched
            });
            let outcome = match searched.await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => {
                    tracing::warn!(%error, %partition, "not searched");
                    SearchOutcome::Unavailable
                }
                Err(panic) => {
                    tracing::error!(%panic, %partition, "not searched");
                    SearchOutcome::Unavailable
                }
            };
            say(&question, &tenure, SearchAnswer { partition, as_of, outcome }).await;
        });
    }

    fn refuse(&mut self, question: Question, outcome: SearchOutcome) {
        let (partition, as_of, tenure) = (self.partition, self.searchable, self.tenure.clone());
        self.taken.spawn(async move {
            say(&question, &tenure, SearchAnswer { partition, as_of, outcome }).await;
        });
    }
}

/// Sends an answer. Without the lease, nothing is said: another owner may know more.
async fn say(question: &Question, tenure: &Tenure, answer: SearchAnswer) {
    if !tenure.is_held() {
        metrics::answered("unheld");
        return;
    }
    metrics::answered(match &answer.outcome {
        SearchOutcome::Found { .. } => "found",
        SearchOutcome::Behind => "behind",
        SearchOutcome::BadRequest => "bad_request",
        SearchOutcome::Busy => "busy",
        SearchOutcome::Unavailable => "failed",
    });
    question.respond(&answer).await;
}
