//! Coming back: cursors, gaps, and the long poll.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    Serve, Session, assert_chain, couple, direct, eventually, message, seq_of, sign_up, text_of,
};

/// The seqs of events.
fn seqs(events: &[Value]) -> Vec<u64> {
    events.iter().map(seq_of).collect()
}

/// Says this many things and waits until they have passed through the gateway's feed, so that who
/// connects next finds them in the catch-up; the last seq.
async fn say(session: &Session, conversation: &str, count: usize) -> u64 {
    let (mut socket, mut last) = (session.connect().await, 0);
    for number in 0..count {
        last = seq_of(&socket.store(conversation, &message(&number.to_string())).await);
    }
    socket.event(conversation, last).await;
    last
}

#[tokio::test]
async fn a_device_that_was_away_gets_exactly_what_it_missed() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let cem = sign_up(serve.address, "cem").await.log_in(serve.address).await;
    let with_cem = direct(&ben.user, &cem.user);
    let mut socket = ben.connect().await;
    let seen = say(&ana, &conversation, 5).await;
    socket.event(&conversation, seen).await;
    let cursor = socket.cursor().await;
    drop(socket);
    say(&ana, &conversation, 7).await;
    say(&cem, &with_cem, 3).await;

    let mut back = ben.resume(&cursor).await;
    let missed = back.events(&conversation);
    let all = ben.events(&conversation).await;
    assert_eq!(missed, all[5..]);
    assert_eq!(missed[0]["prev"], seen);
    assert_eq!(back.events(&with_cem).len(), 3);
    let synced = back.of_type("synced").remove(0);
    assert_eq!((&synced["complete"], &synced["reset"]), (&json!(true), &json!(false)));
    assert_eq!(back.of_type("gap"), [] as [Value; 0]);

    let live = ana.store(&conversation, &message("live")).await;
    back.event(&conversation, live).await;
    assert_chain(&back.events(&conversation));
    let cursor = synced["cursor"].as_str().unwrap();
    let again = ben.resume(cursor).await;
    assert_eq!(seqs(&again.events(&conversation)), [live]);
    assert_eq!(again.events(&with_cem), [] as [Value; 0]);
}

#[tokio::test]
async fn what_was_left_out_is_stated_as_one_gap() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut socket = ben.connect().await;
    let seen = say(&ana, &conversation, 3).await;
    socket.event(&conversation, seen).await;
    let cursor = socket.cursor().await;
    say(&ana, &conversation, 20).await;
    let all = seqs(&ben.events(&conversation).await);

    let back = ben.connect_with(json!({"cursor": cursor, "catch_up": 5})).await;
    let events = back.events(&conversation);
    assert_eq!(seqs(&events), all[18..]);
    let gaps = back.of_type("gap");
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0]["conversation"], *conversation);
    assert_eq!((&gaps[0]["from"], &gaps[0]["to"]), (&json!(seen), &json!(all[17])));
    assert_eq!(events[0]["prev"], gaps[0]["to"]);
    assert_chain(&events);

    let none = ben.connect_with(json!({"cursor": cursor, "catch_up": 0})).await;
    assert_eq!(none.events(&conversation), [] as [Value; 0]);
    assert_eq!(none.of_type("gap")[0]["to"], json!(all[22]));
}

#[tokio::test]
async fn who_wants_no_events_takes_none_from_others() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut socket = ben.connect().await;
    let cursor = socket.cursor().await;
    let last = say(&ana, &conversation, 3).await;

    // The first that asks at this gateway.
    let none = ben.connect_with(json!({"cursor": cursor, "catch_up": 0})).await;
    assert_eq!(none.events(&conversation), [] as [Value; 0]);
    let gaps = none.of_type("gap");
    assert_eq!(gaps.len(), 1, "nothing is left out in silence");
    assert_eq!((&gaps[0]["conversation"], &gaps[0]["to"]), (&json!(conversation), &json!(last)));
    for wanted in [1, 2, 100] {
        let back = ben.connect_with(json!({"cursor": cursor, "catch_up": wanted})).await;
        let events = back.events(&conversation);
        assert_eq!(events.len(), wanted.min(3), "of {wanted}");
        assert_eq!(seq_of(events.last().unwrap()), last);
        assert_eq!(back.of_type("gap").len(), usize::from(wanted < 3));
    }
}

#[tokio::test]
async fn what_the_client_says_it_has_seen_is_not_sent_again() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let cursor = ben.connect().await.cursor().await;
    say(&ana, &conversation, 10).await;
    let all = seqs(&ben.events(&conversation).await);
    let mut seen = serde_json::Map::new();
    seen.insert(conversation.clone(), json!(all[6]));
    let back = ben.connect_with(json!({"cursor": cursor, "seen": seen})).await;
    assert_eq!(seqs(&back.events(&conversation)), all[7..]);
    assert_eq!(back.of_type("gap"), [] as [Value; 0]);
}

#[tokio::test]
async fn a_first_load_brings_the_conversation_and_its_newest_events() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    say(&ana, &conversation, 12).await;
    let all = seqs(&ana.events(&conversation).await);
    let socket = ben.connect_with(json!({"catch_up": 4})).await;
    assert_eq!(seqs(&socket.events(&conversation)), all[8..]);
    let is_ours = |frame: &Value| frame["conversation"] == *conversation;
    let state = socket.seen.iter().position(|f| f["type"] == "conversation" && is_ours(f));
    let first = socket.seen.iter().position(|f| f["type"] == "event" && is_ours(f));
    assert!(state.unwrap() < first.unwrap(), "the conversation comes before its events");
    let conversation = &socket.seen[state.unwrap()];
    assert_eq!(
        (&conversation["kind"], &conversation["with"]),
        (&json!("direct"), &json!(ana.user))
    );
}

#[tokio::test]
async fn every_event_comes_once_whatever_is_said_during_the_catch_up() {
    let serve = Serve::with(&["--sends-per-second", "1000", "--send-burst", "2000"]).await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let talking = tokio::spawn({
        let (ana, conversation) = (ana.clone(), conversation.clone());
        async move {
            let mut socket = ana.connect().await;
            let mut last = 0;
            for number in 0..400 {
                let event = message(&number.to_string());
                last = seq_of(&socket.store(&conversation, &event).await);
            }
            last
        }
    });
    let (mut timeline, mut cursor): (Vec<Value>, Option<String>) = (Vec::new(), None);
    // As often as one user may catch up at once; then as often as they may in the long run.
    let mut pace = tokio::time::interval(Duration::from_millis(300));
    for number in 0.. {
        if talking.is_finished() {
            break;
        }
        if number > 150 {
            pace.tick().await;
        }
        let fields = cursor.take().map_or(json!({}), |cursor| json!({"cursor": cursor}));
        let mut hello = fields;
        hello["catch_up"] = json!(1000);
        let mut socket = ben.connect_with(hello).await;
        cursor = Some(socket.cursor().await);
        timeline.extend(socket.events(&conversation));
    }
    let last = talking.await.unwrap();
    let mut socket = ben.resume(&cursor.unwrap()).await;
    if timeline.last().is_none_or(|event| seq_of(event) < last) {
        socket.event(&conversation, last).await;
    }
    timeline.extend(socket.events(&conversation));
    assert_chain(&timeline);
    assert_eq!(timeline.len(), 400);
    assert_eq!(text_of(&timeline[0]), "0");
}

#[tokio::test]
async fn a_cursor_of_another_log_is_a_reset() {
    let (one, other) = tokio::join!(Serve::start(), Serve::with(&["--partitions", "7"]));
    let ana = sign_up(one.address, "ana").await.log_in(one.address).await;
    let notes = direct(&ana.user, &ana.user);
    ana.store(&notes, &message("here")).await;
    let stranger = sign_up(other.address, "ana").await.log_in(other.address).await;
    stranger.store(&direct(&stranger.user, &stranger.user), &message("there")).await;
    let cursor = stranger.connect().await.cursor().await;

    let socket = ana.resume(&cursor).await;
    let synced = socket.of_type("synced").remove(0);
    assert_eq!(synced["reset"], true);
    assert_eq!(socket.events(&notes).len(), 1, "as without a cursor");
    let own = synced["cursor"].as_str().unwrap();
    assert_eq!(ana.resume(own).await.of_type("synced")[0]["reset"], false);
}

#[tokio::test]
async fn the_long_poll_waits_for_the_next_event_and_goes_on_from_its_cursor() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let first = ana.store(&conversation, &message("first")).await;
    let of = |answer: &Value, kind: &str| -> Vec<Value> {
        let frames = answer["frames"].as_array().unwrap();
        frames.iter().filter(|frame| frame["type"] == kind).cloned().collect()
    };
    let mut loaded = Value::Null;
    eventually("the first event", async || {
        loaded = ben.http.get("/v1/sync?timeout_s=0").await;
        !of(&loaded, "event").is_empty()
    })
    .await;
    assert_eq!(seqs(&of(&loaded, "event")), [first]);
    assert_eq!(loaded["frames"].as_array().unwrap().last().unwrap()["type"], "synced");
    let cursor = of(&loaded, "synced")[0]["cursor"].as_str().unwrap().to_owned();

    let polling = tokio::spawn({
        let (ben, cursor) = (ben.clone(), cursor.clone());
        async move { ben.http.get(&format!("/v1/sync?timeout_s=20&cursor={cursor}")).await }
    });
    let second = ana.store(&conversation, &message("second")).await;
    let answer = polling.await.unwrap();
    assert_eq!(seqs(&of(&answer, "event")), [second]);
    let cursor = of(&answer, "synced")[0]["cursor"].as_str().unwrap().to_owned();
    let nothing = ben.http.get(&format!("/v1/sync?timeout_s=0&cursor={cursor}")).await;
    assert_eq!(of(&nothing, "event"), [] as [Value; 0]);
}
