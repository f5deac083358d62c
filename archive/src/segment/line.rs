//! One event as one line of JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hansard_model::{LogTime, Seq};
use hansard_nats::log::StoredEvent;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// `2025-11-22T00:45:45`
const SECONDS_LEN: usize = 19;

/// Writes a line, without its end.
pub(super) fn write(event: &StoredEvent, line: &mut Vec<u8>) -> io::Result<()> {
    let StoredEvent { seq, ts, subject, headers, payload } = event;
    let millis = ts.to_string();
    let seconds = millis.get(..SECONDS_LEN).unwrap_or_default();
    let nanos = ts.as_nanos() % NANOS_PER_SECOND;
    write!(line, r#"{{"seq":{seq},"ts":"{seconds}.{nanos:09}Z","subject":"#)?;
    serde_json::to_writer(&mut *line, subject)?;
    line.extend_from_slice(br#","headers":{"#);
    for (index, (name, values)) in headers.iter().enumerate() {
        if index > 0 {
            line.push(b',');
        }
        serde_json::to_writer(&mut *line, name)?;
        line.push(b':');
        serde_json::to_writer(&mut *line, values)?;
    }
    line.push(b'}');
    if is_verbatim(payload) {
        line.extend_from_slice(br#","payload":"#);
        line.extend_from_slice(payload);
        line.push(b'}');
    } else {
        let text = STANDARD.encode(payload);
        write!(line, r#","payload_base64":"{text}"}}"#)?;
    }
    Ok(())
}

/// Whether a payload comes back byte for byte when it stands in a line as it is: JSON, without
/// anything around it, and without the end of a line.
fn is_verbatim(payload: &[u8]) -> bool {
    !payload.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
        && serde_json::from_slice::<&RawValue>(payload)
            .is_ok_and(|value| value.get().len() == payload.len())
}

#[derive(Deserialize)]
struct Line<'a> {
    seq: Seq,
    #[serde(borrow)]
    ts: Cow<'a, str>,
    subject: String,
    headers: BTreeMap<String, Vec<String>>,
    // `null` is a payload like any other.
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload_base64: Option<Cow<'a, str>>,
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a line.
pub(super) fn read(text: &[u8]) -> Result<StoredEvent, String> {
    let line: Line<'_> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let payload = match (line.payload, line.payload_base64) {
        (Some(payload), None) => Bytes::copy_from_slice(payload.get().as_bytes()),
        (None, Some(text)) => {
            STANDARD.decode(text.as_ref()).map_err(|error| error.to_string())?.into()
        }
        (Some(_), Some(_)) | (None, None) => return Err("it has not one payload".to_owned()),
    };
    let ts = LogTime::parse(&line.ts).map_err(|error| error.to_string())?;
    let headers = line.headers.into_iter().collect();
    Ok(StoredEvent { seq: line.seq, ts, subject: line.subject, headers, payload })
}
