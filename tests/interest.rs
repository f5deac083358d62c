//! Several gateways, each of which takes of the live feed what concerns somebody there: whoever is
//! connected wherever gets exactly what is theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    Dice, Patience, Roles, Session, Socket, assert_chain, couple, direct, eventually, free_port,
    message, metric, mint, seq_of, setting, sign_up,
};

const BY_INTEREST: &str = "hansard_gateway_feed_by_interest";
const PASSED_OVER: &str = "hansard_gateway_live_events_passed_over_total";
const HOLES: &str = "hansard_gateway_feed_holes_found_total";
const LATE: &str = "hansard_gateway_feed_content_late_total";
const BYTES: &str = "hansard_nats_live_bytes_total";

/// Longer than a gateway stays by interest when the others are gone.
const ALONE_WITHIN: std::time::Duration = std::time::Duration::from_secs(60);

/// Gateways with an operator's listener each, that follow the feed by interest.
struct Fleet {
    roles: Roles,
    admins: Vec<SocketAddr>,
}

impl Fleet {
    async fn start(gateways: usize, more: &[&str]) -> Self {
        let mut fleet = Self { roles: Roles::start(0, 2).await, admins: Vec::new() };
        for _ in 0..gateways {
            fleet.grow(more).await;
        }
        fleet.is_by_interest().await;
        fleet
    }

    async fn grow(&mut self, more: &[&str]) {
        let admin = free_port();
        let listen = admin.to_string();
        let arguments = [&["--admin-listen", &listen], more].concat();
        self.roles.start_gateway_with(&arguments).await;
        self.admins.push(admin);
    }

    async fn is_by_interest(&self) {
        for admin in &self.admins {
            eventually("the feed is followed by interest", async || {
                metric(*admin, BY_INTEREST).await > 0.5
            })
            .await;
        }
    }

    async fn metrics(&self, name: &str) -> Vec<f64> {
        join_all(self.admins.iter().map(|admin| metric(*admin, name))).await
    }
}

/// Somebody who reads at one gateway after the other.
struct Reader {
    session: Session,
    at: usize,
    socket: Socket,
    /// The events that came by each connection before this one.
    before: Vec<Vec<Value>>,
}

impl Reader {
    async fn connect(session: Session, addresses: &[SocketAddr], at: usize) -> Self {
        let session = session.at(addresses[at]);
        let socket = session.connect().await;
        Self { session, at, socket, before: Vec::new() }
    }

    /// Goes on at another gateway from where it is.
    async fn move_to(&mut self, addresses: &[SocketAddr], at: usize) {
        let cursor = self.socket.cursor().await;
        self.before.push(self.socket.of_type("event"));
        self.session = self.session.at(addresses[at]);
        self.at = at;
        self.socket = self.session.resume(&cursor).await;
    }

    /// The seqs of events by conversation, in the order in which they came. A cursor may be of
    /// before what its connection brought last: what a resume repeats counts once.
    fn got(&self) -> BTreeMap<String, Vec<u64>> {
        let mut got: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let last = [self.socket.of_type("event")];
        for connection in self.before.iter().chain(&last) {
            let known = got.clone();
            for event in connection {
                let conversation = event["conversation"].as_str().unwrap().to_owned();
                let seq = seq_of(event);
                let had = known.get(&conversation).and_then(|seqs| seqs.last());
                if had.is_none_or(|had| seq > *had) {
                    got.entry(conversation).or_default().push(seq);
                }
            }
        }
        got
    }

    /// Waits for an event, unless it came before.
    async fn has(&mut self, conversation: &str, seq: u64) {
        let is_it = |event: &Value| event["conversation"] == conversation && event["seq"] == seq;
        if !self.before.iter().flatten().any(is_it) {
            self.socket.event(conversation, seq).await;
        }
    }
}

fn member(op: &str, user: &str) -> Value {
    json!({"kind": "member", "op": op, "user": user})
}

/// What each of the users is to get of a conversation, by the log.
async fn owed(roles: &Roles, conversation: &str, users: &[String]) -> BTreeMap<String, Vec<u64>> {
    let mut members: BTreeSet<String> = users
        .iter()
        .filter(|user| !conversation.starts_with("g.") && conversation.contains(*user))
        .cloned()
        .collect();
    let mut owed: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for stored in roles.data.replay(conversation).await.iter().filter(|stored| !stored.void) {
        let event = &stored.body["event"];
        let of = |value: &Value| value.as_str().unwrap().to_owned();
        let mut removed = None;
        match (event["kind"].as_str(), event["op"].as_str()) {
            (Some("create"), _) => {
                members.extend(event["members"].as_array().unwrap().iter().map(of));
                members.insert(of(&stored.body["sender"]));
            }
            (Some("member"), Some("add")) => {
                members.insert(of(&event["user"]));
            }
            (Some("member"), Some("remove")) => removed = Some(of(&event["user"])),
            _ => {}
        }
        for user in &members {
            owed.entry(user.clone()).or_default().push(stored.seq);
        }
        if let Some(removed) = removed {
            members.remove(&removed);
        }
    }
    owed
}

/// That each reader has got what is owed to them by the log, once and in order, and nothing else.
async fn everybody_has_what_is_theirs(
    roles: &Roles,
    conversations: &[String],
    users: &[String],
    readers: &mut [Reader],
) {
    let mut owed_to: BTreeMap<String, BTreeMap<String, Vec<u64>>> = BTreeMap::new();
    for conversation in conversations {
        for (user, seqs) in owed(roles, conversation, users).await {
            owed_to.entry(user).or_default().insert(conversation.clone(), seqs);
        }
    }
    for reader in readers {
        let owed = owed_to.remove(&reader.session.user).unwrap_or_default();
        for (conversation, seqs) in &owed {
            reader.has(conversation, *seqs.last().unwrap()).await;
        }
        assert_eq!(reader.got(), owed, "{}", reader.session.handle);
    }
}

/// Groups of some of them, and who is in each. The first is the owner of all, and a member for good.
async fn found_groups(owner: &Session, users: &[String]) -> Vec<(String, BTreeSet<usize>)> {
    let mut groups = Vec::new();
    for members in [vec![0, 1], vec![0, 2, 3], vec![0, 1, 4, 5]] {
        let others: Vec<&str> = members[1..].iter().map(|who| users[*who].as_str()).collect();
        let group = owner.create_group("ours", &others).await;
        groups.push((group, members.into_iter().collect()));
    }
    groups
}

/// `INTEREST_ROUNDS=200` for longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_member_gets_every_event_once_and_in_order_wherever_they_are() {
    let mut dice = Dice::new();
    let rounds = setting("INTEREST_ROUNDS", 12);
    let fleet = Fleet::start(3, &[]).await;
    let addresses = fleet.roles.addresses();
    let mut sessions = Vec::new();
    for name in ["ana", "ben", "cem", "dan", "eva", "fay"] {
        sessions.push(sign_up(addresses[0], name).await.log_in(addresses[0]).await);
    }
    let users: Vec<String> = sessions.iter().map(|session| session.user.clone()).collect();
    // Two at each gateway, whatever the placement says.
    let mut readers = Vec::new();
    for (place, session) in sessions.iter().enumerate() {
        readers.push(Reader::connect(session.clone(), &addresses, place % 3).await);
    }
    let mut groups = found_groups(&sessions[0], &users).await;
    let pairs = [(0, 1), (1, 2), (2, 5), (3, 4), (4, 4)];

    for round in 0..rounds {
        let mut sends: Vec<(usize, String)> = Vec::new();
        for _ in 0..8 {
            if dice.below(3) == 0 {
                let (x, y) = *dice.one_of(&pairs);
                sends.push((x, direct(&users[x], &users[y])));
            } else {
                let (group, members) = dice.one_of(&groups);
                let members: Vec<usize> = members.iter().copied().collect();
                sends.push((*dice.one_of(&members), group.clone()));
            }
        }
        // Who changes membership, who moves: never the same in one round, so that the log alone
        // says what each is owed.
        let change = usize::try_from(dice.below(3)).unwrap();
        let who = 1 + usize::try_from(dice.below(5)).unwrap();
        let is_member = groups[change].1.contains(&who);
        // Who sends meanwhile stays a member meanwhile.
        sends.retain(|(sender, to)| *sender != who || *to != groups[change].0);
        let moving = (who + 1 + usize::try_from(dice.below(4)).unwrap()) % users.len();
        let target = (readers[moving].at + 1 + usize::try_from(dice.below(2)).unwrap()) % 3;

        let at: Vec<SocketAddr> = (0..3).map(|_| *dice.one_of(&addresses)).collect();
        let sending = join_all(sends.iter().enumerate().map(|(number, (sender, to))| {
            let session = &sessions[*sender];
            let (at, text) = (at.clone(), format!("{round}.{number}"));
            async move { session.store_at_last(&at, to, &mint(), &message(&text)).await }
        }));
        let changing = async {
            let op = if is_member { "remove" } else { "add" };
            let event = member(op, &users[who]);
            sessions[0].store_at_last(&at, &groups[change].0, &mint(), &event).await
        };
        let moving = readers[moving].move_to(&addresses, target);
        let (_, changed, ()) = tokio::join!(sending, changing, moving);
        if is_member {
            groups[change].1.remove(&who);
        } else {
            groups[change].1.insert(who);
        }
        readers[who].has(&groups[change].0, changed).await;
    }

    let mut conversations: Vec<String> = groups.iter().map(|(group, _)| group.clone()).collect();
    conversations.extend(pairs.iter().map(|(x, y)| direct(&users[*x], &users[*y])));
    everybody_has_what_is_theirs(&fleet.roles, &conversations, &users, &mut readers).await;
    println!(
        "passed over {:?}, holes {:?}, contents late {:?}",
        fleet.metrics(PASSED_OVER).await,
        fleet.metrics(HOLES).await,
        fleet.metrics(LATE).await
    );
    assert!(fleet.metrics(PASSED_OVER).await.iter().all(|passed| *passed > 0.0));
}

#[tokio::test]
async fn whoever_is_added_removed_or_raised_at_any_gateway_is_shown_the_conversation() {
    let fleet = Fleet::start(3, &[]).await;
    let addresses = fleet.roles.addresses();
    let (ana, ben, _) = couple(addresses[0]).await;
    let cem = sign_up(addresses[0], "cem").await.log_in(addresses[0]).await;
    let mut bens = ben.at(addresses[1]).connect().await;
    let mut cems = cem.at(addresses[2]).connect().await;
    let group = ana.create_group("ours", &[&ben.user]).await;
    let shows = |role: Option<&'static str>| {
        let group = group.clone();
        move |frame: &Value| {
            let is_it = frame["type"] == "conversation" && frame["conversation"] == *group;
            is_it && frame["role"].as_str() == role
        }
    };
    bens.frame("the new group", shows(Some("member"))).await;
    ana.store(&group, &member("add", &cem.user)).await;
    cems.frame("the group", shows(Some("member"))).await;
    let raise = json!({"kind": "member", "op": "role", "user": ben.user, "role": "admin"});
    ana.store(&group, &raise).await;
    bens.frame("the new role", shows(Some("admin"))).await;
    let removed = ana.store(&group, &member("remove", &cem.user)).await;
    cems.frame("the removal", shows(None)).await;
    let after = ana.store(&group, &message("without cem")).await;
    bens.event(&group, after).await;
    assert_chain(&bens.events(&group));
    let last = cems.events(&group).last().map(seq_of);
    assert_eq!(last, Some(removed), "the removing event is the last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_gets_company_or_loses_it_goes_on_without_a_gap() {
    let mut fleet = Fleet { roles: Roles::start(0, 1).await, admins: Vec::new() };
    fleet.grow(&[]).await;
    let first = fleet.roles.addresses()[0];
    let (ana, ben, conversation) = couple(first).await;
    let group = ana.create_group("ours", &[&ben.user]).await;
    let mut bens = ben.connect().await;
    let stop = CancellationToken::new();
    let sending = tokio::spawn({
        let (stop, ana) = (stop.clone(), ana.clone());
        let (conversation, group) = (conversation.clone(), group.clone());
        async move {
            let mut acked = BTreeMap::new();
            let mut pace = tokio::time::interval(std::time::Duration::from_millis(20));
            for number in 0.. {
                for to in [&conversation, &group] {
                    let seq = ana.store(to, &message(&number.to_string())).await;
                    acked.entry(to.clone()).or_insert_with(Vec::new).push(seq);
                }
                if stop.is_cancelled() {
                    break;
                }
                pace.tick().await;
            }
            acked
        }
    });
    let alone = fleet.admins[0];
    assert!(metric(alone, BY_INTEREST).await < 0.5, "the only one takes all");
    fleet.grow(&[]).await;
    fleet.is_by_interest().await;
    fleet.roles.gateways[1].process.terminate().await;
    let patience = Patience::of(ALONE_WITHIN);
    while metric(alone, BY_INTEREST).await > 0.5 {
        // The reader reads on.
        let read = tokio::time::timeout(std::time::Duration::from_millis(50), bens.next()).await;
        assert!(read.is_err() || read.unwrap().is_ok(), "the connection stays");
        patience.look_again("the feed is followed whole").await;
    }
    stop.cancel();
    for (to, mut acked) in sending.await.unwrap() {
        bens.event(&to, *acked.last().unwrap()).await;
        let events = bens.events(&to);
        assert_chain(&events);
        let got: Vec<u64> = events.iter().map(seq_of).collect();
        // The group begins with its creation, perhaps before the connection.
        acked.retain(|seq| got.first().is_some_and(|first| seq >= first));
        assert_eq!(got[got.len() - acked.len()..], acked);
        assert!(acked.len() > 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_three_gateways_takes_clearly_less_than_everything() {
    const MESSAGES: usize = 30;
    const TEXT_BYTES: usize = 4_000;
    let fleet = Fleet::start(3, &["--advertise", "http://127.0.0.2:0"]).await;
    let addresses = fleet.roles.addresses();
    // Two people at each gateway, where the placement says.
    let mut placed: Vec<Vec<Session>> = vec![Vec::new(); 3];
    for number in 0..60 {
        if placed.iter().all(|people| people.len() >= 2) {
            break;
        }
        let name = format!("person{number}");
        let session = sign_up(addresses[0], &name).await.log_in(addresses[0]).await;
        let mut best = None;
        eventually("all gateways are offered", async || {
            let list = session.http.get("/v1/gateways").await;
            let items = list["items"].as_array().unwrap();
            best = items.first().and_then(|item| item["url"].as_str()).map(str::to_owned);
            items.len() == 3
        })
        .await;
        let is_best = |address: &SocketAddr| {
            best.as_ref().is_some_and(|best| best.ends_with(&format!(":{}", address.port())))
        };
        let place = addresses.iter().position(is_best).unwrap();
        placed[place].push(session.at(addresses[place]));
    }
    let (mut groups, mut sockets) = (Vec::new(), Vec::new());
    for people in &placed {
        groups.push(people[0].create_group("ours", &[&people[1].user]).await);
        sockets.push(people[1].connect().await);
    }
    // What is subscribed is in force once an event has come by it.
    for (place, group) in groups.iter().enumerate() {
        let seq = placed[place][0].store(group, &message("first")).await;
        sockets[place].event(group, seq).await;
    }
    let before = fleet.metrics(BYTES).await;
    let text = "x".repeat(TEXT_BYTES);
    for _ in 0..MESSAGES {
        for (place, group) in groups.iter().enumerate() {
            placed[place][0].store(group, &message(&text)).await;
        }
    }
    for (place, group) in groups.iter().enumerate() {
        let seq = placed[place][0].store(group, &message("last")).await;
        sockets[place].event(group, seq).await;
        assert_chain(&sockets[place].events(group));
    }
    let everything = (3 * MESSAGES * TEXT_BYTES) as f64;
    let after = fleet.metrics(BYTES).await;
    let parts: Vec<f64> =
        after.iter().zip(&before).map(|(after, before)| (after - before) / everything).collect();
    println!("parts taken: {parts:?}; holes {:?}", fleet.metrics(HOLES).await);
    for part in parts {
        assert!(part > 0.2, "it is measured: {part}");
        assert!(part < 0.6, "{part} of everything");
    }
}
