use super::*;

fn identified() -> Identified {
    let (user, device) = (UserId::from_entropy([1; 20]), DeviceId::from_entropy([2; 20]));
    Unidentified::identified(user, device, Instant::now())
}

fn refused(text: &str) -> (ErrorCode, Option<FrameRef>) {
    match identified().on_text(text, Instant::now()) {
        Action::Refuse(body) => (body.code, body.reference),
        other => panic!("{text}: {other:?}"),
    }
}

fn conversation() -> String {
    format!("{}.{}", "a".repeat(20), "b".repeat(20))
}

const ID: &str = "019a9b1c-7b1a-7000-8000-00000000000a";

#[test]
fn the_first_frame_is_hello() {
    let (hello, reference) =
        Unidentified::first(r#"{"type":"hello","ref":7,"token":"t"}"#).expect("valid");
    assert_eq!((hello.token.as_str(), reference), ("t", Some(FrameRef::Number(7))));
    for text in [r#"{"type":"ping"}"#, r#"{"type":"hello"}"#, "[]", "", "nonsense"] {
        let ended = Unidentified::first(text).expect_err(text);
        assert_eq!(ended.code, 4000, "{text}");
        assert_eq!(ended.error.map(|error| error.code), Some(ErrorCode::BadFrame), "{text}");
    }
}

#[test]
fn a_send_keeps_the_event_as_it_was_sent() {
    let event = r#"{"kind": "message", "text":"hi",  "x":1}"#;
    let text = format!(
        r#"{{"type":"send","ref":"r","conversation":"{}","id":"{ID}","event":{event}}}"#,
        conversation()
    );
    match identified().on_text(&text, Instant::now()) {
        Action::Send(command, answering) => {
            assert_eq!(command.event, event);
            assert_eq!(answering.reference, Some(FrameRef::Text("r".to_owned())));
            assert_eq!(answering.id.to_string(), ID);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn refused_frames_are_answered_with_their_ref() {
    let number = Some(FrameRef::Number(3));
    let c = conversation();
    let cases = [
        (r#"{"type":"wave","ref":3}"#.to_owned(), ErrorCode::Unsupported),
        (r#"{"ref":3}"#.to_owned(), ErrorCode::BadFrame),
        (r#"{"type":"hello","ref":3,"token":"t"}"#.to_owned(), ErrorCode::BadFrame),
        (r#"{"type":"presence","ref":3,"state":"asleep"}"#.to_owned(), ErrorCode::BadFrame),
        (
            format!(r#"{{"type":"receipt","ref":3,"conversation":"{c}","read":-1}}"#),
            ErrorCode::BadFrame,
        ),
        (
            r#"{"type":"receipt","ref":3,"conversation":"g.>","read":1}"#.to_owned(),
            ErrorCode::BadId,
        ),
        (r#"{"type":"typing","ref":3,"conversation":"g.*"}"#.to_owned(), ErrorCode::BadId),
        (
            format!(r#"{{"type":"send","ref":3,"conversation":"{c}","id":"x","event":{{}}}}"#),
            ErrorCode::BadId,
        ),
        (
            format!(r#"{{"type":"send","ref":3,"conversation":"{c} >","id":"{ID}","event":{{}}}}"#),
            ErrorCode::BadId,
        ),
        (
            format!(r#"{{"type":"send","ref":3,"conversation":"{c}","id":"{ID}"}}"#),
            ErrorCode::BadFrame,
        ),
        (
            format!(
                r#"{{"type":"watch","ref":3,"conversations":["{c}","{c}","{c}","{c}","{c}"]}}"#
            ),
            ErrorCode::TooLarge,
        ),
    ];
    for (text, code) in cases {
        assert_eq!(refused(&text), (code, number.clone()), "{text}");
    }
}

#[test]
fn deep_json_is_a_bad_frame_and_no_crash() {
    let deep = "[".repeat(30_000) + &"]".repeat(30_000);
    assert_eq!(refused(&deep), (ErrorCode::BadFrame, None));
    let within = format!(r#"{{"type":"watch","conversations":{deep}}}"#);
    assert_eq!(refused(&within).0, ErrorCode::BadFrame);
}

#[test]
fn a_ref_is_bounded() {
    let text = format!(r#"{{"type":"ping","ref":"{}"}}"#, "x".repeat(65));
    assert_eq!(refused(&text), (ErrorCode::BadFrame, None));
}

#[test]
fn a_flood_is_refused_with_its_refs_and_then_ended() {
    let (mut connection, now) = (identified(), Instant::now());
    let mut last = Action::Pong(None);
    let mut limited = 0;
    for _ in 0..10_000 {
        last = connection.on_text(r#"{"type":"ping","ref":1}"#, now);
        match &last {
            Action::Refuse(body) => {
                assert_eq!(body.code, ErrorCode::RateLimited);
                assert_eq!(body.reference, Some(FrameRef::Number(1)));
                assert!(body.retry_after_ms.is_some());
                limited += 1;
            }
            Action::Pong(_) | Action::End(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(limited > 0);
    assert!(matches!(last, Action::End(ended) if ended.code == 4009));
}
