//! Which faults, in which order.

use std::fmt;
use std::time::Duration;

use super::LONG_PAUSE;
use crate::bench::dice::Dice;

/// Short pauses last between these.
const PAUSE_S: std::ops::RangeInclusive<u64> = 1..=8;

/// Kinds of faults, each as often as the others.
const KINDS: usize = 9;

/// What is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// nats-server; `hansard nats` starts it again.
    NatsServer,
    /// `hansard nats`; nats-server dies with it.
    NatsSupervisor,
    Gateway(usize),
    Projector(usize),
    Client(usize),
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Injection {
    pub(super) target: Target,
    /// Paused for so long; `None`: killed.
    pub(super) pause: Option<Duration>,
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pause {
            None => write!(f, "kill ")?,
            Some(pause) => write!(f, "pause {} s ", pause.as_secs())?,
        }
        match self.target {
            Target::NatsServer => write!(f, "nats-server"),
            Target::NatsSupervisor => write!(f, "hansard nats"),
            Target::Gateway(index) => write!(f, "gateway {index}"),
            Target::Projector(index) => write!(f, "projector {index}"),
            Target::Client(index) => write!(f, "client {index}"),
        }
    }
}

/// The faults: every kind as often as the others, in random order, one pause long.
pub(super) fn plan(
    count: usize,
    clients: usize,
    long_pause: bool,
    dice: &mut Dice,
) -> Vec<Injection> {
    let mut kinds: [usize; KINDS] = std::array::from_fn(|kind| kind);
    shuffle(&mut kinds, dice);
    let mut plan: Vec<Injection> = kinds
        .into_iter()
        .cycle()
        .take(count)
        .map(|kind| {
            let two = dice.below(2);
            // Killing nats comes in two kinds, pausing in one: nothing else of `hansard nats` is
            // in the way of a message.
            let (target, is_kill) = match kind {
                0 => (Target::NatsServer, true),
                1 => (Target::Gateway(two), true),
                2 => (Target::Projector(two), true),
                3 => (Target::Client(dice.below(clients)), true),
                4 => (Target::NatsServer, false),
                5 => (Target::Gateway(two), false),
                6 => (Target::Projector(two), false),
                7 => (Target::Client(dice.below(clients)), false),
                _ => (Target::NatsSupervisor, true),
            };
            let span = (PAUSE_S.end() - PAUSE_S.start() + 1) as usize;
            let seconds = PAUSE_S.start() + dice.below(span) as u64;
            Injection { target, pause: (!is_kill).then(|| Duration::from_secs(seconds)) }
        })
        .collect();
    shuffle(&mut plan, dice);
    if long_pause {
        let pauses: Vec<usize> = (0..plan.len()).filter(|i| plan[*i].pause.is_some()).collect();
        if let Some(chosen) = pauses.get(dice.below(pauses.len())) {
            plan[*chosen].pause = Some(LONG_PAUSE);
        }
    }
    plan
}

fn shuffle<T>(items: &mut [T], dice: &mut Dice) {
    for index in (1..items.len()).rev() {
        items.swap(index, dice.below(index + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_faults_again_with_one_long_pause() {
        let faults = plan(30, 8, true, &mut Dice::new(7));
        assert_eq!(faults, plan(30, 8, true, &mut Dice::new(7)));
        assert_ne!(faults, plan(30, 8, true, &mut Dice::new(8)));
        assert_eq!(faults.iter().filter(|fault| fault.pause == Some(LONG_PAUSE)).count(), 1);
        assert!(faults.iter().any(|fault| fault.target == Target::NatsSupervisor));
    }
}
