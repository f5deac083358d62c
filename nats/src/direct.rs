//! Batched direct gets (ADR-31 of the NATS architecture records), which async-nats does not offer:
//! one request, up to 1,024 answers. They are answered by any replica: a prefix of the log, never
//! proof that something is absent.

use std::time::Duration;

use async_nats::header::HeaderMap;
use async_nats::{Message, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use hansard_model::{LogTime, Seq};
use serde::Serialize;

use crate::connection::{Connection, REQUEST_TIMEOUT};

/// Answers of one request at most; the server allows no more.
pub(crate) const BATCH_MAX: usize = 1_024;
/// Bytes of one answer: there is no flow control, so the whole of it must fit a buffer.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How a server breaks `multi_last` off when a message that it has named was replaced before it was
/// read, which happens up to 2.14: what was answered until then is not all there is.
const REPLACED: &str = "Message Not Found";

/// How a server refuses a `multi_last` that matches more than [`BATCH_MAX`].
const TOO_MANY: u16 = 413;

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// NATS is away or did not answer in time.
    #[error("the log does not answer")]
    Unavailable(#[source] async_nats::Error),
    /// A message was replaced while it was read; the same read again finds the new one.
    #[error("a message was replaced while it was read")]
    Replaced,
    /// There is more than one answer may have; to ask for less at once may help.
    #[error("the log has more than it answers at once")]
    TooMany,
    /// The answer is not what was asked for.
    #[error("the log answered {0}")]
    Unexpected(String),
}

pub(crate) fn unavailable<E: Into<async_nats::Error>>(error: E) -> ReadError {
    ReadError::Unavailable(error.into())
}

/// A stored message as a direct get or a leader read gives it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) seq: Seq,
    pub(crate) ts: LogTime,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// Which messages.
#[derive(Debug, Default, Serialize)]
pub(crate) struct BatchRequest {
    /// From this sequence on (with `next_by_subj`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq: Option<u64>,
    /// Messages of a subject, wildcards allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_by_subj: Option<String>,
    /// The last message of each of these subjects, wildcards allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) multi_last: Vec<String>,
    /// How many.
    pub(crate) batch: usize,
}

#[derive(Serialize)]
struct Bounded<'a> {
    #[serde(flatten)]
    request: &'a BatchRequest,
    max_bytes: usize,
}

/// The messages, ascending, and whether there are more.
pub(crate) async fn batch(
    connection: &Connection,
    stream: &str,
    request: &BatchRequest,
) -> Result<(Vec<Stored>, bool), ReadError> {
    let mut stored = Vec::new();
    let more = batch_each(connection, stream, request, |message| stored.push(message)).await?;
    Ok((stored, more))
}

/// As [`batch`], with each message as it comes: what is done with one costs no time, because the
/// server prepares the next meanwhile. After an error some may have come.
pub(crate) async fn batch_each(
    connection: &Connection,
    stream: &str,
    request: &BatchRequest,
    mut each: impl FnMut(Stored),
) -> Result<bool, ReadError> {
    let client = &connection.client;
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(unavailable)?;
    let bounded = Bounded { request, max_bytes: BATCH_BYTES_MAX };
    let payload = serde_json::to_vec(&bounded).map_err(unavailable)?;
    client
        .publish_with_reply(format!("$JS.API.DIRECT.GET.{stream}"), inbox, payload.into())
        .await
        .map_err(unavailable)?;
    loop {
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, answers.next())
            .await
            .map_err(unavailable)?
            .ok_or_else(|| ReadError::Unexpected("nothing: the connection closed".to_owned()))?;
        match answer.status {
            None => each(parse(answer)?),
            Some(StatusCode::NO_RESPONDERS) => return Err(unavailable("no responders")),
            Some(StatusCode::NOT_FOUND)
                if !request.multi_last.is_empty()
                    && answer.description.as_deref() == Some(REPLACED) =>
            {
                return Err(ReadError::Replaced);
            }
            Some(StatusCode::NOT_FOUND) => return Ok(false),
            Some(status) if status.as_u16() == 204 => {
                let pending = header(&answer, "Nats-Num-Pending").unwrap_or(0);
                return Ok(pending > 0);
            }
            Some(status) if status.as_u16() == TOO_MANY => return Err(ReadError::TooMany),
            Some(status) => {
                let description = answer.description.unwrap_or_default();
                return Err(ReadError::Unexpected(format!("{} {description}", status.as_u16())));
            }
        }
    }
}

fn parse(mut message: Message) -> Result<Stored, ReadError> {
    let missing = || ReadError::Unexpected("a message without its headers".to_owned());
    let seq = header(&message, "Nats-Sequence").ok_or_else(missing)?;
    let headers = message.headers.take().ok_or_else(missing)?;
    let text = |name: &str| headers.get(name).map(|value| value.as_str());
    let subject = text("Nats-Subject").ok_or_else(missing)?.to_owned();
    let ts = text("Nats-Time-Stamp").and_then(|ts| LogTime::parse(ts).ok()).ok_or_else(missing)?;
    Ok(Stored { subject, seq: Seq(seq), ts, payload: message.payload, headers })
}

fn header(message: &Message, name: &str) -> Option<u64> {
    message.headers.as_ref()?.get(name)?.as_str().parse().ok()
}

/// A stored message by sequence or last of its subject, from the leader.
pub(crate) async fn leader_get(
    connection: &Connection,
    stream: &str,
    request: &LeaderRequest,
) -> Result<Option<Stored>, ReadError> {
    use base64::Engine as _;

    let payload = serde_json::to_vec(request).map_err(unavailable)?;
    let answer = connection
        .client
        .request(format!("$JS.API.STREAM.MSG.GET.{stream}"), payload.into())
        .await
        .map_err(unavailable)?;
    let answer: LeaderAnswer = serde_json::from_slice(&answer.payload)
        .map_err(|error| ReadError::Unexpected(error.to_string()))?;
    let message = match (answer.message, answer.error) {
        (Some(message), _) => message,
        (None, Some(error)) if error.err_code == NO_MESSAGE_FOUND => return Ok(None),
        (None, Some(error)) => return Err(unavailable(error.description)),
        (None, None) => return Err(ReadError::Unexpected("neither message nor error".to_owned())),
    };
    let decode = |text: Option<String>| {
        base64::engine::general_purpose::STANDARD
            .decode(text.unwrap_or_default())
            .map_err(|error| ReadError::Unexpected(error.to_string()))
    };
    Ok(Some(Stored {
        subject: message.subject,
        seq: Seq(message.seq),
        ts: LogTime::parse(&message.time)
            .map_err(|error| ReadError::Unexpected(error.to_string()))?,
        headers: parse_headers(&decode(message.hdrs)?),
        payload: decode(message.data)?.into(),
    }))
}

/// The server's code for "no message found".
const NO_MESSAGE_FOUND: u64 = 10_037;

/// Which message; `next_by_subj` goes with `seq`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct LeaderRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_by_subj: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_by_subj: Option<String>,
}

#[derive(serde::Deserialize)]
struct LeaderAnswer {
    message: Option<LeaderMessage>,
    error: Option<ApiError>,
}

#[derive(serde::Deserialize)]
struct LeaderMessage {
    subject: String,
    seq: u64,
    hdrs: Option<String>,
    data: Option<String>,
    time: String,
}

#[derive(serde::Deserialize)]
struct ApiError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// Headers as they are on the wire: `NATS/1.0`, then `name: value` lines.
fn parse_headers(raw: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in String::from_utf8_lossy(raw).lines().skip(1) {
        if let Some((name, value)) = line.split_once(':') {
            headers.append(name.trim(), value.trim());
        }
    }
    headers
}

/// The server's code for "stream not found".
const STREAM_NOT_FOUND: u64 = 10_059;

/// The stream's last sequence and the server's clock, both from the leader.
pub(crate) async fn leader_info(
    connection: &Connection,
    stream: &str,
) -> Result<StreamState, ReadError> {
    stream_state(connection, stream).await?.ok_or_else(|| unavailable("no such stream"))
}

/// As [`leader_info`]; `None` when there is no such stream.
pub(crate) async fn stream_state(
    connection: &Connection,
    stream: &str,
) -> Result<Option<StreamState>, ReadError> {
    let info = info(connection, stream, Bytes::new()).await?;
    if info.error.is_some_and(|error| error.err_code == STREAM_NOT_FOUND) {
        return Ok(None);
    }
    let state = info.state.ok_or_else(|| unavailable("no stream state"))?;
    let ts = info.ts.and_then(|ts| LogTime::parse(&ts).ok());
    // A stream that never held anything says 0.
    let first = Seq(state.first_seq.max(1));
    Ok(Some(StreamState { first, last: Seq(state.last_seq), bytes: state.bytes, ts }))
}

/// The subjects of a stream that match a filter, as the leader has them; bounded by the server to
/// 100,000.
pub(crate) async fn leader_subjects(
    connection: &Connection,
    stream: &str,
    filter: &str,
) -> Result<Vec<String>, ReadError> {
    let request = serde_json::json!({ "subjects_filter": filter }).to_string();
    let info = info(connection, stream, request.into()).await?;
    let state = info.state.ok_or_else(|| unavailable("no stream state"))?;
    Ok(state.subjects.into_keys().collect())
}

/// Removes every message before `first`. On a stream that ends before it this moves the next
/// sequence to `first`: that is for a restore, and for nothing else.
pub(crate) async fn purge_before(
    connection: &Connection,
    stream: &str,
    first: Seq,
) -> Result<(), ReadError> {
    let request = serde_json::json!({ "seq": first.0 }).to_string();
    let subject = format!("$JS.API.STREAM.PURGE.{stream}");
    let answer = connection.client.request(subject, request.into()).await.map_err(unavailable)?;
    let answer: PurgeAnswer = serde_json::from_slice(&answer.payload)
        .map_err(|error| ReadError::Unexpected(error.to_string()))?;
    match answer.error {
        None => Ok(()),
        Some(error) => Err(unavailable(error.description)),
    }
}

#[derive(serde::Deserialize)]
struct PurgeAnswer {
    error: Option<ApiError>,
}

async fn info(connection: &Connection, stream: &str, request: Bytes) -> Result<Info, ReadError> {
    let subject = format!("$JS.API.STREAM.INFO.{stream}");
    let answer =
        tokio::time::timeout(Duration::from_secs(2), connection.client.request(subject, request))
            .await
            .map_err(unavailable)?
            .map_err(unavailable)?;
    serde_json::from_slice(&answer.payload).map_err(|e| ReadError::Unexpected(e.to_string()))
}

/// What a leader says of its stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamState {
    /// The first sequence there is; behind the last when there is none.
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) bytes: u64,
    pub(crate) ts: Option<LogTime>,
}

#[derive(serde::Deserialize)]
struct Info {
    error: Option<ApiError>,
    state: Option<InfoState>,
    ts: Option<String>,
}

#[derive(serde::Deserialize)]
struct InfoState {
    first_seq: u64,
    last_seq: u64,
    bytes: u64,
    #[serde(default)]
    subjects: std::collections::HashMap<String, u64>,
}
