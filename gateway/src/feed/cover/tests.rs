use hansard_model::{GroupId, UserId};
use proptest::prelude::*;

use super::*;

/// Each byte of entropy gives five bits only.
fn entropy(number: u8) -> [u8; 20] {
    let mut entropy = [number; 20];
    entropy[0] = number >> 5;
    entropy
}

fn group(number: u8) -> Interest {
    Interest::Group(GroupId::from_entropy(entropy(number)))
}

fn events_of(number: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy(entropy(number)))
}

fn changed(numbers: impl IntoIterator<Item = u8>, is_wanted: bool) -> Interests {
    Interests::Changed(numbers.into_iter().map(|number| (group(number), is_wanted)).collect())
}

/// Subscribes to everything that is to be subscribed to.
fn subscribe(cover: &mut Cover, now: Instant) -> Vec<Interest> {
    let mut all = Vec::new();
    loop {
        let next = cover.next(3);
        if next.is_empty() {
            return all;
        }
        cover.settled(&next, true, now);
        all.extend(next);
    }
}

fn end(cover: &mut Cover, in_force: &mut HashSet<Interest>, now: Instant) {
    for ended in cover.ended(now) {
        in_force.remove(&ended);
    }
}

#[test]
fn a_subscription_is_made_once_and_stays_a_while_when_nobody_is_interested_any_more() {
    let (mut cover, now) = (Cover::new(), Instant::now());
    cover.note(changed([1], true), now);
    assert!(!cover.covers(events_of(1)));
    assert_eq!(cover.next(9), [group(1)]);
    assert_eq!(cover.next(9), [], "it is under way");
    assert!(!cover.covers(events_of(1)), "it is not in force");
    cover.settled(&[group(1)], true, now);
    assert!(cover.covers(events_of(1)) && !cover.covers(events_of(2)));

    cover.note(changed([1], false), now);
    assert_eq!(cover.ended(now + KEPT_FOR / 2), []);
    cover.note(changed([1], true), now);
    assert_eq!(cover.ended(now + KEPT_FOR), [], "they came back");
    cover.note(changed([1], false), now);
    assert_eq!(cover.ended(now + KEPT_FOR), [group(1)]);
    assert!(!cover.covers(events_of(1)));
}

#[test]
fn what_could_not_be_subscribed_to_is_tried_again_if_it_is_still_of_interest() {
    let (mut cover, now) = (Cover::new(), Instant::now());
    cover.note(changed([1, 2], true), now);
    let next = cover.next(9);
    cover.note(changed([2], false), now);
    cover.settled(&next, false, now);
    assert_eq!(cover.next(9), [group(1)]);
}

#[test]
fn the_conversation_of_two_is_covered_by_the_bucket_of_either() {
    let (mut cover, now) = (Cover::new(), Instant::now());
    let [x, y, z] = [1, 2, 3].map(|number| UserId::from_entropy([number; 20]));
    let bucket = Interest::Bucket(y.bucket_id());
    cover.note(Interests::Changed(vec![(bucket, true)]), now);
    assert_eq!(subscribe(&mut cover, now), [bucket]);
    assert!(cover.covers(ConversationId::direct(x, y)));
    assert!(cover.covers(ConversationId::direct(y, z)));
    assert!(!cover.covers(ConversationId::direct(x, z)));
}

#[test]
fn beyond_the_bound_one_takes_the_place_of_all_until_there_are_few() {
    let (mut cover, now) = (Cover::new(), Instant::now());
    let max = u8::try_from(GROUPS_MAX).expect("few");
    cover.note(changed(0..max, true), now);
    assert_eq!(subscribe(&mut cover, now).len(), GROUPS_MAX);
    cover.note(changed([max], true), now);
    assert_eq!(cover.next(9), [Interest::Groups]);
    assert_eq!(cover.ended(now), [], "not before it is in force");
    cover.settled(&[Interest::Groups], true, now);
    assert_eq!(cover.ended(now).len(), GROUPS_MAX);
    assert!(cover.covers(events_of(0)) && cover.len() == 1);

    cover.note(changed(max / 2..=max, false), now);
    assert_eq!(cover.ended(now), [], "those that are left are not covered yet");
    assert_eq!(subscribe(&mut cover, now).len(), GROUPS_MAX / 2);
    assert_eq!(cover.ended(now), [Interest::Groups]);
    assert!(cover.covers(events_of(0)) && !cover.covers(events_of(max)));
}

proptest! {
    /// Whatever comes and goes: in the end what is of interest is covered, and nothing else stays.
    #[test]
    fn what_is_of_interest_is_covered_and_the_rest_ends(
        steps in proptest::collection::vec((0..20_u8, any::<bool>(), 0..5_u8), 0..80),
        is_listed in any::<bool>(),
    ) {
        let (mut cover, mut now) = (Cover::new(), Instant::now());
        let mut wanted = HashSet::new();
        let mut under_way: Vec<Interest> = Vec::new();
        let mut in_force: HashSet<Interest> = HashSet::new();
        for (number, is_wanted, then) in steps {
            if is_wanted { wanted.insert(number) } else { wanted.remove(&number) };
            cover.note(changed([number], is_wanted), now);
            match then {
                0 => under_way.extend(cover.next(2)),
                1 | 2 => {
                    let made = then == 1;
                    cover.settled(&under_way, made, now);
                    in_force.extend(under_way.drain(..).filter(|_| made));
                }
                3 => now += KEPT_FOR / 3,
                _ => end(&mut cover, &mut in_force, now),
            }
            prop_assert_eq!(cover.len(), in_force.len(), "what is counted is what there is");
            prop_assert!(cover.len() <= 2 * GROUPS_MAX + 2 + under_way.len() + 20);
        }
        if is_listed {
            cover.note(Interests::All(wanted.iter().map(|number| group(*number)).collect()), now);
        }
        cover.settled(&under_way, true, now);
        in_force.extend(under_way);
        for _ in 0..3 {
            in_force.extend(subscribe(&mut cover, now));
            now += KEPT_FOR;
            end(&mut cover, &mut in_force, now);
        }
        for number in 0..20 {
            let covers = cover.covers(events_of(number));
            let is_exact = wanted.contains(&number) == covers;
            prop_assert!(is_exact || covers && in_force.contains(&Interest::Groups), "{}", number);
        }
        prop_assert_eq!(cover.len(), in_force.len());
        prop_assert!(cover.len() <= GROUPS_MAX);
    }
}
