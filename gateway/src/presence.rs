//! Presence: who is there, from a device to those who watch its person.
//!
//! The data's way: [`own`] follows the connections of this gateway's devices and says what they
//! come to, into the bucket and to whoever listens; nothing goes from there to [`watched`] but
//! through NATS. [`asks`] finds out whom a connection may watch ([`share`]), reads what holds, and
//! from then on [`watched`] takes the reports of the shards that matter and tells, in ticks, the
//! latest of each person to those who watch them.
//!
//! Invariant: whoever shares no conversation with a person is told nothing of them.
//! Invariant: what a person does not want known is not said by the gateway that they are at.

pub(crate) mod asks;
pub(crate) mod notes;
pub(crate) mod own;
mod share;
mod watched;

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hansard_model::presence::{PersonState, Visibility};
use hansard_model::{DeviceId, UserId};
use hansard_nats::Connection;
use hansard_nats::log::ReadError;
use hansard_nats::presence::{Presence as Bucket, REPORT_EVERY, REPORT_TTL, Shards};
use hansard_presence::{Moment, Person, Shown};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use self::asks::Asks;
use self::own::Devices;
use self::watched::Watched;
use crate::Gateway;

/// How often changes are said and told: what happens within one is one change.
const TICK: Duration = Duration::from_millis(250);
/// How often it is looked which gateways are there.
const GATEWAYS_EVERY: Duration = Duration::from_secs(3);
/// How often everybody who is watched is read anew: what was told and did not arrive.
const READ_EVERY: Duration = Duration::from_secs(120);
/// People who are read anew at once.
const READ_AT_ONCE: usize = 64;
/// People of whom nothing could be read are read again after this.
const READ_PAUSE: Duration = Duration::from_secs(5);
/// After an interruption everybody is read anew, once what nobody has said again is over.
const READ_AFTER: Duration = Duration::from_secs(REPORT_TTL.as_secs() + 5);
/// It is looked then which gateways are there, once all of them have said so again.
const LOOK_AFTER: Duration = Duration::from_secs(REPORT_EVERY.as_secs() + 5);
/// Pause before a subscription is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The presence of a gateway.
pub(crate) struct Presence {
    bucket: Bucket,
    connection: Connection,
    started: Instant,
    own: Devices,
    watched: Mutex<Watched>,
    asks: Asks,
    wanted: watch::Sender<Shards>,
    followed: watch::Sender<Shards>,
}

impl Presence {
    /// Of a gateway with this id, where people are away after doing nothing for `away_after`.
    pub(crate) fn new(connection: &Connection, id: DeviceId, away_after: Duration) -> Self {
        Self {
            bucket: Bucket::open(connection),
            connection: connection.clone(),
            started: Instant::now(),
            own: Devices::new(id, away_after),
            watched: Mutex::default(),
            asks: Asks::default(),
            wanted: watch::Sender::new(Shards::default()),
            followed: watch::Sender::new(Shards::default()),
        }
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what becomes of this gateway's devices, until dropped.
    pub(crate) async fn say(self: Arc<Self>, gateway: Arc<Gateway>) -> Infallible {
        let mut interruptions = self.connection.interruptions();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = interruptions.changed() => {
                    // The bucket is not synced, and nobody heard what was told meanwhile.
                    self.own.say_again(self.now());
                    continue;
                }
            }
            // Without NATS, or the time, it waits in the devices: only the latest is said then.
            let Ok(at) = gateway.clock.now() else { continue };
            if !self.connection.is_connected() {
                continue;
            }
            for said in self.own.poll(self.now(), at) {
                if let Err(error) = self.own.publish(&self.bucket, &said).await {
                    tracing::debug!(%error, "presence was not said");
                }
            }
        }
    }

    /// Tells those who watch, until dropped.
    pub(crate) async fn tell(self: Arc<Self>, gateway: Arc<Gateway>) -> Infallible {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let notes = gateway.router.notes.take();
            for user in notes.settings {
                let settings = gateway.directory.presence_settings(user);
                self.own.set(user, settings);
                if settings.last_seen == Visibility::Nobody {
                    self.watched().forget_last_seen(user);
                    // Every gateway does: the user need not be connected to any.
                    let forgotten = self.bucket.note_last_seen(user, None).await;
                    forgotten.unwrap_or_else(|error| tracing::debug!(%error, "last seen is kept"));
                }
            }
            self.depart(notes.departed);
            for link in self.watched().because_of(&notes.grown) {
                self.asks.repeat_in_turn(&link);
            }
            self.watched().tell(self.now());
        }
    }

    /// Nobody is told any more because of groups that they, or others, have left. `None`: of any.
    fn depart(&self, departed: Option<Vec<(hansard_model::ConversationId, UserId)>>) {
        let again = match departed {
            Some(departed) => self.watched().depart(&departed),
            None => self.watched().depart_all(),
        };
        for link in again {
            self.asks.repeat(link);
        }
    }

    /// Takes what other gateways say, and its own, until dropped.
    pub(crate) async fn listen(self: Arc<Self>) -> Infallible {
        let (mut feed, mut wanted) = (self.bucket.listen(), self.wanted.subscribe());
        loop {
            let shards = *wanted.borrow_and_update();
            // What is not heard from here on is not waited for as if it were.
            self.followed.send_modify(|followed| *followed = followed.within(shards));
            match feed.follow(shards).await {
                Ok(()) => drop(self.followed.send_replace(shards)),
                Err(error) => {
                    tracing::debug!(%error, "presence is not heard yet");
                    tokio::time::sleep(RETRY_PAUSE).await;
                    wanted.mark_changed();
                }
            }
            loop {
                tokio::select! {
                    (key, report) = feed.next() => {
                        self.watched().report(self.now(), &key, report);
                    }
                    changed = wanted.changed() => {
                        // The sender is part of self: it is not gone.
                        drop(changed);
                        break;
                    }
                }
            }
        }
    }

    /// Keeps what is known of those who are watched right, until dropped: reads it anew now and
    /// then, and looks which gateways are there.
    pub(crate) async fn repair(self: Arc<Self>, gateway: Arc<Gateway>) -> Infallible {
        let mut interruptions = self.connection.interruptions();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look_at = Moment::ZERO;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = interruptions.changed() => {
                    let now = self.now();
                    // What nobody says again by then has gone.
                    self.watched().read_again(now + READ_AFTER);
                    look_at = now + LOOK_AFTER;
                    continue;
                }
            }
            if !self.connection.is_connected() {
                continue;
            }
            let due = self.watched().unread_since(self.now(), READ_EVERY, READ_AT_ONCE);
            if let Err(error) = self.read(&gateway, &due).await {
                tracing::debug!(%error, "presence was not read");
                // Others come first: what cannot be read of these need not be so of them.
                self.watched().read_later(&due, self.now() + READ_PAUSE);
            }
            if self.now() < look_at {
                continue;
            }
            look_at = self.now() + GATEWAYS_EVERY;
            let wanted = self.watched().forget_the_unwatched(self.now());
            self.wanted.send_if_modified(|shards| std::mem::replace(shards, wanted) != wanted);
            match self.connection.gateways().await {
                Ok(present) => {
                    let present: HashSet<DeviceId> = present.into_iter().collect();
                    self.watched().gateways(self.now(), &present);
                }
                Err(error) => tracing::debug!(%error, "the gateways are not known"),
            }
        }
    }

    /// Reads what holds of people, and takes it.
    async fn read(&self, gateway: &Gateway, users: &[UserId]) -> Result<(), ReadError> {
        if users.is_empty() {
            return Ok(());
        }
        let began = self.now();
        let (held, seen) = tokio::try_join!(self.bucket.of(users), self.bucket.last_seen(users))?;
        let mut watched = self.watched();
        held.unknown.iter().for_each(|user| watched.unknown(self.now(), *user));
        for user in users.iter().filter(|user| !held.unknown.contains(user)) {
            let held = held.reports.get(user).map(Vec::as_slice).unwrap_or_default();
            let tells = gateway.directory.presence_settings(*user).last_seen;
            let seen = seen.get(user).copied().filter(|_| tells == Visibility::Shared);
            watched.read(self.now(), began, *user, held, seen);
        }
        Ok(())
    }

    /// How people are shown to somebody who may know: from what is watched here, or read.
    ///
    /// # Errors
    /// [`ReadError`]
    pub(crate) async fn of(
        &self,
        gateway: &Gateway,
        users: &[UserId],
    ) -> Result<HashMap<UserId, Shown>, ReadError> {
        let mut shown: HashMap<UserId, Shown> = {
            let watched = self.watched();
            users.iter().filter_map(|user| Some((*user, watched.shown(*user)?))).collect()
        };
        let unknown: Vec<UserId> =
            users.iter().filter(|user| !shown.contains_key(user)).copied().collect();
        let (held, seen) =
            tokio::try_join!(self.bucket.of(&unknown), self.bucket.last_seen(&unknown))?;
        let now = self.now();
        for user in unknown {
            let mut person = Person::default();
            seen.get(&user).iter().for_each(|at| person.seen(**at));
            for (key, report) in held.reports.get(&user).into_iter().flatten() {
                person.report(now, key, *report);
            }
            person.poll(now);
            shown.insert(user, person.shown());
        }
        for (user, shown) in &mut shown {
            *shown = permitted(gateway, *user, *shown);
        }
        Ok(shown)
    }
}

/// What is left of it by the person's settings. The gateway that they are at says no more than
/// that already; this is for what was said before.
fn permitted(gateway: &Gateway, user: UserId, shown: Shown) -> Shown {
    let settings = gateway.directory.presence_settings(user);
    let is_shown = settings.presence == Visibility::Shared;
    let is_seen = settings.last_seen == Visibility::Shared;
    Shown {
        state: if is_shown { shown.state } else { PersonState::Offline },
        last_seen: shown.last_seen.filter(|_| is_seen),
    }
}
