//! Files, as clients are told of them.

use std::collections::BTreeMap;

use hansard_model::media::{Content, Sha256, State, Upload, Variant};
use hansard_model::{LogTime, UploadId};
use serde::{Deserialize, Serialize};

/// What has become of a file, as clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaState {
    /// Bytes are missing, or are being put away.
    Uploading,
    /// It can be sent; what can be shown of it is being worked out.
    Processing,
    /// It can be read.
    Ready,
}

/// A picture of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaVariant {
    /// Its type.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// In pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// In pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// `GET /v1/media/{id}/info`, the answer to an upload in one request, and `media` of the `media`
/// frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaInfo {
    /// The id, as messages name it.
    pub id: UploadId,
    /// What has become of it.
    pub state: MediaState,
    /// What its uploader called it: text for people, never a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// By its content; while that is not known, what its uploader said.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Bytes of the file as it is downloaded; while bytes are missing, those announced.
    pub size: u64,
    /// Of these bytes, once they are there; also the `ETag` of a download, in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Of pictures and videos, in pixels, the way they are to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Of pictures and videos, in pixels, the way they are to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Of sounds and videos, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Of sounds: peaks from 0 to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waveform: Option<Vec<u8>>,
    /// Of pictures: a `ThumbHash` in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// Of documents: pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
    /// Metadata was taken out: these are not the bytes that were uploaded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stripped: bool,
    /// Its uploader wanted it kept bit for bit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub original: bool,
    /// Its uploader said that it is encrypted: nothing of it was looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opaque: bool,
    /// Pictures of it, by the name that `variant` takes: `thumb`, `preview`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<Variant, MediaVariant>,
    /// Why there is no picture of it; for a developer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// While bytes are missing: how many are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// While bytes are missing: how many there will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

impl MediaInfo {
    /// What clients are told of an upload. `offset`: how many bytes are there, if that is known
    /// and some are missing.
    pub fn of(upload: &Upload, offset: Option<u64>) -> Self {
        let Upload { declared, facts, contents, .. } = upload;
        let state = match upload.state {
            State::Receiving | State::Finishing => MediaState::Uploading,
            State::Processing => MediaState::Processing,
            // Who may still ask for one that is to be removed may still read it.
            State::Ready | State::Dying => MediaState::Ready,
        };
        let file = contents.get(&Variant::File);
        let is_missing = state == MediaState::Uploading;
        let variants = contents.iter().filter(|(variant, _)| **variant != Variant::File);
        Self {
            id: upload.id,
            state,
            name: declared.name.clone(),
            media_type: file
                .map(|file| &file.media_type)
                .or(declared.media_type.as_ref())
                .map_or_else(|| "application/octet-stream".to_owned(), String::clone),
            size: file.map_or(upload.length, |file| file.size),
            sha256: file.map(Content::sha256),
            width: file.and_then(|file| file.width),
            height: file.and_then(|file| file.height),
            duration_ms: facts.duration_ms,
            waveform: facts.waveform.clone(),
            placeholder: facts.placeholder.clone(),
            pages: facts.pages,
            stripped: facts.stripped,
            original: declared.original,
            opaque: declared.opaque,
            variants: variants.map(|(variant, content)| (*variant, content.into())).collect(),
            reason: facts.reason.clone(),
            offset: offset.filter(|_| is_missing),
            length: is_missing.then_some(upload.length),
        }
    }
}

impl From<&Content> for MediaVariant {
    fn from(content: &Content) -> Self {
        let Content { size, media_type, width, height, .. } = content;
        Self { media_type: media_type.clone(), size: *size, width: *width, height: *height }
    }
}

/// `GET /v1/media/{id}/url`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaUrl {
    /// Where the bytes are, without a token: a path with a query, for any gateway.
    pub url: String,
    /// Until then.
    pub expires_at: LogTime,
}

#[cfg(test)]
mod tests {
    use hansard_model::UserId;
    use hansard_model::media::{Declared, Facts, Home};

    use super::*;

    fn content(blob: u8, media_type: &str, size: u64) -> Content {
        let media_type = media_type.to_owned();
        let (width, height) = (Some(4), Some(3));
        Content {
            blob: Sha256([blob; 32]),
            sha256: None,
            size,
            media_type,
            inline: true,
            width,
            height,
        }
    }

    fn upload(state: State) -> Upload {
        Upload {
            id: UploadId::from_entropy([1; 20]),
            uploader: UserId::from_entropy([2; 20]),
            length: 7,
            declared: Declared {
                name: Some("cat.jpg".to_owned()),
                media_type: Some("image/jpg".to_owned()),
                ..Declared::default()
            },
            state,
            created: LogTime::default(),
            keep_until: LogTime::default(),
            generation: 1,
            parts: Vec::new(),
            sha256: None,
            original: None,
            contents: BTreeMap::new(),
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
    fn of_an_unfinished_file_there_is_what_was_said_of_it_and_how_far_it_is() {
        let info = MediaInfo::of(&upload(State::Receiving), Some(3));
        assert_eq!(info.state, MediaState::Uploading);
        assert_eq!((info.media_type.as_str(), info.size), ("image/jpg", 7));
        assert_eq!((info.offset, info.length, info.sha256), (Some(3), Some(7), None));
    }

    #[test]
    fn of_a_file_that_is_ready_there_is_what_is_downloaded() {
        let mut upload = upload(State::Ready);
        upload.contents.insert(Variant::File, content(9, "image/jpeg", 6));
        upload.contents.insert(Variant::Thumb, content(8, "image/webp", 2));
        upload.facts.stripped = true;
        let info = MediaInfo::of(&upload, Some(3));
        assert_eq!((info.media_type.as_str(), info.size), ("image/jpeg", 6));
        assert_eq!((info.offset, info.length), (None, None));
        assert_eq!(info.sha256, Some(Sha256([9; 32])));
        assert_eq!(info.variants.keys().copied().collect::<Vec<_>>(), [Variant::Thumb]);
        let json = serde_json::to_value(&info).expect("JSON");
        assert_eq!(json["variants"]["thumb"]["type"], "image/webp");
        assert_eq!(serde_json::from_value::<MediaInfo>(json).expect("the same"), info);
    }
}
