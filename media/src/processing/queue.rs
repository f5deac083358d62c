//! What waits to be processed: in turn for each user, so that nobody's pictures hold up others'.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_model::{UploadId, UserId};
use tokio::sync::Notify;

/// Uploads that wait; beyond, the collector finds them again.
const ALL_MAX: usize = 1_024;
/// Of them, those of one user.
const OF_USER_MAX: usize = 128;

/// The queue; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    turns: Mutex<Turns>,
    pushed: Notify,
}

/// Round robin over users: each in the order of `users` gives one of theirs, and goes to the end.
#[derive(Debug, Default)]
struct Turns {
    users: VecDeque<UserId>,
    waiting: HashMap<UserId, VecDeque<UploadId>>,
    len: usize,
}

impl Queue {
    /// Has an upload of a user processed; `false`: too many wait, and whoever looks at its watch finds
    /// it again. One that waits already is not queued twice.
    pub(crate) fn push(&self, user: UserId, upload: UploadId) -> bool {
        let is_queued = self.lock().push(user, upload);
        if is_queued {
            self.shared.pushed.notify_one();
        }
        is_queued
    }

    /// Waits for the next. Of several that ask, each gets another one; dropping it loses nothing.
    pub(super) async fn next(&self) -> UploadId {
        loop {
            let pushed = self.shared.pushed.notified();
            if let Some(upload) = self.lock().pop() {
                return upload;
            }
            pushed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.shared.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    fn push(&mut self, user: UserId, upload: UploadId) -> bool {
        let own = self.waiting.get(&user);
        if own.is_some_and(|own| own.contains(&upload)) {
            return true;
        }
        if self.len >= ALL_MAX || own.is_some_and(|own| own.len() >= OF_USER_MAX) {
            return false;
        }
        if own.is_none() {
            self.users.push_back(user);
        }
        self.waiting.entry(user).or_default().push_back(upload);
        self.len += 1;
        true
    }

    fn pop(&mut self) -> Option<UploadId> {
        let user = self.users.pop_front()?;
        let own = self.waiting.get_mut(&user)?;
        let upload = own.pop_front();
        if own.is_empty() {
            self.waiting.remove(&user);
        } else {
            self.users.push_back(user);
        }
        self.len -= usize::from(upload.is_some());
        upload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u8) -> UserId {
        UserId::from_entropy([number; 20])
    }

    fn upload(number: usize) -> UploadId {
        let mut entropy = [0; 20];
        (entropy[0], entropy[1]) = ((number % 32) as u8, (number / 32) as u8);
        UploadId::from_entropy(entropy)
    }

    #[tokio::test]
    async fn nobody_waits_for_all_that_somebody_else_has() {
        let queue = Queue::default();
        for number in 0..100 {
            assert!(queue.push(user(1), upload(number)));
        }
        assert!(queue.push(user(2), upload(200)));
        assert!(queue.push(user(3), upload(300)));
        assert!(queue.push(user(2), upload(201)));
        let mut order = Vec::new();
        for _ in 0..6 {
            order.push(queue.next().await);
        }
        assert_eq!(order, [0, 200, 300, 1, 201, 2].map(upload));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_left_to_who_looks_later() {
        let queue = Queue::default();
        let push =
            |of: u8| (0..ALL_MAX).filter(|number| queue.push(user(of), upload(*number))).count();
        assert_eq!(push(1), OF_USER_MAX, "of one user");
        assert!(queue.push(user(1), upload(0)), "it waits already");
        assert_eq!(queue.lock().len, OF_USER_MAX);
        for of in 2..9 {
            push(of);
        }
        assert_eq!(queue.lock().len, ALL_MAX);
        assert!(!queue.push(user(9), upload(1)), "of all");
        for left in (0..ALL_MAX).rev() {
            queue.next().await;
            assert_eq!(queue.lock().len, left);
        }
        assert!(queue.lock().waiting.is_empty() && queue.lock().users.is_empty());
        let next = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::task::yield_now().await;
        assert!(queue.push(user(1), upload(7)));
        assert_eq!(next.await.expect("no panic"), upload(7));
    }
}
