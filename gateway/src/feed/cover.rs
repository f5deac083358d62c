//! Which subscriptions there are for what is of interest: pure, so that a test can try every order
//! of coming and going.
//!
//! A subscription is only ever an optimization: what is of interest and not covered is asked of its
//! owner. So a subscription ends a while after the interest has, and where there would be too many
//! one takes their place.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use hansard_model::ConversationId;
use hansard_model::subject::Interest;
use tokio::time::Instant;

use crate::router::Interests;

/// Buckets that are subscribed to one by one, of 1,024: two subscriptions each.
const BUCKETS_MAX: usize = if cfg!(test) { 8 } else { 256 };
/// Groups that are subscribed to one by one: a subscription costs about six kilobytes here and in
/// the server.
const GROUPS_MAX: usize = if cfg!(test) { 8 } else { 10_000 };
/// How long a subscription stays that nobody is interested in any more: people reconnect.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// The subscriptions.
#[derive(Debug)]
pub(super) struct Cover {
    directs: Kind,
    groups: Kind,
}

/// Those of a kind.
#[derive(Debug)]
struct Kind {
    /// What takes the place of all of them.
    whole: Interest,
    max: usize,
    is_whole: bool,
    wanted: HashSet<Interest>,
    /// Wanted, and neither in force nor under way.
    missing: BTreeSet<Interest>,
    under_way: HashSet<Interest>,
    in_force: HashSet<Interest>,
    /// In force and not wanted, with when they end.
    idle: HashMap<Interest, Instant>,
}

impl Cover {
    pub(super) fn new() -> Self {
        let directs = Kind::new(Interest::Directs, BUCKETS_MAX);
        Self { directs, groups: Kind::new(Interest::Groups, GROUPS_MAX) }
    }

    /// Whether the events of a conversation come in.
    pub(super) fn covers(&self, conversation: ConversationId) -> bool {
        match conversation {
            ConversationId::Direct(x, y) => {
                [x, y].iter().any(|user| self.directs.covers(Interest::Bucket(user.bucket_id())))
            }
            ConversationId::Group(group) => self.groups.covers(Interest::Group(group)),
        }
    }

    /// Subscriptions in force.
    pub(super) fn len(&self) -> usize {
        self.directs.in_force.len() + self.groups.in_force.len()
    }

    /// Takes in what is of interest.
    pub(super) fn note(&mut self, interests: Interests, now: Instant) {
        match interests {
            Interests::All(all) => {
                let all: HashSet<Interest> = all.into_iter().collect();
                for kind in [&mut self.directs, &mut self.groups] {
                    let gone: Vec<Interest> = kind.wanted.difference(&all).copied().collect();
                    gone.into_iter().for_each(|interest| kind.unwant(interest, now));
                }
                all.into_iter().for_each(|interest| self.kind(interest).want(interest));
            }
            Interests::Changed(changed) => {
                for (interest, is_wanted) in changed {
                    let kind = self.kind(interest);
                    if is_wanted { kind.want(interest) } else { kind.unwant(interest, now) }
                }
            }
        }
    }

    /// What is to be subscribed to next, at most so many.
    pub(super) fn next(&mut self, max: usize) -> Vec<Interest> {
        let mut next = self.directs.next(max);
        next.extend(self.groups.next(max - next.len()));
        next
    }

    /// What [`Cover::next`] gave is in force, or could not be subscribed to.
    pub(super) fn settled(&mut self, interests: &[Interest], in_force: bool, now: Instant) {
        for interest in interests {
            self.kind(*interest).settled(*interest, in_force, now);
        }
    }

    /// Subscriptions that are to end now.
    pub(super) fn ended(&mut self, now: Instant) -> Vec<Interest> {
        let mut ended = self.directs.ended(now);
        ended.extend(self.groups.ended(now));
        ended
    }

    fn kind(&mut self, interest: Interest) -> &mut Kind {
        match interest {
            Interest::Bucket(_) | Interest::Directs => &mut self.directs,
            Interest::Group(_) | Interest::Groups => &mut self.groups,
        }
    }
}

impl Kind {
    fn new(whole: Interest, max: usize) -> Self {
        Self {
            whole,
            max,
            is_whole: false,
            wanted: HashSet::new(),
            missing: BTreeSet::new(),
            under_way: HashSet::new(),
            in_force: HashSet::new(),
            idle: HashMap::new(),
        }
    }

    fn covers(&self, interest: Interest) -> bool {
        self.in_force.contains(&self.whole) || self.in_force.contains(&interest)
    }

    fn want(&mut self, interest: Interest) {
        self.wanted.insert(interest);
        self.idle.remove(&interest);
        if !self.in_force.contains(&interest) && !self.under_way.contains(&interest) {
            self.missing.insert(interest);
        }
    }

    fn unwant(&mut self, interest: Interest, now: Instant) {
        self.wanted.remove(&interest);
        self.missing.remove(&interest);
        if self.in_force.contains(&interest) {
            self.idle.entry(interest).or_insert(now + KEPT_FOR);
        }
    }

    fn next(&mut self, max: usize) -> Vec<Interest> {
        self.is_whole |= self.wanted.len() > self.max;
        let next: Vec<Interest> = if self.is_whole {
            let is_there =
                self.in_force.contains(&self.whole) || self.under_way.contains(&self.whole);
            (!is_there && max > 0).then_some(self.whole).into_iter().collect()
        } else {
            self.missing.iter().take(max).copied().collect()
        };
        for interest in &next {
            self.missing.remove(interest);
            self.under_way.insert(*interest);
        }
        next
    }

    fn settled(&mut self, interest: Interest, in_force: bool, now: Instant) {
        self.under_way.remove(&interest);
        if in_force {
            self.in_force.insert(interest);
            if interest != self.whole && !self.wanted.contains(&interest) {
                self.idle.insert(interest, now + KEPT_FOR);
            }
        } else if self.wanted.contains(&interest) {
            self.missing.insert(interest);
        }
    }

    fn ended(&mut self, now: Instant) -> Vec<Interest> {
        // Not at the bound itself: one that comes and goes would switch back and forth.
        if self.is_whole && self.wanted.len() <= self.max / 2 {
            self.is_whole = false;
        }
        let has_whole = self.in_force.contains(&self.whole);
        let mut ended: Vec<Interest> = if self.is_whole && has_whole {
            self.in_force.iter().filter(|interest| **interest != self.whole).copied().collect()
        } else {
            // Too many are not kept for those who may come back.
            let is_crowded = self.idle.len() > self.max;
            let is_over = |until: &Instant| is_crowded || *until <= now;
            self.idle.iter().filter(|(_, until)| is_over(until)).map(|(idle, _)| *idle).collect()
        };
        let is_replaced = self.missing.is_empty() && self.under_way.is_empty();
        if !self.is_whole && has_whole && is_replaced {
            ended.push(self.whole);
        }
        for interest in &ended {
            self.in_force.remove(interest);
            self.idle.remove(interest);
            if self.wanted.contains(interest) {
                self.missing.insert(*interest);
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests;
