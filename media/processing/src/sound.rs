//! Sounds: how long they last and what their waveform is.

mod mpeg;
mod ogg;
mod pcm;
mod waveform;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::time::{Duration, Instant};

use crate::programs::{Program, Programs, run};
use crate::source::Reading;
use crate::{FileType, Limits, NoPreview, Processed, movie};
use waveform::Peaks;

/// What `ffmpeg` decodes to: enough to see the shape of a voice.
const RATE_BY_PROGRAM: u32 = 8_000;

/// What decoders fill, and what stops them.
struct Listening {
    peaks: Peaks,
    deadline: Instant,
    sound_max: Duration,
}

impl Listening {
    fn new(limits: &Limits) -> Self {
        let deadline = Instant::now() + limits.decoding_max;
        Self { peaks: Peaks::default(), deadline, sound_max: limits.sound_max }
    }

    /// To be asked now and then, with how far the decoder has come.
    fn may_go_on(&self, frames: u64, rate: u32) -> Result<(), NoPreview> {
        if Instant::now() >= self.deadline {
            return Err(NoPreview::TimedOut);
        }
        let heard = Duration::from_secs(frames / u64::from(rate.max(1)));
        if heard > self.sound_max { Err(NoPreview::TooLong) } else { Ok(()) }
    }
}

fn ms(frames: u64, rate: u32) -> Option<u64> {
    let ms = u128::from(frames) * 1000 / u128::from(rate.max(1));
    if rate == 0 { None } else { u64::try_from(ms).ok() }
}

/// Fills in the duration and the waveform of a sound. The duration is what the container says,
/// until the sound was decoded to its end.
pub(crate) fn show(
    processed: &mut Processed,
    source: &Reading<'_>,
    limits: &Limits,
    programs: &Programs,
) -> io::Result<Result<(), NoPreview>> {
    let mut listening = Listening::new(limits);
    let stream = source.open()?;
    let decoded = match processed.file_type {
        FileType::Wav => pcm::wav(stream, &mut processed.duration_ms, &mut listening),
        FileType::Flac => pcm::flac(stream, &mut processed.duration_ms, &mut listening),
        FileType::OggOpus | FileType::OggVorbis => {
            processed.duration_ms = ogg::duration_ms(&mut *source.open()?, source.bytes_total()?);
            Err(NoPreview::Unsupported)
        }
        FileType::Mp3 | FileType::Aac => {
            processed.duration_ms = mpeg::duration_ms(stream, listening.deadline);
            Err(NoPreview::Unsupported)
        }
        _ => Err(NoPreview::Unsupported),
    };
    // What no library decodes that is kept, safe, and free to use as we do.
    let decoded = match decoded {
        Err(NoPreview::Unsupported) => match too_long(processed, limits) {
            Ok(()) => by_program(processed, source, limits, programs, &mut listening)?,
            Err(why) => Err(why),
        },
        other => other,
    };
    Ok(decoded.and_then(|()| {
        processed.waveform = Some(listening.peaks.waveform().ok_or(NoPreview::Unreadable)?);
        Ok(())
    }))
}

fn too_long(processed: &Processed, limits: &Limits) -> Result<(), NoPreview> {
    let lasts = processed.duration_ms.map(Duration::from_millis);
    let is_too_long = lasts.is_some_and(|lasts| lasts > limits.sound_max);
    if is_too_long { Err(NoPreview::TooLong) } else { Ok(()) }
}

/// Has `ffmpeg` decode it to a file of samples.
fn by_program(
    processed: &mut Processed,
    source: &Reading<'_>,
    limits: &Limits,
    programs: &Programs,
    listening: &mut Listening,
) -> io::Result<Result<(), NoPreview>> {
    let program = Program::Ffmpeg;
    let Some(demuxer) = movie::demuxer(processed.file_type) else {
        return Ok(Err(NoPreview::Unsupported));
    };
    if !programs.has(program) {
        return Ok(Err(NoPreview::NotInstalled(program)));
    }
    let file = source.on_disk()?;
    let folder = tempfile::tempdir()?;
    let printed = folder.path().join("samples");
    let rate = RATE_BY_PROGRAM.to_string();
    // A second more than may be: what is there then was too long.
    let time = format!("{}ms", limits.sound_max.as_millis() + 1_000);
    let before = ["-nostdin", "-v", "error", "-threads", "1", "-protocol_whitelist", "file,pipe"];
    let input = ["-f", demuxer, "-i"];
    let output = ["-map", "0:a:0", "-t", &time, "-ac", "1", "-ar", &rate, "-f", "s16le", "pipe:1"];
    let mut arguments: Vec<&OsStr> = before.into_iter().chain(input).map(OsStr::new).collect();
    arguments.push(file.path().as_os_str());
    arguments.extend(output.into_iter().map(OsStr::new));
    if let Err(why) = run(programs, program, &arguments, folder.path(), &printed, limits)? {
        return Ok(Err(why));
    }
    let mut samples = BufReader::with_capacity(64 << 10, File::open(printed)?);
    let mut frames = 0_u64;
    let mut sample = [0; 2];
    while samples.read_exact(&mut sample).is_ok() {
        listening.peaks.push(i16::from_le_bytes(sample).unsigned_abs());
        frames += 1;
    }
    let decoded = listening.may_go_on(frames, RATE_BY_PROGRAM);
    if decoded.is_ok() && processed.duration_ms.is_none() {
        processed.duration_ms = ms(frames, RATE_BY_PROGRAM);
    }
    Ok(decoded)
}
