//! How many requests may move bytes at a time, in all and of one user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hansard_model::UserId;
use hansard_protocol::{ErrorBody, ErrorCode};

use super::failure::{BUSY_RETRY_MS, Failure};
use crate::metrics;

/// Places for requests in one direction; clones share them.
#[derive(Clone)]
pub(super) struct Places {
    direction: &'static str,
    all_max: u32,
    of_user_max: u32,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: u32,
    of_users: HashMap<UserId, u32>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    places: Places,
    user: UserId,
}

impl Places {
    /// So many in all, and of one user.
    pub(super) fn new(direction: &'static str, (all_max, of_user_max): (u32, u32)) -> Self {
        Self { direction, all_max, of_user_max, taken: Arc::default() }
    }

    /// Takes a place for a user.
    pub(super) fn take(&self, user: UserId) -> Result<Place, Failure> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let refused =
            |code, message: &str| Err(ErrorBody::new(code, message).after_ms(BUSY_RETRY_MS).into());
        if taken.of_users.get(&user).is_some_and(|count| *count >= self.of_user_max) {
            return refused(ErrorCode::RateLimited, "too many of your transfers at once");
        }
        if taken.all >= self.all_max {
            return refused(ErrorCode::Overloaded, "too many transfers at once");
        }
        taken.all += 1;
        *taken.of_users.entry(user).or_default() += 1;
        metrics::transfers(self.direction, 1.0);
        Ok(Place { places: self.clone(), user })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(count) = taken.of_users.get_mut(&self.user) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.of_users.remove(&self.user);
            }
        }
        metrics::transfers(self.places.direction, -1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_places_of_all_the_others() {
        let places = Places::new("upload", (3, 2));
        let user = |number| UserId::from_entropy([number; 20]);
        let first = places.take(user(1)).ok();
        let _second = places.take(user(1)).expect("a place");
        assert!(places.take(user(1)).is_err(), "of one user");
        let _third = places.take(user(2)).expect("a place");
        assert!(places.take(user(3)).is_err(), "of all");
        drop(first);
        assert!(places.take(user(3)).is_ok());
    }
}
