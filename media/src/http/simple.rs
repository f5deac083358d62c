//! A small file in one request: its bytes are the body, its type is the body's.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hansard_model::media::Upload;
use hansard_protocol::ErrorCode;
use hansard_protocol::media::MediaInfo;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;

use super::Shared;
use super::failure::Failure;
use super::grant::Uploader;
use super::places::Place;
use super::tus::{location, number};
use crate::fault::Fault;
use crate::uploads::{Append, AppendError, Creation, Finished, Uploads, declared};

/// Bytes of a file that comes in one request, at most.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What is said of the file besides its type.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Said {
    name: Option<String>,
    #[serde(default)]
    original: bool,
    #[serde(default)]
    opaque: bool,
}

/// `POST /v1/media` with a file as its body.
pub(super) async fn create(
    shared: &Arc<Shared>,
    Uploader(user): Uploader,
    said: Said,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media_type.is_some_and(|text| text.trim_start().starts_with("multipart/")) {
        return Err(Failure::new(ErrorCode::Unsupported, "the body must be the file itself"));
    }
    let announced = number(headers, CONTENT_LENGTH)?;
    let bytes_max = BYTES_MAX.min(shared.uploads.bounds.bytes_max);
    if announced.is_some_and(|announced| announced > bytes_max) {
        return Err(Failure::new(ErrorCode::TooLarge, "too long for one request"));
    }
    let place = shared.uploading.take(user).await?;
    let fate = place.fate();
    let declared = declared(said.name.as_deref(), media_type, (said.original, said.opaque));
    // Without an announcement as much is reserved as there may be.
    let creation = Creation { user, length: announced.unwrap_or(bytes_max), declared };
    let upload = shared.uploads.create(creation).await??;
    let append = Append { id: upload.id, user, offset: 0, announced, checksum: None };
    let uploads = shared.uploads.clone();
    let work = async move {
        let stored = Box::pin(store(&uploads, append, body, &place)).await;
        if stored.is_err() {
            // Nobody knows of it: it could only expire.
            if let Err(error) = Box::pin(uploads.end(append.id, append.user)).await {
                tracing::debug!(upload.id = %append.id, ?error, "it expires");
            }
        }
        stored
    };
    let stored =
        shared.tasks.spawn(work).await.unwrap_or_else(|error| Err(Fault::of_task(error).into()));
    let upload = match stored {
        Err(AppendError::Cut) => return Err(shared.cut(&fate)),
        stored => stored?,
    };
    let info = serde_json::to_vec(&MediaInfo::of(&upload, None))
        .map_err(|_| Failure::new(ErrorCode::Internal, "the answer cannot be written"))?;
    let headers = [
        (LOCATION, location(upload.id)),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((StatusCode::CREATED, headers, info).into_response())
}

async fn store(
    uploads: &Uploads,
    append: Append,
    body: Body,
    place: &Place,
) -> Result<Upload, AppendError> {
    let appended = uploads.append(append, place.body(body.into_data_stream())).await?;
    if append.announced.is_none() {
        uploads.end_at(append.id, append.user, appended.offset).await?;
    }
    match uploads.finish(append.id, appended.known).await? {
        Finished::Done(upload) => Ok(upload),
        Finished::Missing { offset, .. } => Err(AppendError::Elsewhere(Some(offset))),
        Finished::Absent => Err(AppendError::NotFound),
    }
}
