use super::*;
use crate::check::Rejection;
use crate::draft::Draft;

fn user(n: u8) -> UserId {
    UserId::from_entropy([n; 20])
}

#[test]
fn every_event_has_its_golden_json() {
    let media = serde_json::json!([{"id": "m1", "type": "image/png", "size": 12}]);
    let media: Vec<Map<String, Value>> = serde_json::from_value(media).expect("maps");
    let events = [
        Event::Message(MessageSent { text: "hi".into(), ..MessageSent::default() }),
        Event::Message(MessageSent {
            text: "all of it".into(),
            reply_to: Some(Seq(4)),
            thread: Some(Seq(3)),
            mentions: vec![Mention::All, Mention::User(user(1))],
            media: media.clone(),
        }),
        Event::Edit(MessageEdited {
            target: Seq(4),
            text: "better".into(),
            mentions: vec![Mention::User(user(2))],
            media,
            target_sender: Some(user(1)),
        }),
        Event::Delete(MessageDeleted { target: Seq(4), target_sender: Some(user(1)) }),
        Event::Reaction(ReactionChanged { target: Seq(4), emoji: "👍".into(), op: Toggle::Add }),
        Event::Pin(PinChanged { target: Seq(4), op: Toggle::Remove }),
        Event::Create(GroupCreated { title: Some("tea".into()), members: vec![user(1), user(2)] }),
        Event::Member(MemberChanged { user: user(3), op: MemberOp::Add, role: Some(Role::Admin) }),
        Event::Member(MemberChanged { user: user(3), op: MemberOp::Leave, role: None }),
        Event::Title(TitleChanged { title: "coffee".into() }),
        Event::Settings(SettingsChanged { history: Some(HistoryVisibility::All) }),
    ];
    for event in &events {
        let text = serde_json::to_string(event).expect("serializes");
        let back: Event = serde_json::from_str(&text).expect("reads its own");
        assert_eq!(&back, event);
        assert_ne!(Draft::parse(&text), Err(Rejection::Unsupported), "{text}");
    }
    insta::assert_json_snapshot!("events_v1", events);
}
