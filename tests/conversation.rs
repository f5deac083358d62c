//! Two people talk: acks, events, order, and what later events make of earlier ones.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    Serve, Session, assert_chain, couple, direct, eventually, message, mint, seq_of, sign_up,
    text_of,
};

/// The texts of events, in the order given.
fn texts(events: &[Value]) -> Vec<&str> {
    events.iter().map(text_of).collect()
}

#[tokio::test]
async fn every_device_of_both_people_gets_each_event_once_and_in_one_order() {
    let serve = Serve::start().await;
    let people = tokio::join!(sign_up(serve.address, "ana"), sign_up(serve.address, "ben"));
    let (ana, ben) = people;
    let conversation = direct(&ana.user, &ben.user);
    let mut sockets = Vec::new();
    for person in [&ana, &ana, &ben, &ben] {
        sockets.push(person.log_in(serve.address).await.connect().await);
    }

    let mut acked = Vec::new();
    for round in 0..5 {
        for (who, socket) in sockets.iter_mut().enumerate() {
            let ack = socket.store(&conversation, &message(&format!("{round} from {who}"))).await;
            assert_eq!(ack["duplicate"], false);
            assert_eq!(ack["conversation"], *conversation);
            acked.push(seq_of(&ack));
        }
    }
    assert!(acked.is_sorted(), "{acked:?}");

    let mut timelines = Vec::new();
    for socket in &mut sockets {
        socket.event(&conversation, *acked.last().unwrap()).await;
        timelines.push(socket.events(&conversation));
    }
    let first = &timelines[0];
    assert_eq!(first.iter().map(seq_of).collect::<Vec<_>>(), acked);
    assert_eq!((&first[0]["prev"], &first[0]["n"]), (&json!(0), &json!(1)));
    assert_chain(first);
    assert!(timelines.iter().all(|timeline| timeline == first));
}

#[tokio::test]
async fn sending_over_http_means_the_same_as_over_websocket() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut reader = ben.connect().await;
    let path = format!("/v1/conversations/{conversation}/messages");
    let request = json!({"id": mint(), "event": message("over http")});

    let response = ana.http.ask("POST", &path, Some(&request)).await;
    assert_eq!((response.status, &response.body["duplicate"]), (201, &json!(false)));
    let again = ana.http.post(&path, &request).await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&response.body["seq"], &json!(true)));
    let mut socket = ana.connect().await;
    let id = request["id"].as_str().unwrap();
    let ack = socket.ask_as(&conversation, id, &message("over http")).await;
    assert_eq!((&ack["seq"], &ack["duplicate"]), (&response.body["seq"], &json!(true)));

    let event = reader.event(&conversation, seq_of(&response.body)).await;
    assert_eq!(event["body"]["id"], request["id"]);
    assert_eq!(event["body"]["sender"], *ana.user);
    assert_eq!(event["body"]["device"], *ana.device);
    assert_eq!(event["body"]["event"], message("over http"));
    assert_eq!(event["body"]["v"], 1);
}

#[tokio::test]
async fn unknown_fields_and_data_of_the_application_are_stored_as_sent() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let sent = json!({"kind": "message", "text": "ß 😀", "later": [1, {"x": null}],
        "data": {"order": {"id": 7}}, "mentions": [ben.user]});
    let seq = ana.store(&conversation, &sent).await;
    let event = ben.connect().await.event(&conversation, seq).await;
    assert_eq!(event["body"]["event"], sent);
    assert_eq!(ben.events(&conversation).await[0]["body"]["event"], sent);
    assert_eq!(ben.messages(&conversation).await[0]["body"]["event"], sent);
}

#[tokio::test]
async fn what_may_not_be_sent_is_refused_with_its_code_and_nothing_is_stored() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let cem = sign_up(serve.address, "cem").await.log_in(serve.address).await;
    let seq = ana.store(&conversation, &message("hers")).await;
    let nobody = direct(&ana.user, "aaaaaaaaaaaaaaaaaaaa");
    let long = "x".repeat(16 * 1024 + 1);
    let refusals = [
        (&ana, &conversation, message(""), "empty"),
        (&ana, &conversation, message(&long), "too_large"),
        (&ana, &conversation, json!({"kind": "poll", "text": "?"}), "unsupported"),
        (&ana, &conversation, json!({"text": "no kind"}), "bad_frame"),
        (&ana, &conversation, json!({"kind": "title", "title": "of two"}), "unsupported"),
        (&ana, &conversation, json!({"kind": "edit", "target": 999, "text": "x"}), "not_found"),
        (&ben, &conversation, json!({"kind": "edit", "target": seq, "text": "x"}), "forbidden"),
        (&ben, &conversation, json!({"kind": "delete", "target": seq}), "forbidden"),
        (
            &ana,
            &conversation,
            json!({"kind": "reaction", "target": seq, "op": "add", "emoji": "ab"}),
            "bad_frame",
        ),
        (&cem, &conversation, message("let me in"), "not_a_member"),
        (&ana, &nobody, message("hello?"), "not_found"),
    ];
    for (session, conversation, event, code) in &refusals {
        assert_eq!(session.refused(conversation, event).await, *code, "{event}");
        let mut socket = session.connect().await;
        assert_eq!(socket.refused(conversation, event).await, *code, "{event}");
    }
    assert_eq!(ana.events(&conversation).await.len(), 1);
    assert_eq!(
        ana.store(&conversation, &message(&long[1..])).await,
        seq_of(ana.events(&conversation).await.last().unwrap())
    );
}

#[tokio::test]
async fn notes_to_self_are_a_conversation_of_one() {
    let serve = Serve::start().await;
    let ana = sign_up(serve.address, "ana").await.log_in(serve.address).await;
    let notes = direct(&ana.user, &ana.user);
    let mut socket = ana.connect().await;
    let ack = socket.store(&notes, &message("buy milk")).await;
    assert_eq!(text_of(&socket.event(&notes, seq_of(&ack)).await), "buy milk");
    let inbox = ana.in_inbox(&notes).await.unwrap();
    assert_eq!((&inbox["unread"], &inbox["member_count"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn sends_of_one_connection_are_stored_in_the_order_received() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut socket = ana.connect().await;
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let mut references = Vec::new();
    for text in &expected {
        references.push(socket.put(&conversation, &message(text)).await.0);
    }
    for reference in references {
        assert_eq!(socket.answer(reference).await["type"], "ack");
    }
    assert_eq!(texts(&ben.events(&conversation).await), expected);
}

#[tokio::test]
async fn the_newest_edit_counts_and_its_history_stays_in_the_chain() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let seq = ana.store(&conversation, &message("frist")).await;
    ana.store(&conversation, &json!({"kind": "edit", "target": seq, "text": "fist"})).await;
    let edit = json!({"kind": "edit", "target": seq, "text": "first", "mentions": [ben.user]});
    let last = ana.store(&conversation, &edit).await;

    let messages = ben.messages(&conversation).await;
    assert_eq!(texts(&messages), ["first"]);
    assert_eq!(messages[0]["body"]["event"]["mentions"], json!([ben.user]));
    assert_eq!(messages[0]["state"]["edited"]["seq"], last);
    let events = ben.events(&conversation).await;
    assert_eq!(texts(&events), ["frist", "fist", "first"]);
    assert_chain(&events);
    assert_eq!(events[2]["body"]["event"]["target_sender"], *ana.user);
}

#[tokio::test]
async fn reactions_count_each_person_once_and_show_which_are_mine() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let seq = ana.store(&conversation, &message("cake!")).await;
    let react = |emoji: &str, op: &str| json!({"kind": "reaction", "target": seq, "emoji": emoji, "op": op});
    ana.store(&conversation, &react("🎂", "add")).await;
    ana.store(&conversation, &react("🎂", "add")).await;
    ben.store(&conversation, &react("🎂", "add")).await;
    ben.store(&conversation, &react("👍🏽", "add")).await;
    ben.store(&conversation, &react("👎", "add")).await;
    ben.store(&conversation, &react("👎", "remove")).await;
    let reactions = |me: bool| json!([{"emoji": "🎂", "count": 2, "me": true}, {"emoji": "👍🏽", "count": 1, "me": me}]);
    assert_eq!(ana.messages(&conversation).await[0]["state"]["reactions"], reactions(false));
    assert_eq!(ben.messages(&conversation).await[0]["state"]["reactions"], reactions(true));
}

#[tokio::test]
async fn a_twenty_first_reaction_of_one_person_is_refused() {
    let serve = Serve::start().await;
    let (ana, _, conversation) = couple(serve.address).await;
    let seq = ana.store(&conversation, &message("so many feelings")).await;
    let mut socket = ana.connect().await;
    for letter in 'a'..='t' {
        let emoji = letter.to_string();
        let event = json!({"kind": "reaction", "target": seq, "emoji": emoji, "op": "add"});
        socket.store(&conversation, &event).await;
    }
    let event = json!({"kind": "reaction", "target": seq, "emoji": "u", "op": "add"});
    eventually("the limit of reactions", async || {
        let error = socket.ask_as(&conversation, &mint(), &event).await;
        if error["type"] == "ack" {
            // The view that counts was behind: what it let through is taken back.
            let event = json!({"kind": "reaction", "target": seq, "emoji": "u", "op": "remove"});
            socket.store(&conversation, &event).await;
        }
        error["code"] == "too_large"
    })
    .await;
}

#[tokio::test]
async fn pins_and_threads_are_folded_into_the_page() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let root = ana.store(&conversation, &message("lunch?")).await;
    ana.store(&conversation, &message("unrelated")).await;
    let mut last = 0;
    for text in ["yes", "where?"] {
        let reply = json!({"kind": "message", "text": text, "thread": root, "reply_to": root});
        last = ben.store(&conversation, &reply).await;
    }
    ben.store(&conversation, &json!({"kind": "pin", "target": root, "op": "add"})).await;
    let nested = json!({"kind": "message", "text": "x", "thread": last});
    assert!(!ana.refused(&conversation, &nested).await.is_empty(), "a thread in a thread");

    let messages = ben.messages(&conversation).await;
    assert_eq!(texts(&messages), ["lunch?", "unrelated", "yes", "where?"]);
    assert_eq!(messages[0]["state"]["thread"], json!({"count": 2, "last": last}));
    assert_eq!(messages[0]["state"]["pinned"], true);
    let path = format!("/v1/conversations/{conversation}/messages?thread={root}");
    let thread = ben.http.get(&path).await;
    assert_eq!(texts(thread["items"].as_array().unwrap()), ["lunch?", "yes", "where?"]);

    ben.store(&conversation, &json!({"kind": "pin", "target": root, "op": "remove"})).await;
    assert_ne!(ben.messages(&conversation).await[0]["state"]["pinned"], true);
}

/// Everything a session can read of a conversation, as text.
async fn all_paths(session: &Session, conversation: &str, cursor: &str) -> String {
    let c = format!("/v1/conversations/{conversation}");
    let mut all = String::new();
    for path in [
        format!("{c}/events?limit=500"),
        format!("{c}/messages"),
        format!("{c}/messages?around=1"),
        c.clone(),
        "/v1/conversations".to_owned(),
        "/v1/sync?timeout_s=0".to_owned(),
        format!("/v1/sync?timeout_s=0&cursor={cursor}"),
    ] {
        let response = session.http.ask("GET", &path, None).await;
        assert_eq!(response.status, 200, "{path}: {}", response.text);
        all.push_str(&response.text);
    }
    for socket in [session.connect().await, session.resume(cursor).await] {
        for frame in &socket.seen {
            all.push_str(&frame.to_string());
        }
    }
    all
}

#[tokio::test]
async fn a_deleted_text_is_in_no_frame_on_any_path() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let group = ana.create_group("ours", &[&ben.user]).await;
    let mut before = ben.connect().await;
    let cursor = before.cursor().await;
    for place in [&conversation, &group] {
        ana.store(place, &message("stays")).await;
        let seq = ana.store(place, &message("a whispered word")).await;
        let edit = json!({"kind": "edit", "target": seq, "text": "a whispered phrase"});
        ana.store(place, &edit).await;
        let shown = all_paths(&ben, place, &cursor).await;
        assert!(shown.contains("whispered"), "the test must be able to see it");
        let deleted = ana.store(place, &json!({"kind": "delete", "target": seq})).await;
        before.event(place, deleted).await;

        let min = format!("/v1/conversations/{place}?min_seq={place}:{deleted}");
        ben.http.get(&min).await;
        let shown = all_paths(&ben, place, &cursor).await;
        assert!(!shown.contains("whispered"), "{shown}");
        let messages = ben.messages(place).await;
        let tombstone = messages.iter().find(|item| item["seq"] == seq).unwrap();
        assert_eq!(tombstone["body"]["event"], json!({"kind": "message", "deleted": true}));
        assert_eq!(tombstone["state"]["deleted"]["by"], *ana.user);
        assert_chain(&ben.events(place).await);
    }
}

#[tokio::test]
async fn unread_counts_what_others_said_and_own_words_mark_as_read() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    for text in ["one", "two", "three"] {
        ana.store(&conversation, &message(text)).await;
    }
    let mention = json!({"kind": "message", "text": "you?", "mentions": [ben.user]});
    let seq = ana.store(&conversation, &mention).await;
    let at_least = |seq: u64| format!("/v1/conversations?min_seq={conversation}:{seq}");
    let unread = |inbox: Value| {
        let item = inbox["items"][0].clone();
        (item["unread"].as_u64().unwrap(), item["mentions"].as_u64().unwrap())
    };
    assert_eq!(unread(ben.http.get(&at_least(seq)).await), (4, 1));
    assert_eq!(unread(ana.http.get(&at_least(seq)).await), (0, 0));

    let seq = ben.store(&conversation, &message("yes")).await;
    assert_eq!(unread(ben.http.get(&at_least(seq)).await), (0, 0));
    assert_eq!(unread(ana.http.get(&at_least(seq)).await), (1, 0));

    let deleted = ana.store(&conversation, &message("never mind")).await;
    let seq = ana.store(&conversation, &json!({"kind": "delete", "target": deleted})).await;
    assert_eq!(unread(ben.http.get(&at_least(seq)).await).0, 1, "deleting leaves unread alone");
}

#[tokio::test]
async fn typing_reaches_who_watches_the_conversation_and_nobody_else() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let (mut author, mut watching, mut elsewhere) =
        (ana.connect().await, ben.connect().await, ben.connect().await);
    ana.store(&conversation, &message("hi")).await;
    let watch = json!({"type": "watch", "users": [], "conversations": [conversation]});
    watching.send(&watch).await;
    author.send(&watch).await;
    watching.cursor().await;
    // Typing is worth nothing later and may be dropped; people go on typing.
    let typing = loop {
        author.send(&json!({"type": "typing", "conversation": conversation})).await;
        let seen = watching.frame("typing", |frame| frame["type"] == "typing");
        if let Ok(typing) = tokio::time::timeout(Duration::from_secs(3), seen).await {
            break typing;
        }
    };
    assert_eq!(typing["user"], *ana.user);
    assert_eq!(typing["conversation"], *conversation);

    let seq = ana.store(&conversation, &message("done")).await;
    for socket in [&mut author, &mut elsewhere] {
        socket.event(&conversation, seq).await;
        assert_eq!(socket.of_type("typing"), [] as [Value; 0]);
    }
    let stranger = direct(&ana.user, &ana.user);
    watching.send(&json!({"type": "typing", "conversation": stranger, "ref": "x"})).await;
    watching.cursor().await;
    assert_eq!(watching.of_type("typing").len(), 1);
}
