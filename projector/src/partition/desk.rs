//! Answering: what is asked now, what waits for its position, what is being read and sent.

use std::sync::Arc;

use hansard_archive::Archive;
use hansard_model::query::{QueryError, RecordRequest, StoredRecord};
use hansard_model::{PartitionId, Seq};
use hansard_nats::Log;
use hansard_nats::ownership::Tenure;
use hansard_nats::query::Question;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::waiting::{Asked, Waiting};
use crate::metrics;
use crate::queries::{Answer, At, Refusal, Request};
use crate::rows::Rows;

/// Answers of a partition that are read at once, beside the loop.
const READING_MAX: usize = 64;
/// Questions of a partition that are taken at once; beyond, they are told to come again.
const TAKEN_MAX: usize = 2_048;

/// Takes the questions of one partition.
pub(crate) struct Desk {
    partition: PartitionId,
    tenure: Tenure,
    log: Log,
    archive: Archive,
    waiting: Waiting,
    taken: JoinSet<()>,
    reading: Arc<Semaphore>,
}

impl Desk {
    pub(crate) fn new(partition: PartitionId, tenure: Tenure, log: Log, archive: Archive) -> Self {
        Self {
            partition,
            tenure,
            log,
            archive,
            waiting: Waiting::default(),
            taken: JoinSet::new(),
            reading: Arc::new(Semaphore::new(READING_MAX)),
        }
    }

    /// Reads a question that waited for nothing yet: one that is to be answered from rows now.
    pub(crate) fn take(&mut self, applied: Seq, question: Question) -> Option<Asked> {
        match Request::read(question.verb, &question.payload) {
            Err(error) => self.refuse(question, error),
            Ok(request) if request.min_seq() <= applied => return Some((question, request)),
            Ok(_) if self.waiting.is_full() => self.refuse(question, QueryError::Behind),
            Ok(request) => self.waiting.push((question, request)),
        }
        None
    }

    /// Those whose position has come.
    pub(crate) fn take_ready(&mut self, applied: Seq) -> Vec<Asked> {
        self.waiting.take_ready(applied).collect()
    }

    /// Tells those that waited in vain.
    pub(crate) fn expire(&mut self) {
        let expired: Vec<Asked> = self.waiting.take_expired().collect();
        for (question, _) in expired {
            self.refuse(question, QueryError::Behind);
        }
    }

    /// Answers from rows, beside the loop.
    pub(crate) fn answer<R: Rows + 'static>(&mut self, at: At<R>, (question, request): Asked) {
        if let Request::Record(request) = request {
            let (log, archive) = (self.log.clone(), self.archive.clone());
            let partition = self.partition;
            self.spawn(question, async move { record(&log, &archive, partition, request).await });
        } else {
            self.spawn(question, async move { request.answer(&at).await });
        }
    }

    /// Answers with what is known already.
    pub(crate) fn respond(&mut self, question: Question, answer: Result<Answer, QueryError>) {
        self.spawn(question, async { answer.map_err(Refusal::from) });
    }

    fn refuse(&mut self, question: Question, error: QueryError) {
        self.respond(question, Err(error));
    }

    fn spawn(
        &mut self,
        question: Question,
        answer: impl Future<Output = Result<Answer, Refusal>> + Send + 'static,
    ) {
        while self.taken.try_join_next().is_some() {}
        if self.taken.len() >= TAKEN_MAX {
            // It hears nothing and asks again; what was taken before it is answered first.
            metrics::answered(question.verb, "busy");
            return;
        }
        let (tenure, reading) = (self.tenure.clone(), Arc::clone(&self.reading));
        self.taken.spawn(async move {
            // The semaphore is never closed.
            let _place = reading.acquire().await;
            let answer = answer.await;
            say(&question, &tenure, answer).await;
        });
    }
}

/// Sends an answer. Without the lease, nothing is said: another owner may know more, and a read
/// never gets an older truth.
async fn say(question: &Question, tenure: &Tenure, answer: Result<Answer, Refusal>) {
    let answer = match answer {
        Ok(answer) => Ok(answer),
        Err(Refusal::Query(error)) => Err(error),
        Err(Refusal::Store(error)) => {
            metrics::answered(question.verb, "failed");
            tracing::warn!(%error, verb = question.verb.as_str(), "not answered");
            Err(QueryError::Unavailable)
        }
    };
    if !tenure.is_held() {
        metrics::answered(question.verb, "unheld");
        return;
    }
    metrics::answered(question.verb, if answer.is_ok() { "answered" } else { "refused" });
    question.respond(&answer).await;
}

async fn record(
    log: &Log,
    archive: &Archive,
    partition: PartitionId,
    request: RecordRequest,
) -> Result<Answer, Refusal> {
    match archive.read(log, partition, request.seq).await {
        Ok(found) => Ok(Answer::Record(found.as_ref().map(StoredRecord::of))),
        Err(error) => {
            tracing::warn!(%error, %partition, event.seq = request.seq.0, "record not read");
            Err(QueryError::Unavailable.into())
        }
    }
}
