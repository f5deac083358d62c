//! A removal is complete when it is acknowledged, and a group never holds more than it may (bar 8).

use std::collections::HashSet;
use std::time::Duration;

use hansard_model::account::AccountEvent;
use hansard_model::subject::Subject;
use hansard_model::{MessageId, UserId};
use hansard_nats::accounts::AccountLog;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    DataDir, Dice, Roles, Session, Signal, Socket, assert_chain, couple, message, mint, seq_of,
    setting, sign_up, signal, text_of,
};

/// `REMOVAL_ROUNDS=1000` is the bar.
const ROUNDS: u64 = 30;
/// How long a round's sends have gone on when the removal comes, at most.
const HEAD_START: Duration = Duration::from_millis(60);
/// How often the member says something.
const SEND_EVERY: Duration = Duration::from_millis(4);
/// How long a process is paused, at most: past the lease and the error of the clocks.
const PAUSE: Duration = Duration::from_millis(3_600);

/// What a member who was removed in the middle of sending got.
struct Round {
    /// The seqs of acks, those after `complete` apart.
    acked: Vec<u64>,
    /// The last seq of the log when the removal was acknowledged.
    complete: u64,
    /// The removing event.
    removed: u64,
}

/// Sends until told to stop, never waiting for an answer; the refs, in order.
async fn send_until(socket: &mut Socket, group: &str, stop: &CancellationToken) -> Vec<u64> {
    let mut references = Vec::new();
    let mut pace = tokio::time::interval(SEND_EVERY);
    while !stop.is_cancelled() {
        tokio::select! {
            _ = pace.tick() => {
                references.push(socket.put(group, &message("from the member")).await.0);
            }
            read = socket.next() => assert!(read.is_ok(), "{read:?}"),
        }
    }
    references
}

/// One removal, by the owner at one gateway, of a member who is sending at the other.
async fn round(
    roles: &Roles,
    dice: &mut Dice,
    log: &hansard_nats::Log,
    owner: &Session,
    member: &Session,
    group: &str,
) -> Round {
    let add = json!({"kind": "member", "op": "add", "user": member.user});
    owner.store(group, &add).await;
    let mut socket = member.connect().await;
    let stop = CancellationToken::new();
    let sending = tokio::spawn({
        let (stop, group) = (stop.clone(), group.to_owned());
        async move {
            let references = send_until(&mut socket, &group, &stop).await;
            (socket, references)
        }
    });
    tokio::time::sleep(dice.up_to(HEAD_START)).await;
    let paused = (dice.below(6) == 0).then(|| {
        let pids = [roles.gateways[1].process.pid(), roles.projectors[0].process.pid()];
        pids[usize::try_from(dice.below(2)).unwrap()]
    });
    let resuming = paused.map(|pid| {
        signal(pid, Signal::Stop);
        let pause = dice.up_to(PAUSE);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            signal(pid, Signal::Continue);
        })
    });
    let remove = json!({"kind": "member", "op": "remove", "user": member.user});
    let removed = owner.store(group, &remove).await;
    let complete = DataDir::last_seq(log, group).await;
    if let Some(resuming) = resuming {
        resuming.await.unwrap();
    }
    // Some sends for certain begin after it was complete.
    tokio::time::sleep(dice.up_to(HEAD_START)).await;
    stop.cancel();
    let (mut socket, references) = sending.await.unwrap();
    let mut acked = Vec::new();
    for reference in references {
        let answer = socket.answer(reference).await;
        match answer["type"].as_str() {
            Some("ack") => acked.push(seq_of(&answer)),
            _ => assert!(
                ["not_a_member", "unavailable", "rate_limited", "overloaded"]
                    .contains(&answer["code"].as_str().unwrap()),
                "{answer}"
            ),
        }
    }
    socket.event(group, removed).await;
    let late: Vec<Value> =
        socket.events(group).into_iter().filter(|event| seq_of(event) > removed).collect();
    assert_eq!(late, [] as [Value; 0], "delivered after the removing event {removed}");
    Round { acked, complete, removed }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_removed_member_is_valid_after_the_removal_was_acknowledged() {
    let arguments = ["--sends-per-second", "1000", "--send-burst", "1000"];
    let roles = Roles::with(2, 1, &arguments).await;
    let (here, there) = (roles.gateways[0].address, roles.gateways[1].address);
    let (owner, member, _) = couple(here).await;
    let member = member.at(there);
    let group = owner.create_group("ours", &[]).await;
    let (_connection, log) = roles.data.operator().await;
    let mut dice = Dice::new();
    let mut rounds = Vec::new();
    for _ in 0..setting("REMOVAL_ROUNDS", ROUNDS) {
        rounds.push(round(&roles, &mut dice, &log, &owner, &member, &group).await);
        owner.store(&group, &message("after the removal")).await;
    }

    let replayed = roles.data.replay(&group).await;
    let valid: Vec<_> = replayed.iter().filter(|event| !event.void).collect();
    let by_member = |seq: &&&crate::harness::Replayed| seq.body["sender"] == *member.user;
    let sent: Vec<u64> = valid.iter().filter(by_member).map(|event| event.seq).collect();
    let stored: HashSet<u64> = owner.events(&group).await.iter().map(seq_of).collect();
    for (index, round) in rounds.iter().enumerate() {
        let next = rounds.get(index + 1).map_or(u64::MAX, |next| next.removed);
        let again = valid.iter().find(|event| {
            event.seq > round.removed && event.body["event"]["op"] == "add" && event.seq < next
        });
        let until = again.map_or(u64::MAX, |event| event.seq);
        let late = sent.iter().find(|seq| **seq > round.complete && **seq < until);
        assert_eq!(late, None, "valid after the removal {} was complete", round.removed);
        for seq in &round.acked {
            assert!(sent.contains(seq) && stored.contains(seq), "the acked {seq} is missing");
        }
    }
    let acked: usize = rounds.iter().map(|round| round.acked.len()).sum();
    println!("{} rounds, {acked} sends acked, {} events", rounds.len(), replayed.len());
    assert!(acked > 0, "the member never got a word in");
    assert_chain(&owner.events(&group).await);
}

/// Makes people who cannot log in, quickly: as an import does.
async fn people(data: &DataDir, count: u64) -> Vec<String> {
    let (connection, _) = data.operator().await;
    let accounts = AccountLog::open(&connection);
    let mut users = Vec::new();
    for number in 0..count {
        let request: MessageId = mint().parse().unwrap();
        let mut entropy = [0; UserId::LEN];
        entropy[..16].copy_from_slice(&request.to_string().replace('-', "").as_bytes()[16..]);
        entropy[16..18].copy_from_slice(&u16::try_from(number).unwrap().to_be_bytes());
        let user = UserId::from_entropy(entropy);
        let handle: hansard_model::account::Handle = format!("person-{number}").parse().unwrap();
        let name = handle.to_string();
        let created = AccountEvent::UserCreated {
            user,
            handle: handle.clone(),
            name,
            password: None,
            request,
        };
        let subject = Subject::AccountHandle(handle);
        accounts.append(&subject, &created, None).await.unwrap();
        users.push(user.to_string());
    }
    users
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_concurrent_adds_exactly_as_many_succeed_as_there_is_room_for() {
    let roles = Roles::start(2, 1).await;
    let (here, there) = (roles.gateways[0].address, roles.gateways[1].address);
    let owner = sign_up(here, "owner").await.log_in(here).await;
    let admin = sign_up(here, "admin").await.log_in(there).await;
    let users = people(&roles.data, 248).await;
    let (first, rest) = users.split_at(48);
    let mut members: Vec<&str> = first.iter().map(String::as_str).collect();
    members.push(&admin.user);
    let group = owner.create_group("half full", &members).await;
    let role = json!({"kind": "member", "op": "role", "user": admin.user, "role": "admin"});
    owner.store(&group, &role).await;

    let adding = rest.chunks(100).zip([owner.clone(), admin]).map(|(users, session)| {
        let (users, group) = (users.to_vec(), group.clone());
        tokio::spawn(async move { add_all(&session, &group, &users).await })
    });
    let (mut added, mut refused) = (Vec::new(), 0);
    for adding in adding.collect::<Vec<_>>() {
        let (succeeded, failed) = adding.await.unwrap();
        added.extend(succeeded);
        refused += failed;
    }
    assert_eq!((added.len(), refused), (50, 150));
    let path = format!("/v1/conversations/{group}/members?limit=500");
    let listed = owner.http.get(&path).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 100);
    let replayed = roles.data.replay(&group).await;
    let adds = replayed.iter().filter(|event| !event.void && event.body["event"]["op"] == "add");
    let seqs: Vec<u64> = adds.map(|event| event.seq).collect();
    added.sort_unstable();
    assert_eq!(seqs, added);
}

/// Adds everybody at once, sending again what may be sent again; the seqs of those who were added,
/// and how many were refused because the group is full.
async fn add_all(session: &Session, group: &str, users: &[String]) -> (Vec<u64>, usize) {
    let mut socket = session.connect().await;
    let mut waiting = Vec::new();
    for user in users {
        let event = json!({"kind": "member", "op": "add", "user": user});
        let (reference, id) = socket.put(group, &event).await;
        waiting.push((reference, id, event));
    }
    let (mut added, mut refused) = (Vec::new(), 0);
    while !waiting.is_empty() {
        let mut again = Vec::new();
        for (reference, id, event) in waiting {
            let answer = socket.answer(reference).await;
            match (answer["type"].as_str().unwrap(), answer["retry"].as_str()) {
                ("ack", _) => added.push(seq_of(&answer)),
                (_, Some("same_id")) => {
                    let reference = socket.put_as(group, &id, &event).await;
                    again.push((reference, id, event));
                }
                _ => {
                    assert_eq!(answer["code"], "group_full", "{answer}");
                    refused += 1;
                }
            }
        }
        waiting = again;
    }
    (added, refused)
}

#[tokio::test]
async fn a_removal_with_a_dead_gateway_waits_for_its_leases_and_then_holds() {
    let mut roles = Roles::start(2, 1).await;
    let (owner, member, _) = couple(roles.gateways[0].address).await;
    let group = owner.create_group("ours", &[&member.user]).await;
    let there = member.at(roles.gateways[1].address);
    there.store(&group, &message("vouched for over there")).await;
    roles.gateways[1].process.signal(Signal::Stop);
    let remove = json!({"kind": "member", "op": "remove", "user": member.user});
    let removed = owner.store(&group, &remove).await;
    assert_eq!(member.refused(&group, &message("hey")).await, "not_a_member");
    roles.gateways[1].process.signal(Signal::Continue);
    assert_eq!(there.refused(&group, &message("hey")).await, "not_a_member");
    let last = owner.store(&group, &message("quiet here")).await;
    let events = owner.events(&group).await;
    assert_eq!(text_of(events.last().unwrap()), "quiet here");
    assert_eq!(events.last().unwrap()["prev"], removed);
    assert_eq!(seq_of(events.last().unwrap()), last);
    roles.gateways[1].process.kill().await;
}
