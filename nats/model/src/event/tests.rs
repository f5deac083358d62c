use super::*;

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
        assert!(KINDS.contains(&event.kind()));
    }
    insta::assert_json_snapshot!("events_v1", events);
}

#[test]
fn unknown_fields_are_kept_and_canonical() {
    let draft =
        Draft::parse(r#" {"text":"hi", "zeta":[1, 2],"kind":"message","data":{"b":1,"a":2}} "#)
            .expect("valid");
    assert_eq!(
        draft.to_json(),
        r#"{"data":{"a":2,"b":1},"kind":"message","text":"hi","zeta":[1,2]}"#
    );
}

#[test]
fn hostile_events_are_rejected() {
    let deep =
        format!(r#"{{"kind":"message","text":"x","a":{}1{}}}"#, "[".repeat(50), "]".repeat(50));
    let abyss = format!(r#"{{"kind":"message","text":"x","a":{}}}"#, "[".repeat(40_000));
    let data = format!(r#"{{"kind":"message","text":"x","data":{{"a":"{}"}}}}"#, "x".repeat(5_000));
    let cases = [
        ("[]", Rejection::BadEvent("not an object")),
        ("{}", Rejection::BadEvent("no kind")),
        (r#"{"kind":"poll"}"#, Rejection::Unsupported),
        (r#"{"kind":"message"}"#, Rejection::BadEvent("a field is missing or of the wrong type")),
        (
            r#"{"kind":"message","text":7}"#,
            Rejection::BadEvent("a field is missing or of the wrong type"),
        ),
        (
            r#"{"kind":"message","text":"x","deleted":true}"#,
            Rejection::BadEvent("a field of the server's"),
        ),
        (r#"{"kind":"message","text":"x","data":7}"#, Rejection::BadEvent("data is not an object")),
        (&deep, Rejection::BadEvent("nested too deep")),
        (&abyss, Rejection::BadEvent("not JSON")),
        (&data, Rejection::TooLarge("data")),
    ];
    for (json, rejection) in cases {
        assert_eq!(Draft::parse(json), Err(rejection), "{}", &json[..json.len().min(80)]);
    }
}
