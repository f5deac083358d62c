//! Receipts: who is told what, what counts, and that no mark ever goes back.

mod devices;
mod marks;

use serde_json::{Value, json};

use crate::harness::{
    Serve, Session, Socket, couple, direct, eventually, including_acks, message, mint, sign_up,
};

/// A path of a conversation.
fn path(conversation: &str, of: &str) -> String {
    format!("/v1/conversations/{conversation}/{of}")
}

/// Sends a receipt, which must be stored.
async fn receipt(socket: &mut Socket, conversation: &str, marks: Value) {
    let answer = try_receipt(socket, conversation, marks).await;
    assert_eq!(answer["type"], "ok", "{answer}");
}

/// Sends a receipt; the answer.
async fn try_receipt(socket: &mut Socket, conversation: &str, marks: Value) -> Value {
    let reference = mint();
    let mut frame = json!({"type": "receipt", "ref": reference, "conversation": conversation});
    frame.as_object_mut().unwrap().extend(marks.as_object().unwrap().clone());
    socket.send(&frame).await;
    socket.frame("an answer", |frame| frame["ref"] == *reference).await
}

/// The receipt of a user that has these marks, seen or to come.
async fn told(socket: &mut Socket, user: &str, delivered: u64, read: u64) -> Value {
    let is_it = |frame: &Value| {
        let marks = (&frame["delivered"], &frame["read"]);
        frame["type"] == "receipt"
            && frame["user"] == *user
            && marks == (&json!(delivered), &json!(read))
    };
    socket.frame(&format!("a receipt {delivered}, {read} of {user}"), is_it).await
}

/// The marks of a user that a socket was told, in order.
fn marks_of(socket: &Socket, user: &str) -> Vec<(u64, u64)> {
    let receipts = socket.of_type("receipt").into_iter().filter(|frame| frame["user"] == *user);
    receipts.map(|f| (f["delivered"].as_u64().unwrap(), f["read"].as_u64().unwrap())).collect()
}

/// `read`, `unread` and `mentions` of a conversation, alike in the inbox, alone and explained.
async fn counts(session: &Session, conversation: &str) -> (u64, u64, u64) {
    let number = |of: &Value| of.as_u64().unwrap();
    let listed = session.in_inbox(conversation).await.unwrap();
    let acks = including_acks(conversation);
    let shown = session.http.get(&format!("/v1/conversations/{conversation}?{acks}")).await;
    let explained = session.http.get(&path(conversation, &format!("explain?{acks}"))).await;
    let of =
        |from: &Value| (number(&from["read"]), number(&from["unread"]), number(&from["mentions"]));
    assert_eq!(of(&listed), of(&shown), "{listed} and {shown}");
    let mentions = explained["mentions"].as_array().unwrap().len() as u64;
    let explained = (number(&explained["read"]), number(&explained["unread"]), mentions);
    assert_eq!(explained, of(&shown));
    explained
}

#[tokio::test]
async fn reading_clears_unread_on_every_device_and_the_sender_is_told() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut last = 0;
    for text in ["one", "two", "three"] {
        last = ana.store(&conversation, &message(text)).await;
    }
    let (mut hers, mut his) = (ana.connect().await, ben.connect().await);
    let tablet = ben.again().await;
    let mut other = tablet.connect().await;
    assert_eq!(counts(&ben, &conversation).await, (0, 3, 0));

    receipt(&mut his, &conversation, json!({"delivered": last})).await;
    let delivered = told(&mut hers, &ben.user, last, 0).await;
    assert!(delivered["delivered_ts"].is_string() && delivered.get("read_n").is_none());
    assert!(delivered.get("read_ts").is_none());
    assert_eq!(counts(&ben, &conversation).await, (0, 3, 0), "having is not reading");

    receipt(&mut his, &conversation, json!({"read": last})).await;
    let own = told(&mut other, &ben.user, last, last).await;
    assert_eq!(own["read_n"], 3);
    let is_read = |frame: &Value| frame["type"] == "conversation" && frame["read"] == last;
    let shown = other.frame("the conversation", is_read).await;
    assert_eq!((&shown["unread"], &shown["conversation"]), (&json!(0), &json!(conversation)));
    assert!(told(&mut hers, &ben.user, last, last).await["read_ts"].is_string());
    assert_eq!(counts(&ben, &conversation).await, (last, 0, 0));
    assert_eq!(counts(&tablet, &conversation).await, (last, 0, 0));

    // Less than that changes nothing, and is answered.
    receipt(&mut other, &conversation, json!({"delivered": 1, "read": 1})).await;
    let next = ana.store(&conversation, &message("four")).await;
    assert_eq!(counts(&ben, &conversation).await, (last, 1, 0));
    // Beyond the end is the end, and over HTTP it is the same.
    let answer = tablet
        .http
        .ask("POST", &path(&conversation, "receipt"), Some(&json!({"read": 1u64 << 50})))
        .await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    told(&mut hers, &ben.user, next, next).await;
    assert_eq!(counts(&ben, &conversation).await, (next, 0, 0));
    assert_eq!(marks_of(&hers, &ben.user), [(last, 0), (last, last), (next, next)]);
}

#[tokio::test]
async fn what_is_read_in_private_is_known_to_the_reader_alone() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let first = ana.store(&conversation, &message("one")).await;
    let second = ana.store(&conversation, &message("two")).await;
    let (mut hers, mut his) = (ana.connect().await, ben.connect().await);
    let mut other = ben.again().await.connect().await;
    receipt(&mut his, &conversation, json!({"read": second, "private": true})).await;
    assert_eq!(told(&mut other, &ben.user, second, second).await["read_n"], 2);
    assert_eq!(counts(&ben, &conversation).await, (second, 0, 0));
    // The next that she is told is the next that he tells, which takes nothing back from himself.
    receipt(&mut his, &conversation, json!({"read": first})).await;
    told(&mut hers, &ben.user, first, first).await;
    assert_eq!(marks_of(&hers, &ben.user), [(first, first)]);
    assert_eq!(counts(&ben, &conversation).await, (second, 0, 0));
    let own = marks_of(&other, &ben.user);
    assert!(own.is_sorted() && own.iter().all(|(_, read)| *read == second), "{own:?}");
    let list = ana.http.get(&path(&conversation, "receipts")).await;
    assert_eq!(list["items"][0]["read"], first);

    // Nor does it come with a catch-up, or with a list.
    receipt(&mut his, &conversation, json!({"delivered": second})).await;
    told(&mut hers, &ben.user, second, first).await;
    let fresh = ana.connect().await;
    assert_eq!(marks_of(&fresh, &ben.user), [(second, first)]);
    assert_eq!(marks_of(&ben.connect().await, &ben.user).last(), Some(&(second, second)));
}

#[tokio::test]
async fn who_wants_nobody_to_see_what_they_read_reads_in_private_on_every_device() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut seqs = Vec::new();
    for text in ["one", "two", "three", "four"] {
        seqs.push(ana.store(&conversation, &message(text)).await);
    }
    let (mut hers, mut his) = (ana.connect().await, ben.connect().await);
    let mut other = ben.again().await.connect().await;
    receipt(&mut his, &conversation, json!({"read": seqs[0]})).await;
    told(&mut hers, &ben.user, seqs[0], seqs[0]).await;
    let mine = ben.http.get("/v1/users/me").await;
    assert_eq!(mine["read_receipts"], "shared");

    let set =
        ben.http.ask("PATCH", "/v1/users/me", Some(&json!({"read_receipts": "nobody"}))).await;
    assert_eq!((set.status, &set.body["read_receipts"]), (200, &json!("nobody")));
    assert_eq!(set.body["presence"], "shared", "nothing else changes");
    // On any device, over HTTP too, whether the device knows of it or not.
    receipt(&mut other, &conversation, json!({"read": seqs[1]})).await;
    let body = json!({"delivered": seqs[2], "read": seqs[2]});
    let posted = ben.http.ask("POST", &path(&conversation, "receipt"), Some(&body)).await;
    assert_eq!(posted.status, 204, "{}", posted.text);
    // What arrives is told; what she is told next is the next that there is.
    told(&mut hers, &ben.user, seqs[2], seqs[0]).await;
    told(&mut his, &ben.user, seqs[2], seqs[2]).await;
    assert_eq!(counts(&ben, &conversation).await, (seqs[2], 1, 0));
    let list = ana.http.get(&path(&conversation, "receipts")).await;
    assert_eq!(list["items"][0]["read"], seqs[0], "what was told stays told: {list}");

    // Allowed again, the past is not told by itself, but what is read from now on is.
    let show = json!({"read_receipts": "shared"});
    ben.http.ask("PATCH", "/v1/users/me", Some(&show)).await;
    receipt(&mut his, &conversation, json!({"delivered": seqs[3]})).await;
    told(&mut hers, &ben.user, seqs[3], seqs[0]).await;
    receipt(&mut his, &conversation, json!({"read": seqs[3], "private": true})).await;
    receipt(&mut other, &conversation, json!({"read": seqs[2]})).await;
    told(&mut hers, &ben.user, seqs[3], seqs[2]).await;
    let (one, two, three) = (seqs[0], seqs[2], seqs[3]);
    let seen = [(one, one), (two, one), (three, one), (three, two)];
    assert_eq!(marks_of(&hers, &ben.user), seen);
}

#[tokio::test]
async fn groups_count_and_list_who_has_it_and_who_has_read_it() {
    let serve = Serve::start().await;
    let mut people = Vec::new();
    for handle in ["ana", "ben", "cem", "dia", "eve"] {
        people.push(sign_up(serve.address, handle).await.log_in(serve.address).await);
    }
    let [ana, ben, cem, dia, eve] = &people[..] else { unreachable!("five") };
    let group = ana.create_group("g", &[&ben.user, &cem.user, &dia.user]).await;
    let seq = ana.store(&group, &message("hi")).await;
    let mut hers = ana.connect().await;
    for (session, marks) in [
        (ben, json!({"delivered": seq})),
        (cem, json!({"read": seq})),
        (dia, json!({"read": seq - 1})),
        (ana, json!({"read": seq})),
    ] {
        let answer = session.http.ask("POST", &path(&group, "receipt"), Some(&marks)).await;
        assert_eq!(answer.status, 204, "{}", answer.text);
    }
    told(&mut hers, &ben.user, seq, 0).await;
    told(&mut hers, &cem.user, seq, seq).await;
    let list = ana.http.get(&path(&group, &format!("receipts?seq={seq}"))).await;
    assert_eq!((&list["delivered_count"], &list["read_count"]), (&json!(2), &json!(1)));
    let all = ana.http.get(&path(&group, "receipts")).await;
    assert_eq!(all["delivered_count"], 3);
    let (mut paged, mut query) = (Vec::new(), "receipts?limit=1".to_owned());
    loop {
        let page = ana.http.get(&path(&group, &query)).await;
        assert_eq!(page["delivered_count"], 3);
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        query = format!("receipts?limit=1&cursor={next}");
    }
    assert_eq!(&paged, all["items"].as_array().unwrap());

    // Whoever is no member neither says nor sees.
    let mut stranger = eve.connect().await;
    let refused = try_receipt(&mut stranger, &group, json!({"read": seq})).await;
    assert_eq!(refused["code"], "not_a_member");
    assert_eq!(eve.http.ask("GET", &path(&group, "receipts"), None).await.code(), "not_a_member");
    let nothing = try_receipt(&mut hers, &group, json!({"private": true})).await;
    assert_eq!(nothing["code"], "bad_frame");
    let unspoken = direct(&ana.user, &eve.user);
    assert_eq!(try_receipt(&mut hers, &unspoken, json!({"read": 1})).await["code"], "not_found");

    // Nor who was one.
    let mut his = ben.connect().await;
    let removal = json!({"kind": "member", "user": ben.user, "op": "remove"});
    ana.store(&group, &removal).await;
    let refused = try_receipt(&mut his, &group, json!({"read": seq})).await;
    assert_eq!(refused["code"], "not_a_member");
    let last = ana.store(&group, &message("without ben")).await;
    let told_before = marks_of(&his, &dia.user);
    dia.http.ask("POST", &path(&group, "receipt"), Some(&json!({"read": last}))).await;
    told(&mut hers, &dia.user, last, last).await;
    // A conversation with him, behind it in the stream.
    let with_dia = direct(&ben.user, &dia.user);
    let hello = dia.store(&with_dia, &message("hello")).await;
    dia.http.ask("POST", &path(&with_dia, "receipt"), Some(&json!({"delivered": hello}))).await;
    told(&mut his, &dia.user, hello, 0).await;
    assert_eq!(marks_of(&his, &dia.user).len(), told_before.len() + 1);
    let list = ana.http.get(&path(&group, &format!("receipts?seq={seq}"))).await;
    assert_eq!(list["delivered_count"], 2, "{list}");
}

#[tokio::test]
async fn unread_and_mentions_count_from_the_mark_and_a_rebuild_of_the_views_changes_nothing() {
    let serve = Serve::start().await;
    let (ana, ben, _) = couple(serve.address).await;
    let group = ana.create_group("g", &[&ben.user]).await;
    let say = |text: &str, of: Value| json!({"kind": "message", "text": text, "mentions": of});
    let mut seqs = Vec::new();
    for (text, of) in [
        ("1", json!([ben.user])),
        ("2", json!(["all"])),
        ("3", json!([])),
        ("4", json!([ben.user, "all"])),
    ] {
        seqs.push(ana.store(&group, &say(text, of)).await);
    }
    let joined = counts(&ben, &group).await.0;
    assert_eq!(counts(&ben, &group).await, (joined, 4, 3));
    let mut his = ben.connect().await;
    for (place, expected) in [(0, (3, 2)), (2, (1, 1))] {
        receipt(&mut his, &group, json!({"read": seqs[place]})).await;
        let (unread, mentions) = expected;
        assert_eq!(counts(&ben, &group).await, (seqs[place], unread, mentions));
    }
    // An edit behind the mark, and one before it.
    let edit = |target: u64, of: Value| json!({"kind": "edit", "target": target, "text": "e", "mentions": of});
    ana.store(&group, &edit(seqs[2], json!([ben.user]))).await;
    assert_eq!(counts(&ben, &group).await, (seqs[2], 1, 1));
    ana.store(&group, &edit(seqs[3], json!([]))).await;
    assert_eq!(counts(&ben, &group).await, (seqs[2], 1, 0));

    let before = counts(&ben, &group).await;
    let verified = serve.data.hansard_done(&["views", "verify"]).await;
    println!("{verified}");
    serve.data.hansard_done(&["views", "rebuild", "history"]).await;
    assert_eq!(counts(&ben, &group).await, before);
    // One's own message is read, and what is read by it needs no receipt.
    let own = ben.store(&group, &message("mine")).await;
    assert_eq!(counts(&ben, &group).await, (own, 0, 0));
}

#[tokio::test]
async fn what_changed_while_away_comes_with_the_catch_up() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let seq = ana.store(&conversation, &message("hi")).await;
    let phone = ana.again().await;
    let mut hers = ana.connect().await;
    receipt(&mut hers, &conversation, json!({"delivered": seq})).await;
    // The cursor covers what was told before it.
    told(&mut hers, &ana.user, seq, 0).await;
    let cursor = hers.cursor().await;
    drop(hers);
    let quiet = ana.resume(&cursor).await;
    // A gateway that has just begun may repeat some, never more and never less.
    assert!(marks_of(&quiet, &ana.user).iter().all(|marks| *marks == (seq, 0)));
    assert_eq!(marks_of(&quiet, &ben.user), []);
    drop(quiet);

    let marks = json!({"delivered": seq, "read": seq});
    ben.http.ask("POST", &path(&conversation, "receipt"), Some(&marks)).await;
    let third = ben.store(&conversation, &message("and you?")).await;
    phone.http.ask("POST", &path(&conversation, "receipt"), Some(&json!({"read": third}))).await;
    let back = ana.resume(&cursor).await;
    assert_eq!(marks_of(&back, &ben.user), [(seq, seq)]);
    assert_eq!(marks_of(&back, &ana.user), [(third, third)]);
    let shown = back.of_type("conversation");
    assert_eq!((&shown[0]["read"], &shown[0]["unread"]), (&json!(third), &json!(0)));
    let synced = back.of_type("synced").remove(0);
    assert_eq!(synced["complete"], true);
    let again = ana.resume(synced["cursor"].as_str().unwrap()).await;
    assert!(marks_of(&again, &ben.user).iter().all(|marks| *marks == (seq, seq)));
    assert!(marks_of(&again, &ana.user).iter().all(|marks| *marks == (third, third)));
    // Who has nothing gets them all; and so does who polls.
    assert_eq!(marks_of(&ana.connect().await, &ben.user), [(seq, seq)]);
    let polled = ana.http.get(&format!("/v1/sync?cursor={cursor}")).await;
    let is_his = |frame: &&Value| frame["type"] == "receipt" && frame["user"] == *ben.user;
    assert_eq!(polled["frames"].as_array().unwrap().iter().filter(is_his).count(), 1);
}

#[tokio::test]
async fn marks_are_there_after_everything_was_started_again() {
    let mut serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let first = ana.store(&conversation, &message("one")).await;
    let second = ana.store(&conversation, &message("two")).await;
    let mut his = ben.connect().await;
    receipt(&mut his, &conversation, json!({"delivered": second, "read": first})).await;
    serve.process.terminate().await;
    serve.restart().await;
    let mut hers = ana.connect().await;
    told(&mut hers, &ben.user, second, first).await;
    eventually("the counts", async || counts(&ben, &conversation).await == (first, 1, 0)).await;
    let mut his = ben.connect().await;
    receipt(&mut his, &conversation, json!({"read": second})).await;
    told(&mut hers, &ben.user, second, second).await;
    assert_eq!(counts(&ben, &conversation).await, (second, 0, 0));
}

#[tokio::test]
async fn who_joins_learns_nothing_of_who_had_left_and_receives_nothing_from_before() {
    let serve = Serve::start().await;
    let mut people = Vec::new();
    for handle in ["ana", "ben", "cem"] {
        people.push(sign_up(serve.address, handle).await.log_in(serve.address).await);
    }
    let [ana, ben, cem] = &people[..] else { unreachable!("three") };
    let group = ana.create_group("g", &[&ben.user]).await;
    let seq = ana.store(&group, &message("hi")).await;
    let mut hers = ana.connect().await;
    let read = json!({"read": seq});
    let answer = ben.http.ask("POST", &path(&group, "receipt"), Some(&read)).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    told(&mut hers, &ben.user, seq, seq).await;
    ana.store(&group, &json!({"kind": "member", "op": "remove", "user": ben.user})).await;
    let joined = ana.store(&group, &json!({"kind": "member", "op": "add", "user": cem.user})).await;
    assert_eq!(marks_of(&cem.connect().await, &ben.user), []);

    let answer = cem.http.ask("POST", &path(&group, "receipt"), Some(&read)).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    let read = json!({"read": joined});
    let answer = cem.http.ask("POST", &path(&group, "receipt"), Some(&read)).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    told(&mut hers, &cem.user, joined, joined).await;
    assert_eq!(marks_of(&hers, &cem.user), [(joined, joined)], "and nothing before it");

    ana.store(&group, &json!({"kind": "member", "op": "add", "user": ben.user})).await;
    let list = ana.http.get(&path(&group, "receipts")).await;
    let had: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| &item["user"]).collect();
    assert_eq!(had, [&json!(cem.user)], "what ben had is of a membership that is over");
}
