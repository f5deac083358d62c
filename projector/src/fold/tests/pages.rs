//! Pages: where they are cut, and what comes after.

use super::*;

#[test]
fn pages_are_cut_at_both_ends_and_say_so() {
    let mut all = vec![(ANA, create(&[BEN]))];
    all.extend((0..20).map(|n| (ANA, message(&n.to_string()))));
    let state = state_of(group(), &all);
    let get = |anchor, limit| {
        let mut request = messages_request(group(), BEN, anchor);
        request.limit = limit;
        let page = page(&state, Request::Messages(request)).expect("a page");
        (seqs(&page), page.more_before, page.more_after)
    };
    assert_eq!(get(Anchor::Newest, 2), (vec![20, 21], true, false));
    assert_eq!(get(Anchor::Before(Seq(3)), 5), (vec![1, 2], false, true));
    assert_eq!(get(Anchor::After(Seq(18)), 2), (vec![19, 20], true, true));
    assert_eq!(get(Anchor::Around(Seq(10)), 4), (vec![8, 9, 10, 11], true, true));
    assert_eq!(get(Anchor::Around(Seq(21)), 4), (vec![18, 19, 20, 21], true, false));
    assert_eq!(get(Anchor::Around(Seq(1)), 3), (vec![1, 2, 3], false, true));
    assert_eq!(get(Anchor::At(LogTime::from_millis(10)), 2), (vec![9, 10], true, true));
    assert_eq!(get(Anchor::After(Seq(21)), 2), (vec![], true, false));
    assert_eq!(get(Anchor::Newest, 0), (vec![], true, false));
    let mut request = events_request(group(), BEN);
    (request.after, request.before, request.limit) = (Some(Seq(3)), Some(Seq(9)), 2);
    let cut = page(&state, Request::Events(request.clone())).expect("a page");
    assert_eq!((seqs(&cut), cut.more_after), (vec![4, 5], true));
    request.limit = 5;
    let whole = page(&state, Request::Events(request.clone())).expect("a page");
    assert_eq!((seqs(&whole), whole.more_after), (vec![4, 5, 6, 7, 8], false), "of the range");
    (request.limit, request.newest) = (2, true);
    assert_eq!(seqs(&page(&state, Request::Events(request)).expect("a page")), [7, 8]);
}

#[test]
fn a_page_stays_below_its_bytes_and_continues() {
    let long = "x".repeat(16_000);
    let state = state_of(direct(), &vec![(ANA, message(&long)); 100]);
    let mut request = events_request(direct(), BEN);
    let first = page(&state, Request::Events(request.clone())).expect("a page");
    assert!(first.more_after && serde_json::to_string(&first).expect("json").len() < 600_000);
    let mut read = seqs(&first);
    while read.len() < 100 {
        request.after = read.last().map(|seq| Seq(*seq));
        read.extend(seqs(&page(&state, Request::Events(request.clone())).expect("a page")));
    }
    assert_eq!(read, (1..=100).collect::<Vec<u64>>());
    assert_eq!(feed(&state, 0, 0), (vec![], 100, false));
    let (items, as_of, more) = feed(&state, 0, 1_000);
    assert_eq!((items.last(), more), (Some(&as_of), true));
}

#[test]
fn changed_names_what_changed_after_a_position_and_pages() {
    let mut state = State::default();
    for other in 10_u8..200 {
        let mut entropy = [20; 20];
        (entropy[0], entropy[1]) = (other & 31, other >> 5);
        let with = ConversationId::direct(user(ANA), UserId::from_entropy(entropy));
        state.apply(record(u64::from(other), with, ANA, &message(&"x".repeat(900))));
    }
    let changed = |after: u64| {
        let request = ChangedRequest { user: user(ANA), after: Seq(after), min_seq: None };
        match state.answer(&Request::Changed(request)) {
            Ok(Answer::Changed(reply)) => reply,
            other => panic!("not changes: {other:?}"),
        }
    };
    assert_eq!(changed(150).items.len(), 49);
    assert!(changed(199).items.is_empty());
    let (mut found, mut after) = (0, 0);
    loop {
        let reply = changed(after);
        found += reply.items.len();
        after = reply.as_of.0;
        if !reply.more {
            break;
        }
    }
    assert_eq!((found, after), (190, 199));
}

#[test]
fn a_window_that_follows_keeps_its_size_and_needs_no_read() {
    let mut state = state_of(group(), &[(ANA, create(&[BEN]))]);
    let windows = Windows::new();
    let open = |state: &State, rows: &Memory| {
        let request = messages_request(group(), BEN, Anchor::Newest);
        let request = Request::Messages(MessagesRequest { limit: 50, ..request });
        let At { applied, bucket, partition, generation, .. } = state.at();
        let kept = state.fold.peek(group());
        let windows = windows.clone();
        let at = At { rows, applied, bucket, partition, generation, kept, windows };
        let Ok(Answer::Page(page)) = now(request.answer(&at)) else { panic!("not a page") };
        page
    };
    assert_eq!(open(&state, &state.rows).items.len(), 1);
    let nothing = Memory::default();
    for seq in 2..=200 {
        let event = state.apply(record(seq, group(), ANA, &message("t"))).expect("valid");
        windows.follow(1, &event);
        let page = open(&state, &nothing);
        let expected: Vec<u64> = (seq.saturating_sub(49).max(1)..=seq).collect();
        assert_eq!((seqs(&page), page.more_before), (expected, seq > 50));
    }
}
