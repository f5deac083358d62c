//! A client for HTTP/1.1 that keeps its connections, and requests at a pace.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use hansard_model::ConversationId;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Connections of paced requests.
const CONNECTIONS: usize = 32;

/// A connection that stays open.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

/// What is answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// What to ask, as whom.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) path: String,
    pub(super) token: String,
}

impl Ask {
    /// The newest page of a conversation.
    pub(super) fn newest(conversation: ConversationId, token: &str) -> Self {
        let path = format!("/v1/conversations/{conversation}/messages?limit=50");
        Self { path, token: token.to_owned() }
    }
}

impl Client {
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), address })
    }

    /// The body of a 200; anything else is an error.
    pub(super) async fn get(&mut self, ask: &Ask) -> anyhow::Result<Vec<u8>> {
        let Answer { status, body } = self.ask(ask).await?;
        if status != 200 {
            bail!("{}: {status} {}", ask.path, String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// Whatever is answered.
    pub(super) async fn ask(&mut self, ask: &Ask) -> anyhow::Result<Answer> {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
            ask.path, self.address, ask.token
        );
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let (mut status, mut length, mut line) = (None, None, String::new());
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                bail!("the gateway closed the connection");
            }
            let head = line.trim_end();
            match head.split_once(": ") {
                _ if head.is_empty() => break,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = Some(value.parse()?);
                }
                Some(_) => {}
                None => status = head.split(' ').nth(1).map(str::to_owned),
            }
        }
        let mut body = vec![0; length.context("an answer without a length")?];
        self.stream.read_exact(&mut body).await?;
        let status = status.as_deref().and_then(|status| status.parse().ok());
        Ok(Answer { status: status.context("an answer without a status")?, body })
    }
}

/// What became of paced requests.
#[derive(Default)]
pub(super) struct Paced {
    /// From the moment each was due to the end of its answer.
    pub(super) nanos: Vec<u64>,
    pub(super) failed: usize,
    /// What one of those that failed got.
    pub(super) example: Option<String>,
}

/// Asks `count` times at a rate, whether or not answers come; on as many connections as need be, up
/// to a few.
pub(super) async fn paced(
    address: SocketAddr,
    rate: f64,
    count: usize,
    mut next: impl FnMut() -> Ask,
) -> anyhow::Result<Paced> {
    let (asks, queue) = mpsc::channel::<(Instant, Ask)>(count.max(1));
    let queue = Arc::new(tokio::sync::Mutex::new(queue));
    let mut workers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (mut client, queue) = (Client::open(address).await?, Arc::clone(&queue));
        workers.spawn(async move {
            let mut done = Paced::default();
            loop {
                let taken = queue.lock().await.recv().await;
                let Some((due, ask)) = taken else { return anyhow::Ok(done) };
                match client.get(&ask).await {
                    Ok(_) => done.nanos.push(due.elapsed().as_nanos() as u64),
                    Err(error) => {
                        done.failed += 1;
                        done.example = Some(format!("{error:#}"));
                        client = Client::open(address).await?;
                    }
                }
            }
        });
    }
    let mut due = Instant::now();
    for _ in 0..count {
        due += Duration::from_secs_f64(1.0 / rate);
        tokio::time::sleep_until(due).await;
        asks.send((due, next())).await?;
    }
    drop(asks);
    let mut all = Paced::default();
    while let Some(done) = workers.join_next().await {
        let done = done??;
        all.nanos.extend(done.nanos);
        all.failed += done.failed;
        all.example = all.example.or(done.example);
    }
    Ok(all)
}
