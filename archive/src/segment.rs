//! The form of a segment, without any I/O: `.jsonl.zst`, readable with `zstdcat | jq`.
//!
//! The first line is the [`Header`]; it is a zstd frame of its own, so that it can be read without
//! the rest. Then one line for each event of the stream, void ones too:
//!
//! ```text
//! {"seq":7,"ts":"2025-11-22T00:45:45.123456789Z","subject":"ev.0.g.x.msg","headers":{"N":["v"]},"payload":{..}}
//! ```
//!
//! A payload that does not come back byte for byte out of such a line is `payload_base64`.

mod line;
mod name;

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};

use bytes::Bytes;
use hansard_model::{LogTime, Seq};
use hansard_nats::log::StoredEvent;
use hansard_nats::streams::StreamName;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub(crate) use name::{SegmentName, folder, hex};

/// The form that this code writes; it reads all up to it.
const FORM: u32 = 1;
/// zstd's own default: three times as fast as 6 at nine tenths of what that saves.
const LEVEL: i32 = 3;
/// The longest line: an event of 128 KiB in base64, with headers.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// The compressed header is smaller than this.
pub(crate) const HEADER_BYTES_MAX: u64 = 2_048;

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The form of the file.
    pub(crate) v: u32,
    /// The name of the stream.
    pub(crate) stream: String,
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    /// How many events: fewer than sequences if the stream had deleted some.
    pub(crate) count: u64,
    /// When the first and the last event were stored.
    pub(crate) from: LogTime,
    pub(crate) to: LogTime,
    /// SHA-256 of the file of the segment before.
    pub(crate) previous: Option<String>,
    /// The salt of the deployment.
    pub(crate) deployment: String,
}

/// Why bytes are not the segment they should be.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// Something changed at least one bit.
    #[error("its SHA-256 is {found}, not the one in its name")]
    Hash {
        /// What the bytes have.
        found: String,
    },
    /// It cannot be decompressed.
    #[error("it cannot be decompressed")]
    Compression(#[from] io::Error),
    /// A line cannot be read.
    #[error("line {line} cannot be read: {why}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It says of itself what is not so.
    #[error("its {what} is {found}, not {expected}")]
    Mismatch {
        /// What.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// It is of a newer version.
    #[error("it has form {0}, which this version does not know")]
    Form(u32),
}

/// A segment that was made.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) name: SegmentName,
    pub(crate) file: Bytes,
    pub(crate) count: u64,
    pub(crate) to: LogTime,
    /// Of the events, not of the file: whoever decodes the file must come to the same.
    pub(crate) content: [u8; 32],
}

/// Makes a segment event by event.
pub(crate) struct Encoder {
    stream: StreamName,
    body: zstd::stream::write::Encoder<'static, Vec<u8>>,
    content: Content,
    line: Vec<u8>,
    first: Seq,
    last: Seq,
    from: LogTime,
    to: LogTime,
    count: u64,
    /// Before compression.
    bytes: u64,
}

impl Encoder {
    pub(crate) fn new(stream: StreamName) -> io::Result<Self> {
        let mut body = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
        // A damaged frame is told from one that was made so.
        body.include_checksum(true)?;
        Ok(Self {
            stream,
            body,
            content: Content::default(),
            line: Vec::new(),
            first: Seq::ZERO,
            last: Seq::ZERO,
            from: LogTime::default(),
            to: LogTime::default(),
            count: 0,
            bytes: 0,
        })
    }

    pub(crate) fn push(&mut self, event: &StoredEvent) -> io::Result<()> {
        self.line.clear();
        line::write(event, &mut self.line)?;
        self.line.push(b'\n');
        self.body.write_all(&self.line)?;
        self.content.add(event);
        if self.count == 0 {
            (self.first, self.from) = (event.seq, event.ts);
        }
        (self.last, self.to) = (event.seq, event.ts);
        self.count += 1;
        self.bytes += self.line.len() as u64;
        Ok(())
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Bytes before compression.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The segment from `first` on, which is where the one before ended: the first event may have
    /// been deleted.
    pub(crate) fn finish(
        self,
        first: Seq,
        previous: Option<String>,
        deployment: &str,
    ) -> io::Result<Segment> {
        debug_assert!(first <= self.first && self.count > 0, "a segment holds something");
        let header = Header {
            v: FORM,
            stream: self.stream.name(),
            first,
            last: self.last,
            count: self.count,
            from: self.from,
            to: self.to,
            previous,
            deployment: deployment.to_owned(),
        };
        let mut text = serde_json::to_vec(&header)?;
        text.push(b'\n');
        let mut file = zstd::encode_all(&text[..], LEVEL)?;
        file.extend_from_slice(&self.body.finish()?);
        let sha256 = hex(&Sha256::digest(&file));
        let name = SegmentName { stream: self.stream, first, last: self.last, sha256 };
        let content = self.content.finish();
        Ok(Segment { name, file: file.into(), count: self.count, to: self.to, content })
    }
}

/// The digest of all that a sequence of events holds.
#[derive(Default)]
pub(crate) struct Content(Sha256);

impl Content {
    pub(crate) fn add(&mut self, event: &StoredEvent) {
        let StoredEvent { seq, ts, subject, headers, payload } = event;
        let mut part = |bytes: &[u8]| {
            self.0.update((bytes.len() as u64).to_be_bytes());
            self.0.update(bytes);
        };
        part(&seq.0.to_be_bytes());
        part(&ts.as_nanos().to_be_bytes());
        part(subject.as_bytes());
        for (name, values) in headers {
            part(name.as_bytes());
            part(&(values.len() as u64).to_be_bytes());
            values.iter().for_each(|value| part(value.as_bytes()));
        }
        part(payload);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Whether bytes are what their name says.
pub(crate) fn check_hash(name: &SegmentName, file: &[u8]) -> Result<(), SegmentError> {
    let found = hex(&Sha256::digest(file));
    if found == name.sha256 { Ok(()) } else { Err(SegmentError::Hash { found }) }
}

/// Reads the header out of the beginning of a file.
pub(crate) fn header(name: &SegmentName, beginning: &[u8]) -> Result<Header, SegmentError> {
    let decoder = zstd::stream::read::Decoder::with_buffer(beginning)?.single_frame();
    let mut text = Vec::new();
    decoder.take(LINE_BYTES_MAX).read_to_end(&mut text)?;
    parse_header(name, &text)
}

fn parse_header(name: &SegmentName, text: &[u8]) -> Result<Header, SegmentError> {
    #[derive(Deserialize)]
    struct Form {
        v: u32,
    }
    let unreadable =
        |error: serde_json::Error| SegmentError::Line { line: 1, why: error.to_string() };
    let Form { v } = serde_json::from_slice(text).map_err(unreadable)?;
    if v > FORM {
        return Err(SegmentError::Form(v));
    }
    let header: Header = serde_json::from_slice(text).map_err(unreadable)?;
    same("stream", &header.stream, &name.stream.name())?;
    same("first sequence", &header.first, &name.first)?;
    same("last sequence", &header.last, &name.last)?;
    Ok(header)
}

fn same<T: PartialEq + ToString + ?Sized>(
    what: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), SegmentError> {
    if found == expected {
        return Ok(());
    }
    Err(SegmentError::Mismatch { what, found: found.to_string(), expected: expected.to_string() })
}

/// The events of a segment, in order. Each one fails or is the next; after the last come the
/// checks of what the header promised.
pub(crate) struct Decoder {
    header: Header,
    lines: BufReader<zstd::stream::read::Decoder<'static, io::Cursor<Bytes>>>,
    line: Vec<u8>,
    read: u64,
    last: Seq,
    ended: bool,
}

impl Decoder {
    /// Of bytes whose hash was checked.
    pub(crate) fn new(name: &SegmentName, file: Bytes) -> Result<Self, SegmentError> {
        let decoder = zstd::stream::read::Decoder::with_buffer(io::Cursor::new(file))?;
        let mut lines = BufReader::with_capacity(1 << 16, decoder);
        let mut line = Vec::new();
        lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        let header = parse_header(name, &line)?;
        let last = Seq(header.first.0.saturating_sub(1));
        Ok(Self { header, lines, line, read: 0, last, ended: false })
    }

    /// Whether it continues the segment that it should, if that is known.
    pub(crate) fn check_previous(
        &self,
        previous: Option<&SegmentName>,
    ) -> Result<(), SegmentError> {
        let Some(previous) = previous else { return Ok(()) };
        same("first sequence", &self.header.first, &previous.last.next())?;
        let found = self.header.previous.as_deref().unwrap_or("none");
        same("hash of the segment before", &found, &previous.sha256.as_str())
    }

    /// The event at `seq`; does not look at others.
    pub(crate) fn find(mut self, seq: Seq) -> Result<Option<StoredEvent>, SegmentError> {
        let beginning = format!("{{\"seq\":{seq},");
        while self.read_line()? {
            self.read += 1;
            if self.line.starts_with(beginning.as_bytes()) {
                let unreadable = |why| SegmentError::Line { line: self.read + 1, why };
                return line::read(&self.line).map(Some).map_err(unreadable);
            }
        }
        Ok(None)
    }

    fn read_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let read = self.lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line)?;
        Ok(read > 0)
    }

    fn read(&mut self) -> Result<Option<StoredEvent>, SegmentError> {
        if !self.read_line()? {
            same("number of events", &self.read, &self.header.count)?;
            same("last event", &self.last, &self.header.last)?;
            return Ok(None);
        }
        self.read += 1;
        let unreadable = |why: String| SegmentError::Line { line: self.read + 1, why };
        let Some((b'\n', text)) = self.line.split_last() else {
            return Err(unreadable("it has no end".to_owned()));
        };
        let event = line::read(text).map_err(unreadable)?;
        if event.seq <= self.last || event.seq > self.header.last {
            return Err(unreadable(format!("{} after {}", event.seq, self.last)));
        }
        self.last = event.seq;
        Ok(Some(event))
    }
}

impl Iterator for Decoder {
    type Item = Result<StoredEvent, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests;
