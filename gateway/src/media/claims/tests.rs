use hansard_model::media::{CLAIM_AGAIN_AFTER_MS, Declared, Facts, State};

use super::*;

const NOW: LogTime = LogTime::from_millis(1_000_000);

fn user(of: u8) -> UserId {
    UserId::from_entropy([of; 20])
}

fn talk() -> ConversationId {
    ConversationId::direct(user(1), user(2))
}

fn upload(home: Home) -> Upload {
    Upload {
        id: UploadId::from_entropy([9; 20]),
        uploader: user(1),
        length: 1,
        declared: Declared::default(),
        state: State::Ready,
        created: NOW,
        keep_until: NOW,
        generation: 0,
        parts: Vec::new(),
        sha256: None,
        original: None,
        contents: [].into(),
        facts: Facts::default(),
        home,
        claimed: None,
        references: [].into(),
        edits: [].into(),
        attempts: 0,
        faults: 0,
        missing: 0,
        withheld: false,
    }
}

fn by(sender: UserId, view_from: u64) -> Claim {
    Claim {
        sender,
        conversation: talk(),
        view_from: Seq(view_from),
        partition: PartitionId(0),
        epoch: 1,
        delivered: Some(Seq(9)),
    }
}

#[test]
fn an_own_file_is_claimed_and_the_same_again_only_after_a_while() {
    let (mine, theirs) = (by(user(1), 0), by(user(2), 0));
    assert_eq!(mine.judge(&upload(Home::Uploader), NOW), Verdict::ToClaim);
    assert_eq!(theirs.judge(&upload(Home::Uploader), NOW), Verdict::Refused);
    let claimed = Upload { claimed: Some(NOW), ..upload(Home::Conversation(talk())) };
    assert_eq!(mine.judge(&claimed, NOW), Verdict::Sendable);
    let later = LogTime::from_millis(NOW.as_millis() + CLAIM_AGAIN_AFTER_MS);
    assert_eq!(mine.judge(&claimed, later), Verdict::ToClaim);
}

#[test]
fn who_sees_a_file_in_the_conversation_may_send_it_there_again() {
    let shared = Upload { references: [Seq(5)].into(), ..upload(Home::Conversation(talk())) };
    assert_eq!(by(user(2), 5).judge(&shared, NOW), Verdict::ToClaim);
    assert_eq!(by(user(2), 6).judge(&shared, NOW), Verdict::Unseen);
    assert_eq!(by(user(1), 6).judge(&shared, NOW), Verdict::ToClaim, "its uploader had it before");
    let elsewhere = Home::Conversation(ConversationId::direct(user(1), user(3)));
    let elsewhere = Upload { references: [Seq(5)].into(), ..upload(elsewhere) };
    assert_eq!(by(user(1), 0).judge(&elsewhere, NOW), Verdict::Refused);
    assert_eq!(by(user(1), 0).judge(&upload(Home::Avatar), NOW), Verdict::Refused);
}

#[test]
fn what_is_not_there_yet_or_no_longer_is_not_sent() {
    for state in [State::Receiving, State::Finishing, State::Dying] {
        let upload = Upload { state, ..upload(Home::Uploader) };
        assert_eq!(by(user(1), 0).judge(&upload, NOW), Verdict::Refused, "{state:?}");
    }
    let processing = Upload { state: State::Processing, ..upload(Home::Uploader) };
    assert_eq!(by(user(1), 0).judge(&processing, NOW), Verdict::ToClaim);
}
