//! Files go out: verified part by part, from any byte to any other.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use hansard_model::UploadId;
use hansard_model::media::{Content, Part, State as UploadState, Upload, Variant};
use hansard_protocol::ErrorCode;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE,
    RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::Shared;
use super::disposition::disposition;
use super::failure::{Failure, note};
use super::grant::Reader;
use super::listener::Connection;
use super::places::Place;
use super::range::{Wanted, wanted};
use crate::fault::Fault;
use crate::metrics;
use crate::parts::Reading;

/// Nothing in a file may do anything, whatever a browser takes it for.
const NO_SCRIPTS: &str = "default-src 'none'; sandbox";
/// Once a file is ready its bytes never change under its id and variant.
const FOR_EVER: &str = "private, max-age=31536000, immutable";
/// While it is processed, they may: metadata are about to be taken out.
const ASK_AGAIN: &str = "private, no-cache";
/// How long the object store may take for the first part: gateways wait twice as long.
const FIRST_WITHIN: Duration = Duration::from_secs(30);
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// `GET /v1/media/{id}`
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    reader: Reader,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let (upload, content) = find(&shared, &id, reader).await?;
    let asked = match Asked::of(&headers, &content)? {
        Ok(asked) => asked,
        Err(not_modified) => return Ok(described(not_modified, &upload, &content, reader.variant)),
    };
    let place = shared.downloading.take(reader.user).await?;
    let begun = place.hold(begin(&shared, &content, &asked.range)).await?;
    let body = begun.map_or_else(Body::empty, |begun| {
        // From now on all that its reader can be told is that the connection ends.
        place.watch_reader(connection);
        begun.into_body(asked.range.clone(), place)
    });
    let mut response = described(asked.status, &upload, &content, reader.variant);
    asked.describe(response.headers_mut(), content.size);
    *response.body_mut() = body;
    Ok(response)
}

/// `HEAD /v1/media/{id}`, by somebody who reads.
pub(super) async fn head(
    shared: &Shared,
    id: &str,
    reader: Reader,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let (upload, content) = find(shared, id, reader).await?;
    let asked = match Asked::of(headers, &content)? {
        Ok(asked) => asked,
        Err(not_modified) => return Ok(described(not_modified, &upload, &content, reader.variant)),
    };
    let mut response = described(asked.status, &upload, &content, reader.variant);
    asked.describe(response.headers_mut(), content.size);
    Ok(response)
}

async fn find(shared: &Shared, id: &str, reader: Reader) -> Result<(Upload, Content), Failure> {
    let id: UploadId = id.parse().map_err(|_| Failure::not_found())?;
    if id != reader.upload {
        return Err(Failure::new(ErrorCode::Forbidden, "the grant is for another upload"));
    }
    let (found, _) = shared.uploads.get(id).await?;
    let upload = found.ok_or_else(Failure::not_found)?;
    match upload.contents.get(&reader.variant).cloned() {
        Some(content) => Ok((upload, content)),
        None => Err(Failure::not_found()),
    }
}

/// What is asked of a file.
struct Asked {
    status: StatusCode,
    range: Range<u64>,
}

impl Asked {
    /// By the headers of a request. The inner error: the status that says it without any bytes.
    fn of(headers: &HeaderMap, content: &Content) -> Result<Result<Self, StatusCode>, Failure> {
        let etag = etag(content);
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if text(IF_MATCH).is_some_and(|tags| !names(tags, &etag)) {
            let failure = Failure::new(ErrorCode::Conflict, "the file is another one");
            return Err(failure.with_status(StatusCode::PRECONDITION_FAILED));
        }
        if text(IF_NONE_MATCH).is_some_and(|tags| names(tags, &etag)) {
            return Ok(Err(StatusCode::NOT_MODIFIED));
        }
        let is_same = text(IF_RANGE).is_none_or(|tag| tag.trim() == etag);
        match wanted(text(RANGE).filter(|_| is_same), content.size) {
            Wanted::All => Ok(Ok(Self { status: StatusCode::OK, range: 0..content.size })),
            Wanted::Part(range) => Ok(Ok(Self { status: StatusCode::PARTIAL_CONTENT, range })),
            Wanted::Nothing => {
                let failure = Failure::bad_request("the file has no such bytes");
                let size = header_value(&format!("bytes */{}", content.size));
                let failure = failure.with_header(CONTENT_RANGE, size);
                Err(failure.with_status(StatusCode::RANGE_NOT_SATISFIABLE))
            }
        }
    }

    fn describe(&self, headers: &mut HeaderMap, size: u64) {
        let Range { start, end } = self.range;
        headers.insert(CONTENT_LENGTH, HeaderValue::from(end - start));
        if self.status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {start}-{}/{size}", end.saturating_sub(1));
            headers.insert(CONTENT_RANGE, header_value(&range));
        }
    }
}

/// Whether one of the tags of a header is this one.
fn names(tags: &str, etag: &str) -> bool {
    let is_it = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag;
    tags.split(',').map(str::trim).any(is_it)
}

fn etag(content: &Content) -> String {
    format!("\"{}\"", content.sha256())
}

/// A response with what is to be known of a file.
fn described(status: StatusCode, upload: &Upload, content: &Content, variant: Variant) -> Response {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    let name = upload.declared.name.as_deref().filter(|_| variant == Variant::File);
    let cache = if upload.state == UploadState::Processing { ASK_AGAIN } else { FOR_EVER };
    headers.insert(ETAG, header_value(&etag(content)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, header_value(&content.media_type));
    headers.insert(CONTENT_DISPOSITION, header_value(&disposition(content.inline, name)));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NO_SCRIPTS));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// What is no header value would be a fault of this service: nothing of it comes from outside.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}

/// Bytes of a file, the first of which were read and verified.
struct Begun {
    /// Where the first part begins in the file.
    offset: u64,
    first: Bytes,
    rest: Reading,
}

/// Reads the first part of a range, if it has any: what is wrong with it can still be said.
async fn begin(
    shared: &Shared,
    content: &Content,
    range: &Range<u64>,
) -> Result<Option<Begun>, Failure> {
    let parts = shared.uploads.blobs.locate(content).await?;
    let overlaps = |part: &Part| part.offset < range.end && part.offset + part.len > range.start;
    let parts: Vec<Part> = parts.into_iter().filter(overlaps).collect();
    let Some(offset) = parts.first().map(|part| part.offset) else { return Ok(None) };
    let mut rest = shared.uploads.parts.read(parts);
    let unread = || Fault::Missing { object: "what was being read".to_owned() };
    let first = match tokio::time::timeout(FIRST_WITHIN, rest.next()).await {
        Ok(first) => first.unwrap_or_else(|| Err(unread()))?,
        Err(late) => {
            let late = object_store::Error::Generic { store: "get", source: late.into() };
            return Err(Fault::Store(late).into());
        }
    };
    Ok(Some(Begun { offset, first, rest }))
}

impl Begun {
    fn into_body(self, range: Range<u64>, place: Place) -> Body {
        let Self { offset, first, rest } = self;
        let rest = stream::unfold(rest, async |mut rest| Some((rest.next().await?, rest)));
        let all = stream::once(async move { Ok(first) }).chain(rest);
        Body::from_stream(cut_to(all, offset, range, place))
    }
}

/// Of bytes that begin at `offset` those in `range`.
fn cut_to(
    bytes: impl Stream<Item = Result<Bytes, Fault>>,
    offset: u64,
    range: Range<u64>,
    place: Place,
) -> impl Stream<Item = Result<Bytes, Fault>> {
    let cut = move |(offset, place): &mut (u64, Place), bytes: Result<Bytes, Fault>| {
        let bytes = bytes.inspect_err(note).map(|bytes| {
            let begin = *offset;
            let end = begin + bytes.len() as u64;
            *offset = end;
            let (from, to) = (range.start.max(begin) - begin, range.end.min(end) - begin);
            // Both are within what is in memory.
            let bytes = bytes.slice(from as usize..to as usize);
            metrics::sent(bytes.len() as u64);
            place.moved(bytes.len());
            bytes
        });
        std::future::ready(Some(bytes))
    };
    bytes.scan((offset, place), cut)
}
