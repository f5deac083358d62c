//! When a connection is left, and what comes of it.

use super::*;
use crate::machine::action::Discovered;
use crate::refusal::Refusal;

#[test]
fn a_server_that_is_silent_for_two_and_a_half_heartbeats_is_left() {
    let mut world = online();
    world.advance(74_000);
    assert!(world.connected);
    world.advance(1_500);
    assert!(!world.connected);
}

#[test]
fn a_revoked_session_is_not_tried_again_before_it_has_another_token() {
    let mut world = online();
    world.drop_socket();
    world.machine.disconnected(world.now, Loss::Closed(4003), None);
    world.turn();
    world.advance(600_000);
    assert!(!world.connected);
    world.machine.set_token(world.now, "t2".to_owned());
    world.turn();
    assert!(world.connected);
    assert!(world.to_server.front().expect("a hello").contains(r#""token":"t2""#));
}

#[test]
fn a_gap_is_stated_and_the_next_event_continues_after_it() {
    let mut world = online();
    for _ in 0..5 {
        world.other_sends(group(0));
    }
    let last = world.to_client.pop_back().expect("five events");
    while world.to_client.len() > 1 {
        world.to_client.pop_back();
    }
    world
        .to_client
        .push_back(format!(r#"{{"type":"gap","conversation":"{}","from":1,"to":4}}"#, group(0)));
    world.to_client.push_back(last);
    while !world.to_client.is_empty() {
        world.deliver_one(false);
    }
    assert_eq!((world.shown[&group(0)].clone(), world.gaps), (vec![1, 5], 1));
    assert!(world.reads.is_empty());
}

#[test]
fn another_log_drops_the_cache_and_starts_without_a_cursor() {
    let mut world = online();
    world.other_sends(group(0));
    world.deliver_one(false);
    assert!(world.disk.cursor.is_some());
    world
        .to_client
        .push_back(r#"{"type":"synced","cursor":"0","complete":true,"reset":true}"#.to_owned());
    world.deliver_one(false);
    assert!(world.disk.cursor.is_none() && world.disk.timelines.is_empty());
    world.advance(1_000);
    assert!(!world.to_server.front().expect("a hello").contains("cursor"));
}

#[test]
fn a_cursor_is_not_stored_past_what_a_hole_holds_back() {
    let mut world = online();
    world.other_sends(group(0));
    world.deliver_one(false);
    let before = world.disk.cursor.clone();
    world.skip_live = true;
    world.other_sends(group(0));
    world.other_sends(group(0));
    world.deliver_one(false);
    world.step(&Step::Cursor);
    world.deliver_one(false);
    assert_eq!(world.disk.cursor, before);
    world.read_one(false);
    assert_eq!(world.shown[&group(0)], vec![1, 2, 3]);
    assert_eq!(world.disk.cursor.as_deref(), Some("3"));
}

#[test]
fn whom_they_watch_and_how_they_are_shown_is_said_again_on_the_next_connection() {
    let mut world = online();
    world.machine.watch_users((0..=200).map(user).collect());
    world.machine.present_as(Presence::Invisible);
    world.turn();
    let said: Vec<String> = world.to_server.drain(..).collect();
    assert!(said[0].contains(r#""type":"watch""#), "{said:?}");
    let watch: ClientFrame = serde_json::from_str(&said[0]).expect("a watch");
    assert!(matches!(watch, ClientFrame::Watch(watch) if watch.users.len() == 200 && watch.batch));
    assert_eq!(said[1..], [r#"{"type":"presence","state":"invisible"}"#]);

    world.drop_socket();
    world.machine.disconnected(world.now, Loss::Closed(1006), None);
    world.advance(5_000);
    let hello = world.to_server.front().expect("a hello").clone();
    // Before anybody could be shown: not in a frame of its own.
    assert!(hello.contains(r#""presence":"invisible""#), "{hello}");
    world.serve_one();
    world.deliver_one(false);
    let next = world.to_server.front().expect("a watch");
    assert!(next.contains(r#""type":"watch""#), "{next}");
}

/// A world that has not begun, with two gateways that may be asked for others.
fn discovering() -> World {
    let mut world = World::new();
    let options = Options { discover: true, ..options() };
    world.machine = Machine::new(options, world.disk.snapshot());
    world.advance(1);
    world
}

fn answer(world: &mut World, answer: Discovered) {
    world.machine.gateways(world.now, answer);
    world.turn();
}

fn offered(urls: &[&str]) -> Discovered {
    Discovered::Gateways(urls.iter().map(|url| (*url).to_owned()).collect())
}

fn lose(world: &mut World, loss: Loss, said: Option<&Refusal>) {
    world.drop_socket();
    world.machine.disconnected(world.now, loss, said);
    world.turn();
}

fn refusal(retry_after_ms: u64, reconnect: &str) -> Refusal {
    let text = format!(
        r#"{{"code":"overloaded","message":"","stored":"no","retry":"same_id","retry_after_ms":{retry_after_ms}{reconnect}}}"#
    );
    serde_json::from_str(&text).expect("a refusal")
}

#[test]
fn the_server_says_where_to_connect_and_who_fails_is_put_aside() {
    let mut world = discovering();
    assert_eq!((world.asked.len(), world.tried.len()), (1, 0));
    assert_eq!(world.asked[0], "http://one");
    answer(&mut world, offered(&["http://three", "http://four"]));
    assert_eq!(world.tried, ["http://three"]);
    for next in ["http://four", "http://one", "http://two", "http://three"] {
        lose(&mut world, Loss::Closed(1006), None);
        world.advance(200);
        assert_eq!(world.tried.last().map(String::as_str), Some(next));
    }
    assert_eq!(world.asked.len(), 1, "what it said is still good");
    world.advance(70_000);
    lose(&mut world, Loss::Closed(1006), None);
    world.advance(200);
    assert_eq!(world.asked.len(), 2, "it is asked again after a while");
}

#[test]
fn a_server_that_says_nothing_is_connected_to_as_given() {
    let mut world = discovering();
    answer(&mut world, Discovered::Refused);
    assert_eq!(world.tried, ["http://one"]);
    let mut world = discovering();
    answer(&mut world, offered(&[]));
    assert_eq!(world.tried, ["http://one"]);
    let mut world = discovering();
    answer(&mut world, Discovered::NoAnswer);
    assert_eq!(world.tried, ["http://two"], "the one that did not answer is not tried first");
    let mut world = discovering();
    world.advance(3_100);
    assert_eq!(world.tried, ["http://two"], "no answer in time is none");
    answer(&mut world, offered(&["http://late"]));
    assert_eq!(world.tried.len(), 1);
}

#[test]
fn a_gateway_that_drains_is_left_for_another_and_asked_no_more() {
    let mut world = discovering();
    answer(&mut world, offered(&["http://three", "http://four"]));
    world.serve_one();
    world.deliver_one(false);
    world.deliver_one(false);
    world.to_client.push_back(r#"{"type":"drain","after_ms":50}"#.to_owned());
    world.deliver_one(false);
    world.advance(60);
    world.advance(200);
    assert_eq!(world.asked.last().map(String::as_str), Some("http://four"));
    answer(&mut world, offered(&["http://four", "http://five"]));
    assert_eq!(world.tried, ["http://three", "http://four"]);
}

#[test]
fn who_is_told_when_to_come_again_comes_then_and_to_the_same_gateway() {
    let mut world = discovering();
    answer(&mut world, offered(&["http://three", "http://four"]));
    let refused = refusal(5_000, "");
    for attempt in 1..=3 {
        lose(&mut world, Loss::Overloaded, Some(&refused));
        world.advance(4_990);
        assert_eq!(world.tried.len(), attempt, "not before");
        world.advance(500);
        assert_eq!(world.tried.len(), attempt + 1);
        assert_eq!(world.tried.last().map(String::as_str), Some("http://three"));
    }
    lose(&mut world, Loss::Overloaded, Some(&refused));
    world.advance(5_500);
    assert_eq!(world.tried.last().map(String::as_str), Some("http://four"), "but not for ever");
}

#[test]
fn what_one_gateway_asks_for_delays_no_other() {
    let mut world = discovering();
    answer(&mut world, offered(&["http://three", "http://four"]));
    for _ in 0..3 {
        lose(&mut world, Loss::Overloaded, Some(&refusal(5_000, "")));
        world.advance(5_500);
    }
    lose(&mut world, Loss::Overloaded, Some(&refusal(5_000, "")));
    world.advance(200);
    assert_eq!(world.tried.last().map(String::as_str), Some("http://four"), "at once");
    // Who is too fast for one is told nothing of another.
    let too_fast = Refusal { code: "rate_limited".to_owned(), ..refusal(5_000, "") };
    lose(&mut world, Loss::Overloaded, Some(&too_fast));
    world.advance(200);
    assert_eq!(world.tried.last().map(String::as_str), Some("http://one"));
    // There is no other: it waits.
    let mut world = World::new();
    let gateways = vec!["http://one".to_owned()];
    world.machine = Machine::new(Options { gateways, ..options() }, world.disk.snapshot());
    world.advance(1);
    lose(&mut world, Loss::Overloaded, Some(&too_fast));
    let before = world.tried.len();
    world.advance(4_990);
    assert_eq!(world.tried.len(), before);
    world.advance(500);
    assert_eq!(world.tried.len(), before + 1);
}

#[test]
fn what_was_said_before_the_welcome_is_over_with_it() {
    let mut world = discovering();
    answer(&mut world, offered(&["http://three", "http://four"]));
    world
        .to_client
        .push_back(r#"{"type":"error","code":"overloaded","retry_after_ms":9000}"#.to_owned());
    world.deliver_one(false);
    world.serve_one();
    world.deliver_one(false);
    lose(&mut world, Loss::Closed(4009), None);
    world.advance(200);
    assert_eq!(world.tried.last().map(String::as_str), Some("http://four"));
}

#[test]
fn a_gateway_that_could_not_read_everything_is_come_back_to() {
    let mut world = discovering();
    answer(&mut world, offered(&["http://three", "http://four"]));
    world.serve_one();
    world.deliver_one(false);
    world
        .to_client
        .push_front(r#"{"type":"synced","cursor":"0","complete":false,"reset":false}"#.to_owned());
    world.deliver_one(false);
    assert!(!world.connected);
    world.advance(200);
    assert_eq!(world.tried, ["http://three", "http://three"]);
}

#[test]
fn a_conversation_from_before_a_removal_does_not_undo_it() {
    let mut world = online();
    let mut told = |as_of: u64, role: &str| {
        world.to_client.push_back(format!(
            r#"{{"type":"conversation","conversation":"{}","kind":"group"{role},"member_count":3,"view_from":1,"read":1,"unread":0,"mentions":0,"pinned":false,"archived":false,"as_of":{as_of}}}"#,
            group(0)
        ));
        world.deliver_one(false);
        world.machine.memberships[&group(0)]
    };
    let (member, removed) = (r#","role":"member""#, "");
    assert_eq!(told(5, member), (Seq(5), Some(Role::Member)));
    assert_eq!(told(9, removed), (Seq(9), None));
    assert_eq!(told(7, member), (Seq(9), None), "it was on its way");
    assert_eq!(told(8, removed), (Seq(9), None));
    assert_eq!(told(12, member), (Seq(12), Some(Role::Member)), "and is added again");
}

#[test]
fn the_server_stretches_the_delays_within_bounds() {
    let waits = |reconnect: &str| {
        let mut world = discovering();
        answer(&mut world, offered(&[]));
        let said = refusal(0, reconnect);
        let mut longest = 0;
        for _ in 0..60 {
            lose(&mut world, Loss::Closed(1012), Some(&said));
            let Some(until) = world.machine.deadline() else { panic!("it does not come back") };
            longest = longest.max(until - world.now.tick_ms);
            world.advance(until - world.now.tick_ms);
            if world.asked.len() > 1 {
                answer(&mut world, offered(&[]));
            }
        }
        longest
    };
    assert!(waits("") <= 100, "as the application said");
    let stretched = waits(r#","reconnect":{"base_ms":20000,"cap_ms":40000}"#);
    assert!((20_000..=40_000).contains(&stretched), "{stretched}");
    let bounded = waits(r#","reconnect":{"base_ms":99999999,"cap_ms":999999999}"#);
    assert!((60_000..=600_000).contains(&bounded), "{bounded}");
    let mut world = discovering();
    answer(&mut world, offered(&[]));
    lose(&mut world, Loss::Overloaded, Some(&refusal(u64::MAX, "")));
    let wait = world.machine.deadline().expect("a deadline") - world.now.tick_ms;
    assert!(wait <= 600_000 + 100, "{wait}");
}
