//! The log beyond its streams: archived, trimmed, and still one log for everybody who reads it.

mod witness;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use self::witness::Witness;
use crate::harness::{
    DataDir, Dice, Http, Plan, Roles, Session, eventually, message, mint, mint_at, now_ms, seq_of,
    setting, sign_up, text_of,
};
use crate::views::fold::assert_views_equal_the_log;
use crate::views::load::{Acked, Company};

/// `ARCHIVE_KILLS=20` for a release.
const KILLS: u64 = 3;
/// Small segments and a short memory of the stream, so that a test sees much of both.
const SMALL: [&str; 5] = ["--hot-window", "2s", "--segment-events", "50", "--unsafe-windows"];

/// A deployment that archives and trims all the time.
async fn forgetful(gateways: usize, projectors: usize) -> Roles {
    Roles::of(Plan { gateways, projectors, to_projectors: &SMALL, ..Plan::default() }).await
}

/// The first sequence that each partition's stream still holds.
async fn first_seqs(roles: &Roles) -> Vec<u64> {
    let nats = roles.data.jetstream().await;
    let (_connection, log) = roles.data.operator().await;
    let mut firsts = Vec::new();
    for partition in log.partitions().partitions() {
        let mut stream = nats.get_stream(format!("EVENTS_{partition}")).await.unwrap();
        firsts.push(stream.info().await.unwrap().state.first_sequence);
    }
    firsts
}

/// Waits until the stream no longer holds the event at `seq` of a conversation. More is said
/// elsewhere in its partition meanwhile, because only what is behind a later event is trimmed.
async fn is_trimmed(roles: &Roles, speaker: &Session, conversation: &str, seq: u64) {
    let (_connection, log) = roles.data.operator().await;
    let partition = log.partition_of(conversation.parse().unwrap());
    eventually("the stream to be trimmed", async || {
        for number in 0..20 {
            speaker.store(conversation, &message(&format!("filler {number}"))).await;
        }
        first_seqs(roles).await[partition.index()] > seq
    })
    .await;
}

/// A segment, as `hansard archive list --json` tells of it.
#[derive(Clone, Debug, Deserialize)]
struct Segment {
    stream: String,
    object: String,
    last: u64,
}

impl Segment {
    fn path(&self, data: &DataDir) -> PathBuf {
        data.objects().join(&self.object)
    }

    /// The last part of its name, which is its hash too.
    fn name(&self) -> &str {
        self.object.rsplit('/').next().unwrap()
    }
}

/// The segments that make up the archive.
async fn segments(roles: &Roles) -> Vec<Segment> {
    let listed = roles.data.hansard_done(&["archive", "list", "--json"]).await;
    listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until everything that is in the log is in segments, the accounts too.
async fn is_archived(roles: &Roles) {
    let nats = roles.data.jetstream().await;
    let (_connection, log) = roles.data.operator().await;
    let partitions = log.partitions().partitions();
    let mut streams: Vec<String> = partitions.map(|one| format!("EVENTS_{one}")).collect();
    streams.push("ACCOUNTS".to_owned());
    eventually("everything to be archived", async || {
        let segments = segments(roles).await;
        for name in &streams {
            let of_this = segments.iter().filter(|segment| segment.stream == *name);
            let archived = of_this.map(|segment| segment.last).max().unwrap_or(0);
            let mut stream = nats.get_stream(name).await.unwrap();
            if archived < stream.info().await.unwrap().state.last_sequence {
                return false;
            }
        }
        true
    })
    .await;
}

/// That the log, read through segments and streams, holds what was acknowledged and nothing else.
async fn assert_log_holds(roles: &Roles, company: &Company, acked: &Acked) {
    for conversation in &company.conversations {
        let mut stored = BTreeMap::new();
        for record in roles.data.replay(conversation).await {
            let is_talk = !record.void && record.body["event"]["kind"] != "create";
            if is_talk {
                let sender = record.body["sender"].as_str().unwrap().to_owned();
                stored.insert(record.seq, (sender, record.body["event"].clone()));
            }
        }
        let of_this = acked.iter().filter(|((of, _), _)| of == conversation);
        let expected: BTreeMap<u64, &(String, Value)> =
            of_this.map(|((_, seq), said)| (*seq, said)).collect();
        assert!(!expected.is_empty());
        let seqs = |of: Vec<u64>| of;
        assert_eq!(
            seqs(stored.keys().copied().collect()),
            seqs(expected.keys().copied().collect()),
            "the events of {conversation}"
        );
        for (seq, (sender, event)) in &stored {
            let (by, said) = expected[seq];
            assert_eq!(sender, by, "{seq}");
            // A gateway adds whose message it is.
            let mut event = event.clone();
            event.as_object_mut().unwrap().remove("target_sender");
            assert_eq!(&event, said, "{seq}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_and_stream_are_one_log_whatever_is_killed_on_the_way() {
    let mut roles = forgetful(2, 2).await;
    let witness = Witness::watch(&roles.data).await;
    let company = Company::gather(&roles.addresses(), 1).await;
    let mut dice = Dice::new();
    let load = company.talk(&mut dice);
    for _ in 0..setting("ARCHIVE_KILLS", KILLS) {
        load.goes_on_a_while(&mut dice).await;
        roles.take_owner(&mut dice).await.process.kill().await;
        roles.start_projector().await;
        eventually("more of the log to be trimmed", async || {
            first_seqs(&roles).await.iter().any(|first| *first > 1)
        })
        .await;
    }
    let acked = load.end().await;
    assert!(!segments(&roles).await.is_empty(), "there are no segments");
    assert_log_holds(&roles, &company, &acked).await;
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    roles.data.hansard_done(&["archive", "verify"]).await;
    let events = witness.assert_nothing_changed(&roles.data).await;
    println!("{events} events in {} segments and the streams", segments(&roles).await.len());

    // What is only in segments is what the views are built from, too.
    roles.stop_projectors().await;
    fs::remove_dir_all(roles.data.objects().join("history")).unwrap();
    roles.start_projector().await;
    assert_log_holds(&roles, &company, &acked).await;
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    roles.data.hansard_done(&["views", "verify"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_flipped_byte_of_the_archive_is_found_and_named() {
    let mut roles = forgetful(1, 1).await;
    let company = Company::gather(&roles.addresses(), 1).await;
    let mut dice = Dice::new();
    let load = company.talk(&mut dice);
    eventually("a few segments", async || segments(&roles).await.len() > 4).await;
    load.end().await;
    roles.stop_projectors().await;
    let clean = roles.data.hansard_done(&["archive", "verify"]).await;
    assert!(clean.lines().count() > 0, "nothing is said of what was looked at");
    let segments = segments(&roles).await;
    let fails_and_says = async |what: &str, segment: &Segment| {
        for more in [&[][..], &["--offline"][..]] {
            let output = roles.data.hansard(&[&["archive", "verify"], more].concat()).await;
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(!output.status.success(), "{what} of {segment:?} {more:?}: {said}");
            assert!(said.contains(segment.name()), "{what} of {segment:?} {more:?}: {said}");
        }
    };
    for _ in 0..setting("FLIPS", 4) {
        let segment = dice.one_of(&segments);
        let path = segment.path(&roles.data);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let at = usize::try_from(dice.below(good.len() as u64)).unwrap();
        bad[at] ^= 1 << dice.below(8);
        fs::write(&path, &bad).unwrap();
        fails_and_says(&format!("byte {at}"), segment).await;
        fs::write(&path, &good).unwrap();
    }
    let lost = dice.one_of(&segments);
    let good = fs::read(lost.path(&roles.data)).unwrap();
    fs::remove_file(lost.path(&roles.data)).unwrap();
    let found = roles.data.hansard(&["archive", "verify"]).await;
    assert!(!found.status.success(), "{lost:?} is missing: {found:?}");
    fs::write(lost.path(&roles.data), good).unwrap();
    roles.data.hansard_done(&["archive", "verify"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_without_its_streams_is_restored_from_its_archive() {
    let mut roles = forgetful(1, 1).await;
    let company = Company::gather(&roles.addresses(), 1).await;
    let mut dice = Dice::new();
    let load = company.talk(&mut dice);
    eventually("a few segments", async || segments(&roles).await.len() > 4).await;
    let acked = load.end().await;
    let ana = &company.people[0];
    let cursor = ana.connect().await.cursor().await;
    is_archived(&roles).await;
    roles.stop().await;
    fs::remove_dir_all(roles.data.streams()).unwrap();

    let said = roles.data.hansard_done(&["restore", "--no-wait"]).await;
    println!("{said}");
    roles.restart_nats().await;
    roles.start_projector().await;
    roles.restart_gateway(0).await;
    let admin = Http::anonymous(roles.projectors[0].admin);
    eventually("readiness", async || admin.ask("GET", "/readyz", None).await.status == 200).await;
    assert_log_holds(&roles, &company, &acked).await;
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    let back = ana.resume(&cursor).await;
    assert_eq!(back.of_type("synced")[0]["reset"], true, "cursors begin anew");
    let seq = ana.store(&company.conversations[0], &message("and on")).await;
    let last = acked.keys().rfind(|(of, _)| *of == company.conversations[0]).unwrap().1;
    assert!(seq > last, "{seq} is not behind {last}");
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    roles.data.hansard_done(&["archive", "verify"]).await;
    roles.data.hansard_done(&["views", "verify"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_archive_holds_is_edited_answered_and_deleted_as_ever() {
    let roles = forgetful(1, 1).await;
    let address = roles.gateways[0].address;
    let ana = sign_up(address, "ana").await.log_in(address).await;
    let ben = sign_up(address, "ben").await.log_in(address).await;
    let eve = sign_up(address, "eve").await.log_in(address).await;
    let group = ana.create_group("old friends", &[&ben.user]).await;
    let id = mint();
    let event = message("long ago");
    let first = ana.store_at_last(&[address], &group, &id, &event).await;
    let second = ana.store(&group, &message("long ago, too")).await;
    let third = ben.store(&group, &message("and a third")).await;
    is_trimmed(&roles, &ana, &group, third).await;

    // Whoever is a member still is, and nobody else.
    assert_eq!(eve.refused(&group, &message("hello?")).await, "not_a_member");
    let members = ana.http.get(&format!("/v1/conversations/{group}/members")).await;
    assert_eq!(members["items"].as_array().unwrap().len(), 2, "{members}");
    let edit = json!({"kind": "edit", "target": first, "text": "long, long ago"});
    ana.store(&group, &edit).await;
    assert_eq!(ben.refused(&group, &edit).await, "forbidden");
    ana.store(&group, &json!({"kind": "delete", "target": second})).await;
    let mut reply = message("as I said");
    (reply["reply_to"], reply["thread"]) = (json!(third), json!(first));
    let reply = ben.store(&group, &reply).await;
    let react = json!({"kind": "reaction", "target": third, "emoji": "🎉", "op": "add"});
    ana.store(&group, &react).await;
    let absent = json!({"kind": "edit", "target": third + 1_000_000, "text": "nobody said it"});
    assert_eq!(ana.refused(&group, &absent).await, "not_found");

    let page = ana.messages_page(&group, &format!("around={first}&limit=8")).await;
    let item = |seq: u64| {
        let items = page["items"].as_array().unwrap();
        items.iter().find(|item| seq_of(item) == seq).unwrap_or_else(|| panic!("{page}")).clone()
    };
    assert_eq!(text_of(&item(first)), "long, long ago");
    assert_eq!(item(first)["state"]["thread"], json!({"count": 1, "last": reply}));
    assert_eq!(item(second)["body"]["event"], json!({"kind": "message", "deleted": true}));
    assert_eq!(item(third)["state"]["reactions"][0]["count"], 1);

    // The same id again is the same message, however late.
    let again = json!({"id": id, "event": event});
    let path = format!("/v1/conversations/{group}/messages");
    let answer = ana.http.post(&path, &again).await;
    assert_eq!((&answer["seq"], &answer["duplicate"]), (&json!(first), &json!(true)));
    let old = json!({"id": mint_at(now_ms() - 3_600_000), "event": message("from the tunnel")});
    let stored = ana.http.post(&path, &old).await;
    assert_eq!(ana.http.post(&path, &old).await["seq"], stored["seq"]);

    // Membership goes on changing.
    ana.store(&group, &json!({"kind": "member", "op": "add", "user": eve.user})).await;
    eve.store(&group, &message("hello!")).await;
    ana.store(&group, &json!({"kind": "member", "op": "remove", "user": ben.user})).await;
    assert_eq!(ben.refused(&group, &message("hm")).await, "not_a_member");
    let members = [ana.clone()];
    assert_views_equal_the_log(&roles.data, &members, &[group]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_starts_after_the_trim_knows_who_is_in_a_group() {
    let mut roles = forgetful(1, 1).await;
    let address = roles.gateways[0].address;
    let ana = sign_up(address, "ana").await.log_in(address).await;
    let ben = sign_up(address, "ben").await.log_in(address).await;
    let eve = sign_up(address, "eve").await.log_in(address).await;
    let group = ana.create_group("old friends", &[&ben.user]).await;
    let first = ben.store(&group, &message("long ago")).await;
    is_trimmed(&roles, &ana, &group, first).await;
    roles.start_gateway().await;
    let there = roles.gateways[1].address;
    ben.at(there).store(&group, &message("still in")).await;
    let hello = message("hello?");
    assert_eq!(eve.at(there).refused(&group, &hello).await, "not_a_member");
    let add = json!({"kind": "member", "op": "add", "user": eve.user});
    assert_eq!(ben.at(there).refused(&group, &add).await, "forbidden");
    ana.at(there).store(&group, &add).await;
    eve.store(&group, &message("hello!")).await;
    let mut socket = eve.at(there).connect().await;
    let ack = socket.store(&group, &message("hello again")).await;
    socket.event(&group, seq_of(&ack)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_store_that_is_away_costs_time_and_nothing_else() {
    let mut roles = forgetful(1, 2).await;
    let witness = Witness::watch(&roles.data).await;
    let company = Company::gather(&roles.addresses(), 1).await;
    let mut dice = Dice::new();
    let load = company.talk(&mut dice);
    eventually("a few segments", async || segments(&roles).await.len() > 2).await;
    let (archive, away) = (roles.data.objects().join("archive"), roles.data.objects().join("away"));
    let gateways = roles.addresses();
    let mut meanwhile = Acked::new();
    for _ in 0..setting("OUTAGES", 2) {
        fs::rename(&archive, &away).unwrap();
        // A file where a directory should be: every write and read fails.
        fs::write(&archive, "away").unwrap();
        let gone = first_seqs(&roles).await;
        // Those who talk may all be waiting: what is trimmed can be edited when the archive is back.
        for conversation in &company.conversations {
            let sender = company.members_of(conversation)[0];
            let event = message("said while the archive is away");
            let seq = sender.store_at_last(&gateways, conversation, &mint(), &event).await;
            meanwhile.insert((conversation.clone(), seq), (sender.user.to_string(), event));
        }
        roles.take_owner(&mut dice).await.process.kill().await;
        roles.start_projector().await;
        fs::remove_file(&archive).unwrap();
        fs::rename(&away, &archive).unwrap();
        eventually("more to be trimmed", async || first_seqs(&roles).await > gone).await;
    }
    let mut acked = load.end().await;
    acked.extend(meanwhile);
    assert_log_holds(&roles, &company, &acked).await;
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    roles.data.hansard_done(&["archive", "verify"]).await;
    witness.assert_nothing_changed(&roles.data).await;
}
