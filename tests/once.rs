//! An event is stored once, however often and however late it is sent (bar 4).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hansard_model::draft::Draft;
use hansard_model::event::EventClass;
use hansard_model::record::EventKey;
use hansard_model::{LogTime, Seq, envelope};
use hansard_nats::log::{Append, Log};
use hansard_nats::{Endpoint, LogClock};
use serde_json::{Value, json};

use crate::harness::{
    DataDir, Replayed, Roles, Serve, Session, Signal, couple, direct, eventually, message, mint,
    mint_at, now_ms, seq_of, sign_up, signal, text_of,
};

const THIRTY_DAYS: Duration = Duration::from_hours(30 * 24);
/// Longer than the lease under which an event in a group is vouched for, and shorter than what a
/// gateway waits for an acknowledgement.
const LONGER_THAN_THE_LEASE: Duration = Duration::from_millis(3_500);
/// Times that the same id is sent.
const TIMES: usize = 100;

/// Sends the same event this often, over all these gateways at once; the answers.
async fn send_again_and_again(
    session: &Session,
    gateways: &[SocketAddr],
    conversation: &str,
    id: &str,
    event: &Value,
) -> Vec<Value> {
    let devices = gateways.iter().map(|gateway| {
        let (session, conversation) = (session.at(*gateway), conversation.to_owned());
        let (id, event) = (id.to_owned(), event.clone());
        let times = TIMES / gateways.len();
        tokio::spawn(async move {
            let mut socket = session.connect().await;
            let mut references = Vec::new();
            for _ in 0..times {
                references.push(socket.put_as(&conversation, &id, &event).await);
            }
            let mut answers = Vec::new();
            for reference in references {
                answers.push(socket.answer(reference).await);
            }
            answers
        })
    });
    let mut answers = Vec::new();
    for device in devices.collect::<Vec<_>>() {
        answers.extend(device.await.unwrap());
    }
    answers
}

/// That all are acks of one event: its seq.
fn one_seq(answers: &[Value]) -> u64 {
    for answer in answers {
        assert_eq!(answer["type"], "ack", "{answer}");
        assert_eq!(answer["seq"], answers[0]["seq"]);
    }
    seq_of(&answers[0])
}

fn valid(replayed: &[Replayed]) -> Vec<u64> {
    replayed.iter().filter(|event| !event.void).map(|event| event.seq).collect()
}

#[tokio::test]
async fn one_id_sent_a_hundred_times_over_two_gateways_is_one_event_with_one_seq() {
    let mut roles = Roles::start(2, 1).await;
    let gateways = [roles.gateways[0].address, roles.gateways[1].address];
    let (ana, ben, conversation) = couple(gateways[0]).await;
    let mut reader = ben.connect().await;
    let (id, event) = (mint(), message("only once"));
    let answers = send_again_and_again(&ana, &gateways, &conversation, &id, &event).await;
    let seq = one_seq(&answers);
    assert_eq!(answers.iter().filter(|ack| ack["duplicate"] == false).count(), 1);

    let marker = seq_of(&reader.store(&conversation, &message("and then")).await);
    reader.event(&conversation, marker).await;
    let seen: Vec<u64> = reader.events(&conversation).iter().map(seq_of).collect();
    assert_eq!(seen, [seq, marker]);
    assert_eq!(roles.data.replay(&conversation).await.len(), 2);

    roles.nats.kill().await;
    for index in 0..gateways.len() {
        roles.gateways[index].process.kill().await;
    }
    roles.restart_nats().await;
    for index in 0..gateways.len() {
        roles.restart_gateway(index).await;
    }
    eventually("an answer after the restart", async || {
        let path = format!("/v1/conversations/{conversation}/events");
        ana.http.ask("GET", &path, None).await.status == 200
    })
    .await;
    let answers = send_again_and_again(&ana, &gateways, &conversation, &id, &event).await;
    assert_eq!(one_seq(&answers), seq);
    assert!(answers.iter().all(|ack| ack["duplicate"] == true));
    assert_eq!(valid(&roles.data.replay(&conversation).await), [seq, marker]);
}

#[tokio::test]
async fn an_id_of_thirty_days_ago_is_stored_once_by_a_hundred_sends() {
    let roles = Roles::start(2, 1).await;
    let gateways = [roles.gateways[0].address, roles.gateways[1].address];
    let (ana, ben, conversation) = couple(gateways[0]).await;
    let then = now_ms() - u64::try_from(THIRTY_DAYS.as_millis()).unwrap();
    let (id, event) = (mint_at(then), message("found in the outbox"));
    let answers = send_again_and_again(&ana, &gateways, &conversation, &id, &event).await;
    let seq = one_seq(&answers);
    let answers = send_again_and_again(&ana, &gateways, &conversation, &id, &event).await;
    assert_eq!(one_seq(&answers), seq);
    assert_eq!(ben.events(&conversation).await.len(), 1);
    assert_eq!(valid(&roles.data.replay(&conversation).await), [seq]);
}

/// A gateway whose clock says that so much time has passed.
async fn later(endpoint: Endpoint, shift: Duration) -> hansard_gateway::Running {
    let clock = LogClock::shifted(shift);
    let config = hansard_gateway::Config::new("127.0.0.1:0".parse().unwrap(), endpoint, clock);
    hansard_gateway::start(config).await.unwrap()
}

#[tokio::test]
async fn an_id_sent_again_thirty_days_later_gives_the_first_ack() {
    let roles = Roles::start(1, 1).await;
    let (ana, ben, conversation) = couple(roles.gateways[0].address).await;
    let (id, event) = (mint(), message("remember?"));
    let first = ana.connect().await.ask_as(&conversation, &id, &event).await;
    assert_eq!(first["duplicate"], false);

    // A little less than a session lasts.
    let shift = THIRTY_DAYS.saturating_sub(Duration::from_mins(10));
    let running = later(roles.data.endpoint(), shift).await;
    let gateway = running.addr();
    let answers = send_again_and_again(&ana, &[gateway], &conversation, &id, &event).await;
    assert_eq!(one_seq(&answers), seq_of(&first));
    assert!(answers.iter().all(|ack| ack["duplicate"] == true));
    let other = ana.at(gateway).connect().await.ask_as(&conversation, &id, &message("!")).await;
    assert_eq!(other["code"], "id_reused");
    running.stop().await;
    assert_eq!(ben.events(&conversation).await.len(), 1);
    assert_eq!(roles.data.replay(&conversation).await.len(), 1);
}

/// Appends an event as some gateway did, or would have.
async fn append(
    log: &Log,
    session: &Session,
    conversation: &str,
    id: &str,
    event: &Value,
    vouched_for: LogTime,
    attempts: &[u64],
) -> u64 {
    let key = EventKey {
        conversation: conversation.parse().unwrap(),
        sender: session.user.parse().unwrap(),
        id: id.parse().unwrap(),
    };
    let draft = Draft::parse(&event.to_string()).unwrap();
    let payload = envelope::encode(key.id, key.sender, session.device.parse().unwrap(), &draft);
    let append = Append {
        key,
        void: attempts.iter().copied().map(Seq).collect(),
        class: EventClass::Msg,
        kind: "message",
        vouch_until: vouched_for,
        expected: None,
        payload: Bytes::from(payload),
    };
    log.append(append).await.unwrap().await.unwrap().seq.0
}

#[tokio::test]
async fn an_event_that_the_stream_has_forgotten_is_found_in_the_index() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let (_connection, log) = serve.data.operator().await;
    let then = now_ms() - u64::try_from(THIRTY_DAYS.as_millis()).unwrap();
    let (id, event) = (mint_at(then), message("long ago"));
    let until = log.clock().now().unwrap().plus(Duration::from_mins(1));
    // Under a `Nats-Msg-Id` of another attempt: as after the window, the stream knows no duplicate.
    let seq = append(&log, &ana, &conversation, &id, &event, until, &[1]).await;
    let ack = ana.connect().await.ask_as(&conversation, &id, &event).await;
    assert_eq!((seq_of(&ack), &ack["duplicate"]), (seq, &json!(true)));
    assert_eq!(ben.events(&conversation).await.len(), 1);
    assert_eq!(serve.data.replay(&conversation).await.len(), 1);
}

#[tokio::test]
async fn the_same_id_in_two_conversations_is_two_events() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let cem = sign_up(serve.address, "cem").await.log_in(serve.address).await;
    let group = ana.create_group("ours", &[&ben.user]).await;
    let places = [conversation, direct(&ana.user, &cem.user), direct(&ana.user, &ana.user), group];
    let (mut socket, id) = (ana.connect().await, mint());
    for place in &places {
        let ack = socket.ask_as(place, &id, &message("to all")).await;
        assert_eq!((&ack["type"], &ack["duplicate"]), (&json!("ack"), &json!(false)), "{ack}");
    }
    for place in &places {
        let said = ana.messages(place).await;
        assert_eq!(said.iter().filter(|item| text_of(item) == "to all").count(), 1);
    }
    // Of two senders in one conversation, too.
    let ack = ben.connect().await.ask_as(&places[0], &id, &message("from ben")).await;
    assert_eq!(ack["duplicate"], false);
    assert_eq!(ana.events(&places[0]).await.len(), 2);
}

#[tokio::test]
async fn another_event_under_a_used_id_is_refused_and_not_stored() {
    let serve = Serve::start().await;
    let (ana, _, conversation) = couple(serve.address).await;
    let mut socket = ana.connect().await;
    let old = now_ms() - u64::try_from(THIRTY_DAYS.as_millis()).unwrap();
    for id in [mint(), mint_at(old)] {
        let ack = socket.ask_as(&conversation, &id, &message("first")).await;
        for other in [message("second"), json!({"kind": "message", "text": "first", "x": 1})] {
            let error = socket.ask_as(&conversation, &id, &other).await;
            assert_eq!(error["code"], "id_reused", "{error}");
            assert_eq!((&error["stored"], &error["retry"]), (&json!("no"), &json!("never")));
        }
        // The same event, written in another order of fields.
        let same = r#"{"text":"first","kind":"message"}"#;
        let frame = format!(
            r#"{{"type":"send","ref":"r{id}","conversation":"{conversation}","id":"{id}","event":{same}}}"#
        );
        socket.send_text(frame).await;
        let again = socket.frame("the first ack", |frame| frame["ref"] == format!("r{id}")).await;
        assert_eq!(again["seq"], ack["seq"]);
    }
    assert_eq!(ana.events(&conversation).await.len(), 2);
}

/// That a void event is nowhere to be seen, and its sender's resend is stored once.
async fn void_then_stored(data: &DataDir, ana: &Session, ben: &Session, conversation: &str) {
    let (_connection, log) = data.operator().await;
    let (mut hers, mut his) = (ana.connect().await, ben.connect().await);
    let (id, event) = (mint(), message("held back"));
    let past = log.clock().now().unwrap().minus(Duration::from_secs(2));
    let void = append(&log, ana, conversation, &id, &event, past, &[]).await;
    assert_eq!(DataDir::last_seq(&log, conversation).await, void);
    let marker = seq_of(&his.store(conversation, &message("marker")).await);
    for socket in [&mut hers, &mut his] {
        socket.event(conversation, marker).await;
        assert!(socket.events(conversation).iter().all(|event| seq_of(event) != void));
    }
    assert!(ben.events(conversation).await.iter().all(|event| seq_of(event) != void));
    assert!(ben.messages(conversation).await.iter().all(|item| text_of(item) != "held back"));
    let replayed = data.replay(conversation).await;
    assert!(replayed.iter().any(|event| event.seq == void && event.void));

    // The stream calls the first resend a duplicate of the void one; the next is stored.
    let seq = ana.store_at_last(&[ana.http.address], conversation, &id, &event).await;
    assert!(seq > marker);
    for _ in 0..3 {
        let again = hers.ask_as(conversation, &id, &event).await;
        assert_eq!((seq_of(&again), &again["duplicate"]), (seq, &json!(true)));
    }
    let event = his.event(conversation, seq).await;
    assert_eq!((&event["prev"], text_of(&event)), (&json!(marker), "held back"));
    let replayed = data.replay(conversation).await;
    let attempts: Vec<_> = replayed.iter().filter(|event| event.body["id"] == *id).collect();
    assert_eq!(attempts.len(), 2);
}

#[tokio::test]
async fn an_event_stored_after_its_vouch_is_void_for_every_reader_and_its_resend_is_stored_once() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    void_then_stored(&serve.data, &ana, &ben, &conversation).await;
    let group = ana.create_group("ours", &[&ben.user]).await;
    void_then_stored(&serve.data, &ana, &ben, &group).await;
}

#[tokio::test]
async fn a_send_held_back_by_a_paused_server_beyond_its_lease_is_stored_once() {
    let roles = Roles::start(1, 1).await;
    let (ana, ben, _) = couple(roles.gateways[0].address).await;
    let group = ana.create_group("ours", &[&ben.user]).await;
    let mut reader = ben.connect().await;
    let gateway = [roles.gateways[0].address];
    let nats = roles.data.nats_pid().unwrap();
    // The lease is fresh: the next send asks nobody.
    ana.store(&group, &message("before")).await;
    let (id, event) = (mint(), message("held back"));

    signal(nats, Signal::Stop);
    let paused = Instant::now();
    let sending = tokio::spawn({
        let (ana, group, id, event) = (ana.clone(), group.clone(), id.clone(), event.clone());
        async move { ana.store_at_last(&gateway, &group, &id, &event).await }
    });
    eventually("the lease to end", async || paused.elapsed() > LONGER_THAN_THE_LEASE).await;
    signal(nats, Signal::Continue);

    let seq = sending.await.unwrap();
    assert_eq!(ana.store_at_last(&gateway, &group, &id, &event).await, seq);
    reader.event(&group, seq).await;
    let replayed = roles.data.replay(&group).await;
    let attempts: Vec<_> = replayed.iter().filter(|event| event.body["id"] == *id).collect();
    assert!(attempts.iter().any(|event| event.void), "the pause did not make any attempt void");
    let valid: Vec<_> = attempts.iter().filter(|event| !event.void).collect();
    assert_eq!(valid.len(), 1, "{attempts:?}");
    let seen = reader.events(&group).into_iter().filter(|event| text_of(event) == "held back");
    assert_eq!(seen.count(), 1);
}
