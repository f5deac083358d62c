use proptest::prelude::*;

use super::*;

const AWAY_AFTER: Duration = Duration::from_secs(600);

fn ms(millis: u64) -> Moment {
    Duration::from_millis(millis)
}

/// A device and all that it has said, with the time of each.
struct Said {
    device: Device,
    said: Vec<(Moment, Option<DeviceState>)>,
    now: Moment,
    active_at: Moment,
}

impl Said {
    fn new() -> Self {
        let device = Device::new(AWAY_AFTER);
        Self { device, said: Vec::new(), now: Moment::ZERO, active_at: Moment::ZERO }
    }

    /// Goes on to a moment, polling only when the machine asks for it.
    fn until(&mut self, moment: Moment) {
        while let Some(due) = self.device.due(self.now, self.active_at)
            && due <= moment
        {
            assert!(due > self.now, "due at {due:?}, and it is {:?}", self.now);
            self.now = due;
            self.poll();
        }
        self.now = moment;
    }

    fn poll(&mut self) {
        let said = self.device.poll(self.now, self.active_at);
        self.said.extend(said.map(|state| (self.now, state)));
    }

    fn connect(&mut self, chosen: Option<Chosen>) {
        self.active_at = self.now;
        self.device.connect(self.now, chosen);
        self.poll();
    }

    fn leave(&mut self, ending: Ending) {
        self.device.disconnect(self.now, ending);
        self.poll();
    }

    fn states(&self) -> Vec<Option<DeviceState>> {
        self.said.iter().map(|(_, state)| *state).collect()
    }
}

const ONLINE: Option<DeviceState> = Some(DeviceState::Online);
const AWAY: Option<DeviceState> = Some(DeviceState::Away);

#[test]
fn who_closes_is_gone_soon_and_who_drops_after_the_grace() {
    for (ending, after) in
        [(Ending::LoggedOut, ms(0)), (Ending::Closed, CLOSE_HOLD), (Ending::Dropped, GRACE)]
    {
        let mut said = Said::new();
        said.connect(None);
        said.until(ms(60_000));
        said.leave(ending);
        said.until(ms(600_000));
        assert_eq!(said.said, [(ms(0), ONLINE), (ms(60_000) + after, None)], "{ending:?}");
        assert!(said.device.is_over(said.now));
    }
}

#[test]
fn a_device_with_two_connections_is_there_until_the_second_is_gone() {
    let mut said = Said::new();
    said.connect(None);
    said.connect(None);
    said.leave(Ending::LoggedOut);
    said.until(ms(60_000));
    assert_eq!(said.states(), [ONLINE]);
    said.leave(Ending::LoggedOut);
    assert_eq!(said.states(), [ONLINE, None]);
}

#[test]
fn who_does_nothing_is_away_and_who_does_something_is_back() {
    let mut said = Said::new();
    said.connect(None);
    said.until(AWAY_AFTER + ms(5_000));
    assert_eq!(said.said[1..], [(AWAY_AFTER, AWAY)]);
    said.active_at = said.now;
    said.poll();
    assert_eq!(said.states(), [ONLINE, AWAY, ONLINE]);
}

#[test]
fn an_invisible_device_says_nothing_whatever_it_does() {
    let mut said = Said::new();
    said.connect(Some(Chosen::Invisible));
    said.until(ms(5_000));
    said.leave(Ending::Dropped);
    said.until(ms(6_000));
    // Back within the grace, without saying it again.
    said.connect(None);
    said.until(AWAY_AFTER * 2);
    said.leave(Ending::Closed);
    said.until(AWAY_AFTER * 3);
    assert_eq!(said.said, []);
}

#[test]
fn becoming_invisible_is_leaving_at_once_and_coming_back_waits_its_turn() {
    let mut said = Said::new();
    said.connect(None);
    said.until(ms(5_000));
    said.device.choose(Chosen::Invisible);
    said.poll();
    said.device.choose(Chosen::Online);
    said.poll();
    said.until(ms(60_000));
    assert_eq!(said.said, [(ms(0), ONLINE), (ms(5_000), None), (ms(6_000), ONLINE)]);
}

#[test]
fn who_hides_from_everybody_is_gone_at_once() {
    let mut said = Said::new();
    said.connect(None);
    said.device.hide(true);
    said.poll();
    said.device.choose(Chosen::Away);
    said.until(ms(60_000));
    assert_eq!(said.states(), [ONLINE, None]);
}

#[test]
fn a_choice_holds_over_a_reconnect_and_ends_with_the_device() {
    let mut said = Said::new();
    said.connect(Some(Chosen::Away));
    said.leave(Ending::Dropped);
    said.until(ms(5_000));
    said.connect(None);
    said.until(ms(20_000));
    assert_eq!(said.states(), [AWAY]);
    said.leave(Ending::Closed);
    said.until(ms(60_000));
    said.connect(None);
    assert_eq!(said.states(), [AWAY, None, ONLINE]);
}

proptest! {
    #[test]
    fn twenty_reconnects_in_ten_seconds_show_nothing(
        gaps in prop::collection::vec((0..400_u64, 0..800_u64, any::<bool>()), 20),
    ) {
        let mut said = Said::new();
        said.connect(None);
        said.until(ms(30_000));
        for (there, gone, closes) in gaps {
            said.until(said.now + ms(there));
            said.leave(if closes { Ending::Closed } else { Ending::Dropped });
            said.until(said.now + ms(gone.min(CLOSE_HOLD.as_millis() as u64 - 1)));
            said.connect(None);
        }
        said.until(said.now + ms(60_000));
        prop_assert_eq!(said.states(), vec![ONLINE]);
    }

    /// However long each absence is: one may be shown before it is known that it is one of many.
    #[test]
    fn a_device_that_flaps_is_shown_to_leave_once_at_most(
        steps in prop::collection::vec((0..2_000_u64, 0..2_000_u64), 1..40),
    ) {
        let mut said = Said::new();
        said.connect(None);
        for (there, gone) in steps {
            said.until(said.now + ms(there));
            said.leave(Ending::Closed);
            said.until(said.now + ms(gone));
            said.connect(None);
        }
        said.until(said.now + ms(30_000));
        let gone = said.said.iter().filter(|(_, state)| state.is_none()).count();
        prop_assert!(gone <= 1, "{:?}", said.said);
        prop_assert_eq!(said.said.last().and_then(|(_, state)| *state), ONLINE);
    }

    /// Whatever happens, what was said last is what holds, changes alternate, and those of a device
    /// that is there are spaced.
    #[test]
    fn what_was_said_last_is_what_holds(
        steps in prop::collection::vec((0..30_000_u64, 0..7_u8), 0..60),
    ) {
        let mut said = Said::new();
        let mut connections = 0;
        for (pause, step) in steps {
            said.until(said.now + ms(pause));
            match step {
                0 | 1 => {
                    said.connect((step == 1).then_some(Chosen::Online));
                    connections += 1;
                }
                2..=4 if connections > 0 => {
                    let endings = [Ending::LoggedOut, Ending::Closed, Ending::Dropped];
                    said.leave(endings[usize::from(step - 2)]);
                    connections -= 1;
                }
                5 => said.device.choose(Chosen::Away),
                6 => said.device.choose(Chosen::Invisible),
                _ => {}
            }
            said.poll();
        }
        said.until(said.now + ms(30_000));
        let is_shown = connections > 0 && !said.device.is_invisible();
        let last = said.states().last().copied().flatten();
        prop_assert_eq!(last.is_some(), is_shown, "{:?}", said.said);
        for pair in said.said.windows(2) {
            prop_assert!(pair[0].1 != pair[1].1);
            prop_assert!(pair[1].1.is_none() || pair[1].0 - pair[0].0 >= SPACING);
        }
        prop_assert_eq!(said.device.is_over(said.now), connections == 0);
    }
}
