//! What becomes of a record that is older than its manifest: pure.

use hansard_model::LogTime;
use hansard_model::media::{Facts, State, Upload};

/// The record of an upload with this manifest; `None`: the one that was found stays.
///
/// To whom it belongs, and what refers to it, is what the record said: the log says it again.
pub(crate) fn restored(
    found: Option<&Upload>,
    manifest: &Upload,
    keep_until: LogTime,
) -> Option<Upload> {
    let waiting = Upload { state: State::Dying, claimed: None, keep_until, ..manifest.clone() };
    let Some(found) = found else {
        return Some(Upload { references: [].into(), edits: [].into(), ..waiting });
    };
    let is_older = match found.state {
        State::Receiving | State::Finishing => true,
        State::Processing => !is_processed(found) && is_processed(manifest),
        // What dies has had its contents: the log says whether something refers to it.
        State::Ready | State::Dying => false,
    };
    is_older.then(|| Upload {
        home: found.home,
        references: found.references.clone(),
        edits: found.edits.clone(),
        generation: found.generation.max(manifest.generation),
        ..waiting
    })
}

/// The state of a finished upload that is not to be removed after all.
pub(crate) fn state_after_return(upload: &Upload) -> State {
    if is_processed(upload) { State::Ready } else { State::Processing }
}

/// Whether everything that can be known and shown of it is in the record. To work it out once more
/// does no harm; to let others read a file whose metadata is still in it would.
fn is_processed(upload: &Upload) -> bool {
    upload.declared.opaque || upload.contents.len() > 1 || upload.facts != Facts::default()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use hansard_model::media::{Content, Declared, Home, Sha256, Variant};
    use hansard_model::{UploadId, UserId};

    use super::*;

    fn upload(state: State) -> Upload {
        let content = Content {
            blob: Sha256([1; 32]),
            sha256: None,
            size: 3,
            media_type: "text/plain".to_owned(),
            inline: false,
            width: None,
            height: None,
        };
        Upload {
            id: UploadId::from_entropy([1; 20]),
            uploader: UserId::from_entropy([2; 20]),
            length: 3,
            declared: Declared::default(),
            state,
            created: LogTime::from_millis(1),
            keep_until: LogTime::from_millis(2),
            generation: 4,
            parts: Vec::new(),
            sha256: Some(Sha256([1; 32])),
            original: Some(Sha256([1; 32])),
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

    #[test]
    fn a_missing_record_waits_for_the_log() {
        let later = LogTime::from_millis(100);
        let restored = restored(None, &upload(State::Ready), later).expect("put back");
        assert_eq!((restored.state, restored.keep_until), (State::Dying, later));
        assert_eq!(state_after_return(&restored), State::Ready);
    }

    #[test]
    fn what_was_not_processed_is_processed_when_it_returns() {
        let mut raw = upload(State::Processing);
        raw.facts = Facts::default();
        assert_eq!(state_after_return(&raw), State::Processing);
        raw.declared.opaque = true;
        assert_eq!(state_after_return(&raw), State::Ready);
    }

    #[test]
    fn an_older_record_keeps_to_whom_it_belongs() {
        let later = LogTime::from_millis(100);
        let mut old = upload(State::Receiving);
        (old.contents, old.home) = (BTreeMap::new(), Home::Avatar);
        let next = restored(Some(&old), &upload(State::Ready), later).expect("put back");
        assert_eq!((next.home, next.contents.len()), (Home::Avatar, 1));
        for state in [State::Ready, State::Dying] {
            assert_eq!(restored(Some(&upload(state)), &upload(State::Ready), later), None);
        }
    }
}
