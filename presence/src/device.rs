//! A device at the gateway that it is connected to.

use std::time::Duration;

use hansard_model::presence::DeviceState;

use crate::{CLOSE_HOLD, FLAP_WINDOW, GRACE, Moment, SPACING};

/// What a device says of its person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chosen {
    /// Here, unless they do nothing for long.
    #[default]
    Online,
    /// Not at the device.
    Away,
    /// Nothing is to be known.
    Invisible,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The session is over: the device does not come back.
    LoggedOut,
    /// It was closed in order by the device.
    Closed,
    /// Anything else: it is probably about to come back.
    Dropped,
}

/// A device of a person. A change is told by [`Device::poll`], which is to be called after every
/// other call, and at [`Device::due`].
#[derive(Clone, Debug)]
pub struct Device {
    away_after: Duration,
    connections: u32,
    chosen: Chosen,
    /// Its person shows nobody whether they are there.
    hidden: bool,
    said: Option<DeviceState>,
    said_at: Option<Moment>,
    /// Without a connection: until when it counts as there.
    held_until: Option<Moment>,
    left_at: Option<Moment>,
}

impl Device {
    /// A device without connections, whose person is away after doing nothing for `away_after`.
    pub fn new(away_after: Duration) -> Self {
        Self {
            away_after,
            connections: 0,
            chosen: Chosen::Online,
            hidden: false,
            said: None,
            said_at: None,
            held_until: None,
            left_at: None,
        }
    }

    /// A connection is there. Without a choice the last one holds, if the device was not gone.
    pub fn connect(&mut self, now: Moment, chosen: Option<Chosen>) {
        let is_back = self.connections > 0 || self.is_held(now);
        self.chosen = chosen.unwrap_or(if is_back { self.chosen } else { Chosen::Online });
        self.connections += 1;
        self.held_until = None;
    }

    /// A connection is gone.
    pub fn disconnect(&mut self, now: Moment, ending: Ending) {
        self.connections = self.connections.saturating_sub(1);
        if self.connections > 0 {
            return;
        }
        let is_flapping = self.left_at.is_some_and(|at| now.saturating_sub(at) < FLAP_WINDOW);
        let hold = match ending {
            Ending::LoggedOut => Duration::ZERO,
            Ending::Closed if !is_flapping => CLOSE_HOLD,
            Ending::Closed | Ending::Dropped => GRACE,
        };
        self.held_until = Some(now + hold);
        self.left_at = Some(now);
    }

    /// The device says how its person is shown.
    pub fn choose(&mut self, chosen: Chosen) {
        self.chosen = chosen;
    }

    /// Whether the person shows nobody that they are there.
    pub fn hide(&mut self, hidden: bool) {
        self.hidden = hidden;
    }

    /// Whether it shows nothing of its person although it is there.
    pub fn is_invisible(&self) -> bool {
        self.hidden || self.chosen == Chosen::Invisible
    }

    /// What was said last: `None`, that it is gone, or nothing.
    pub fn said(&self) -> Option<DeviceState> {
        self.said
    }

    /// The change that is to be said now, if there is one. `active_at`: when the person last did
    /// something.
    pub fn poll(&mut self, now: Moment, active_at: Moment) -> Option<Option<DeviceState>> {
        let state = self.state(now, active_at);
        if state == self.said || (state.is_some() && now < self.spaced_until()) {
            return None;
        }
        self.said = state;
        self.said_at = Some(now);
        Some(state)
    }

    /// When [`Device::poll`] may have something to say although nothing happens until then.
    pub fn due(&self, now: Moment, active_at: Moment) -> Option<Moment> {
        let is_waiting = self.state(now, active_at) != self.said;
        let spaced = is_waiting.then(|| self.spaced_until());
        let held = self.held_until.filter(|until| *until > now);
        let is_here = self.connections > 0 && self.said == Some(DeviceState::Online);
        let away = is_here.then(|| active_at + self.away_after);
        [spaced, held, away].into_iter().flatten().min()
    }

    /// Nothing is connected, and nothing is to be said or remembered any more.
    pub fn is_over(&self, now: Moment) -> bool {
        let is_remembered = self.left_at.is_some_and(|at| now.saturating_sub(at) < FLAP_WINDOW);
        self.connections == 0 && self.said.is_none() && !self.is_held(now) && !is_remembered
    }

    fn state(&self, now: Moment, active_at: Moment) -> Option<DeviceState> {
        if self.is_invisible() {
            return None;
        }
        if self.connections == 0 {
            // As it was: a device that is gone does nothing.
            return self.said.filter(|_| self.is_held(now));
        }
        let is_idle = now.saturating_sub(active_at) >= self.away_after;
        match self.chosen {
            Chosen::Online if !is_idle => Some(DeviceState::Online),
            Chosen::Online | Chosen::Away => Some(DeviceState::Away),
            Chosen::Invisible => None,
        }
    }

    fn is_held(&self, now: Moment) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    fn spaced_until(&self) -> Moment {
        self.said_at.map_or(Moment::ZERO, |at| at + SPACING)
    }
}

#[cfg(test)]
mod tests;
