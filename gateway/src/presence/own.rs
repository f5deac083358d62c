//! The devices that are connected to this gateway, and what it says of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hansard_model::presence::{DeviceReport, PresenceKey, PresenceSettings, Visibility};
use hansard_model::{DeviceId, LogTime, UserId};
use hansard_nats::log::ReadError;
use hansard_nats::presence::{Presence as Bucket, REPORT_EVERY};
use hansard_presence::{Chosen, Device, Ending, Moment};
use hansard_protocol::client::Watch;

use super::Presence;
use crate::metrics::presence as metrics;
use crate::router::Link;

/// How often it is noted that somebody is there: what a gateway that is killed leaves behind is
/// about so old.
const LAST_SEEN_EVERY: Duration = Duration::from_secs(600);
/// What is said at once; what holds and is only said again waits for the next tick.
const SAID_AT_ONCE: usize = 1_000;
/// Over how long what holds is said again after an interruption.
const SAID_AGAIN_OVER: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Devices {
    id: DeviceId,
    away_after: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    devices: HashMap<(UserId, DeviceId), Own>,
    rev: u64,
}

struct Own {
    device: Device,
    pulse: Arc<Pulse>,
    tells_last_seen: bool,
    /// When it is to be looked at, at the latest.
    due: Moment,
    /// When what holds is to be said again, and whether to those who listen too.
    again_at: Moment,
    is_retold: bool,
    /// What was said last.
    said: Option<DeviceReport>,
    last_seen_at: Option<Moment>,
}

/// What the connections of a device share.
#[derive(Debug, Default)]
struct Pulse {
    /// When its person last did something, in milliseconds.
    active_ms: AtomicU64,
    is_invisible: AtomicBool,
}

impl Pulse {
    fn active_at(&self) -> Moment {
        Duration::from_millis(self.active_ms.load(Ordering::Relaxed))
    }

    fn active(&self, now: Moment) {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.active_ms.fetch_max(now, Ordering::Relaxed);
    }
}

/// Something to say.
pub(super) struct Said {
    key: PresenceKey,
    report: DeviceReport,
    /// It is news, and not only what holds.
    is_told: bool,
    /// When the user was there last, to be kept.
    last_seen: Option<LogTime>,
}

impl Devices {
    pub(super) fn new(id: DeviceId, away_after: Duration) -> Self {
        Self { id, away_after, state: Mutex::default() }
    }

    fn connect(
        &self,
        now: Moment,
        link: &Link,
        chosen: Option<Chosen>,
        settings: PresenceSettings,
    ) -> Arc<Pulse> {
        let mut state = self.lock();
        let own = state.devices.entry((link.user, link.device)).or_insert_with(|| Own {
            device: Device::new(self.away_after),
            pulse: Arc::default(),
            tells_last_seen: true,
            due: now,
            again_at: Moment::MAX,
            is_retold: false,
            said: None,
            last_seen_at: None,
        });
        own.pulse.active(now);
        own.device.connect(now, chosen);
        own.apply(settings);
        own.changed(now);
        own.pulse.clone()
    }

    fn with(&self, now: Moment, link: &Link, what: impl FnOnce(&mut Device)) {
        if let Some(own) = self.lock().devices.get_mut(&(link.user, link.device)) {
            what(&mut own.device);
            own.changed(now);
        }
    }

    /// Takes a user's settings.
    pub(super) fn set(&self, user: UserId, settings: PresenceSettings) {
        let mut state = self.lock();
        for (_, own) in state.devices.iter_mut().filter(|((of, _), _)| *of == user) {
            own.apply(settings);
            own.changed(Moment::ZERO);
            // Said again at once: whether it tells when it was there last is part of it.
            own.again_at = Moment::ZERO;
            own.is_retold = true;
        }
    }

    /// Everything that holds is said again, soon: to those who listen too. So is that somebody has
    /// gone, of those who are remembered: the bucket may have lost that, and keep what was before.
    pub(super) fn say_again(&self, now: Moment) {
        let mut state = self.lock();
        let count = u32::try_from(state.devices.len()).unwrap_or(u32::MAX).max(1);
        for (place, own) in (0..).zip(state.devices.values_mut()) {
            own.again_at = own.again_at.min(now + SAID_AGAIN_OVER * place / count);
            own.is_retold = true;
            own.due = own.due.min(own.again_at);
        }
    }

    /// What is to be said now.
    pub(super) fn poll(&self, now: Moment, at: LogTime) -> Vec<Said> {
        let mut said = Vec::new();
        let mut state = self.lock();
        let State { devices, rev } = &mut *state;
        let mut is_over = false;
        for ((user, device), own) in devices.iter_mut().filter(|(_, own)| own.due <= now) {
            let key = PresenceKey { user: *user, device: *device, gateway: self.id };
            said.extend(
                own.poll(now, at, said.len() >= SAID_AT_ONCE, rev)
                    .map(|(report, is_told, last_seen)| Said { key, report, is_told, last_seen }),
            );
            is_over |= own.device.is_over(now);
        }
        if is_over {
            devices.retain(|_, own| !own.device.is_over(now));
        }
        metrics::devices(devices.len());
        said
    }

    /// Says it.
    ///
    /// # Errors
    /// [`ReadError`] when the client is closed.
    pub(super) async fn publish(&self, bucket: &Bucket, said: &Said) -> Result<(), ReadError> {
        let Said { key, report, is_told, last_seen } = said;
        bucket.put(key, report).await?;
        metrics::report_written();
        if *is_told {
            bucket.tell(key, report).await?;
            metrics::change_said();
        }
        if let Some(at) = last_seen {
            bucket.note_last_seen(key.user, Some(*at)).await?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Own {
    fn apply(&mut self, settings: PresenceSettings) {
        self.device.hide(settings.presence == Visibility::Nobody);
        self.tells_last_seen = settings.last_seen == Visibility::Shared;
    }

    fn changed(&mut self, now: Moment) {
        self.pulse.is_invisible.store(self.device.is_invisible(), Ordering::Relaxed);
        self.due = self.due.min(now);
    }

    /// A report, whether it is to be told, and when the user was there last. `is_late`: what only
    /// holds waits for the next time.
    fn poll(
        &mut self,
        now: Moment,
        at: LogTime,
        is_late: bool,
        rev: &mut u64,
    ) -> Option<(DeviceReport, bool, Option<LogTime>)> {
        let active_at = self.pulse.active_at();
        let change = self.device.poll(now, active_at);
        let state = self.device.said();
        let is_again = state.is_some() && self.again_at <= now && !is_late;
        let report = (change.is_some() || is_again).then(|| {
            *rev += 1;
            DeviceReport { rev: *rev, state, at, tells_last_seen: self.tells_last_seen }
        });
        let is_gone_again = self.is_retold && self.again_at <= now && change.is_none();
        let gone =
            self.said.filter(|said| is_gone_again && state.is_none() && said.state.is_none());
        let is_told = change.is_some() || (is_again && self.is_retold) || gone.is_some();
        let report = report.or_else(|| {
            let said = gone?;
            *rev += 1;
            // When they went stays as it was.
            Some(DeviceReport { rev: *rev, ..said })
        });
        self.said = report.or(self.said);
        if report.is_some() {
            self.is_retold = false;
            self.again_at = if state.is_some() { now + REPORT_EVERY } else { Moment::MAX };
        }
        let is_old = self.last_seen_at.is_none_or(|noted| now >= noted + LAST_SEEN_EVERY);
        let is_noted =
            self.tells_last_seen && gone.is_none() && (change.is_some() || (is_again && is_old));
        if is_noted && report.is_some() {
            self.last_seen_at = Some(now);
        }
        let remembered = (!self.device.is_over(now)).then(|| now + Duration::from_secs(1));
        let is_here = state.is_some();
        let again_at = (is_here || self.is_retold).then_some(self.again_at);
        let due = [self.device.due(now, active_at), again_at];
        // Nobody waits for one that is gone: it is looked at until it may be forgotten.
        self.due = due.into_iter().flatten().min().or(remembered).unwrap_or(now);
        report.map(|report| (report, is_told, is_noted.then_some(at)))
    }
}

/// A connection's part in its person's presence; it is given up when this is dropped.
pub(crate) struct Here {
    presence: Arc<Presence>,
    link: Arc<Link>,
    /// `None`: a connection in the background has no part in it.
    pulse: Option<Arc<Pulse>>,
    ending: Ending,
}

impl Presence {
    /// A connection is there.
    pub(crate) fn connect(
        self: &Arc<Self>,
        link: &Arc<Link>,
        chosen: Option<Chosen>,
        settings: PresenceSettings,
    ) -> Here {
        let pulse = (!link.background).then(|| {
            self.watched().attach(link);
            self.own.connect(self.now(), link, chosen, settings)
        });
        Here { presence: self.clone(), link: link.clone(), pulse, ending: Ending::Dropped }
    }
}

impl Here {
    /// The person has done something.
    pub(crate) fn active(&self) {
        let Some(pulse) = &self.pulse else { return };
        let (now, before) = (self.presence.now(), pulse.active_at());
        pulse.active(now);
        if now.saturating_sub(before) >= self.presence.own.away_after {
            self.presence.own.with(now, &self.link, |_| {});
        }
    }

    /// The person says how they are shown.
    pub(crate) fn choose(&self, chosen: Chosen) {
        if self.pulse.is_some() {
            self.presence.own.with(self.presence.now(), &self.link, |device| device.choose(chosen));
        }
    }

    /// Whether others are not to know that the person is at this device.
    pub(crate) fn is_invisible(&self) -> bool {
        self.pulse.as_ref().is_some_and(|pulse| pulse.is_invisible.load(Ordering::Relaxed))
    }

    /// Watches these people, in place of those before.
    pub(crate) fn watch(&self, watch: Watch) {
        if self.pulse.is_some() {
            self.presence.asks.ask(&self.link, watch);
        }
    }

    /// Notes how the connection ended: by a close of the other side, or by one of this side.
    pub(crate) fn ended(&mut self, code: u16, by_device: bool) {
        self.ending = match code {
            4001 | 4003 => Ending::LoggedOut,
            1000 | 1001 if by_device => Ending::Closed,
            _ => Ending::Dropped,
        };
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if self.pulse.is_some() {
            let (presence, ending) = (&self.presence, self.ending);
            presence.asks.forget(&self.link);
            presence.watched().detach(&self.link);
            let now = presence.now();
            presence.own.with(now, &self.link, |device| device.disconnect(now, ending));
        }
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::presence::DeviceState;

    use super::super::TICK;
    use super::*;

    fn device() -> (Devices, Link) {
        let id = |byte| DeviceId::from_entropy([byte; 20]);
        let outbox = Arc::new(crate::outbox::Outbox::new(1_000));
        let link = Link::new(UserId::from_entropy([1; 20]), id(2), outbox, false);
        (Devices::new(id(3), Duration::from_secs(600)), link)
    }

    /// What is said within so long, polled in ticks: the states, and how many were told.
    fn said(devices: &Devices, from: Moment, seconds: u64) -> (Vec<Option<DeviceState>>, usize) {
        let mut all = Vec::new();
        for tick in 0..seconds * 4 {
            let now = from + Duration::from_millis(tick * 250);
            all.extend(devices.poll(now, LogTime::from_millis(1)));
        }
        (
            all.iter().map(|said| said.report.state).collect(),
            all.iter().filter(|said| said.is_told).count(),
        )
    }

    #[test]
    fn what_holds_is_said_again_and_told_once() {
        let (devices, link) = device();
        devices.connect(Moment::ZERO, &link, None, PresenceSettings::default());
        let (states, told) = said(&devices, Moment::ZERO, 61);
        assert_eq!((states, told), (vec![Some(DeviceState::Online); 4], 1));
    }

    #[test]
    fn after_an_interruption_it_is_told_again_soon() {
        let (devices, link) = device();
        devices.connect(Moment::ZERO, &link, None, PresenceSettings::default());
        said(&devices, Moment::ZERO, 5);
        devices.say_again(Duration::from_secs(5));
        assert_eq!(said(&devices, Duration::from_secs(5), 6).1, 1);
    }

    #[test]
    fn after_an_interruption_it_is_told_again_who_has_gone_and_when_that_was() {
        let (devices, link) = device();
        devices.connect(Moment::ZERO, &link, None, PresenceSettings::default());
        said(&devices, Moment::ZERO, 5);
        let (gone, now) = (Duration::from_secs(5), Duration::from_secs(9));
        devices.with(gone, &link, |device| device.disconnect(gone, Ending::Closed));
        assert_eq!(said(&devices, gone, 4).0, [None]);
        devices.say_again(now);
        let again: Vec<Said> = (0..20)
            .flat_map(|tick| devices.poll(now + tick * TICK, LogTime::from_millis(9)))
            .collect();
        let told: Vec<_> = again.iter().map(|said| (said.report.state, said.is_told)).collect();
        assert_eq!(told, [(None, true)]);
        assert_eq!((again[0].report.at, again[0].last_seen), (LogTime::from_millis(1), None));
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let (devices, link) = device();
        devices.connect(Moment::ZERO, &link, None, PresenceSettings::default());
        said(&devices, Moment::ZERO, 5);
        let now = Duration::from_secs(5);
        devices.with(now, &link, |device| device.disconnect(now, Ending::Dropped));
        let (states, told) = said(&devices, now, 30);
        assert_eq!((states, told), (vec![None], 1));
        assert!(devices.lock().devices.is_empty());
    }

    #[test]
    fn a_device_that_hides_is_said_to_go_once_and_never_again() {
        let (devices, link) = device();
        devices.connect(Moment::ZERO, &link, None, PresenceSettings::default());
        said(&devices, Moment::ZERO, 5);
        let hidden =
            PresenceSettings { presence: Visibility::Nobody, last_seen: Visibility::Nobody };
        devices.set(link.user, hidden);
        let (states, told) = said(&devices, Duration::from_secs(5), 120);
        assert_eq!((states, told), (vec![None], 1));
    }
}
