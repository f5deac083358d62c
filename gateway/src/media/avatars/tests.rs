use hansard_model::ConversationId;
use hansard_model::media::{Content, Declared, Facts, Sha256};

use super::*;

fn user(of: u8) -> UserId {
    UserId::from_entropy([of; 20])
}

fn picture() -> Upload {
    let content = Content {
        blob: Sha256([1; 32]),
        sha256: None,
        size: 1,
        media_type: "image/webp".to_owned(),
        inline: true,
        width: Some(1),
        height: Some(1),
    };
    Upload {
        id: UploadId::from_entropy([9; 20]),
        uploader: user(1),
        length: 1,
        declared: Declared::default(),
        state: State::Ready,
        created: LogTime::default(),
        keep_until: LogTime::from_millis(5),
        generation: 0,
        parts: Vec::new(),
        sha256: None,
        original: None,
        contents: [(Variant::File, content.clone()), (Variant::Thumb, content)].into(),
        facts: Facts::default(),
        home: Home::Uploader,
        claimed: None,
        references: [].into(),
        edits: [].into(),
        attempts: 0,
        faults: 0,
        missing: 0,
        withheld: false,
    }
}

#[test]
fn an_avatar_is_an_own_picture_that_belongs_to_nobody_else() {
    assert!(fitness(&picture(), user(1)).is_ok());
    assert!(fitness(&Upload { home: Home::Avatar, ..picture() }, user(1)).is_ok());
    assert!(matches!(fitness(&picture(), user(2)), Err(AvatarError::NotFound)));
    let taken = Home::Conversation(ConversationId::direct(user(1), user(2)));
    let taken = Upload { home: taken, ..picture() };
    assert!(matches!(fitness(&taken, user(1)), Err(AvatarError::Taken)));
    let mut file = picture();
    file.contents.remove(&Variant::Thumb);
    assert!(matches!(fitness(&file, user(1)), Err(AvatarError::NoPicture)));
    for (state, wanted) in [
        (State::Receiving, AvatarError::NotYet),
        (State::Processing, AvatarError::NotYet),
        (State::Dying, AvatarError::NotFound),
    ] {
        let refused = fitness(&Upload { state, ..picture() }, user(1)).expect_err("not fit");
        assert_eq!(refused.to_string(), wanted.to_string(), "{state:?}");
    }
}

#[test]
fn a_former_avatar_is_kept_for_its_uploader_and_no_less_than_before() {
    let shown = Upload { home: Home::Avatar, ..picture() };
    let given_back = withdrawn(&shown, LogTime::from_millis(9));
    assert_eq!(given_back, Upload { keep_until: LogTime::from_millis(9), ..picture() });
    assert_eq!(withdrawn(&shown, LogTime::from_millis(3)).keep_until, LogTime::from_millis(5));
}
