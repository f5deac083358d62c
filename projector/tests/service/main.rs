//! The projector on a real nats-server.

mod rig;
mod views;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use hansard_model::event::EventClass;
use hansard_model::inbox::InboxKey;
use hansard_model::query::{
    Anchor, ChangedReply, ChangedRequest, ConversationRequest, InboxEntry, LookupReply,
    LookupRequest, MessagesRequest, Page, ParkedReply, ParkedRequest, QueryError,
};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, LogTime, PartitionId, Seq};
use hansard_nats::live::{InterestFeed, LiveMessage};
use hansard_nats::query::AskError;
use serde_json::{Value, json};

use self::rig::{Rig, group, next_event, user, within};

const ANA: u8 = 1;
const BEN: u8 = 2;
const CLEO: u8 = 3;

fn direct() -> ConversationId {
    ConversationId::direct(user(ANA), user(BEN))
}

fn message(text: &str) -> Value {
    json!({"kind": "message", "text": text})
}

fn create(members: &[u8]) -> Value {
    let members: Vec<_> = members.iter().map(|number| user(*number)).collect();
    json!({"kind": "create", "title": "tea", "members": members})
}

fn member(number: u8, op: &str) -> Value {
    json!({"kind": "member", "user": user(number), "op": op})
}

fn seqs(page: &Page) -> Vec<Seq> {
    page.items.iter().map(|item| item.seq).collect()
}

#[tokio::test]
async fn the_live_feed_has_the_chain_and_skips_void_events() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    let mut feed = rig.gateway.subscribe_live().await.expect("subscribed");
    let first = rig.append(direct(), ANA, message("one")).await;
    let created = rig.append(group(9), ANA, create(&[BEN])).await;
    rig.append_void(direct(), ANA, message("void")).await;
    let second = rig.append(direct(), BEN, message("two")).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let event = next_event(&mut feed).await;
        seen.push((event.conversation, event.seq, event.prev, event.n, event.follows));
    }
    let zero = Seq::ZERO;
    assert_eq!(
        seen,
        [
            (direct(), first, zero, 1, zero),
            (group(9), created, zero, 0, first),
            (direct(), second, first, 2, created),
        ]
    );
    projector.stop().await;
    rig.stop().await;
}

/// Where the next events are that the owner says the order of, what each follows, and whether it
/// came whole.
async fn next_order(feed: &mut InterestFeed) -> Vec<(ConversationId, Seq, Seq, bool)> {
    let order = within("an order", async || match feed.next(true).await {
        Some(LiveMessage::Order(_, order)) => Some(order),
        _ => None,
    });
    let order = order.await;
    let befores = std::iter::once(order.follows).chain(order.items.iter().map(|item| item.seq));
    let items = order.items.iter().zip(befores);
    items
        .map(|(item, before)| (item.conversation, item.seq, before, item.event.is_some()))
        .collect()
}

#[tokio::test]
async fn the_order_is_published_with_meta_events_whole() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    let mut feed = rig.gateway.subscribe_order().await.expect("subscribed");
    let first = rig.append(direct(), ANA, message("one")).await;
    let created = rig.append(group(9), ANA, create(&[BEN])).await;
    let second = rig.append(direct(), BEN, message("two")).await;
    let mut listed = Vec::new();
    while listed.len() < 3 {
        listed.extend(next_order(&mut feed).await);
    }
    assert_eq!(
        listed,
        [
            (direct(), first, Seq::ZERO, false),
            (group(9), created, first, true),
            (direct(), second, created, false),
        ]
    );
    projector.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_burst_arrives_complete_and_in_order() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    let mut feed = rig.gateway.subscribe_live().await.expect("subscribed");
    let mut last = Seq::ZERO;
    for number in 0..500 {
        last = rig.append(direct(), ANA, message(&number.to_string())).await;
    }
    let (mut position, mut n) = (Seq::ZERO, 0);
    while position < last {
        let event = next_event(&mut feed).await;
        assert_eq!((event.prev, event.follows, event.n), (position, position, n + 1));
        (position, n) = (event.seq, event.n);
    }
    assert_eq!(n, 500);
    projector.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_killed_owner_is_replaced_within_ten_seconds_and_nothing_is_missing() {
    let mut rig = Rig::start(1).await;
    let first = rig.projector("first").serving_all().await;
    let second = rig.projector("second");
    let mut feed = rig.gateway.subscribe_live().await.expect("subscribed");
    let seen = rig.append(direct(), ANA, message("seen")).await;
    assert_eq!(next_event(&mut feed).await.seq, seen);
    assert_eq!(second.owned(), 0, "the lease keeps others out");
    let killed = Instant::now();
    first.kill().await;
    let missed = rig.append(direct(), ANA, message("missed")).await;
    loop {
        let event = next_event(&mut feed).await;
        if event.seq == missed {
            assert_eq!((event.prev, event.n), (seen, 2));
            break;
        }
        assert_eq!(event.seq, seen, "again, perhaps");
    }
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    let second = second.serving_all().await;
    let page = rig.events(direct(), BEN, missed).await.expect("a page");
    assert_eq!(seqs(&page), [seen, missed]);
    second.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn an_owner_outlives_a_killed_nats_server() {
    let mut rig = Rig::start(2).await;
    let projector = rig.projector("one").serving_all().await;
    let mut feed = rig.gateway.subscribe_live().await.expect("subscribed");
    let before = rig.append(direct(), ANA, message("before")).await;
    assert_eq!(next_event(&mut feed).await.seq, before);
    rig.kill_server().await;
    let after = rig.append(direct(), ANA, message("after")).await;
    let page = rig.events(direct(), BEN, after).await.expect("a page");
    assert_eq!(seqs(&page), [before, after]);
    // What was published while the receiver was away is lost to it: it asks `feed` then.
    let later = rig.append(direct(), ANA, message("later")).await;
    loop {
        let event = next_event(&mut feed).await;
        if event.seq == later {
            assert_eq!((event.prev, event.follows, event.n), (after, after, 3));
            break;
        }
    }
    let repeated: Vec<Seq> = rig
        .feed(rig.log.partition_of(direct()), before)
        .await
        .items
        .iter()
        .map(|i| i.item.seq)
        .collect();
    assert_eq!(repeated, [after, later]);
    projector.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn an_owner_that_stops_hands_over_at_once() {
    let mut rig = Rig::start(2).await;
    let first = rig.projector("first").serving_all().await;
    let seq = rig.append(direct(), ANA, message("kept")).await;
    let second = rig.projector("second");
    first.stop().await;
    let stopped = Instant::now();
    let second = second.serving_all().await;
    assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
    assert_eq!(seqs(&rig.events(direct(), BEN, seq).await.expect("a page")), [seq]);
    second.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn projectors_that_start_together_share_the_partitions() {
    let rig = Rig::start(16).await;
    let (one, two) = (rig.projector("one"), rig.projector("two"));
    within("every partition has an owner", async || {
        (one.owned() + two.owned() == 16).then_some(())
    })
    .await;
    assert!(one.owned() > 0 && two.owned() > 0, "{} and {}", one.owned(), two.owned());
    one.stop().await;
    let two = two.serving_all().await;
    two.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_projector_that_joins_gets_its_share_and_nothing_is_missing_meanwhile() {
    let mut rig = Rig::start(4).await;
    let first = rig.projector("first").serving_all().await;
    let mut feed = rig.gateway.subscribe_live().await.expect("subscribed");
    let second = rig.projector("second");
    let mut appended = Vec::new();
    within("equal shares", async || {
        let at = group((appended.len() % 16) as u8);
        let event = if appended.len() < 16 { create(&[]) } else { message("on the way") };
        appended.push((at, rig.append(at, ANA, event).await));
        ((first.owned(), second.owned()) == (2, 2)).then_some(())
    })
    .await;
    let mut missing: HashSet<_> = appended.iter().copied().collect();
    while !missing.is_empty() {
        let event = next_event(&mut feed).await;
        missing.remove(&(event.conversation, event.seq));
    }
    first.stop().await;
    let second = second.serving_all().await;
    second.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_read_waits_for_its_position_or_says_that_it_is_behind() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    let mut last = Seq::ZERO;
    for number in 0..50 {
        last = rig.append(direct(), ANA, message(&number.to_string())).await;
        let page = rig.events(direct(), BEN, last).await.expect("a page");
        assert_eq!(
            (page.items.last().map(|item| item.seq), page.as_of >= last),
            (Some(last), true)
        );
    }
    let ahead = last.next();
    let (waited, appended) = tokio::join!(rig.events(direct(), BEN, ahead), async {
        rig.log.last_seq(PartitionId(0)).await
    });
    assert!(appended.is_ok());
    assert!(matches!(waited, Err(AskError::Query(QueryError::Behind))), "{waited:?}");
    projector.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_removed_member_sees_up_to_the_removal_and_nothing_after() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    rig.append(group(9), ANA, create(&[BEN])).await;
    rig.append(group(9), ANA, message("seen")).await;
    let removal = rig.append(group(9), ANA, member(BEN, "remove")).await;
    let after = rig.append(group(9), ANA, message("secret")).await;
    let page = rig.events(group(9), BEN, after).await.expect("a page");
    assert_eq!((page.items.len(), page.items[2].seq, page.more_after), (3, removal, false));
    let question = ConversationRequest {
        conversation: group(9),
        reader: user(BEN),
        read: None,
        min_seq: Some(after),
    };
    let entry: InboxEntry =
        rig.ask(group(9), QueryVerb::Conversation, &question).await.expect("an entry");
    assert_eq!((entry.member.view_to, entry.head.seq), (Some(removal), removal));
    assert!(!serde_json::to_string(&entry).expect("json").contains("secret"));
    let stranger = rig.events(group(9), CLEO, after).await;
    assert!(matches!(stranger, Err(AskError::Query(QueryError::NotAMember))));
    projector.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_deleted_text_is_on_no_path() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    let target = rig.append(direct(), ANA, message("secret")).await;
    rig.append(direct(), ANA, json!({"kind": "edit", "target": target, "text": "secret"})).await;
    let head = InboxKey::Head(direct());
    rig.inbox(head, |head| head.to_string().contains("secret")).await;
    let deletion = rig.append(direct(), ANA, json!({"kind": "delete", "target": target})).await;

    let mut all =
        serde_json::to_string(&rig.events(direct(), BEN, deletion).await.expect("a page"))
            .expect("json");
    let request = MessagesRequest {
        conversation: direct(),
        reader: user(BEN),
        anchor: Anchor::Newest,
        thread: None,
        limit: 10,
        min_seq: Some(deletion),
    };
    let messages: Page = rig.ask(direct(), QueryVerb::Messages, &request).await.expect("a page");
    all += &serde_json::to_string(&messages).expect("json");
    all += &serde_json::to_string(&rig.feed(PartitionId(0), Seq::ZERO).await).expect("json");
    let request = ChangedRequest { user: user(BEN), after: Seq::ZERO, min_seq: Some(deletion) };
    let changed: ChangedReply =
        rig.ask(direct(), QueryVerb::Changed, &request).await.expect("some");
    all += &serde_json::to_string(&changed).expect("json");
    all += &rig.inbox(head, |head| head["seq"] == json!(deletion)).await.to_string();

    // And what a next owner publishes again.
    let mut feed = rig.gateway.subscribe_live().await.expect("subscribed");
    projector.kill().await;
    let second = rig.projector("second").serving_all().await;
    let end = rig.append(direct(), ANA, message("end")).await;
    loop {
        let event = next_event(&mut feed).await;
        if event.seq == end {
            break;
        }
        all += &String::from_utf8_lossy(&event.payload);
    }
    assert!(all.contains(r#""deleted":true"#) && !all.contains("secret"), "{all}");
    second.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_parked_and_the_partition_goes_on() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    let mut feed = rig.gateway.subscribe_live().await.expect("subscribed");
    let first = rig.append(direct(), ANA, message("one")).await;
    let id = rig.next_id();
    let until = LogTime::from_nanos(u64::MAX);
    let bad = rig.append_raw(direct(), ANA, EventClass::Msg, "not json".to_owned(), until).await;
    let second = rig.append(direct(), BEN, message("two")).await;
    let live =
        [next_event(&mut feed).await, next_event(&mut feed).await, next_event(&mut feed).await];
    assert_eq!(
        live.each_ref().map(|event| (event.seq, event.prev, event.n)),
        [(first, Seq::ZERO, 1), (bad, first, 1), (second, bad, 2),]
    );
    assert!(serde_json::from_slice::<Value>(&live[1].payload).is_ok_and(|body| body.is_object()));
    assert_eq!(
        seqs(&rig.events(direct(), BEN, second).await.expect("a page")),
        [first, bad, second]
    );
    let lookup = LookupRequest { conversation: direct(), sender: user(ANA), id };
    let found: LookupReply = rig.ask(direct(), QueryVerb::Lookup, &lookup).await.expect("found");
    assert_eq!(found.seq, Some(bad));
    let request = ParkedRequest { after: Seq::ZERO, limit: 10 };
    let parked: ParkedReply =
        rig.ask(direct(), QueryVerb::Parked, &request).await.expect("parked events");
    assert_eq!((parked.count, parked.items.len()), (1, 1));
    assert_eq!((parked.items[0].seq, parked.items[0].reason.as_str()), (bad, "not_an_object"));
    projector.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn the_inbox_bucket_follows_and_its_position_comes_last() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    rig.append(group(9), ANA, create(&[BEN])).await;
    rig.append(group(9), ANA, message("one")).await;
    let mention = json!({"kind": "message", "text": "two", "mentions": [user(BEN)]});
    let last = rig.append(group(9), ANA, mention).await;
    rig.inbox(InboxKey::Position(PartitionId(0)), |position| *position == json!(last)).await;
    // Everything that the position covers is there without waiting.
    let head = rig.inbox(InboxKey::Head(group(9)), |_| true).await;
    assert_eq!(
        (&head["seq"], &head["n"], &head["title"]),
        (&json!(last), &json!(2), &json!("tea"))
    );
    let ben = rig.inbox(InboxKey::Member(user(BEN), group(9)), |_| true).await;
    assert_eq!((&ben["read_n"], &ben["mentions"]), (&json!(0), &json!(1)));
    let ana = rig.inbox(InboxKey::Member(user(ANA), group(9)), |_| true).await;
    assert_eq!((&ana["read_n"], &ana["role"]), (&json!(2), &json!("owner")));
    projector.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn many_conversations_are_flushed_at_a_pace_and_all_arrive() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    let mut last = Seq::ZERO;
    for number in 0..300_u16 {
        let mut entropy = [0; 20];
        (entropy[0], entropy[1]) = ((number & 31) as u8, (number >> 5) as u8);
        let other = hansard_model::UserId::from_entropy(entropy);
        let with = ConversationId::direct(user(ANA), other);
        last = rig.append(with, ANA, message("hello")).await;
    }
    rig.inbox(InboxKey::Position(PartitionId(0)), |position| *position == json!(last)).await;
    let standing = projector.progress.partitions()[0];
    assert_eq!((standing.applied, standing.lag()), (last, 0));
    within("nothing stale", async || (projector.progress.partitions()[0].stale == 0).then_some(()))
        .await;
    projector.stop().await;
    rig.stop().await;
}
