//! `/v1/media`: files. A gateway says who asks and passes the rest on to a media service.

mod reading;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hansard_model::UploadId;
use hansard_model::media::Allows;
use hansard_protocol::{ErrorBody, ErrorCode};
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_DISPOSITION, CONTENT_RANGE, ETAG,
    HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE,
};
use http::{HeaderMap, Method};

pub(crate) use self::reading::{download, info, url};
use super::error::Failure;
use super::extract::{Authorized, PathId};
use crate::Gateway;
use crate::media::{AvatarError, GrantError, Passed, SignatureError, TransferError, Unreadable};

/// Where uploads begin.
const PATH: &str = "/v1/media";
/// How long it takes until it is worth asking again for what is not ready, in milliseconds.
const NOT_YET_RETRY_MS: u64 = 1_000;

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");

/// What pages of other origins may say besides, with the protocol of uploads and of ranges.
pub(super) const REQUEST_HEADERS: [HeaderName; 11] = [
    TUS_RESUMABLE,
    UPLOAD_LENGTH,
    UPLOAD_OFFSET,
    UPLOAD_METADATA,
    HeaderName::from_static("upload-checksum"),
    HeaderName::from_static("upload-defer-length"),
    CONTENT_DISPOSITION,
    RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_RANGE,
];
/// What they may see of an answer.
pub(super) const RESPONSE_HEADERS: [HeaderName; 14] = [
    TUS_RESUMABLE,
    UPLOAD_LENGTH,
    UPLOAD_OFFSET,
    UPLOAD_METADATA,
    HeaderName::from_static("upload-expires"),
    HeaderName::from_static("tus-version"),
    HeaderName::from_static("tus-extension"),
    HeaderName::from_static("tus-max-size"),
    HeaderName::from_static("tus-checksum-algorithm"),
    LOCATION,
    ETAG,
    ACCEPT_RANGES,
    CONTENT_RANGE,
    CONTENT_DISPOSITION,
];

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Malformed(_) => {
                return Self::bad_request("the request cannot be passed on");
            }
            TransferError::Broken => return Self::bad_request(error.to_string()),
            // What came counts: it is worth going on.
            TransferError::Idle => return Self::unavailable(error.to_string()),
            TransferError::NoService
            | TransferError::Unknown(_)
            | TransferError::Late
            | TransferError::Unanswered(_) => {}
        }
        tracing::debug!(error = &error as &dyn std::error::Error, "no answer of a media service");
        Self::unavailable("no media service answers")
    }
}

impl From<GrantError> for Failure {
    fn from(error: GrantError) -> Self {
        tracing::debug!(%error, "nothing can be granted");
        Self::unavailable("files cannot be reached now")
    }
}

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::NotFound => Self::not_found("file"),
            Unreadable::NotYet => not_yet(),
            Unreadable::Behind => Self::unavailable(unreadable.to_string()),
            Unreadable::Groups(error) => error.into(),
            Unreadable::Read(error) => {
                tracing::debug!(%error, "the record of a file is not read");
                Self::unavailable("the records of files do not answer in time")
            }
        }
    }
}

impl From<SignatureError> for Failure {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Forged | SignatureError::Expired => {
                Self::new(ErrorCode::Unauthorized, error.to_string())
            }
            SignatureError::Unknown(error) => error.into(),
        }
    }
}

impl From<AvatarError> for Failure {
    fn from(error: AvatarError) -> Self {
        match error {
            AvatarError::NotFound => Self::not_found("file"),
            AvatarError::NotYet => not_yet(),
            AvatarError::Behind => Self::unavailable(error.to_string()),
            AvatarError::NoPicture => Self::bad_request(error.to_string()),
            AvatarError::Taken => Self::new(ErrorCode::Conflict, error.to_string()),
            AvatarError::Update(_) | AvatarError::Clock(_) => {
                tracing::debug!(%error, "an avatar is not changed");
                Self::unavailable("the records of files do not answer in time")
            }
        }
    }
}

fn not_yet() -> Failure {
    ErrorBody::new(ErrorCode::Unavailable, "the file is not ready yet")
        .after_ms(NOT_YET_RETRY_MS)
        .into()
}

/// `POST /v1/media`: begins an upload, or makes one in one request.
pub(crate) async fn create(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    request: Request,
) -> Result<Response, Failure> {
    gateway.rates.upload(identity.user).map_err(|error| error.body())?;
    let grant = gateway.media.grant(identity.user, Allows::Upload).await?;
    // What is said of a small file besides its bytes.
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let passed = passed(request, format!("{PATH}{query}"), None);
    Ok(gateway.media.pass(passed, Some(&grant)).await?)
}

/// `PATCH /v1/media/{upload}`: goes on with an upload.
pub(crate) async fn append(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(id): PathId<UploadId>,
    request: Request,
) -> Result<Response, Failure> {
    let grant = gateway.media.grant(identity.user, Allows::Upload).await?;
    let passed = passed(request, format!("{PATH}/{id}"), Some(id));
    Ok(gateway.media.pass(passed, Some(&grant)).await?)
}

/// `DELETE /v1/media/{upload}`: ends an upload that nothing refers to.
pub(crate) async fn end(
    state: State<Arc<Gateway>>,
    authorized: Authorized,
    id: PathId<UploadId>,
    request: Request,
) -> Result<Response, Failure> {
    append(state, authorized, id, request).await
}

/// `HEAD /v1/media/{upload}`: how far an upload is, for a client of tus; what a download would be,
/// for any other.
pub(crate) async fn head(
    state: State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, Failure> {
    if !request.headers().contains_key(TUS_RESUMABLE) {
        return download(state, request).await;
    }
    let (mut parts, body) = request.into_parts();
    let authorized = Authorized::from_request_parts(&mut parts, &state.0).await?;
    let id = PathId::from_request_parts(&mut parts, &state.0).await?;
    append(state, authorized, id, Request::from_parts(parts, body)).await
}

fn passed(request: Request, target: String, upload: Option<UploadId>) -> Passed {
    let (parts, body) = request.into_parts();
    Passed { method: parts.method, target, headers: parts.headers, body, upload }
}

/// The middleware that answers what a client of tus asks before it has a token: what uploads can
/// be. A browser's question about origins has the same method, and is another's to answer.
pub(crate) async fn capabilities(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
    next: Next,
) -> Response {
    let is_asked = request.method() == Method::OPTIONS
        && request.uri().path().strip_prefix(PATH).is_some_and(|rest| matches!(rest, "" | "/"))
        && !request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !is_asked {
        return next.run(request).await;
    }
    let passed = Passed {
        method: Method::OPTIONS,
        target: PATH.to_owned(),
        headers: HeaderMap::new(),
        body: Body::empty(),
        upload: None,
    };
    let answer = gateway.media.pass(passed, None).await;
    answer.unwrap_or_else(|error| Failure::from(error).into_response())
}
