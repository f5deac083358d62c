//! When a connection is left, and what comes of it.

use super::*;

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
    assert!(matches!(watch, ClientFrame::Watch { users, .. } if users.len() == 200));
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
