//! A client for HTTP/1.1: one request per connection, JSON in and out.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than the longest poll of a test.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a request that may come again does.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who asks whom.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    /// The gateway.
    pub(crate) address: SocketAddr,
    /// The bearer token, if any.
    pub(crate) token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    /// The status.
    pub(crate) status: u16,
    /// The head, as it came.
    pub(crate) head: String,
    /// The body as text.
    pub(crate) text: String,
    /// The body as JSON; null when it is none.
    pub(crate) body: Value,
}

impl Response {
    /// The code of an error; empty when it is none.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Http {
    /// Without a token.
    pub(crate) fn anonymous(address: SocketAddr) -> Self {
        Self { address, token: None }
    }

    /// Asks; whatever the answer.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        let asked = timeout(ANSWER_WITHIN, self.exchange(method, path, body)).await;
        asked
            .unwrap_or_else(|_| panic!("{method} {path} is not answered in {ANSWER_WITHIN:?}"))
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Asks; an error when the connection fails.
    pub(crate) async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> std::io::Result<Response> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let bearer = self.token.iter().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let bearer: String = bearer.collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{bearer}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        parse(&answer).ok_or_else(|| {
            std::io::Error::other(format!("no answer: {:?}", String::from_utf8_lossy(&answer)))
        })
    }

    /// Gets what must be there.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.done("GET", path, None).await
    }

    /// Posts what must be accepted.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        self.done("POST", path, Some(body)).await
    }

    /// Slows down and comes again when it is told to.
    async fn done(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response = self.ask(method, path, body).await;
            let (status, text) = (response.status, &response.text);
            // As every client does: the same again, no sooner than told.
            if matches!(status, 429 | 503) && Instant::now() < deadline {
                let wait = response.body["error"]["retry_after_ms"].as_u64().unwrap_or(100);
                super::as_told(wait).await;
                continue;
            }
            assert!((200..300).contains(&status), "{method} {path}: {status} {text}");
            return response.body;
        }
    }
}

fn parse(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let rest = &answer[end + 4..];
    let bytes = if chunked { dechunk(rest)? } else { rest.to_vec() };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body = serde_json::from_str(&text).unwrap_or_default();
    Some(Response { status, head, text, body })
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(bytes);
        }
        bytes.extend_from_slice(rest.get(line + 2..line + 2 + size)?);
        rest = rest.get(line + 4 + size..)?;
    }
}
