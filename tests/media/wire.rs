//! HTTP with bytes and headers: one request per connection.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{DEADLINE, Patience, Session};

const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// A header; empty when there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(of, _)| of.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The code of an error; empty when it is none.
    pub(super) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Asks with the token of a session, and comes again when that was too fast, as every client does.
pub(super) async fn ask(
    session: &Session,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let bearer = format!("Bearer {}", session.token);
    let headers = [&[("Authorization", bearer.as_str())], headers].concat();
    let patience = Patience::of(DEADLINE);
    loop {
        let answer = ask_anonymously(session.http.address, method, path, &headers, body).await;
        if answer.code() != "rate_limited" {
            return answer;
        }
        patience.look_again("an answer to who is not too fast").await;
    }
}

/// Asks without one.
pub(super) async fn ask_anonymously(
    address: std::net::SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // Whoever is refused may be refused before the last byte.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let read = timeout(ANSWER_WITHIN, stream.read_to_end(&mut answer)).await;
    read.unwrap_or_else(|_| panic!("{method} {path} is not answered")).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("{method} {path}: no answer"));
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap_or((line, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let answer = Answer { status, headers, body: answer[end + 4..].to_vec() };
    let chunked = answer.header("transfer-encoding").eq_ignore_ascii_case("chunked");
    assert!(!chunked, "{method} {path}: an answer without a length");
    answer
}
