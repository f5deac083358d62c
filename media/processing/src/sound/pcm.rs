//! WAV and FLAC, which are samples.

use std::io::Read;

use claxon::{FlacReader, FlacReaderOptions};
use hound::{SampleFormat, WavReader};

use super::{Listening, ms};
use crate::NoPreview;

/// Samples between two looks at the clock.
const LOOK_EVERY: u64 = 65_536;

/// How far a sample of so many bits is from zero, of 32768.
fn amplitude(sample: i32, bits: u32) -> u16 {
    let full = u64::from(sample.unsigned_abs());
    let of_16 = if bits > 16 { full >> (bits - 16) } else { full << (16 - bits.max(1)) };
    u16::try_from(of_16.min(32_768)).unwrap_or(32_768)
}

pub(super) fn wav(
    stream: impl Read,
    duration_ms: &mut Option<u64>,
    listening: &mut Listening,
) -> Result<(), NoPreview> {
    let unreadable = |error| match error {
        hound::Error::Unsupported => NoPreview::Unsupported,
        _ => NoPreview::Unreadable,
    };
    let mut reader = WavReader::new(stream).map_err(unreadable)?;
    let spec = reader.spec();
    let (rate, channels) = (spec.sample_rate, u64::from(spec.channels.max(1)));
    *duration_ms = ms(u64::from(reader.duration()), rate);
    listening.may_go_on(u64::from(reader.duration()), rate)?;

    let mut samples = 0_u64;
    let mut hear = |amplitude: u16| {
        listening.peaks.push(amplitude);
        samples += 1;
        if samples.is_multiple_of(LOOK_EVERY) {
            return listening.may_go_on(samples / channels, rate);
        }
        Ok(())
    };
    // A recording that was cut off is heard as far as it goes.
    match spec.sample_format {
        SampleFormat::Int => {
            let bits = u32::from(spec.bits_per_sample);
            for sample in reader.samples::<i32>().map_while(Result::ok) {
                hear(amplitude(sample, bits))?;
            }
        }
        SampleFormat::Float => {
            for sample in reader.samples::<f32>().map_while(Result::ok) {
                hear((sample.abs().min(1.0) * 32_768.0) as u16)?;
            }
        }
    }
    *duration_ms = ms(samples / channels, rate);
    Ok(())
}

pub(super) fn flac(
    stream: impl Read,
    duration_ms: &mut Option<u64>,
    listening: &mut Listening,
) -> Result<(), NoPreview> {
    let options = FlacReaderOptions { metadata_only: false, read_vorbis_comment: false };
    let mut reader = FlacReader::new_ext(stream, options).map_err(|_| NoPreview::Unreadable)?;
    let info = reader.streaminfo();
    *duration_ms = info.samples.and_then(|samples| ms(samples, info.sample_rate));
    listening.may_go_on(info.samples.unwrap_or(0), info.sample_rate)?;

    let mut frames = 0_u64;
    let mut blocks = reader.blocks();
    let mut buffer = Vec::new();
    while let Ok(Some(block)) = blocks.read_next_or_eof(buffer) {
        for frame in 0..block.duration() {
            let of = |channel| amplitude(block.sample(channel, frame), info.bits_per_sample);
            listening.peaks.push((0..block.channels()).map(of).max().unwrap_or(0));
        }
        frames += u64::from(block.duration());
        listening.may_go_on(frames, info.sample_rate)?;
        buffer = block.into_buffer();
    }
    if frames > 0 {
        *duration_ms = ms(frames, info.sample_rate);
    }
    Ok(())
}
