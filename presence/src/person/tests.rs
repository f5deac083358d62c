use hansard_model::UserId;
use proptest::prelude::*;

use super::*;

fn ms(millis: u64) -> Moment {
    Duration::from_millis(millis)
}

fn key(device: u8, gateway: u8) -> PresenceKey {
    PresenceKey {
        user: UserId::from_entropy([1; 20]),
        device: DeviceId::from_entropy([device; 20]),
        gateway: DeviceId::from_entropy([gateway; 20]),
    }
}

fn says(rev: u64, state: Option<DeviceState>) -> DeviceReport {
    DeviceReport { rev, state, at: LogTime::from_millis(rev), tells_last_seen: true }
}

const ONLINE: Option<DeviceState> = Some(DeviceState::Online);
const AWAY: Option<DeviceState> = Some(DeviceState::Away);

fn states(person: &mut Person, now: Moment) -> PersonState {
    person.poll(now);
    person.shown().state
}

#[test]
fn the_most_present_device_counts_wherever_it_is() {
    let mut person = Person::default();
    person.report(ms(0), &key(1, 1), says(1, AWAY));
    assert_eq!(states(&mut person, ms(0)), PersonState::Away);
    person.report(ms(1), &key(2, 2), says(1, ONLINE));
    assert_eq!(states(&mut person, ms(1)), PersonState::Online);
    person.report(ms(2), &key(2, 2), says(2, None));
    assert_eq!(states(&mut person, ms(2)), PersonState::Away);
    person.report(ms(3), &key(1, 1), says(9, None));
    assert_eq!(person.poll(ms(3)).map(|shown| shown.state), Some(PersonState::Offline));
    assert_eq!(person.shown().last_seen, Some(LogTime::from_millis(9)));
}

#[test]
fn a_device_that_moves_to_another_gateway_shows_nothing() {
    let mut person = Person::default();
    person.report(ms(0), &key(1, 1), says(1, ONLINE));
    assert!(person.poll(ms(0)).is_some());
    person.report(ms(1), &key(1, 2), says(1, ONLINE));
    person.report(ms(9), &key(1, 1), says(2, None));
    assert_eq!(person.poll(ms(9)), None);
}

#[test]
fn an_old_read_does_not_bring_back_who_has_gone() {
    let mut person = Person::default();
    let here = (key(1, 1), says(1, ONLINE));
    person.report(ms(5), &here.0, here.1);
    person.report(ms(6), &here.0, says(2, None));
    person.read(ms(7), ms(4), &[here]);
    assert_eq!(states(&mut person, ms(7)), PersonState::Offline);
}

#[test]
fn who_is_not_in_the_bucket_is_gone_after_the_grace_unless_heard_of_since() {
    let mut person = Person::default();
    person.report(ms(5), &key(1, 1), says(1, ONLINE));
    person.read(ms(20), ms(4), &[]);
    assert!(!person.is_pending(ms(20)), "heard of after the read began");
    person.read(ms(30), ms(25), &[]);
    assert!(person.is_pending(ms(30)));
    assert_eq!(states(&mut person, ms(30)), PersonState::Online);
    person.read(ms(40), ms(35), &[(key(1, 1), says(1, ONLINE))]);
    assert!(!person.is_pending(ms(40)), "it is back");
    person.read(ms(50), ms(45), &[]);
    assert_eq!(states(&mut person, ms(50) + GRACE), PersonState::Offline);
    assert!(!person.is_pending(ms(50) + GRACE));
}

#[test]
fn what_the_bucket_still_has_does_not_bring_back_the_devices_of_a_dead_gateway() {
    let mut person = Person::default();
    let here = (key(1, 1), says(1, ONLINE));
    person.report(ms(0), &here.0, here.1);
    let at = GRACE + ms(1);
    person.gateways(at, &HashSet::new());
    person.read(at + ms(2), at + ms(1), &[here]);
    assert!(person.is_pending(at + ms(2)));
    assert_eq!(states(&mut person, at + GRACE), PersonState::Offline);
    person.read(at + GRACE + ms(2), at + GRACE + ms(1), &[here]);
    assert_eq!(states(&mut person, at + GRACE + ms(2)), PersonState::Offline);
    person.report(at + GRACE + ms(3), &here.0, here.1);
    assert_eq!(states(&mut person, at + GRACE + ms(3)), PersonState::Online, "it says so itself");
}

#[test]
fn a_gateway_that_is_there_again_brings_its_devices_back() {
    let mut person = Person::default();
    let present: HashSet<DeviceId> = [key(1, 1).gateway].into();
    person.report(ms(0), &key(1, 1), says(1, ONLINE));
    let at = GRACE + ms(1);
    person.gateways(at, &HashSet::new());
    person.gateways(at + ms(3), &present);
    assert!(!person.is_pending(at + ms(3)));
    assert_eq!(states(&mut person, at + 2 * GRACE), PersonState::Online, "one look missed it");
    // But not one that the bucket has lost.
    person.read(at + 2 * GRACE, at + 2 * GRACE - ms(1), &[]);
    person.gateways(at + 2 * GRACE, &present);
    assert_eq!(states(&mut person, at + 3 * GRACE), PersonState::Offline);
}

#[test]
fn who_tells_nobody_any_more_when_they_were_there_is_not_shown_with_it() {
    let mut person = Person::default();
    person.report(ms(0), &key(1, 1), says(1, None));
    person.poll(ms(0));
    assert_eq!(person.shown().last_seen, Some(LogTime::from_millis(1)));
    person.report(ms(1), &key(1, 1), DeviceReport { tells_last_seen: false, ..says(2, None) });
    person.poll(ms(1));
    assert_eq!(person.shown().last_seen, None);
}

#[test]
fn devices_of_a_gateway_that_died_are_gone_after_the_grace() {
    let mut person = Person::default();
    let present: HashSet<DeviceId> = [key(1, 2).gateway].into();
    person.report(ms(0), &key(1, 1), says(1, ONLINE));
    person.gateways(ms(5), &present);
    assert!(!person.is_pending(ms(5)), "it may have started just now");
    let at = GRACE + ms(5);
    person.gateways(at, &present);
    assert_eq!(states(&mut person, at), PersonState::Online);
    assert_eq!(states(&mut person, at + GRACE), PersonState::Offline);
}

#[test]
fn what_nobody_may_know_is_not_shown() {
    let mut person = Person::default();
    let silent = |rev, state| DeviceReport { tells_last_seen: false, ..says(rev, state) };
    person.report(ms(0), &key(1, 1), silent(1, ONLINE));
    person.report(ms(1), &key(1, 1), silent(2, None));
    person.poll(ms(1));
    assert_eq!(person.shown(), Shown::default());
}

#[test]
fn who_has_gone_is_forgotten_in_time() {
    let mut person = Person::default();
    for device in 0..32 {
        person.report(ms(0), &key(device, 1), says(1, None));
    }
    person.poll(GONE_REMEMBERED_FOR);
    assert!(person.devices.is_empty());
}

proptest! {
    /// Reports may come in any order, twice and late: the last of each device counts.
    #[test]
    fn the_last_of_each_device_counts_in_any_order(
        reports in prop::collection::vec((0..3_u8, 0..2_u8, 1..50_u64), 0..40),
        order in any::<u64>(),
    ) {
        let state_of = |device: u8, gateway: u8, rev: u64| {
            [ONLINE, AWAY, None][((rev * 7 + u64::from(device) + u64::from(gateway)) % 3) as usize]
        };
        let mut shuffled = reports.clone();
        shuffled.sort_by_key(|(d, g, rev)| {
            (u64::from(*d) * 31 + u64::from(*g) * 17 + rev).wrapping_mul(order | 1)
        });
        let mut person = Person::default();
        for (device, gateway, rev) in shuffled.iter().chain(&reports) {
            let report = says(*rev, state_of(*device, *gateway, *rev));
            person.report(ms(1), &key(*device, *gateway), report);
        }
        let mut wanted = PersonState::Offline;
        for device in 0..3 {
            for gateway in 0..2 {
                let of_it = reports.iter().filter(|(d, g, _)| (*d, *g) == (device, gateway));
                if let Some(rev) = of_it.map(|(_, _, rev)| *rev).max() {
                    let state = state_of(device, gateway, rev);
                    wanted = wanted.max(state.map_or(PersonState::Offline, PersonState::from));
                }
            }
        }
        prop_assert_eq!(states(&mut person, ms(1)), wanted);
    }
}
