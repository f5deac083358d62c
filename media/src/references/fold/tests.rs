use std::collections::BTreeMap;

use hansard_model::media::{Content, Declared, Facts, Sha256, Variant};
use hansard_model::{DeviceId, GroupId, MessageId};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const EPOCH: u64 = 7;

fn user(of: u8) -> UserId {
    UserId::from_entropy([of; 20])
}

fn upload_id(of: u8) -> UploadId {
    UploadId::from_entropy([of; 20])
}

fn group(of: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([of; 20]))
}

fn upload(of: u8, uploader: u8) -> Upload {
    let content = Content {
        blob: Sha256([of; 32]),
        sha256: None,
        size: 1,
        media_type: "text/plain".to_owned(),
        inline: false,
        width: None,
        height: None,
    };
    Upload {
        id: upload_id(of),
        uploader: user(uploader),
        length: 1,
        declared: Declared::default(),
        state: State::Ready,
        created: LogTime::from_millis(1),
        keep_until: LogTime::from_millis(1),
        generation: 2,
        parts: Vec::new(),
        sha256: Some(Sha256([of; 32])),
        original: Some(Sha256([of; 32])),
        contents: BTreeMap::from([(Variant::File, content)]),
        facts: Facts { reason: Some("unsupported".to_owned()), ..Facts::default() },
        home: Home::Uploader,
        claimed: None,
        references: BTreeSet::new(),
        edits: [].into(),
        attempts: 1,
        faults: 0,
        missing: 0,
        withheld: false,
    }
}

/// A message that says for itself what it refers to.
fn own(seq: u64) -> Referring {
    Referring { message: Seq(seq), by: Seq(seq) }
}

fn envelope(sender: u8, event: serde_json::Value) -> Envelope {
    Envelope {
        v: 1,
        id: MessageId::new(1, [0; 10]),
        sender: user(sender),
        device: DeviceId::from_entropy([1; 20]),
        event: serde_json::from_value(event).expect("an event"),
    }
}

#[test]
fn only_events_about_media_say_something() {
    let read = |event| Said::read(Seq(9), &envelope(1, event)).map(|said| (said.at, said.media));
    let of = BTreeSet::from([upload_id(1)]);
    let entry = json!([{"id": upload_id(1), "alt": "a cat"}, {"id": "made up"}, {"url": "x"}]);
    assert_eq!(read(json!({"kind": "message", "text": "hi"})), None);
    assert_eq!(
        read(json!({"kind": "message", "text": "", "media": entry})),
        Some((Seq(9), Media::Are(of.clone())))
    );
    assert_eq!(
        read(json!({"kind": "edit", "target": 4, "text": "", "media": entry})),
        Some((Seq(4), Media::Are(of)))
    );
    assert_eq!(
        read(json!({"kind": "edit", "target": 4, "text": "hi"})),
        Some((Seq(4), Media::Are(BTreeSet::new())))
    );
    assert_eq!(read(json!({"kind": "delete", "target": 4})), Some((Seq(4), Media::Gone)));
    assert_eq!(read(json!({"kind": "pin", "target": 4, "op": "add"})), None);
}

#[test]
fn strangers_uploads_and_those_without_bytes_are_not_referred_to() {
    let now = LogTime::from_millis(5);
    let mut mine = upload(1, 1);
    assert_eq!(refer(&mine, group(1), own(1), user(2), now), Referred::No);
    for state in [State::Receiving, State::Finishing] {
        mine.state = state;
        assert_eq!(refer(&mine, group(1), own(1), user(1), now), Referred::No);
    }
    mine.state = State::Ready;
    mine.home = Home::Avatar;
    assert_eq!(refer(&mine, group(1), own(1), user(1), now), Referred::No);
    mine.home = Home::Conversation(group(2));
    assert_eq!(refer(&mine, group(1), own(1), user(1), now), Referred::No);
    // Any member may send again what is the conversation's.
    assert!(matches!(refer(&mine, group(2), own(1), user(2), now), Referred::Now(_)));
}

#[test]
fn a_reference_has_back_what_was_put_back_and_nothing_else() {
    let now = LogTime::from_millis(5);
    let mut dying = Upload { state: State::Dying, ..upload(1, 1) };
    let state = |upload: &Upload| match refer(upload, group(1), own(1), user(1), now) {
        Referred::Now(next) => next.state,
        other @ (Referred::No | Referred::Already) => panic!("{other:?}"),
    };
    assert_eq!(state(&dying), State::Dying);
    dying.keep_until = LogTime::from_millis(6);
    assert_eq!(state(&dying), State::Ready);
}

#[test]
fn beyond_the_limit_the_newest_are_named_and_the_upload_stays() {
    let now = LogTime::from_millis(5);
    let mut full = upload(1, 1);
    full.home = Home::Conversation(group(1));
    full.references = (1..=REFERENCES_MAX as u64).map(|seq| Seq(seq * 2)).collect();
    let Referred::Now(next) = refer(&full, group(1), own(1_000_000), user(1), now) else {
        panic!("not referred to");
    };
    assert_eq!(next.references.len(), REFERENCES_MAX);
    assert_eq!(next.references.last(), Some(&Seq(1_000_000)));
    assert_eq!(next.keep_until, LogTime::from_nanos(u64::MAX));
    // An older one than all is not named, and does no harm.
    let Referred::Now(older) = refer(&full, group(1), own(1), user(1), now) else {
        panic!("not kept");
    };
    assert_eq!(older.references, full.references);
    assert_eq!(older.keep_until, LogTime::from_nanos(u64::MAX));
    assert_eq!(refer(&older, group(1), own(1), user(1), now), Referred::Already);
}

/// The records, as the bucket has them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Bucket {
    uploads: BTreeMap<UploadId, Upload>,
    messages: BTreeMap<(ConversationId, Seq), Known>,
}

impl Bucket {
    fn new() -> Self {
        // Two of each of two people.
        let uploads = (0..4).map(|of| (upload_id(of), upload(of, of % 2)));
        Self { uploads: uploads.collect(), messages: BTreeMap::new() }
    }

    /// What `records` does, up to one of its writes: the process dies before the one after it.
    fn apply(&mut self, at: &Logged, writes_max: usize) {
        let Some(said) = Said::read(at.seq, &at.envelope) else { return };
        let key = (at.conversation, said.at);
        let Some(step) = said.step(self.messages.get(&key), EPOCH) else { return };
        let (mut refers, mut writes) = (BTreeSet::new(), 0);
        let now = LogTime::from_millis(10);
        for id in &step.wants {
            let Some(found) = self.uploads.get_mut(id) else { continue };
            match refer(found, at.conversation, said.referring(), said.sender, now) {
                Referred::No => continue,
                Referred::Already => {}
                Referred::Now(_) if writes == writes_max => return,
                Referred::Now(next) => {
                    (*found, writes) = (*next, writes + 1);
                }
            }
            refers.insert(*id);
        }
        for id in step.had.difference(&refers) {
            let Some(found) = self.uploads.get_mut(id) else { continue };
            let Some(next) = release(found, at.conversation, said.at, now) else { continue };
            if writes == writes_max {
                return;
            }
            (*found, writes) = (next, writes + 1);
        }
        if writes == writes_max {
            return;
        }
        self.messages.insert(key, said.known(&step, refers, EPOCH));
    }

    fn references(&self) -> BTreeMap<UploadId, (Home, BTreeMap<Seq, Seq>)> {
        let of = |upload: &Upload| {
            let said_by = |at: &Seq| (*at, upload.edits.get(at).copied().unwrap_or(*at));
            assert!(upload.edits.keys().all(|at| upload.references.contains(at)));
            (upload.home, upload.references.iter().map(said_by).collect())
        };
        self.uploads.iter().map(|(id, upload)| (*id, of(upload))).collect()
    }
}

/// An event of the log.
#[derive(Clone, Debug)]
struct Logged {
    conversation: ConversationId,
    seq: Seq,
    envelope: Envelope,
}

/// What the log means, told in the simplest way: which media each message has in the end, and which
/// event said so last.
fn meaning(log: &[Logged]) -> BTreeMap<UploadId, (Home, BTreeMap<Seq, Seq>)> {
    let mut uploads = Bucket::new().uploads;
    let mut messages = BTreeMap::<(ConversationId, Seq), Option<BTreeMap<UploadId, Seq>>>::new();
    for Logged { conversation, seq, envelope } in log {
        let Some(said) = Said::read(*seq, envelope) else { continue };
        let (wants, is_gone) = match said.media {
            Media::Are(wants) => (wants, false),
            Media::Gone => (BTreeSet::new(), true),
        };
        let message =
            messages.entry((*conversation, said.at)).or_insert_with(|| Some(BTreeMap::new()));
        let Some(message_media) = message else { continue };
        message_media.clear();
        for id in wants {
            let Some(upload) = uploads.get_mut(&id) else { continue };
            let may = match upload.home {
                Home::Uploader => upload.uploader == envelope.sender,
                Home::Conversation(home) => home == *conversation,
                Home::Avatar => false,
            };
            if may {
                upload.home = Home::Conversation(*conversation);
                message_media.insert(id, *seq);
            }
        }
        if is_gone {
            *message = None;
        }
    }
    let mut references = BTreeMap::new();
    for (id, upload) in uploads {
        let of_it = messages
            .iter()
            .filter_map(|((_, seq), media)| Some((*seq, *media.as_ref()?.get(&id)?)));
        references.insert(id, (upload.home, of_it.collect()));
    }
    references
}

fn logs() -> impl Strategy<Value = Vec<Logged>> {
    let event = (0..2_u8, 0..2_u8, 0..6_u8, any::<prop::sample::Index>(), vec(0..5_u8, 0..3));
    vec(event, 1..40).prop_map(|events| {
        let mut log: Vec<Logged> = Vec::new();
        for (seq, (conversation, sender, kind, target, media)) in (1..).zip(events) {
            let conversation = group(conversation);
            let media: Vec<_> = media.iter().map(|of| json!({"id": upload_id(*of)})).collect();
            let messages: Vec<Seq> = log
                .iter()
                .filter(|one| one.conversation == conversation)
                .filter(|one| matches!(one.envelope.event, Event::Message(_)))
                .map(|one| one.seq)
                .collect();
            let event = match kind {
                3 | 4 if !messages.is_empty() => {
                    json!({"kind": "edit", "target": target.get(&messages), "text": "", "media": media})
                }
                5 if !messages.is_empty() => {
                    json!({"kind": "delete", "target": target.get(&messages)})
                }
                _ => json!({"kind": "message", "text": "", "media": media}),
            };
            log.push(Logged { conversation, seq: Seq(seq), envelope: envelope(sender, event) });
        }
        log
    })
}

proptest! {
    #[test]
    fn references_are_what_the_log_means(log in logs()) {
        let mut bucket = Bucket::new();
        for event in &log {
            bucket.apply(event, usize::MAX);
        }
        prop_assert_eq!(bucket.references(), meaning(&log));
    }

    /// The position was written at any event, and any number of writes after it were made when the
    /// process died; and it died as often as it liked.
    #[test]
    fn whoever_dies_between_two_writes_loses_nothing(
        log in logs(),
        deaths in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4_usize), 0..6),
    ) {
        let mut bucket = Bucket::new();
        // All up to here is written, and said to be.
        let mut position = 0;
        for (written, died_at, writes) in deaths {
            let died_at = position + died_at.index(log.len() - position + 1);
            for event in &log[position..died_at] {
                bucket.apply(event, usize::MAX);
            }
            if let Some(event) = log.get(died_at) {
                bucket.apply(event, writes);
            }
            position += written.index(died_at - position + 1);
        }
        for event in &log[position..] {
            bucket.apply(event, usize::MAX);
        }
        prop_assert_eq!(bucket.references(), meaning(&log));
        for (id, upload) in &bucket.uploads {
            for seq in &upload.references {
                let Home::Conversation(home) = upload.home else { panic!("{id} has no home") };
                prop_assert!(bucket.messages[&(home, *seq)].uploads.contains(id));
            }
        }
    }

    /// Reading all of it once more in a later epoch gives the same.
    #[test]
    fn reading_the_log_again_changes_nothing(log in logs()) {
        let mut bucket = Bucket::new();
        for event in &log {
            bucket.apply(event, usize::MAX);
        }
        let before = bucket.clone();
        for event in &log {
            bucket.apply(event, usize::MAX);
        }
        prop_assert_eq!(bucket.references(), before.references());
    }
}
