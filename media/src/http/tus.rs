//! Resumable uploads: tus 1.0 with creation, creation-with-upload, checksum, expiration and
//! termination. <https://tus.io/protocols/resumable-upload>

mod expires;

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hansard_model::UploadId;
use hansard_model::media::{Declared, Sha256, State as UploadState, Upload};
use hansard_protocol::ErrorCode;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::Shared;
use super::failure::Failure;
use super::grant::Uploader;
use super::places::Place;
use crate::fault::Fault;
use crate::uploads::{Append, AppendError, Creation, Finished, from_metadata};

pub(super) const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(super) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const TUS_CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");

/// The version of the protocol.
const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
const EXTENSIONS: HeaderValue =
    HeaderValue::from_static("creation,creation-with-upload,checksum,expiration,termination");
/// The type of a body that is a piece of an upload.
const PIECE: &str = "application/offset+octet-stream";

/// `OPTIONS`: what this server can do. Needs no grant.
pub(super) async fn options(State(shared): State<Arc<Shared>>) -> Response {
    let headers = [
        (TUS_RESUMABLE, VERSION),
        (TUS_VERSION, VERSION),
        (TUS_EXTENSION, EXTENSIONS),
        (TUS_MAX_SIZE, HeaderValue::from(shared.uploads.bounds.bytes_max)),
        (TUS_CHECKSUM_ALGORITHM, HeaderValue::from_static("sha256")),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// `POST` to an upload: nothing of the protocol.
pub(super) async fn unsupported() -> Failure {
    Failure::new(ErrorCode::Unsupported, "no such method here")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// `POST /v1/media` of a client of tus.
pub(super) async fn create(
    shared: &Arc<Shared>,
    Uploader(user): Uploader,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    check_version(headers)?;
    let length = number(headers, UPLOAD_LENGTH)?
        .ok_or_else(|| Failure::bad_request("Upload-Length is missing"))?;
    let metadata = text(headers, UPLOAD_METADATA)?.unwrap_or_default();
    let declared = from_metadata(metadata).map_err(Failure::bad_request)?;
    let checksum = checksum(headers)?;
    let announced = number(headers, CONTENT_LENGTH)?;
    let has_body = text(headers, CONTENT_TYPE)? == Some(PIECE) && !body.is_end_stream();
    // Before anything is stored.
    let place = if has_body { Some(shared.uploading.take(user).await?) } else { None };
    let upload = shared.uploads.create(Creation { user, length, declared }).await??;
    let offset = match place {
        Some(place) => {
            let id = upload.id;
            let append = Append { id, user, offset: 0, announced, checksum };
            match appended(shared, append, body, place).await {
                Ok(offset) => offset,
                Err(AppendError::Checksum) => return Err(AppendError::Checksum.into()),
                // The upload is there: the client learns where, and goes on as after a cut.
                Err(_) => shared.uploads.reached(id, user).await?.map_or(0, |now| now.offset),
            }
        }
        None if length == 0 => {
            shared.uploads.finish(upload.id, None).await?;
            0
        }
        None => 0,
    };
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, location(upload.id));
    describe(headers, &upload, offset);
    Ok(response)
}

/// `HEAD /v1/media/{id}`, by its uploader: how far it is.
pub(super) async fn head(
    shared: &Shared,
    id: &str,
    Uploader(user): Uploader,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    check_version(headers)?;
    let id = id.parse().map_err(|_| Failure::not_found())?;
    let reached = shared.uploads.reached(id, user).await?.ok_or_else(Failure::not_found)?;
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(UPLOAD_LENGTH, HeaderValue::from(reached.upload.length));
    if let Some(metadata) = metadata(&reached.upload.declared) {
        headers.insert(UPLOAD_METADATA, metadata);
    }
    describe(headers, &reached.upload, reached.offset);
    Ok(response)
}

/// `PATCH /v1/media/{id}`: bytes from an offset on.
pub(super) async fn patch(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Uploader(user): Uploader,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    check_version(&headers)?;
    let id: UploadId = id.parse().map_err(|_| Failure::not_found())?;
    if text(&headers, CONTENT_TYPE)? != Some(PIECE) {
        let failure = Failure::new(ErrorCode::Unsupported, format!("the type must be {PIECE}"));
        return Err(failure.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let offset = number(&headers, UPLOAD_OFFSET)?
        .ok_or_else(|| Failure::bad_request("Upload-Offset is missing"))?;
    let announced = number(&headers, CONTENT_LENGTH)?;
    let checksum = checksum(&headers)?;
    let place = shared.uploading.take(user).await?;
    let fate = place.fate();
    let append = Append { id, user, offset, announced, checksum };
    let offset = match appended(&shared, append, body, place).await {
        Err(AppendError::Cut) => return Err(shared.cut(&fate)),
        appended => appended?,
    };
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE, VERSION);
    headers.insert(UPLOAD_OFFSET, HeaderValue::from(offset));
    Ok(response)
}

/// `DELETE /v1/media/{id}`: it is not wanted any more.
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Uploader(user): Uploader,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    check_version(&headers)?;
    let id = id.parse().map_err(|_| Failure::not_found())?;
    shared.uploads.end(id, user).await?;
    Ok((StatusCode::NO_CONTENT, [(TUS_RESUMABLE, VERSION)]).into_response())
}

/// Appends in a task of its own, so that what came is put away also when the client goes; then
/// finishes the upload if that was all, and tells how far it is.
async fn appended(
    shared: &Arc<Shared>,
    append: Append,
    body: Body,
    place: Place,
) -> Result<u64, AppendError> {
    let uploads = shared.uploads.clone();
    let work = async move {
        let body = place.body(body.into_data_stream());
        let appended = Box::pin(uploads.append(append, body)).await?;
        match Box::pin(uploads.finish(append.id, appended.known)).await? {
            Finished::Done(upload) => Ok(upload.length),
            Finished::Missing { offset, .. } if offset >= appended.offset => Ok(appended.offset),
            Finished::Missing { offset, .. } => Err(AppendError::Elsewhere(Some(offset))),
            Finished::Absent => Err(AppendError::NotFound),
        }
    };
    shared.tasks.spawn(work).await.unwrap_or_else(|error| Err(Fault::of_task(error).into()))
}

/// What a client of tus learns of an upload with each answer.
fn describe(headers: &mut HeaderMap, upload: &Upload, offset: u64) {
    headers.insert(TUS_RESUMABLE, VERSION);
    headers.insert(UPLOAD_OFFSET, HeaderValue::from(offset));
    if upload.state == UploadState::Receiving && offset < upload.length {
        headers.extend(expires::http_date(upload.keep_until).map(|date| (UPLOAD_EXPIRES, date)));
    }
}

/// Where an upload is.
pub(super) fn location(id: UploadId) -> HeaderValue {
    // The alphabet of ids is one of paths.
    HeaderValue::from_str(&format!("/v1/media/{id}"))
        .unwrap_or_else(|_| HeaderValue::from_static("/v1/media"))
}

fn check_version(headers: &HeaderMap) -> Result<(), Failure> {
    if headers.get(TUS_RESUMABLE) == Some(&VERSION) {
        return Ok(());
    }
    let failure = Failure::new(ErrorCode::Unsupported, "Tus-Resumable: 1.0.0 is missing");
    Err(failure.with_status(StatusCode::PRECONDITION_FAILED).with_header(TUS_VERSION, VERSION))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Failure> {
    let Some(value) = headers.get(&name) else { return Ok(None) };
    value.to_str().map(Some).map_err(|_| Failure::bad_request(format!("{name} is no text")))
}

/// A header that is a number.
pub(super) fn number(headers: &HeaderMap, name: HeaderName) -> Result<Option<u64>, Failure> {
    let Some(text) = text(headers, name.clone())? else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.map(Some).ok_or_else(|| Failure::bad_request(format!("{name} is no number")))
}

/// `Upload-Checksum`: the algorithm and the hash in base64.
fn checksum(headers: &HeaderMap) -> Result<Option<Sha256>, Failure> {
    let Some(text) = text(headers, UPLOAD_CHECKSUM)? else { return Ok(None) };
    let wrong = || Failure::bad_request("Upload-Checksum must be sha256 and its hash in base64");
    let (algorithm, hash) = text.split_once(' ').ok_or_else(wrong)?;
    if algorithm != "sha256" {
        return Err(wrong());
    }
    let hash = STANDARD.decode(hash.trim()).map_err(|_| wrong())?;
    Ok(Some(Sha256(hash.try_into().map_err(|_| wrong())?)))
}

/// `Upload-Metadata`, of what was kept of it.
fn metadata(declared: &Declared) -> Option<HeaderValue> {
    let Declared { name, media_type, original, opaque } = declared;
    let pair = |key: &str, value: &str| format!("{key} {}", STANDARD.encode(value));
    let pairs = [
        name.as_deref().map(|name| pair("filename", name)),
        media_type.as_deref().map(|media_type| pair("filetype", media_type)),
        original.then(|| pair("original", "true")),
        opaque.then(|| pair("opaque", "true")),
    ];
    let all = pairs.into_iter().flatten().collect::<Vec<_>>().join(",");
    if all.is_empty() { None } else { HeaderValue::from_str(&all).ok() }
}
