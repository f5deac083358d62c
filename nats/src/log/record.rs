//! From NATS messages to records.

use async_nats::header::HeaderMap;
use bytes::Bytes;
use hansard_model::record::{MSG_ID, VOUCH_UNTIL};
use hansard_model::subject::Subject;
use hansard_model::{LogTime, Record, Seq};

use crate::direct::Stored;

/// A record of its parts; `None` when the subject is not one of the log's.
pub(super) fn from_parts(
    subject: &str,
    seq: Seq,
    ts: LogTime,
    headers: Option<&HeaderMap>,
    payload: Bytes,
) -> Option<Record<Bytes>> {
    let header = |name: &str| headers?.get(name).map(|value| value.as_str());
    of(subject, seq, ts, header, payload)
}

/// As [`from_parts`], of whatever holds the headers.
pub(super) fn of<'a>(
    subject: &str,
    seq: Seq,
    ts: LogTime,
    header: impl Fn(&str) -> Option<&'a str>,
    payload: Bytes,
) -> Option<Record<Bytes>> {
    let Ok(Subject::Event { conversation, class, .. }) = subject.parse() else { return None };
    Some(Record {
        seq,
        ts,
        conversation,
        class,
        vouch_until: header(VOUCH_UNTIL).and_then(|ms| ms.parse().ok()).map(LogTime::from_millis),
        key: header(MSG_ID).and_then(|key| key.parse().ok()),
        payload,
    })
}

pub(super) fn from_stored(stored: &Stored) -> Option<Record<Bytes>> {
    from_parts(
        &stored.subject,
        stored.seq,
        stored.ts,
        Some(&stored.headers),
        stored.payload.clone(),
    )
}
