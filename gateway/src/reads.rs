//! Identical reads at the same time are one read: who asks for what is being asked already waits
//! for that answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::metrics;

type Answer<A> = BoxFuture<'static, A>;
type UnderWay<Q, A> = Arc<Mutex<HashMap<Q, (u64, WeakShared<Answer<A>>)>>>;

/// Reads under way, by what is asked: as many as there are askers, at most. A question holds all
/// that its answer depends on; what it must include is part of it.
pub(crate) struct Reads<Q, A> {
    under_way: UnderWay<Q, A>,
    count: AtomicU64,
}

impl<Q, A> Default for Reads<Q, A> {
    fn default() -> Self {
        Self { under_way: Arc::default(), count: AtomicU64::new(0) }
    }
}

/// Takes a read off the list when it has ended, or nobody waits for it any more.
struct Listed<Q: Eq + Hash, A> {
    under_way: UnderWay<Q, A>,
    question: Q,
    number: u64,
}

impl<Q: Eq + Hash, A> Drop for Listed<Q, A> {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.get(&self.question).is_some_and(|(number, _)| *number == self.number) {
            under_way.remove(&self.question);
        }
    }
}

impl<Q, A> Reads<Q, A>
where
    Q: Clone + Eq + Hash + Send + 'static,
    A: Clone + Send + Sync + 'static,
{
    /// The answer to a question: of the read that is under way, or of `read`.
    pub(crate) fn ask<F>(&self, question: Q, read: impl FnOnce() -> F) -> Shared<Answer<A>>
    where
        F: Future<Output = A> + Send + 'static,
    {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = under_way.get(&question).and_then(|(_, read)| read.upgrade()) {
            metrics::read_coalesced();
            return shared;
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let listed =
            Listed { under_way: self.under_way.clone(), question: question.clone(), number };
        let read = read();
        let shared = async move {
            let _listed = listed;
            read.await
        }
        .boxed()
        .shared();
        if let Some(weak) = shared.downgrade() {
            under_way.insert(question, (number, weak));
        }
        shared
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::oneshot;

    use super::*;

    fn listed(reads: &Reads<u8, usize>) -> usize {
        reads.under_way.lock().expect("a lock").len()
    }

    #[tokio::test]
    async fn who_asks_the_same_meanwhile_gets_the_same_answer() {
        let reads = Reads::<u8, usize>::default();
        let count = Arc::new(AtomicUsize::new(0));
        let (answer, answered) = oneshot::channel::<()>();
        let read = |wait: Option<oneshot::Receiver<()>>| {
            let count = count.clone();
            async move {
                let number = count.fetch_add(1, Ordering::SeqCst);
                if let Some(wait) = wait {
                    wait.await.expect("answered");
                }
                number
            }
        };
        let first = reads.ask(1, || read(Some(answered)));
        let same = reads.ask(1, || read(None));
        let other = reads.ask(2, || read(None));
        // The one that began it may leave; the read goes on for the others.
        let mut first = Box::pin(first);
        assert!(first.as_mut().now_or_never().is_none());
        drop(first);
        answer.send(()).expect("somebody waits");
        assert_eq!((same.await, other.await), (0, 1));
        assert_eq!(listed(&reads), 0);
        assert_eq!(reads.ask(1, || read(None)).await, 2, "the next read is a new one");
    }

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_is_forgotten() {
        let reads = Reads::<u8, usize>::default();
        drop(reads.ask(1, std::future::pending));
        assert_eq!(listed(&reads), 0);
        assert_eq!(reads.ask(1, || async { 7 }).await, 7);
    }
}
