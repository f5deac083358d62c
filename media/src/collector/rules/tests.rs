use std::collections::BTreeMap;

use hansard_model::media::{Content, Declared, Facts, Part, Variant};
use hansard_model::{ConversationId, GroupId, Seq, UploadId, UserId};
use proptest::prelude::*;

use super::*;

fn blob(of: u8) -> Sha256 {
    Sha256([of; 32])
}

fn content(of: u8) -> Content {
    Content {
        blob: blob(of),
        sha256: None,
        size: 1,
        media_type: "text/plain".to_owned(),
        inline: false,
        width: None,
        height: None,
    }
}

fn upload(state: State) -> Upload {
    Upload {
        id: UploadId::from_entropy([1; 20]),
        uploader: UserId::from_entropy([1; 20]),
        length: 1,
        declared: Declared::default(),
        state,
        created: LogTime::from_millis(0),
        keep_until: LogTime::from_millis(0),
        generation: 2,
        parts: Vec::new(),
        sha256: None,
        original: None,
        contents: BTreeMap::new(),
        facts: Facts::default(),
        home: Home::Uploader,
        claimed: None,
        references: BTreeSet::new(),
        edits: [].into(),
        attempts: 0,
        faults: 0,
        missing: 0,
        withheld: false,
    }
}

fn conversation() -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([1; 20]))
}

fn patience() -> Patience {
    let seconds = Duration::from_secs;
    Patience {
        look_every: seconds(1),
        grace: seconds(1_000),
        claim: seconds(500),
        young: seconds(10),
        dying: seconds(20),
        stuck: seconds(50),
        joining: seconds(200),
        forget: seconds(1_000),
    }
}

prop_compose! {
    fn uploads()(
        state in prop::sample::select(vec![
            State::Receiving, State::Finishing, State::Processing, State::Ready, State::Dying,
        ]),
        home in prop::sample::select(vec![
            Home::Uploader, Home::Conversation(conversation()), Home::Avatar,
        ]),
        references in prop::collection::btree_set((1..9_u64).prop_map(Seq), 0..2),
        claimed in prop::option::of((0..2_000_u64).prop_map(|s| LogTime::from_millis(s * 1_000))),
        keep_until in (0..2_000_u64).prop_map(|s| LogTime::from_millis(s * 1_000)),
        has_spare in any::<bool>(),
    ) -> Upload {
        let mut one = upload(state);
        let is_finished = matches!(state, State::Processing | State::Ready | State::Dying);
        if is_finished {
            one.contents.insert(Variant::File, content(1));
        }
        if has_spare {
            let (upload, sha256) = (one.id, blob(1));
            one.parts.push(Part { upload, generation: 2, offset: 0, len: 1, sha256 });
        }
        let references = if home == Home::Conversation(conversation()) && is_finished {
            references
        } else {
            BTreeSet::new()
        };
        Upload { home, references, claimed, keep_until, ..one }
    }
}

prop_compose! {
    fn watches()(
        since in (0..2_000_u64).prop_map(|s| LogTime::from_millis(s * 1_000)),
        joining in prop::collection::btree_set((0..3_u8).prop_map(blob), 0..3),
    ) -> Watch {
        Watch { since, joining }
    }
}

/// Until when an upload must not go.
fn kept_until(upload: &Upload) -> LogTime {
    let claim = upload.claimed.map(|claimed| claimed.plus(patience().claim));
    upload.keep_until.max(claim.unwrap_or_default())
}

proptest! {
    #[test]
    fn nothing_goes_before_its_time_or_while_it_is_anybodys(
        upload in uploads(), watch in watches(), now in 0..4_000_u64,
    ) {
        let now = LogTime::from_millis(now * 1_000);
        match judge(Some(&upload), &watch, now, &patience()) {
            Verdict::End => {
                prop_assert!(upload.references.is_empty());
                prop_assert!(upload.home != Home::Avatar || upload.state == State::Receiving);
                prop_assert!(upload.keep_until <= now);
                if upload.state != State::Receiving {
                    prop_assert!(kept_until(&upload) <= now);
                }
            }
            Verdict::Settle => prop_assert_eq!(upload.state, State::Dying),
            Verdict::Later(moment) => prop_assert!(moment > now),
            Verdict::Avatar(moment) => {
                prop_assert!(moment > now);
                prop_assert_eq!((upload.home, upload.state), (Home::Avatar, State::Ready));
            }
            // A watch may go only when a reference keeps the upload: whoever takes that away
            // writes another.
            Verdict::Forget => {
                prop_assert!(!upload.references.is_empty());
                prop_assert!(upload.parts.is_empty() && watch.joining.is_empty());
                prop_assert!(now.since(watch.since) >= patience().young);
            }
            Verdict::Leave(blobs) => {
                prop_assert!(blobs.iter().all(|blob| watch.joining.contains(blob)));
                prop_assert!(upload.contents.values().all(|held| !blobs.contains(&held.blob)));
                prop_assert!(now.since(watch.since) >= patience().joining);
            }
            Verdict::Finish => prop_assert_eq!(upload.state, State::Finishing),
            Verdict::Process => prop_assert_eq!(upload.state, State::Processing),
            Verdict::Tidy => prop_assert!(!upload.parts.is_empty()),
            Verdict::Wait => {}
        }
    }

    /// Looked at every second, and with everything done that is to be done, an upload that nothing
    /// refers to is gone soon after its time, whatever its record and its watch say.
    #[test]
    fn what_nothing_refers_to_goes_soon(upload in uploads(), watch in watches()) {
        prop_assume!(upload.references.is_empty());
        prop_assume!(upload.home != Home::Avatar);
        let patience = patience();
        let (mut found, mut watch) = (Some(upload.clone()), Some(watch));
        // What is begun in the last moment may take its own time.
        let slack = patience.joining + patience.stuck * 2 + patience.dying + patience.young * 4;
        let begin = LogTime::from_millis(1_000_000);
        let time = kept_until(&upload).max(begin).max(watch.as_ref().expect("one").since);
        let end = time.plus(slack + patience.grace);
        let mut now = begin;
        let mut due = begin;
        while now <= end {
            if let Some(one) = watch.clone().filter(|_| due <= now) {
                match judge(found.as_ref(), &one, now, &patience) {
                    Verdict::Wait => {}
                    Verdict::Avatar(_) => prop_assert!(false, "no avatar"),
                    Verdict::Later(moment) => {
                        due = moment;
                        watch = Some(Watch { since: now, ..one });
                    }
                    Verdict::Forget => {
                        prop_assert_eq!(&found, &None, "forgotten");
                        watch = None;
                    }
                    Verdict::Finish => {
                        let found = found.as_mut().expect("one");
                        (found.state, found.keep_until) = (State::Processing, now.plus(patience.grace));
                        found.contents.insert(Variant::File, content(1));
                        watch = Some(Watch { since: now, ..one });
                    }
                    Verdict::Process => {
                        found.as_mut().expect("one").state = State::Ready;
                        watch = Some(Watch { since: now, ..one });
                    }
                    Verdict::Tidy => found.as_mut().expect("one").parts.clear(),
                    Verdict::Leave(_) => watch = Some(Watch { joining: BTreeSet::new(), ..one }),
                    Verdict::End => {
                        found.as_mut().expect("one").state = State::Dying;
                        watch = Some(Watch { since: now, ..one });
                    }
                    Verdict::Settle => found = None,
                }
            }
            now = now.plus(Duration::from_secs(1));
        }
        prop_assert_eq!(found, None);
        prop_assert_eq!(watch, None);
    }
}

#[test]
fn an_avatar_is_looked_at_again_and_again() {
    let now = LogTime::from_millis(5_000_000);
    let ready = Upload { home: Home::Avatar, ..upload(State::Ready) };
    let verdict = judge(Some(&ready), &Watch::default(), now, &patience());
    assert_eq!(verdict, Verdict::Avatar(now.plus(patience().grace)));
}

#[test]
fn the_defaults_hold_what_gateways_and_writers_rely_on() {
    let patience = Patience::default();
    assert!(patience.claim >= Patience::CLAIM_MIN);
    assert!(patience.young > crate::watch::USED_WITHIN * 2);
    assert!(patience.dying >= Duration::from_secs(60));
}
