use hansard_model::LogTime;
use hansard_model::media::{Declared, Facts, State};

use super::*;

fn user(of: u8) -> UserId {
    UserId::from_entropy([of; 20])
}

fn upload(state: State, home: Home) -> Upload {
    Upload {
        id: UploadId::from_entropy([9; 20]),
        uploader: user(1),
        length: 1,
        declared: Declared::default(),
        state,
        created: LogTime::default(),
        keep_until: LogTime::default(),
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

#[test]
fn what_a_reader_needs_for_bytes_and_to_know_of_them() {
    let talk = ConversationId::direct(user(1), user(2));
    let (mine, theirs) = (user(1), user(2));
    let home = Home::Conversation(talk);
    let member = Ok(Needs::Membership(talk));
    let nothing = Ok(Needs::Nothing);
    let (not_yet, not_found) = (Err(Refused::NotYet), Err(Refused::NotFound));
    let table = [
        // state, home, reader, bytes, info
        (State::Receiving, Home::Uploader, mine, not_yet, nothing),
        (State::Receiving, Home::Uploader, theirs, not_found, not_found),
        (State::Finishing, Home::Uploader, mine, not_yet, nothing),
        (State::Finishing, Home::Uploader, theirs, not_found, not_found),
        (State::Processing, Home::Uploader, mine, nothing, nothing),
        (State::Processing, Home::Uploader, theirs, not_found, not_found),
        (State::Processing, home, mine, member, member),
        (State::Processing, home, theirs, not_yet, member),
        (State::Ready, Home::Uploader, mine, nothing, nothing),
        (State::Ready, Home::Uploader, theirs, not_found, not_found),
        (State::Ready, home, mine, member, member),
        (State::Ready, home, theirs, member, member),
        (State::Ready, Home::Avatar, theirs, nothing, nothing),
        (State::Dying, Home::Uploader, mine, nothing, nothing),
        (State::Dying, home, theirs, not_found, not_found),
    ];
    let withheld = Upload { withheld: true, ..upload(State::Ready, home) };
    let got = [mine, theirs]
        .map(|reader| [Purpose::Bytes, Purpose::Info].map(|of| needs(&withheld, reader, of)));
    assert_eq!(got, [[member, member], [Err(Refused::Withheld), member]]);
    for (state, home, reader, bytes, info) in table {
        let upload = upload(state, home);
        let got = [Purpose::Bytes, Purpose::Info].map(|purpose| needs(&upload, reader, purpose));
        assert_eq!(got, [bytes, info], "{state:?} {home:?} {reader:?}");
    }
}
