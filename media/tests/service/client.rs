//! HTTP as a gateway speaks it to a media service, with every freedom to do it wrongly.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hansard_model::UploadId;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use sha2::Digest as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Somebody with a grant, who uses a connection for each request.
#[derive(Clone)]
pub(crate) struct Client {
    address: String,
    grant: String,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.header(name).parse().ok()
    }

    /// The code of the error.
    pub(crate) fn code(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The id in `Location`.
    pub(crate) fn id(&self) -> UploadId {
        assert_eq!(self.status, StatusCode::CREATED, "{:?}", self.body);
        let location = self.header("location");
        location.strip_prefix("/v1/media/").expect("a location").parse().expect("an id")
    }
}

type Body = BoxBody<Bytes, std::convert::Infallible>;

fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// A body of unknown length.
pub(crate) fn chunked(bytes: &[u8]) -> Body {
    let chunks: Vec<_> =
        bytes.chunks(50_000).map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect();
    http_body_util::BodyExt::boxed(StreamBody::new(futures_util::stream::iter(chunks)))
}

impl Client {
    pub(crate) fn new(address: &str, grant: String) -> Self {
        Self { address: address.to_owned(), grant }
    }

    /// The same somebody at another service.
    pub(crate) fn at(&self, address: &str) -> Self {
        Self::new(address, self.grant.clone())
    }

    /// Sends a request; an error when the connection ends before the answer does.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Answer, hyper::Error> {
        let stream = TcpStream::connect(&self.address).await.expect("connected");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = Request::builder().method(method).uri(path);
        if !self.grant.is_empty() {
            request = request.header("hansard-grant", &self.grant);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(body).expect("a request")).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        drop(sender);
        connection.abort();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        bytes: impl Into<Bytes>,
    ) -> Answer {
        self.send(method, path, headers, whole(bytes)).await.expect("an answer")
    }

    /// Creates an upload by tus.
    pub(crate) async fn create(&self, length: u64, metadata: &str) -> Answer {
        let length = length.to_string();
        let headers =
            [("tus-resumable", "1.0.0"), ("upload-length", &length), ("upload-metadata", metadata)];
        self.ask("POST", "/v1/media", &headers, Bytes::new()).await
    }

    /// How far an upload is, by tus.
    pub(crate) async fn head(&self, id: UploadId) -> Answer {
        let path = format!("/v1/media/{id}");
        self.ask("HEAD", &path, &[("tus-resumable", "1.0.0")], Bytes::new()).await
    }

    /// Appends by tus.
    pub(crate) async fn patch(&self, id: UploadId, offset: u64, bytes: &[u8]) -> Answer {
        self.try_patch(id, offset, bytes, &[]).await.expect("an answer")
    }

    /// Appends by tus, with more headers, through whatever happens.
    pub(crate) async fn try_patch(
        &self,
        id: UploadId,
        offset: u64,
        bytes: &[u8],
        more: &[(&str, &str)],
    ) -> Result<Answer, hyper::Error> {
        let offset = offset.to_string();
        let mut headers = vec![
            ("tus-resumable", "1.0.0"),
            ("content-type", "application/offset+octet-stream"),
            ("upload-offset", &offset),
        ];
        headers.extend(more);
        let path = format!("/v1/media/{id}");
        self.send("PATCH", &path, &headers, whole(bytes.to_vec())).await
    }

    /// Begins to append, sends `sent` of the bytes, and leaves without a word.
    pub(crate) async fn patch_and_leave(
        &self,
        id: UploadId,
        offset: u64,
        bytes: &[u8],
        sent: usize,
    ) {
        let mut stream = TcpStream::connect(&self.address).await.expect("connected");
        let head = format!(
            "PATCH /v1/media/{id} HTTP/1.1\r\nhost: x\r\nhansard-grant: {}\r\n\
             tus-resumable: 1.0.0\r\ncontent-type: application/offset+octet-stream\r\n\
             upload-offset: {offset}\r\ncontent-length: {}\r\n\r\n",
            self.grant,
            bytes.len()
        );
        // A service that dies in the middle is what some tests are about.
        if stream.write_all(head.as_bytes()).await.is_ok() {
            let _ = stream.write_all(&bytes[..sent]).await;
            let _ = stream.flush().await;
        }
    }

    pub(crate) async fn delete(&self, id: UploadId) -> Answer {
        let path = format!("/v1/media/{id}");
        self.ask("DELETE", &path, &[("tus-resumable", "1.0.0")], Bytes::new()).await
    }

    /// Uploads a small file in one request.
    pub(crate) async fn post(&self, query: &str, media_type: &str, bytes: &[u8]) -> Answer {
        let path = format!("/v1/media{query}");
        self.ask("POST", &path, &[("content-type", media_type)], bytes.to_vec()).await
    }

    /// Uploads all bytes by tus.
    pub(crate) async fn upload(&self, bytes: &[u8], metadata: &str) -> UploadId {
        let id = self.create(bytes.len() as u64, metadata).await.id();
        let answer = self.patch(id, 0, bytes).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
        id
    }

    /// Goes on with an upload until all of it is there, however often it fails.
    pub(crate) async fn resume(&self, id: UploadId, bytes: &[u8]) {
        crate::rig::within("a whole upload", async || {
            let reached = self.head(id).await;
            let offset = reached.number("upload-offset")?;
            if offset == bytes.len() as u64 {
                return Some(());
            }
            let rest = &bytes[usize::try_from(offset).expect("small")..];
            let _ = self.try_patch(id, offset, rest, &[]).await;
            None
        })
        .await;
    }

    /// Reads what is there, if the answer comes.
    pub(crate) async fn fetch(&self, path: &str) -> Option<Answer> {
        self.send("GET", path, &[], whole(Bytes::new())).await.ok()
    }

    /// Reads what the grant is for.
    pub(crate) async fn get(
        &self,
        id: UploadId,
        headers: &[(&str, &str)],
    ) -> Result<Answer, hyper::Error> {
        self.send("GET", &format!("/v1/media/{id}"), headers, whole(Bytes::new())).await
    }
}

/// Bytes that no two seeds have in common, and no compression makes smaller.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// `Upload-Checksum` of these bytes.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    format!("sha256 {}", STANDARD.encode(sha2::Sha256::digest(bytes)))
}
