//! How long Opus and Vorbis in Ogg last. Voice notes are Opus.

use std::io::{Read, SeekFrom};

use super::ms;
use crate::source::Stream;

/// Opus counts in these whatever it was recorded with.
const RATE: u32 = 48_000;
/// The longest page, and then some.
const TAIL_BYTES: u64 = 72 << 10;
/// Where the first packet is.
const HEADER_BYTES: u64 = 4_096;

/// By the position that the last page tells, in the rate that the first one tells.
pub(super) fn duration_ms(stream: &mut dyn Stream, bytes: u64) -> Option<u64> {
    let mut head = Vec::new();
    stream.take(HEADER_BYTES).read_to_end(&mut head).ok()?;
    let packet = head.get(27 + usize::from(*head.get(26)?)..)?;
    let (rate, skipped) = if packet.starts_with(b"OpusHead") {
        (RATE, u16::from_le_bytes(packet.get(10..12)?.try_into().ok()?))
    } else {
        (u32::from_le_bytes(packet.get(12..16)?.try_into().ok()?), 0)
    };
    stream.seek(SeekFrom::Start(bytes.saturating_sub(TAIL_BYTES))).ok()?;
    let mut tail = Vec::new();
    stream.take(TAIL_BYTES).read_to_end(&mut tail).ok()?;
    let pages = tail.windows(14).rev().filter(|window| window.starts_with(b"OggS"));
    let mut positions = pages.filter_map(|page| page.get(6..14)?.try_into().ok());
    // That of a page on which no packet ends is -1.
    let last = positions.find_map(|position| u64::try_from(i64::from_le_bytes(position)).ok())?;
    ms(last.saturating_sub(u64::from(skipped)), rate).filter(|&ms| ms > 0)
}
