//! A client that does nothing but move bytes: a request on a connection of its own.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use hansard_model::UploadId;
use hansard_protocol::http::ErrorResponse;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The status of what is too fast.
const TOO_EARLY: u16 = 429;
/// How often a request is made again that came too early.
const EARLY_MAX: usize = 600;
/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;

/// A gateway, and as whom.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) address: SocketAddr,
    pub(super) token: String,
}

/// The head of an answer, and where its body comes from.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: BufReader<TcpStream>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(of, _)| of.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The same if the status is this one, else what the answer says.
    async fn must_be(mut self, status: u16) -> anyhow::Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        let mut said = String::new();
        // Whatever of it can be read.
        let _ = self.body.read_to_string(&mut said).await;
        bail!("status {} and not {status}: {said}", self.status)
    }
}

impl Wire {
    /// Uploads all of it: creation, and one request with the bytes.
    pub(super) async fn upload(&self, parts: &[&[u8]]) -> anyhow::Result<UploadId> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let create = format!("Upload-Length: {length}\r\nContent-Length: 0\r\n");
        let created = self.ask_in_time("POST", "/v1/media", &create, &[]).await?;
        let created = created.must_be(201).await?;
        let location = created.header("location").context("no Location")?;
        let id = location.rsplit('/').next().unwrap_or_default().parse()?;
        let head = format!(
            "Upload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n\
             Content-Length: {length}\r\n"
        );
        let path = format!("/v1/media/{id}");
        self.ask_in_time("PATCH", &path, &head, parts).await?.must_be(204).await?;
        Ok(id)
    }

    /// Downloads all of it, and forgets it; how many bytes there were.
    pub(super) async fn download(&self, id: UploadId) -> anyhow::Result<u64> {
        let path = format!("/v1/media/{id}");
        let mut answer = self.ask_in_time("GET", &path, "", &[]).await?.must_be(200).await?;
        let length: u64 = answer.header("content-length").context("no Content-Length")?.parse()?;
        let (mut buffer, mut done) = (vec![0; READ_BYTES], 0);
        loop {
            match answer.body.read(&mut buffer).await? {
                0 => break,
                read => done += read as u64,
            }
        }
        ensure!(done == length, "{done} bytes of {length}");
        Ok(done)
    }

    /// As [`Wire::ask`], again and again for as long as the answer is to come later.
    async fn ask_in_time(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[&[u8]],
    ) -> anyhow::Result<Answer> {
        for _ in 0..EARLY_MAX {
            let mut answer = self.ask(method, path, headers, body).await?;
            if answer.status != TOO_EARLY {
                return Ok(answer);
            }
            let mut said = Vec::new();
            answer.body.read_to_end(&mut said).await?;
            let ErrorResponse { error } = serde_json::from_slice(&said)?;
            let wait_ms = error.retry_after_ms.context("no retry_after_ms")?;
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
        bail!("{method} {path} was too early {EARLY_MAX} times")
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[&[u8]],
    ) -> anyhow::Result<Answer> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Authorization: Bearer {}\r\nTus-Resumable: 1.0.0\r\n{headers}\r\n",
            self.address, self.token
        );
        stream.write_all(head.as_bytes()).await?;
        for part in body {
            stream.write_all(part).await?;
        }
        let mut body = BufReader::with_capacity(READ_BYTES, stream);
        let (mut status, mut headers, mut line) = (None, Vec::new(), String::new());
        loop {
            line.clear();
            ensure!(body.read_line(&mut line).await? > 0, "the connection was closed");
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                None if line.trim_end().is_empty() => break,
                None => status = line.split(' ').nth(1).and_then(|status| status.parse().ok()),
            }
        }
        Ok(Answer { status: status.context("no status")?, headers, body })
    }
}
