//! The frames of MP3 and of AAC without a container, for their duration: their number is the only
//! thing that tells it in every file.

use std::io::{self, Read};
use std::time::Instant;

use crate::source::Stream;

/// Bytes of something else before the first frame that are passed over.
const LEADING_BYTES_MAX: usize = 64 << 10;
/// Frames between two looks at the clock.
const LOOK_EVERY: u64 = 1_024;

/// Bits per second / 1000 of layer 3, of MPEG 1 and of MPEG 2.
const RATES_OF_1: [u64; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const RATES_OF_2: [u64; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const AAC_RATES: [u64; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

struct Frame {
    /// With its header.
    bytes: u64,
    samples: u64,
    rate: u64,
}

/// Up to the first thing that is no frame. None if there is none, or not in time.
pub(super) fn duration_ms(mut stream: Box<dyn Stream + '_>, deadline: Instant) -> Option<u64> {
    let mut header = read_header(&mut stream)?;
    if header.starts_with(b"ID3") {
        let rest: [u8; 3] = read(&mut stream)?;
        let [_, _, _, _, _, _, a, b, c, d] = {
            let mut tag = [0; 10];
            tag[..7].copy_from_slice(&header);
            tag[7..].copy_from_slice(&rest);
            tag
        };
        let length = [a, b, c, d].iter().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7F));
        skip(&mut stream, length)?;
        header = read_header(&mut stream)?;
    }
    for _ in 0..LEADING_BYTES_MAX {
        if frame(header).is_some() {
            break;
        }
        header.rotate_left(1);
        header[6] = read::<1>(&mut stream)?[0];
    }
    let mut micros = 0_u64;
    let mut frames = 0_u64;
    while let Some(Frame { bytes, samples, rate }) = frame(header) {
        frames += 1;
        if frames.is_multiple_of(LOOK_EVERY) && Instant::now() >= deadline {
            return None;
        }
        // Rounding loses less than a second in eleven days.
        micros += samples * 1_000_000 / rate;
        let next = skip(&mut stream, bytes - 7).and_then(|()| read_header(&mut stream));
        let Some(next) = next else { break };
        header = next;
    }
    (frames > 0).then_some(micros / 1000)
}

fn read_header(stream: &mut dyn Stream) -> Option<[u8; 7]> {
    read(stream)
}

fn read<const N: usize>(stream: &mut dyn Stream) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn skip(stream: &mut dyn Stream, bytes: u64) -> Option<()> {
    let skipped = io::copy(&mut stream.take(bytes), &mut io::sink()).ok()?;
    (skipped == bytes).then_some(())
}

/// The frame that begins with these bytes.
fn frame([sync, second, third, fourth, fifth, sixth, _]: [u8; 7]) -> Option<Frame> {
    if sync != 0xFF {
        return None;
    }
    if second & 0xF6 == 0xF0 {
        let rate = *AAC_RATES.get(usize::from((third >> 2) & 0x0F))?;
        let bytes = u64::from(fourth & 0x03) << 11 | u64::from(fifth) << 3 | u64::from(sixth >> 5);
        return (bytes > 7).then_some(Frame { bytes, samples: 1024, rate });
    }
    let (is_1, divisor) = match second & 0x18 {
        0x18 => (true, 1),
        0x10 => (false, 2),
        0x00 => (false, 4),
        _ => return None,
    };
    if second & 0xE6 != 0xE2 {
        return None;
    }
    let rates = if is_1 { RATES_OF_1 } else { RATES_OF_2 };
    let bit_rate = *rates.get(usize::from(third >> 4))? * 1000;
    let rate = [44_100, 48_000, 32_000].get(usize::from((third >> 2) & 0x03))? / divisor;
    let samples = if is_1 { 1152 } else { 576 };
    let padding = u64::from(third >> 1 & 1);
    let bytes = samples / 8 * bit_rate / rate + padding;
    (bytes > 7).then_some(Frame { bytes, samples, rate })
}
