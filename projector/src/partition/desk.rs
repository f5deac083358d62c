//! Answering: what is asked now, what waits for its position, what is being sent.

use hansard_model::query::QueryError;
use hansard_model::subject::QueryVerb;
use hansard_nats::query::Question;
use tokio::task::JoinSet;

use super::state::State;
use super::waiting::{Asked, Waiting};
use crate::metrics;
use crate::ownership::tenure::Tenure;
use crate::queries::{Answer, Request};

/// Answers of a partition that are serialized and sent at once, beside the loop.
const SENDING_MAX: usize = 64;

/// Takes the questions of one partition.
pub(crate) struct Desk {
    tenure: Tenure,
    waiting: Waiting,
    sending: JoinSet<()>,
}

impl Desk {
    pub(crate) fn new(tenure: Tenure) -> Self {
        Self { tenure, waiting: Waiting::default(), sending: JoinSet::new() }
    }

    /// Answers a question, or lets it wait.
    pub(crate) async fn take(&mut self, state: &State, question: Question) {
        match Request::read(question.verb, &question.payload) {
            Err(error) => self.send(question, Err(error)).await,
            Ok(request) if request.min_seq() <= state.applied() => {
                self.answer(state, (question, request)).await;
            }
            Ok(_) if self.waiting.is_full() => self.send(question, Err(QueryError::Behind)).await,
            Ok(request) => self.waiting.push((question, request)),
        }
    }

    /// Answers those whose position has come.
    pub(crate) async fn advance(&mut self, state: &State) {
        let ready: Vec<Asked> = self.waiting.take_ready(state.applied()).collect();
        for asked in ready {
            self.answer(state, asked).await;
        }
    }

    /// Tells those that waited in vain.
    pub(crate) async fn expire(&mut self) {
        let expired: Vec<Asked> = self.waiting.take_expired().collect();
        for (question, _) in expired {
            self.send(question, Err(QueryError::Behind)).await;
        }
    }

    async fn answer(&mut self, state: &State, (question, request): Asked) {
        let answer = request.answer(state);
        self.send(question, answer).await;
    }

    /// Sends an answer beside the loop. Without the lease, nothing is said: another owner may know
    /// more, and a read never gets an older truth.
    async fn send(&mut self, question: Question, answer: Result<Answer, QueryError>) {
        let verb: QueryVerb = question.verb;
        if !self.tenure.is_held() {
            metrics::answered(verb, "unheld");
            return;
        }
        metrics::answered(verb, if answer.is_ok() { "answered" } else { "refused" });
        while self.sending.len() >= SENDING_MAX {
            self.sending.join_next().await;
        }
        while self.sending.try_join_next().is_some() {}
        self.sending.spawn(respond(question, answer));
    }
}

async fn respond(question: Question, answer: Result<Answer, QueryError>) {
    match answer {
        Ok(Answer::Page(page)) => question.respond(&Ok(page)).await,
        Ok(Answer::Lookup(found)) => question.respond(&Ok(found)).await,
        Ok(Answer::Conversation(entry)) => question.respond(&Ok(entry)).await,
        Ok(Answer::Changed(changed)) => question.respond(&Ok(changed)).await,
        Ok(Answer::Feed(feed)) => question.respond(&Ok(feed)).await,
        Ok(Answer::Reactions(count)) => question.respond(&Ok(count)).await,
        Err(error) => question.respond::<()>(&Err(error)).await,
    }
}
