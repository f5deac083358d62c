//! What the object of a segment is called.

use std::fmt;

use hansard_model::{PartitionId, Seq};
use hansard_nats::streams::StreamName;

const EXTENSION: &str = ".jsonl.zst";
const SHA256_HEX_LEN: usize = 64;

/// `<first>-<last>-<sha256 of the file>.jsonl.zst` in the folder of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SegmentName {
    pub(crate) stream: StreamName,
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) sha256: String,
}

/// The folder of a stream's segments.
pub(crate) fn folder(stream: StreamName) -> String {
    match stream {
        StreamName::Events(PartitionId(partition)) => format!("archive/{partition:02}"),
        StreamName::Accounts => "archive/accounts".to_owned(),
    }
}

impl SegmentName {
    /// Reads the last part of an object's name; `None` when it is not that of a segment.
    pub(crate) fn parse(stream: StreamName, file: &str) -> Option<Self> {
        let mut parts = file.strip_suffix(EXTENSION)?.split('-');
        let (first, last, sha256) = (parts.next()?, parts.next()?, parts.next()?);
        let is_hash =
            sha256.len() == SHA256_HEX_LEN && sha256.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hash || parts.next().is_some() {
            return None;
        }
        let (first, last) = (Seq(first.parse().ok()?), Seq(last.parse().ok()?));
        Some(Self { stream, first, last, sha256: sha256.to_owned() })
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, first, last, sha256 } = self;
        write!(f, "{}/{:020}-{:020}-{sha256}{EXTENSION}", folder(*stream), first.0, last.0)
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        text
    })
}
