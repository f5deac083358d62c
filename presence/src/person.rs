//! A person at the gateway of somebody who watches them.

use std::collections::HashSet;
use std::time::Duration;

use hansard_model::presence::{DeviceReport, DeviceState, PersonState, PresenceKey};
use hansard_model::{DeviceId, LogTime};

use crate::{GRACE, Moment};

/// Devices of a person at gateways that are kept; more are not counted.
const DEVICES_MAX: usize = 128;
/// How long it is remembered that a device has gone: longer than any report of before is on its
/// way.
const GONE_REMEMBERED_FOR: Duration = Duration::from_secs(120);

/// How a person is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Whether they are there.
    pub state: PersonState,
    /// When they were last, if they are not and let it be known.
    pub last_seen: Option<LogTime>,
}

/// A person, by the reports of all gateways. A change is told by [`Person::poll`].
#[derive(Clone, Debug, Default)]
pub struct Person {
    devices: Vec<Known>,
    last_seen: Option<LogTime>,
    shown: Shown,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    device: DeviceId,
    gateway: DeviceId,
    report: DeviceReport,
    heard: Moment,
    /// Since when the bucket does not have it.
    lost: Option<Moment>,
    /// Since when its gateway is not there, as which the bucket keeps its reports for a while.
    lost_gateway: Option<Moment>,
}

/// Where a report comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// From its gateway, which says it now.
    Live,
    /// From the bucket, which may have it from a gateway that is gone.
    Read,
}

impl Known {
    fn is(&self, key: &PresenceKey) -> bool {
        self.device == key.device && self.gateway == key.gateway
    }

    fn state(&self, now: Moment) -> Option<DeviceState> {
        let is_there = |lost: Option<Moment>| lost.is_none_or(|lost| now < lost + GRACE);
        self.report.state.filter(|_| is_there(self.lost) && is_there(self.lost_gateway))
    }

    fn is_lost(&self) -> bool {
        self.lost.or(self.lost_gateway).is_some()
    }
}

impl Person {
    /// Takes a report. Of one device at one gateway the one with the highest `rev` counts, in
    /// whatever order they come.
    pub fn report(&mut self, now: Moment, key: &PresenceKey, report: DeviceReport) {
        self.take(now, key, report, Heard::Live);
    }

    fn take(&mut self, now: Moment, key: &PresenceKey, report: DeviceReport, heard: Heard) {
        if let Some(known) = self.devices.iter_mut().find(|known| known.is(key)) {
            if report.rev < known.report.rev {
                return;
            }
            let is_news = report.rev > known.report.rev;
            (known.report, known.heard, known.lost) = (report, now, None);
            if heard == Heard::Live {
                known.lost_gateway = None;
            }
            if is_news {
                self.note_last_seen(&report);
            }
            return;
        }
        self.note_last_seen(&report);
        if self.devices.len() >= DEVICES_MAX {
            self.devices.retain(|known| known.report.state.is_some());
        }
        if self.devices.len() < DEVICES_MAX {
            let PresenceKey { device, gateway, .. } = *key;
            let (lost, lost_gateway) = (None, None);
            self.devices.push(Known { device, gateway, report, heard: now, lost, lost_gateway });
        }
    }

    /// Takes all that the bucket holds of the person, by a read that began at `began`. A device
    /// that is not among it is lost, unless it was heard of since.
    pub fn read(&mut self, now: Moment, began: Moment, held: &[(PresenceKey, DeviceReport)]) {
        for (key, report) in held {
            self.take(now, key, *report, Heard::Read);
        }
        for known in &mut self.devices {
            let is_held = held.iter().any(|(key, _)| known.is(key));
            if !is_held && known.heard < began && known.report.state.is_some() {
                known.lost.get_or_insert(now);
            }
        }
    }

    /// Takes which gateways are there: devices of others are lost until theirs is there again, or
    /// says so itself. What the bucket still has of them does not bring them back.
    pub fn gateways(&mut self, now: Moment, present: &HashSet<DeviceId>) {
        for known in &mut self.devices {
            if present.contains(&known.gateway) {
                known.lost_gateway = None;
                continue;
            }
            // One that was heard of a moment ago has started since the others were asked.
            if known.report.state.is_some() && now.saturating_sub(known.heard) > GRACE {
                known.lost_gateway.get_or_insert(now);
            }
        }
    }

    /// Takes when the person was there last, from where that is kept.
    pub fn seen(&mut self, at: LogTime) {
        self.last_seen = self.last_seen.max(Some(at));
    }

    /// The person lets nobody know any more when they were there.
    pub fn forget_last_seen(&mut self) {
        self.last_seen = None;
    }

    /// The change that is to be shown now, if there is one.
    pub fn poll(&mut self, now: Moment) -> Option<Shown> {
        self.devices.retain(|known| {
            known.state(now).is_some() || now.saturating_sub(known.heard) < GONE_REMEMBERED_FOR
        });
        let state = self.devices.iter().filter_map(|known| known.state(now)).max();
        let state = state.map_or(PersonState::Offline, PersonState::from);
        let last_seen = self.last_seen.filter(|_| state == PersonState::Offline);
        let shown = Shown { state, last_seen };
        let is_news = state != self.shown.state;
        self.shown = shown;
        is_news.then_some(shown)
    }

    /// How the person is shown, as of the last [`Person::poll`].
    pub fn shown(&self) -> Shown {
        self.shown
    }

    /// Whether a change may come by time alone.
    pub fn is_pending(&self, now: Moment) -> bool {
        self.devices.iter().any(|known| known.is_lost() && known.state(now).is_some())
    }

    fn note_last_seen(&mut self, report: &DeviceReport) {
        // Where nobody says more, that is when the device was heard of last.
        if report.tells_last_seen {
            self.seen(report.at);
        } else {
            // Nobody is to know it any more, whatever was known before.
            self.forget_last_seen();
        }
    }
}

#[cfg(test)]
mod tests;
