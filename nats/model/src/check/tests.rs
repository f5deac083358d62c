use super::*;
use crate::event::{
    HistoryVisibility, Mention, MessageDeleted, MessageEdited, PinChanged, ReactionChanged,
    SettingsChanged, TitleChanged, Toggle,
};

const OWNER: u8 = 1;
const ADMIN: u8 = 2;
const MEMBER: u8 = 3;
const STRANGER: u8 = 4;
const OTHER: u8 = 5;

fn user(n: u8) -> UserId {
    UserId::from_entropy([n; 20])
}

fn member_event(n: u8, op: MemberOp, role: Option<Role>) -> Event {
    Event::Member(MemberChanged { user: user(n), op, role })
}

fn message(text: &str) -> MessageSent {
    MessageSent { text: text.to_owned(), ..MessageSent::default() }
}

/// A group with an owner (1), an admin (2) and two members (3, 5), created at 1.
fn tea() -> Group {
    let mut group = Group::default();
    let create =
        GroupCreated { title: Some("tea".into()), members: vec![user(MEMBER), user(OTHER)] };
    group.apply(Seq(1), user(OWNER), &Event::Create(create));
    group.apply(Seq(2), user(OWNER), &member_event(ADMIN, MemberOp::Add, Some(Role::Admin)));
    group
}

fn check_in(state: &Group, sender: u8, event: &Event) -> String {
    let targets = [
        Target { seq: Seq(10), sender: user(MEMBER), thread: None },
        Target { seq: Seq(11), sender: user(OTHER), thread: Some(Seq(10)) },
    ];
    match group(state, user(sender), event, &targets, Limits { group_members: 5 }) {
        Ok(()) => "ok".to_owned(),
        Err(rejection) => rejection.to_string(),
    }
}

fn check(sender: u8, event: &Event, verdict: &str) {
    assert_eq!(check_in(&tea(), sender, event), verdict, "{sender}: {event:?}");
}

#[test]
fn only_members_speak() {
    check(MEMBER, &Event::Message(message("hi")), "ok");
    check(STRANGER, &Event::Message(message("hi")), "not a member of the conversation");
    let nowhere = check_in(&Group::default(), OWNER, &Event::Message(message("hi")));
    assert_eq!(nowhere, "not a member of the conversation");
}

#[test]
fn text_has_its_limits() {
    check(MEMBER, &Event::Message(message("")), "text is empty");
    check(MEMBER, &Event::Message(message(&"x".repeat(limit::TEXT_BYTES_MAX))), "ok");
    let long = message(&"x".repeat(limit::TEXT_BYTES_MAX + 1));
    check(MEMBER, &Event::Message(long), "text is too large");
    let crowd =
        MessageSent { mentions: vec![Mention::All; limit::MENTIONS_MAX + 1], ..message("x") };
    check(MEMBER, &Event::Message(crowd), "mentions is too large");
    let media = MessageSent { media: vec![serde_json::Map::new()], ..message("") };
    check(MEMBER, &Event::Message(media), "ok");
}

#[test]
fn replies_and_threads_refer_to_messages() {
    let reply = |to| Event::Message(MessageSent { reply_to: Some(Seq(to)), ..message("x") });
    check(MEMBER, &reply(10), "ok");
    check(MEMBER, &reply(99), "no such target");
    let thread = |root| Event::Message(MessageSent { thread: Some(Seq(root)), ..message("x") });
    check(MEMBER, &thread(10), "ok");
    check(MEMBER, &thread(11), "bad event: the root of a thread is in no thread");
}

#[test]
fn authors_edit_and_admins_delete() {
    let edit = |target| {
        Event::Edit(MessageEdited {
            target: Seq(target),
            text: "y".into(),
            mentions: vec![],
            media: vec![],
            target_sender: None,
        })
    };
    let delete = Event::Delete(MessageDeleted { target: Seq(10), target_sender: None });
    check(MEMBER, &edit(10), "ok");
    check(OWNER, &edit(10), "not allowed: only the author edits");
    check(MEMBER, &delete, "ok");
    check(ADMIN, &delete, "ok");
    check(OTHER, &delete, "not allowed: the author or an admin deletes");
}

#[test]
fn an_emoji_is_one_grapheme() {
    let reaction = |emoji: &str| {
        Event::Reaction(ReactionChanged { target: Seq(10), emoji: emoji.into(), op: Toggle::Add })
    };
    for emoji in ["👍", "👩‍👩‍👧‍👦", "🇩🇪", "é"] {
        check(MEMBER, &reaction(emoji), "ok");
    }
    check(MEMBER, &reaction(""), "emoji is empty");
    check(MEMBER, &reaction("ab"), "bad event: an emoji is one grapheme");
    check(MEMBER, &reaction(&format!("a{}", "\u{301}".repeat(40))), "emoji is too large");
}

#[test]
fn admins_pin_and_name_the_group() {
    let pin = Event::Pin(PinChanged { target: Seq(10), op: Toggle::Add });
    check(ADMIN, &pin, "ok");
    check(MEMBER, &pin, "not allowed: admins pin");
    let title = |title: &str| Event::Title(TitleChanged { title: title.into() });
    check(ADMIN, &title("coffee"), "ok");
    check(MEMBER, &title("coffee"), "not allowed: admins set the title");
    check(ADMIN, &title("  "), "title is empty");
    check(ADMIN, &title("a\u{1b}]0;b"), "bad event: a title has no control characters");
    check(ADMIN, &title(&"x".repeat(257)), "title is too large");
    let settings = |history| Event::Settings(SettingsChanged { history });
    check(ADMIN, &settings(Some(HistoryVisibility::All)), "ok");
    check(ADMIN, &settings(None), "settings is empty");
}

#[test]
fn admins_add_up_to_the_limit() {
    let add = member_event(STRANGER, MemberOp::Add, None);
    check(ADMIN, &add, "ok");
    check(MEMBER, &add, "not allowed: admins add members");
    check(ADMIN, &member_event(MEMBER, MemberOp::Add, None), "conflict: already a member");
    let promoted = member_event(STRANGER, MemberOp::Add, Some(Role::Admin));
    check(ADMIN, &promoted, "not allowed: owners give roles");
    check(OWNER, &promoted, "ok");
    let mut full = tea();
    full.apply(Seq(3), user(OWNER), &add);
    assert_eq!(check_in(&full, OWNER, &member_event(9, MemberOp::Add, None)), "the group is full");
}

#[test]
fn members_are_removed_from_above_and_leave_for_themselves() {
    check(ADMIN, &member_event(MEMBER, MemberOp::Remove, None), "ok");
    check(
        MEMBER,
        &member_event(OTHER, MemberOp::Remove, None),
        "not allowed: admins remove members",
    );
    check(ADMIN, &member_event(OWNER, MemberOp::Remove, None), "not allowed: owners remove admins");
    check(ADMIN, &member_event(STRANGER, MemberOp::Remove, None), "no such member");
    check(MEMBER, &member_event(MEMBER, MemberOp::Leave, None), "ok");
    check(
        MEMBER,
        &member_event(OTHER, MemberOp::Leave, None),
        "not allowed: you leave for yourself",
    );
    let last = member_event(OWNER, MemberOp::Leave, None);
    check(OWNER, &last, "not allowed: make another member an owner first");
    let demote = member_event(OWNER, MemberOp::Role, Some(Role::Member));
    check(OWNER, &demote, "not allowed: a group keeps an owner");
    check(OWNER, &member_event(MEMBER, MemberOp::Role, None), "bad event: role is missing");
}

#[test]
fn a_group_is_created_once_and_within_its_limit() {
    let create = |members: Vec<UserId>| Event::Create(GroupCreated { title: None, members });
    assert_eq!(check_in(&Group::default(), OWNER, &create(vec![user(2), user(2)])), "ok");
    assert_eq!(
        check_in(&Group::default(), OWNER, &create((2..=6).map(user).collect())),
        "the group is full"
    );
    check(OWNER, &create(vec![]), "conflict: the group exists");
}

#[test]
fn the_fold_is_the_same_when_fed_twice() {
    let events = [
        (1, member_event(OTHER, MemberOp::Remove, None)),
        (2, member_event(OTHER, MemberOp::Add, None)),
        (3, member_event(ADMIN, MemberOp::Role, Some(Role::Owner))),
        (4, member_event(OWNER, MemberOp::Leave, None)),
    ];
    let mut once = tea();
    let mut twice = tea();
    for (seq, event) in &events {
        once.apply(Seq(10 + seq), user(OWNER), event);
        twice.apply(Seq(10 + seq), user(OWNER), event);
        twice.apply(Seq(10 + seq), user(OWNER), event);
    }
    assert_eq!(once, twice);
    assert_eq!(once.owner_count(), 1);
    assert_eq!(once.member(user(OTHER)).map(|member| member.view_from), Some(Seq(12)));
    assert_eq!(once.member(user(OWNER)), None);
}

#[test]
fn direct_conversations_are_for_the_two_in_their_name() {
    let conversation = ConversationId::direct(user(1), user(2));
    let verdict = |sender, event: &Event| direct(conversation, user(sender), event, &[]);
    assert_eq!(verdict(1, &Event::Message(message("hi"))), Ok(()));
    assert_eq!(verdict(3, &Event::Message(message("hi"))), Err(Rejection::NotAMember));
    let add = member_event(3, MemberOp::Add, None);
    assert_eq!(verdict(1, &add), Err(Rejection::Unsupported));
}
