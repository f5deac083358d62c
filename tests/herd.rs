//! Everybody comes at once: who gets in, who is told to come again, and what it costs.

mod bench;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use serde_json::json;

use crate::harness::{
    Roles, Serve, Session, Signal, Socket, as_told, assert_chain, free_port, memory_bytes, message,
    metric, seq_of, sign_up, text_of,
};

const REFUSED: &str = "hansard_gateway_connections_refused_total";
const HISTORY_READS: &str = "hansard_gateway_history_reads_total";
const HISTORY_SHARED: &str = "hansard_gateway_history_shared_total";
const BARRIERS: &str = "hansard_gateway_accounts_barriers_total";

/// How long everybody may take to get in on a busy machine.
const ALL_IN_WITHIN: Duration = Duration::from_secs(60);

/// One who wants in, and follows the hints.
#[derive(Debug, Default)]
struct Arrival {
    /// From the first byte to `welcome`, of the attempt that succeeded.
    accepted: Duration,
    /// How long each refusal took.
    refused: Vec<Duration>,
    hints_ms: Vec<u64>,
}

/// An upgrade as plain HTTP: what the gateway says to it.
async fn upgrade(address: SocketAddr) -> (u16, String, serde_json::Value) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: hansard.v1\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A refusal ends the connection; an upgrade does not, and its head is enough.
    let mut buffer = [0; 4_096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        answer.extend_from_slice(&buffer[..read]);
        if read == 0 || answer.starts_with(b"HTTP/1.1 101") {
            break;
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_default())
}

async fn arrive(session: &Session) -> (Arrival, Socket) {
    let mut arrival = Arrival::default();
    let address = session.http.address;
    let deadline = Instant::now() + ALL_IN_WITHIN;
    loop {
        assert!(Instant::now() < deadline, "not in after {arrival:?}");
        let began = Instant::now();
        match Socket::try_in(address).await {
            Ok(mut socket) => {
                socket.send(&json!({"type": "hello", "token": session.token})).await;
                socket.frame("a welcome", |frame| frame["type"] == "welcome").await;
                arrival.accepted = began.elapsed();
                return (arrival, socket);
            }
            Err(error) => {
                arrival.refused.push(began.elapsed());
                assert_eq!(error["error"]["code"], "overloaded", "{error}");
                assert_eq!(error["error"]["retry"], "same_id", "{error}");
                let hint_ms = error["error"]["retry_after_ms"].as_u64().unwrap();
                arrival.hints_ms.push(hint_ms);
                as_told(hint_ms).await;
            }
        }
    }
}

#[tokio::test]
async fn five_times_as_many_handshakes_as_are_accepted_get_in_by_their_hints() {
    let limits = ["--handshakes-per-second", "20", "--handshake-burst", "10"];
    let serve = Serve::with(&limits).await;
    let ana = sign_up(serve.address, "ana").await;
    let mut sessions = Vec::new();
    for _ in 0..15 {
        sessions.push(ana.log_in(serve.address).await);
    }
    let barriers = metric(serve.admin, BARRIERS).await;
    let began = Instant::now();
    // A device holds at most eight connections.
    let arrivals = (0..100).map(|who| arrive(&sessions[who % sessions.len()]));
    let arrived = join_all(arrivals).await;
    let took = began.elapsed();
    let arrivals: Vec<&Arrival> = arrived.iter().map(|(arrival, _)| arrival).collect();
    let refusals: Vec<Duration> =
        arrivals.iter().flat_map(|arrival| arrival.refused.iter().copied()).collect();
    println!(
        "all in after {took:?}, {} refusals, the slowest {:?}; the slowest handshake {:?}",
        refusals.len(),
        refusals.iter().max(),
        arrivals.iter().map(|arrival| arrival.accepted).max(),
    );
    // 90 at 20 a second.
    assert!(took >= Duration::from_secs(4), "they were let in too fast: {took:?}");
    assert!(refusals.len() >= 80, "{} refusals", refusals.len());
    assert!(refusals.len() <= 400, "hints do not help: {} refusals", refusals.len());
    let slow = refusals.iter().filter(|took| **took > Duration::from_secs(2)).count();
    assert_eq!(slow, 0, "refused at once");
    let mut accepted: Vec<Duration> = arrivals.iter().map(|arrival| arrival.accepted).collect();
    accepted.sort_unstable();
    assert!(accepted[98] <= Duration::from_secs(3), "p99 of {accepted:?}");
    // Those who were refused first were spread over the time that they all need.
    let firsts: Vec<u64> =
        arrivals.iter().filter_map(|arrival| arrival.hints_ms.first().copied()).collect();
    let distinct: BTreeSet<u64> = firsts.iter().copied().collect();
    assert!(distinct.len() * 10 >= firsts.len() * 9, "the same moment for many: {firsts:?}");
    assert!(distinct.last().unwrap() - distinct.first().unwrap() >= 2_000, "{distinct:?}");
    assert_eq!(metric(serve.admin, REFUSED).await, refusals.len() as f64);
    let barriers = metric(serve.admin, BARRIERS).await - barriers;
    assert!(barriers.abs() < 0.5, "{barriers} reads of the accounts for known sessions");
}

#[tokio::test]
async fn what_is_refused_holds_no_memory() {
    let limits = ["--handshakes-per-second", "1", "--handshake-burst", "1"];
    let serve = Serve::with(&limits).await;
    let crowd = || async { join_all((0..50).map(|_| upgrade(serve.address))).await };
    crowd().await;
    let before = memory_bytes(serve.process.pid());
    let mut refused = 0;
    for _ in 0..40 {
        for (status, head, body) in crowd().await.into_iter().filter(|(status, ..)| *status != 101)
        {
            refused += 1;
            assert_eq!((status, &body["error"]["code"]), (503, &json!("overloaded")));
            assert!(head.contains("retry-after: ") && head.contains("connection: close"), "{head}");
            assert!(body["error"]["reconnect"]["base_ms"].as_u64().unwrap() > 0, "{body}");
        }
    }
    assert!(refused > 1_500, "{refused}");
    let grown = memory_bytes(serve.process.pid()).saturating_sub(before);
    println!("{refused} refusals, memory grew by {} KiB", grown / 1024);
    assert!(grown < 16 * 1024 * 1024, "memory grew by {grown}");
}

#[tokio::test]
async fn catch_ups_wait_for_their_turn_or_are_told_to_come_again_and_nothing_is_lost() {
    let limits = ["--catch-ups-per-second", "1", "--catch-up-burst", "2"];
    let serve = Serve::with(&limits).await;
    let ana = sign_up(serve.address, "ana").await;
    let (one, two) = (ana.log_in(serve.address).await, ana.log_in(serve.address).await);
    let notes = crate::harness::direct(&ana.user, &ana.user);
    one.store(&notes, &message("before")).await;
    let sessions: Vec<&Session> = (0..16).map(|who| [&one, &two][who % 2]).collect();
    let opened = join_all(sessions.iter().map(|session| async move {
        let mut socket = Socket::open(session.http.address).await;
        socket.send(&json!({"type": "hello", "token": session.token})).await;
        let first = socket.frame("an answer", |_| true).await;
        (first, socket)
    }))
    .await;
    let (waiting, refused): (Vec<_>, Vec<_>) =
        opened.into_iter().partition(|(first, _)| first["type"] == "welcome");
    // Two at once, ten in ten seconds, and a little for the time that this took.
    assert!((12..=15).contains(&waiting.len()), "{} were let in", waiting.len());
    for (error, mut socket) in refused {
        assert_eq!(error["code"], "overloaded", "{error}");
        assert!(error["retry_after_ms"].as_u64().unwrap() >= 1_000, "{error}");
        assert!(error["reconnect"]["cap_ms"].as_u64().unwrap() > 0, "{error}");
        assert_eq!(socket.closed().await.0, 4009);
    }
    // Who waits can send, and gets what is said meanwhile once, behind what was said before.
    let mut waiting: Vec<Socket> = waiting.into_iter().map(|(_, socket)| socket).collect();
    let during = waiting.last_mut().unwrap().store(&notes, &message("meanwhile")).await;
    for socket in &mut waiting {
        socket.frame("synced", |frame| frame["type"] == "synced").await;
        socket.event(&notes, seq_of(&during)).await;
        let events = socket.events(&notes);
        let texts: Vec<&str> = events.iter().map(text_of).collect();
        assert_eq!(texts, ["before", "meanwhile"]);
        assert_chain(&events);
    }
}

/// People with accounts, each on a device.
async fn crowd(address: SocketAddr, count: usize) -> Vec<Session> {
    let handles = (0..count).map(|who| format!("person-{who}"));
    // A password is dear: no more at once than are hashed at once.
    stream::iter(handles)
        .map(|handle| async move { sign_up(address, &handle).await.log_in(address).await })
        .buffered(4)
        .collect()
        .await
}

#[tokio::test]
async fn two_hundred_clients_of_a_group_come_back_for_one_read_of_its_history() {
    const PEOPLE: usize = 25;
    const CONNECTIONS_EACH: usize = 8;

    let mut roles = Roles::start(1, 1).await;
    let admin = free_port();
    roles.start_gateway_with(&["--admin-listen", &admin.to_string()]).await;
    let (dying, other) = (roles.gateways[0].address, roles.gateways[1].address);
    let people = crowd(dying, PEOPLE).await;
    let members: Vec<&str> = people[1..].iter().map(|person| person.user.as_str()).collect();
    let group = people[0].create_group("everybody", &members).await;
    for number in 0..20 {
        people[number % PEOPLE].store(&group, &message(&format!("early {number}"))).await;
    }
    let clients: Vec<&Session> =
        (0..PEOPLE * CONNECTIONS_EACH).map(|who| &people[who % PEOPLE]).collect();
    let mut sockets = join_all(clients.iter().map(|session| session.connect())).await;
    let last = people[0].store(&group, &message("the last before")).await;
    let mut cursors = Vec::new();
    for socket in &mut sockets {
        socket.event(&group, last).await;
        cursors.push(socket.cursor().await);
    }
    let seen: Vec<_> = sockets.iter().map(|socket| socket.events(&group)).collect();

    roles.gateways[0].process.signal(Signal::Kill);
    join_all(sockets.iter_mut().map(|socket| socket.closed())).await;
    let absent = people[1].at(other);
    for number in 0..30 {
        absent.store(&group, &message(&format!("while away {number}"))).await;
    }
    let (reads, shared) = (metric(admin, HISTORY_READS).await, metric(admin, HISTORY_SHARED).await);
    let resuming = join_all(
        clients
            .iter()
            .zip(&cursors)
            .map(|(session, cursor)| async move { session.at(other).resume(cursor).await }),
    );
    // Meanwhile the group goes on.
    let during = async {
        let mut seq = 0;
        for number in 0..10 {
            seq = absent.store(&group, &message(&format!("meanwhile {number}"))).await;
        }
        seq
    };
    let (mut resumed, last) = tokio::join!(resuming, during);
    for (socket, seen) in resumed.iter_mut().zip(seen) {
        socket.event(&group, last).await;
        let mut all = seen;
        all.extend(socket.events(&group));
        assert_eq!(all.len(), 1 + 21 + 40, "each once: {all:#?}");
        assert_chain(&all);
        assert_eq!(socket.of_type("gap").len(), 0);
    }
    let reads = metric(admin, HISTORY_READS).await - reads;
    let shared = metric(admin, HISTORY_SHARED).await - shared;
    println!("{} clients: {reads} reads of history, {shared} shared", resumed.len());
    assert!(reads <= 1.0, "{reads} reads of one conversation");
    assert!(shared + reads >= resumed.len() as f64, "{shared} shared");
}

#[tokio::test]
async fn what_is_shared_is_no_more_than_each_may_see() {
    let serve = Serve::start().await;
    let people = crowd(serve.address, 6).await;
    let members: Vec<&str> = people[1..].iter().map(|person| person.user.as_str()).collect();
    let group = people[0].create_group("everybody", &members).await;
    let first = people[0].store(&group, &message("first")).await;
    let mut cursors = Vec::new();
    for person in &people {
        let mut socket = person.connect().await;
        socket.event(&group, first).await;
        cursors.push(socket.cursor().await);
    }
    let again = async |who: usize| people[who].resume(&cursors[who]).await;
    let texts = |socket: &Socket| -> Vec<String> {
        socket.events(&group).iter().map(|event| text_of(event).to_owned()).collect()
    };
    // A deletion is for everybody, at once: what was shared before it is not shared any more.
    let doomed = people[1].store(&group, &message("a secret")).await;
    again(2).await.event(&group, doomed).await;
    let deletion = json!({"kind": "delete", "target": doomed});
    let deleted = people[1].store(&group, &deletion).await;
    again(2).await.event(&group, deleted).await;
    let mut later = again(3).await;
    later.event(&group, deleted).await;
    assert!(!texts(&later).contains(&"a secret".to_owned()), "{:?}", texts(&later));
    // Who is removed gets the removing event as the last, from no page of anybody's more.
    let removal = json!({"kind": "member", "user": people[4].user, "op": "remove"});
    let removed = people[0].store(&group, &removal).await;
    let without = people[1].store(&group, &message("without them")).await;
    again(5).await.event(&group, without).await;
    let mut outsider = again(4).await;
    outsider.event(&group, removed).await;
    outsider.cursor().await;
    assert!(!texts(&outsider).contains(&"without them".to_owned()), "{:?}", texts(&outsider));
    assert_eq!(outsider.events(&group).last().map(seq_of), Some(removed));
    // Who comes sees nothing of before, and the others all of it.
    let added = json!({"kind": "member", "user": people[4].user, "op": "add"});
    let added = people[0].store(&group, &added).await;
    let welcome = people[1].store(&group, &message("welcome back")).await;
    let mut newcomer = people[4].connect().await;
    newcomer.event(&group, welcome).await;
    assert_eq!(newcomer.events(&group).first().map(seq_of), Some(added));
    let mut veteran = people[5].connect().await;
    veteran.event(&group, welcome).await;
    assert_chain(&veteran.events(&group));
    assert!(texts(&veteran).contains(&"first".to_owned()));
}
