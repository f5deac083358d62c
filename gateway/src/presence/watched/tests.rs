use hansard_model::GroupId;
use hansard_model::presence::DeviceState;
use hansard_protocol::FRAME_BYTES_MAX;

use super::*;
use crate::outbox::Outbox;

fn user(byte: u8) -> UserId {
    UserId::from_entropy([byte; 20])
}

fn user_of(first: u8, rest: u8) -> UserId {
    let mut bytes = [rest; 20];
    bytes[0] = first;
    UserId::from_entropy(bytes)
}

fn group(byte: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([byte; 20]))
}

fn link(byte: u8) -> Arc<Link> {
    let device = DeviceId::from_entropy([byte; 20]);
    Arc::new(Link::new(user(byte), device, Arc::new(Outbox::new(1_000_000)), false))
}

fn key(byte: u8) -> PresenceKey {
    let device = DeviceId::from_entropy([byte; 20]);
    PresenceKey { user: user(byte), device, gateway: DeviceId::from_entropy([9; 20]) }
}

fn says(rev: u64, state: Option<DeviceState>) -> DeviceReport {
    DeviceReport { rev, state, at: LogTime::from_millis(rev), tells_last_seen: false }
}

const ONLINE: Option<DeviceState> = Some(DeviceState::Online);

fn at(seconds: u64) -> Moment {
    Duration::from_secs(seconds)
}

/// Whom a connection was told of and as what, in each frame.
fn frames(link: &Arc<Link>) -> Vec<Vec<(String, String)>> {
    let mut frames = VecDeque::new();
    link.outbox.take(&mut frames);
    link.outbox.written(frames.iter().map(Frame::len).sum());
    let read = |frame: &Frame| {
        assert!(frame.payload().len() <= FRAME_BYTES_MAX);
        let people = match serde_json::from_slice(&frame.payload()).expect("a frame") {
            ServerFrame::Presence(presence) => vec![presence],
            ServerFrame::Presences { people } => people,
            other => panic!("{other:?}"),
        };
        let mut told: Vec<(String, String)> = people
            .iter()
            .map(|presence| serde_json::to_value(presence).expect("JSON"))
            .map(|presence| {
                let text = |name: &str| presence[name].as_str().expect("text").to_owned();
                (text("user"), text("state"))
            })
            .collect();
        told.sort();
        told
    };
    frames.iter().map(read).collect()
}

/// Whom a connection was told of, and as what.
fn told(link: &Arc<Link>) -> Vec<(String, String)> {
    let mut told = frames(link).concat();
    told.sort();
    told
}

fn state(byte: u8, state: &str) -> (String, String) {
    (user(byte).to_string(), state.to_owned())
}

/// A connection of user 1 that watches user 2 because of a group.
fn watching() -> (Watched, Arc<Link>) {
    let (mut watched, link) = (Watched::default(), link(1));
    watched.attach(&link);
    let shares = vec![(user(2), group(1))];
    assert_eq!(watched.unread(at(0), &shares), [user(2)]);
    watched.read(at(0), at(0), user(2), &[], None);
    watched.watch(&link, shares, 0, false).expect("nobody was removed");
    assert_eq!(told(&link), [state(2, "offline")]);
    (watched, link)
}

#[test]
fn a_watcher_is_told_what_holds_and_then_the_latest_of_each_tick() {
    let (mut watched, link) = watching();
    watched.report(at(1), &key(2), says(1, ONLINE));
    watched.report(at(1), &key(2), says(2, Some(DeviceState::Away)));
    watched.report(at(1), &key(3), says(1, ONLINE));
    watched.tell(at(1));
    assert_eq!(told(&link), [state(2, "away")]);
    watched.report(at(2), &key(2), says(3, ONLINE));
    watched.report(at(2), &key(2), says(4, Some(DeviceState::Away)));
    watched.tell(at(2));
    assert_eq!(told(&link), []);
}

#[test]
fn who_watches_because_of_a_group_is_looked_at_again_when_it_has_grown() {
    let (mut watched, link) = watching();
    assert!(watched.because_of(&HashSet::from([group(2)])).is_empty());
    let again = watched.because_of(&HashSet::from([group(1), group(2)]));
    assert!(again.len() == 1 && Arc::ptr_eq(&again[0], &link));
    // Meanwhile nothing changes; when it was looked at, there is no reason left.
    watched.report(at(1), &key(2), says(1, ONLINE));
    watched.tell(at(1));
    assert_eq!(told(&link), [state(2, "online")]);
    watched.watch(&link, Vec::new(), 0, false).expect("nobody was removed");
    watched.report(at(2), &key(2), says(2, Some(DeviceState::Away)));
    watched.tell(at(2));
    assert_eq!(told(&link), []);
}

#[test]
fn a_watch_replaces_the_one_before_and_tells_of_whom_it_adds() {
    let (mut watched, link) = watching();
    for byte in [2, 3] {
        watched.unread(at(0), &[(user(byte), group(1))]);
        watched.read(at(1), at(0), user(byte), &[(key(byte), says(1, ONLINE))], None);
    }
    watched.tell(at(1));
    assert_eq!(told(&link), [state(2, "online")]);
    watched.watch(&link, vec![(user(2), group(1)), (user(3), group(1))], 0, false).expect("fine");
    assert_eq!(told(&link), [state(3, "online")]);
    watched.watch(&link, vec![(user(3), group(1))], 0, false).expect("fine");
    watched.report(at(2), &key(2), says(2, None));
    watched.tell(at(2));
    assert_eq!(told(&link), []);
}

#[test]
fn the_latest_of_several_people_is_one_frame_to_who_takes_it() {
    let (mut watched, single) = watching();
    let batched = link(4);
    watched.attach(&batched);
    let shares = vec![(user(2), group(1)), (user(3), group(1))];
    watched.unread(at(0), &shares);
    watched.read(at(0), at(0), user(3), &[], None);
    watched.watch(&single, shares.clone(), 0, false).expect("fine");
    watched.watch(&batched, shares.clone(), 0, true).expect("fine");
    assert_eq!(frames(&single), [[state(3, "offline")]]);
    assert_eq!(frames(&batched), [[state(2, "offline"), state(3, "offline")]]);

    for byte in [2, 3] {
        watched.report(at(1), &key(byte), says(1, ONLINE));
        watched.report(at(1), &key(byte), says(2, Some(DeviceState::Away)));
    }
    watched.tell(at(1));
    assert_eq!(frames(&single).len(), 2);
    assert_eq!(frames(&batched), [[state(2, "away"), state(3, "away")]]);

    watched.report(at(2), &key(3), says(3, ONLINE));
    watched.tell(at(2));
    assert_eq!(frames(&batched), [[state(3, "online")]]);

    // What the last watch says holds.
    watched.watch(&batched, shares, 0, false).expect("fine");
    for byte in [2, 3] {
        watched.report(at(3), &key(byte), says(4, None));
    }
    watched.tell(at(3));
    assert_eq!(frames(&batched).len(), 2);
}

#[test]
fn a_frame_of_several_people_has_a_bound() {
    let (mut watched, link) = (Watched::default(), link(1));
    watched.attach(&link);
    let people = (0_u8..).map(|n| user_of(n % 16, n / 16));
    let people: Vec<UserId> = people.take(limit::WATCHED_USERS_MAX).collect();
    let shares: Vec<Shared> = people.iter().map(|user| (*user, group(1))).collect();
    watched.unread(at(0), &shares);
    for user in &people {
        watched.read(at(0), at(0), *user, &[], Some(LogTime::from_millis(1)));
    }
    watched.watch(&link, shares, 0, true).expect("fine");
    let frames = frames(&link);
    let sizes: Vec<usize> = frames.iter().map(Vec::len).collect();
    let most = limit::PRESENCE_BATCH_MAX;
    assert_eq!(sizes, [most, limit::WATCHED_USERS_MAX - most]);
    let told: HashSet<String> = frames.concat().into_iter().map(|(user, _)| user).collect();
    assert_eq!(told, people.iter().map(UserId::to_string).collect(), "each once");
}

#[test]
fn who_was_removed_is_told_nothing_more_and_nobody_of_them() {
    for removed in [1, 2] {
        let (mut watched, link) = watching();
        let again = watched.depart(&[(group(1), user(removed)), (group(2), user(2))]);
        assert_eq!(again.len(), 1);
        watched.report(at(1), &key(2), says(1, ONLINE));
        watched.tell(at(1));
        assert_eq!(told(&link), []);
    }
}

#[test]
fn a_removal_while_it_was_checked_is_not_missed() {
    let (mut watched, link) = watching();
    let (shares, before) = (vec![(user(3), group(1))], watched.departed());
    watched.depart(&[(group(1), user(3))]);
    assert_eq!(watched.watch(&link, shares.clone(), before, false), Err(Departed));
    assert_eq!(watched.watch(&link, shares.clone(), watched.departed(), false), Ok(()));
    let before = watched.departed();
    watched.depart_all();
    assert_eq!(watched.watch(&link, shares, before, false), Err(Departed));
}

#[test]
fn a_slow_reader_is_told_the_latest_once_it_has_read() {
    let (mut watched, link) = watching();
    link.outbox.push(Frame::text(&vec![b'x'; BACKLOG_BYTES_MAX + 1]));
    for rev in 1..=9 {
        let state = [ONLINE, None][(rev % 2) as usize];
        watched.report(at(rev), &key(2), says(rev, state));
        watched.tell(at(rev));
    }
    watched.report(at(10), &key(2), says(10, ONLINE));
    watched.tell(at(10));
    let mut frames = VecDeque::new();
    link.outbox.take(&mut frames);
    assert_eq!(frames.len(), 1, "only what was there before");
    link.outbox.written(frames[0].len());
    watched.tell(at(11));
    assert_eq!(told(&link), [state(2, "online")]);
}

#[test]
fn nothing_is_left_of_a_connection_that_is_gone() {
    let (mut watched, link) = watching();
    watched.detach(&link);
    assert!(watched.forget_the_unwatched(at(60)).is_empty());
    assert!(watched.people.is_empty() && watched.watchers.is_empty() && watched.owing.is_empty());
}
