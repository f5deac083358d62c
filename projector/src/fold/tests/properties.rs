//! What holds for every log.

use hansard_model::limit::{CATCH_UP_DEFAULT, PAGE_ITEMS_DEFAULT};
use proptest::prelude::*;

use super::*;

/// An event of a small world: 2 conversations, 4 people, references to earlier seqs.
fn any_record(seq: u64) -> impl Strategy<Value = Record<Bytes>> {
    let person = || 1u8..5;
    let target = 1..seq.max(2);
    let event = prop_oneof![
        4 => (person(), prop::collection::vec(person(), 0..3)).prop_map(|(_, of)| {
            let of: Vec<UserId> = of.into_iter().map(user).collect();
            json!({"kind": "message", "text": "t", "mentions": of})
        }),
        1 => target.clone().prop_map(|root| json!({"kind": "message", "text": "t", "thread": root})),
        2 => (target.clone(), person()).prop_map(|(target, of)| {
            json!({"kind": "edit", "target": target, "text": "e", "mentions": [user(of)]})
        }),
        1 => target.clone().prop_map(|target| json!({"kind": "delete", "target": target})),
        2 => (target.clone(), prop::sample::select(vec!["add", "remove"])).prop_map(|(target, op)| {
            json!({"kind": "reaction", "target": target, "emoji": "x", "op": op})
        }),
        1 => (target, prop::sample::select(vec!["add", "remove"])).prop_map(|(target, op)| {
            json!({"kind": "pin", "target": target, "op": op})
        }),
        1 => person().prop_map(|other| create(&[other])),
        3 => (person(), prop::sample::select(vec!["add", "remove", "leave"]))
            .prop_map(|(whom, op)| member(whom, op)),
        1 => Just(json!({"kind": "title", "title": "t"})),
        1 => Just(json!({"kind": "settings", "history": "all"})),
    ];
    (event, person(), any::<bool>(), 0u8..10).prop_map(move |(event, sender, is_group, fate)| {
        let is_meta =
            ["create", "member", "title", "settings"].iter().any(|kind| event["kind"] == *kind);
        // Only the author edits: who sends what is a function of the message.
        let author = |seq: u64| 1 + (seq % 4) as u8;
        let sender = match event["kind"].as_str() {
            Some("message") => author(seq),
            Some("edit") => author(event["target"].as_u64().expect("a seq")),
            _ => sender,
        };
        let conversation = if is_group || is_meta { group() } else { direct() };
        match fate {
            0 => void(record(seq, conversation, sender, &event)),
            1 => raw_record(seq, conversation, EventClass::Msg, "{}"),
            _ => record(seq, conversation, sender, &event),
        }
    })
}

fn any_log() -> impl Strategy<Value = Vec<Record<Bytes>>> {
    (0u64..60).prop_flat_map(|len| (1..=len).map(any_record).collect::<Vec<_>>())
}

/// What anybody can see of a state.
fn everything(state: &State) -> String {
    let mut seen = String::new();
    for conversation in [group(), direct()] {
        for reader in 1..5 {
            let page = events(state, conversation, reader);
            seen += &format!("{:?}", page.map(|page| serde_json::to_string(&page).expect("json")));
            let request = messages_request(conversation, reader, Anchor::Newest);
            let page = super::page(state, Request::Messages(request));
            seen += &format!("{:?}", page.map(|page| serde_json::to_string(&page).expect("json")));
            let entry = now(entry_of(&state.at(), conversation, user(reader))).expect("rows");
            seen += &serde_json::to_string(&entry).expect("json");
        }
    }
    seen
}

/// The newest of both conversations, as their readers open them.
fn newest(state: &State, windows: &Windows) -> Vec<String> {
    let at = At { windows: windows.clone(), ..state.at() };
    let mut seen = Vec::new();
    for (conversation, reader) in [(group(), ANA), (group(), BEN), (direct(), BEN)] {
        let messages = messages_request(conversation, reader, Anchor::Newest);
        let chain = events_request(conversation, reader);
        let requests = [
            Request::Messages(MessagesRequest { limit: PAGE_ITEMS_DEFAULT, ..messages }),
            Request::Events(EventsRequest { newest: true, limit: CATCH_UP_DEFAULT, ..chain }),
        ];
        for request in requests {
            let page = match now(request.answer(&at)) {
                Ok(Answer::Page(page)) => serde_json::to_string(&page).expect("json"),
                other => format!("{other:?}"),
            };
            seen.push(page);
        }
    }
    seen
}

/// Unread messages that mention the reader, counted anew from what they see of the messages now.
fn mentions_recounted(state: &State, conversation: ConversationId, reader: u8) -> u64 {
    let record = entry(state, conversation, reader).member;
    let page = messages(state, conversation, reader);
    let of_reader = page.items.iter().filter(|item| item.seq > record.read).filter(|item| {
        let body: Value = serde_json::from_str(item.body.get()).expect("json");
        let is_own = body["sender"] == json!(user(reader));
        let of = body["event"]["mentions"].as_array().cloned().unwrap_or_default();
        !is_own && of.contains(&json!(user(reader)))
    });
    of_reader.count() as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_log_in_any_batches_by_any_owners_gives_the_same_rows(
        log in any_log(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        crashes in prop::collection::vec(any::<bool>(), 6),
    ) {
        let mut once = State::default();
        for record in &log {
            once.apply_all(std::slice::from_ref(record));
        }
        // Batches of any size; after each, perhaps another owner, who may be given again what was
        // applied, and perhaps one who died before the batch was written.
        let mut again = State::default();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(log.len() + 1)).collect();
        ends.push(log.len());
        for (index, end) in ends.into_iter().enumerate() {
            let from = (again.applied().0 as usize / 2).min(end);
            if crashes.get(index) == Some(&true) {
                let published = again.work_out(&log[from..end]).projected;
                again = again.taken_over();
                let repeated = again.apply_all(&log[from..end]);
                let places = |events: &[Projected]| -> Vec<_> {
                    events.iter().map(|event| (event.seq, event.prev, event.n, event.follows)).collect()
                };
                prop_assert_eq!(places(&published), places(&repeated));
            } else {
                again.apply_all(&log[from..end]);
            }
        }
        let after = again.work_out(&log);
        prop_assert!(after.projected.is_empty() && after.rows.is_empty());
        prop_assert_eq!(&once.rows, &again.rows);
        prop_assert_eq!(everything(&once), everything(&again));
    }

    #[test]
    fn every_chain_is_complete_and_every_count_can_be_recounted(log in any_log()) {
        let mut state = State::default();
        let mut follows = Seq::ZERO;
        for record in &log {
            if let Some(event) = state.apply(record.clone()) {
                prop_assert_eq!(event.follows, follows);
                follows = event.seq;
            }
        }
        for conversation in [group(), direct()] {
            let valid: Vec<Seq> = log
                .iter()
                .filter(|record| record.conversation == conversation && !record.is_void())
                .map(|record| record.seq)
                .collect();
            for reader in 1..5 {
                let Ok(page) = events(&state, conversation, reader) else { continue };
                if valid.is_empty() {
                    continue;
                }
                let member = entry(&state, conversation, reader).member;
                let seen = |seq: &&Seq| {
                    **seq >= member.view_from && member.view_to.is_none_or(|to| **seq <= to)
                };
                let expected: Vec<Seq> = valid.iter().filter(seen).copied().collect();
                let found: Vec<Seq> = page.items.iter().map(|item| item.seq).collect();
                prop_assert_eq!(&found, &expected);
                let before = valid.iter().rev().find(|seq| **seq < member.view_from);
                let mut prev = before.copied().unwrap_or_default();
                for item in &page.items {
                    prop_assert_eq!(item.prev, prev);
                    prev = item.seq;
                }
                if member.role.is_some() {
                    let recounted = mentions_recounted(&state, conversation, reader);
                    prop_assert_eq!(member.mentions, recounted);
                    prop_assert_eq!(explain(&state, conversation, reader).mentions.len() as u64, recounted);
                }
            }
        }
    }

    #[test]
    fn a_window_that_follows_is_what_would_be_read(
        log in any_log(),
        batches in prop::collection::vec(1usize..10, 8),
    ) {
        let (mut state, windows) = (State::default(), Windows::new());
        let mut rest = &log[..];
        for batch in batches {
            let (now, later) = rest.split_at(batch.min(rest.len()));
            rest = later;
            for event in state.apply_all(now).iter().filter(|event| event.stands_alone) {
                windows.follow(state.at().generation, event);
            }
            prop_assert_eq!(newest(&state, &windows), newest(&state, &Windows::new()));
        }
    }

    #[test]
    fn a_page_is_what_a_filter_of_the_whole_would_give(
        log in any_log(),
        after in prop::option::of(0u64..70),
        before in prop::option::of(0u64..70),
        limit in 0usize..10,
        newest in any::<bool>(),
    ) {
        let mut state = State::default();
        for record in log {
            state.apply(record);
        }
        for (conversation, reader) in [(group(), ANA), (group(), BEN), (direct(), BEN)] {
            let Ok(whole) = events(&state, conversation, reader) else { continue };
            let all = seqs(&whole);
            let inside: Vec<u64> = all
                .iter()
                .copied()
                .filter(|seq| after.is_none_or(|after| *seq > after))
                .filter(|seq| before.is_none_or(|before| *seq < before))
                .collect();
            let skipped = if newest { inside.len().saturating_sub(limit) } else { 0 };
            let end = if newest { all.last().copied() } else { inside.last().copied() };
            let expected: Vec<u64> = inside.into_iter().skip(skipped).take(limit).collect();
            let request = EventsRequest {
                after: after.map(Seq),
                before: before.map(Seq),
                limit,
                newest,
                ..events_request(conversation, reader)
            };
            let page = page(&state, Request::Events(request)).expect("a page");
            prop_assert_eq!(&seqs(&page), &expected);
            if let (Some(first), Some(last)) = (expected.first(), expected.last()) {
                prop_assert_eq!(page.more_before, all.first() < Some(first));
                prop_assert_eq!(page.more_after, end > Some(*last));
            }
        }
    }
}
