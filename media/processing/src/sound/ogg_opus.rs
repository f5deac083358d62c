//! Opus in Ogg: what voice notes are. The duration of Vorbis is told in the same way.

use std::io::{Read, SeekFrom};

use ogg::PacketReader;
use opus_decoder::OpusDecoder;

use super::{Listening, ms};
use crate::NoPreview;
use crate::source::Stream;

/// Opus counts in these whatever it was recorded with.
const RATE: u32 = 48_000;
/// Of a packet, of one channel: 120 milliseconds.
const PACKET_SAMPLES_MAX: usize = 5_760;
/// The longest page, and then some.
const TAIL_BYTES: u64 = 72 << 10;
/// Samples before which nothing is to be heard, by the header of the stream.
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

/// Hears mono and stereo. Sound in more channels is no voice.
pub(super) fn listen(
    stream: Box<dyn Stream + '_>,
    listening: &mut Listening,
) -> Result<(), NoPreview> {
    let mut packets = PacketReader::new(stream);
    let head = packets.read_packet().ok().flatten().ok_or(NoPreview::Unreadable)?;
    let (serial, head) = (head.stream_serial(), head.data);
    let channels = usize::from(*head.get(9).ok_or(NoPreview::Unreadable)?);
    if !head.starts_with(b"OpusHead") || !(1..=2).contains(&channels) {
        return Err(NoPreview::Unsupported);
    }
    let mut decoder = OpusDecoder::new(RATE, channels).map_err(|_| NoPreview::Unsupported)?;
    let mut samples = vec![0_i16; PACKET_SAMPLES_MAX * channels];
    let mut frames = 0_u64;
    // A recording that was cut off is heard as far as it goes.
    while let Ok(Some(packet)) = packets.read_packet() {
        let is_sound = packet.stream_serial() == serial && !packet.data.starts_with(b"OpusTags");
        if is_sound && !packet.data.is_empty() {
            let heard = decoder.decode(&packet.data, &mut samples, false);
            // One damaged packet is a crackle.
            let heard = heard.unwrap_or(0);
            for frame in samples.chunks_exact(channels).take(heard) {
                let loudest = frame.iter().map(|sample| sample.unsigned_abs()).max();
                listening.peaks.push(loudest.unwrap_or(0));
            }
            frames += heard as u64;
        }
        listening.may_go_on(frames, RATE)?;
    }
    Ok(())
}
