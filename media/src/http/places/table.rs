//! Who has a place, who waits for one, and whose request ends for whom: pure.
//!
//! Places are shared by max-min fairness (Bertsekas and Gallager, *Data Networks*, section 6.5.2):
//! nobody's share grows at the cost of somebody who has less. While there are places everybody gets
//! them; when there are none, whoever waits takes one from who has most:
//!
//! - from somebody who has at least two more than they, at once;
//! - from somebody who has one more, once that request has had its time ([`SLICE`]).
//!
//! Of their requests one that hardly moves ends first ([`SLOW_BYTES_PER_SECOND`]), the slowest of
//! them; then the one that has had its place longest, so that none of those that move loses again
//! and again.
//!
//! Of those who wait, who has fewest places comes first, then who has had least of late: somebody
//! who comes for the first time waits for nobody, however many accounts try again and again.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hansard_model::UserId;
use quick_cache::unsync::Cache;
use tokio::time::Instant;

use super::Signals;

/// How long a request keeps its place against somebody who has just one less.
const SLICE: Duration = Duration::from_secs(5);
/// How long a request that has to end may take for that, before another one ends for it.
const END_WITHIN: Duration = Duration::from_secs(2);
/// After this time what somebody has had counts half.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// Users of whom it is known what they have had of late; beyond, those longest ago are forgotten.
const USERS_MAX: usize = 4_096;
/// Requests that end for one that waits at most: one, and another if the first takes its time.
const ENDING_MAX: usize = 2;
/// The pace of a request that has had its place for less is not known yet: it is not slow.
const PACED_AFTER: Duration = Duration::from_secs(1);
/// What moves fewer bytes in a second is slow: so do telephones at the edge of a network, and those
/// who hold a place on purpose.
const SLOW_BYTES_PER_SECOND: u64 = 8 * 1024;

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Bounds {
    /// With a place.
    pub(in crate::http) all: usize,
    /// Of one user, with a place or waiting.
    pub(in crate::http) of_user: usize,
    /// Waiting.
    pub(in crate::http) waiting: usize,
}

/// Why a request does not even wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its user has as many as one may have.
    OfUser,
    /// As many wait as may, none of whom has more than its user.
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// It has a place since then.
    Moving(Instant),
    /// It has one since the first, and has to end since the second.
    Ending(Instant, Instant),
}

/// Which request of somebody ends: the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It is slow: bytes in a second.
    Slow(u64),
    /// It moves, or has just begun: it has its place since then.
    Since(Instant),
}

struct Request {
    user: UserId,
    stage: Stage,
    /// Of one that waits: those that are to end for it, [`ENDING_MAX`] at most.
    ending: Vec<u64>,
    signals: Arc<Signals>,
}

impl Request {
    fn is_waiting(&self) -> bool {
        self.stage == Stage::Waiting
    }

    /// Of one that has its place since then.
    fn rank(&self, since: Instant, now: Instant) -> Rank {
        let age = now.duration_since(since);
        if age < PACED_AFTER {
            return Rank::Since(since);
        }
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let pace = self.signals.moved.load(Relaxed).saturating_mul(1_000) / age_ms;
        if pace < SLOW_BYTES_PER_SECOND { Rank::Slow(pace) } else { Rank::Since(since) }
    }
}

/// All requests in one direction, in the order in which they came.
pub(super) struct Table {
    bounds: Bounds,
    requests: BTreeMap<u64, Request>,
    next: u64,
    /// Seconds for which users have had a place, of late, and as of when.
    had: Cache<UserId, (f64, Instant)>,
}

impl Table {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, requests: BTreeMap::new(), next: 0, had: Cache::new(USERS_MAX) }
    }

    /// A request comes; its signals say when it has a place.
    pub(super) fn enter(
        &mut self,
        user: UserId,
        now: Instant,
    ) -> Result<(u64, Arc<Signals>), Refusal> {
        let own = self.requests.values().filter(|request| request.user == user).count();
        if own >= self.bounds.of_user {
            return Err(Refusal::OfUser);
        }
        let waiting = self.requests.iter().filter(|(_, request)| request.is_waiting());
        if waiting.clone().count() >= self.bounds.waiting {
            // Who has most makes room, their last one.
            let of_users = self.count(|_| true);
            let rank = |user: UserId, requests: usize| (requests, self.had(user, now));
            let most = waiting.max_by(|(one, a), (other, b)| {
                let [a, b] = [a, b].map(|request| rank(request.user, of_users[&request.user]));
                ranked(&a, &b).then(one.cmp(other))
            });
            let most = most.map(|(number, request)| (*number, request.user));
            let own = rank(user, own + 1);
            match most {
                Some((number, most)) if ranked(&rank(most, of_users[&most]), &own).is_gt() => {
                    if let Some(request) = self.requests.remove(&number) {
                        request.signals.stop.cancel();
                    }
                }
                Some(_) | None => return Err(Refusal::Full),
            }
        }
        let (number, signals) = (self.next, Arc::new(Signals::default()));
        self.next += 1;
        let (stage, ending) = (Stage::Waiting, Vec::new());
        let request = Request { user, stage, ending, signals: Arc::clone(&signals) };
        self.requests.insert(number, request);
        self.settle(now);
        Ok((number, signals))
    }

    /// A request is over, or waits no longer.
    pub(super) fn leave(&mut self, number: u64, now: Instant) {
        let Some(request) = self.requests.remove(&number) else { return };
        if let Stage::Moving(since) | Stage::Ending(since, _) = request.stage {
            let had = self.had(request.user, now) + now.duration_since(since).as_secs_f64();
            self.had.insert(request.user, (had, now));
        }
        self.settle(now);
    }

    /// Gives away what is free, and has requests end for those who still wait.
    pub(super) fn settle(&mut self, now: Instant) {
        let mut waiting = self.in_turn(now);
        let taken = self.requests.len() - waiting.len();
        let admitted = waiting.len().min(self.bounds.all.saturating_sub(taken));
        for number in waiting.drain(..admitted) {
            if let Some(request) = self.requests.get_mut(&number) {
                request.stage = Stage::Moving(now);
                request.signals.admitted.cancel();
            }
        }
        if !waiting.is_empty() {
            self.make_room(waiting, now);
        }
    }

    fn make_room(&mut self, waiting: Vec<u64>, now: Instant) {
        // A place that is promised to somebody is no place yet that could be taken from them: what
        // they lose is counted apart from what they get.
        let mut theirs = self.count(|stage| matches!(stage, Stage::Moving(_)));
        let mut with_promised = theirs.clone();
        let is_soon = |request: &&Request| match request.stage {
            Stage::Ending(_, since) => now.duration_since(since) < END_WITHIN,
            Stage::Waiting | Stage::Moving(_) => false,
        };
        let mut soon = self.requests.values().filter(is_soon).count();
        for number in waiting {
            let Some(user) = self.requests.get(&number).map(|request| request.user) else {
                continue;
            };
            // The first of them get what is about to be free.
            if soon > 0 {
                soon -= 1;
            } else {
                let mut ending = self.ending_for(number);
                if ending.len() >= ENDING_MAX {
                    continue;
                }
                let own = with_promised.get(&user).copied().unwrap_or_default();
                let Some(ends) = self.to_end(own, &theirs, now) else { return };
                let Some(loser) = self.end(ends, now) else { return };
                theirs.entry(loser).and_modify(|count| *count -= 1);
                with_promised.entry(loser).and_modify(|count| *count -= 1);
                ending.push(ends);
                if let Some(request) = self.requests.get_mut(&number) {
                    request.ending = ending;
                }
            }
            *with_promised.entry(user).or_default() += 1;
        }
    }

    /// Those that were to end for one that waits, and have not yet.
    fn ending_for(&self, number: u64) -> Vec<u64> {
        let ending = self.requests.get(&number).map(|request| request.ending.as_slice());
        let ending = ending.unwrap_or_default().iter().copied();
        ending.filter(|ends| self.requests.contains_key(ends)).collect()
    }

    /// Has a request end, and tells whose it is.
    fn end(&mut self, number: u64, now: Instant) -> Option<UserId> {
        let request = self.requests.get_mut(&number)?;
        let Stage::Moving(since) = request.stage else { return None };
        request.stage = Stage::Ending(since, now);
        request.signals.stop.cancel();
        Some(request.user)
    }

    /// Which request ends for somebody who has `own` places, of those who have so many each.
    fn to_end(&self, own: usize, theirs: &HashMap<UserId, usize>, now: Instant) -> Option<u64> {
        let may_end = self.requests.iter().filter_map(|(number, request)| {
            let Stage::Moving(since) = request.stage else { return None };
            let theirs = theirs.get(&request.user).copied().unwrap_or_default();
            let has_had_its_time = now.duration_since(since) >= SLICE;
            let ends = theirs >= own + 2 || (theirs == own + 1 && has_had_its_time);
            ends.then(|| ((Reverse(theirs), request.rank(since, now)), *number))
        });
        may_end.min().map(|(_, number)| number)
    }

    /// Those who wait, who comes first in front.
    fn in_turn(&self, now: Instant) -> Vec<u64> {
        if !self.requests.values().any(Request::is_waiting) {
            return Vec::new();
        }
        let have = self.count(|stage| stage != Stage::Waiting);
        let waiting = self.requests.iter().filter(|(_, request)| request.is_waiting());
        let mut waiting: Vec<_> = waiting
            .map(|(number, Request { user, .. })| {
                let places = have.get(user).copied().unwrap_or_default();
                ((places, self.had(*user, now)), *number)
            })
            .collect();
        waiting.sort_by(|(a, one), (b, other)| ranked(a, b).then(one.cmp(other)));
        waiting.into_iter().map(|(_, number)| number).collect()
    }

    /// How many requests in such stages each user has.
    fn count(&self, of: impl Fn(Stage) -> bool) -> HashMap<UserId, usize> {
        let mut count = HashMap::new();
        for request in self.requests.values().filter(|request| of(request.stage)) {
            *count.entry(request.user).or_default() += 1;
        }
        count
    }

    /// For how many seconds a user has had a place, of late.
    fn had(&self, user: UserId, now: Instant) -> f64 {
        self.had.peek(&user).map_or(0.0, |(seconds, at)| {
            let halves = now.duration_since(*at).as_secs_f64() / HALF_LIFE.as_secs_f64();
            seconds * (-halves).exp2()
        })
    }
}

/// Fewer requests before more, then who has had less before who has had more.
fn ranked(a: &(usize, f64), b: &(usize, f64)) -> Ordering {
    a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests;
