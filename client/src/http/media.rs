//! The routes of uploads: tus 1.0, what is known of a file, and its bytes.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hansard_model::UploadId;
use hansard_model::media::{Declared, Sha256, Variant};
use hansard_protocol::media::{MediaInfo, MediaUrl};
use http::request::Builder;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Body;

use crate::http::streamed::Streamed;
use crate::http::{Http, HttpError};

/// The version of tus that is spoken.
const TUS: &str = "1.0.0";
/// How long an answer to a request without a body may take.
const ANSWER_MAX: Duration = Duration::from_secs(20);
const OFFSET: &str = "upload-offset";
const LENGTH: &str = "upload-length";

/// What the server has of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes.
    Bytes(u64),
    /// The upload is not there any more.
    Gone,
}

/// Every method fails with [`HttpError`].
impl Http {
    /// What is known of an upload.
    pub async fn media_info(&self, upload: UploadId) -> Result<MediaInfo, HttpError> {
        self.get(&format!("/v1/media/{upload}/info")).await
    }

    /// An address at which anybody gets the bytes, for a few minutes.
    pub async fn media_url(
        &self,
        upload: UploadId,
        variant: Variant,
    ) -> Result<MediaUrl, HttpError> {
        self.get(&format!("/v1/media/{upload}/url{}", query(variant))).await
    }

    /// Begins an upload of `length` bytes. A second time it is another one.
    pub(crate) async fn create_upload(
        &self,
        length: u64,
        file: &Declared,
    ) -> Result<UploadId, HttpError> {
        let mut request = self.tus(Method::POST, "/v1/media").header(LENGTH, length);
        if let Some(metadata) = metadata(file) {
            request = request.header("upload-metadata", metadata);
        }
        let answer = self.answer(request).await?.accepted().await?;
        let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        let id = location.and_then(|location| location.rsplit('/').next()?.parse().ok());
        id.ok_or(HttpError::Foreign(answer.status.as_u16()))
    }

    /// How much of an upload the server has.
    pub(crate) async fn received(&self, upload: UploadId) -> Result<Received, HttpError> {
        let request = self.tus(Method::HEAD, &format!("/v1/media/{upload}"));
        let answer = self.answer(request).await?;
        if let (true, Some(offset)) = (answer.status.is_success(), number(&answer.headers, OFFSET))
        {
            return Ok(Received::Bytes(offset));
        }
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(Received::Gone);
        }
        // The answer to a HEAD has no text: another one says why.
        self.media_info(upload).await?;
        Err(HttpError::Foreign(answer.status.as_u16()))
    }

    /// Appends `length` bytes at `offset`, and tells how many bytes the server has then.
    pub(crate) async fn append<B>(
        &self,
        upload: UploadId,
        offset: u64,
        length: u64,
        body: B,
    ) -> Result<u64, HttpError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request = self
            .tus(Method::PATCH, &format!("/v1/media/{upload}"))
            .header(OFFSET, offset)
            .header(header::CONTENT_LENGTH, length)
            .header(header::CONTENT_TYPE, "application/offset+octet-stream")
            .body(body)
            .map_err(|error| HttpError::Request(error.into()))?;
        let answer = self.stream(request).await?.accepted().await?;
        number(&answer.headers, OFFSET).ok_or(HttpError::Foreign(answer.status.as_u16()))
    }

    /// Ends an upload, and takes its bytes away. Nothing may refer to it yet.
    pub(crate) async fn end_upload(&self, upload: UploadId) -> Result<(), HttpError> {
        let request = self.tus(Method::DELETE, &format!("/v1/media/{upload}"));
        self.answer(request).await?.accepted().await.map(drop)
    }

    /// The bytes of an upload from `from` on, if they still are those of `etag`; else all of them.
    pub(crate) async fn media(
        &self,
        upload: UploadId,
        variant: Variant,
        from: Option<(u64, Sha256)>,
    ) -> Result<Streamed, HttpError> {
        let path = format!("/v1/media/{upload}{}", query(variant));
        let mut request = self.begin(Method::GET, &path);
        if let Some((offset, etag)) = from {
            request = request
                .header(header::RANGE, format!("bytes={offset}-"))
                .header(header::IF_RANGE, format!("\"{etag}\""));
        }
        self.answer(request).await
    }

    fn tus(&self, method: Method, path: &str) -> Builder {
        self.begin(method, path).header("tus-resumable", TUS)
    }

    async fn answer(&self, request: Builder) -> Result<Streamed, HttpError> {
        let request: Request<Empty<Bytes>> =
            request.body(Empty::new()).map_err(|error| HttpError::Request(error.into()))?;
        let answer = tokio::time::timeout(ANSWER_MAX, self.stream(request)).await;
        answer.map_err(|_| HttpError::TimedOut)?
    }
}

fn query(variant: Variant) -> &'static str {
    match variant {
        Variant::File => "",
        Variant::Thumb => "?variant=thumb",
        Variant::Preview => "?variant=preview",
    }
}

/// `Upload-Metadata` as tus has it: a key, a space, the value in base64.
fn metadata(file: &Declared) -> Option<String> {
    let pair = |key: &str, value: &str| format!("{key} {}", STANDARD.encode(value));
    let mut pairs = Vec::new();
    pairs.extend(file.name.as_deref().map(|name| pair("filename", name)));
    pairs.extend(file.media_type.as_deref().map(|media_type| pair("filetype", media_type)));
    pairs.extend(file.original.then(|| pair("original", "true")));
    pairs.extend(file.opaque.then(|| pair("opaque", "true")));
    (!pairs.is_empty()).then(|| pairs.join(","))
}

pub(crate) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// A strong entity tag that is the SHA-256 of the bytes, as all of ours are.
pub(crate) fn etag(value: &HeaderValue) -> Option<Sha256> {
    value.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_written_as_tus_has_it() {
        let file = Declared { name: Some("größe, 1.txt".to_owned()), ..Declared::default() };
        assert_eq!(metadata(&file).as_deref(), Some("filename Z3LDtsOfZSwgMS50eHQ="));
        let file = Declared { original: true, opaque: true, ..Declared::default() };
        assert_eq!(metadata(&file).as_deref(), Some("original dHJ1ZQ==,opaque dHJ1ZQ=="));
        assert_eq!(metadata(&Declared::default()), None);
    }

    #[test]
    fn only_a_strong_tag_of_ours_is_one() {
        let sha256 = "0".repeat(64);
        let read = |text: String| etag(&HeaderValue::from_str(&text).expect("a header"));
        assert_eq!(read(format!("\"{sha256}\"")), Some(Sha256([0; 32])));
        for text in [format!("W/\"{sha256}\""), sha256, "\"x\"".to_owned()] {
            assert_eq!(read(text), None);
        }
    }
}
