//! Videos and documents: what their containers tell, and a picture of them by a program.

mod boxes;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};

use crate::programs::{Program, Programs, run};
use crate::source::Reading;
use crate::{FileType, Limits, NoPreview, Processed, Size, picture};

pub(crate) use boxes::read;

/// The longer side of a poster: that of the largest thumbnail.
const POSTER_SIDE: &str = "1280";
const POSTER: &str = "poster.png";
/// The first frame of a video is often black.
const POSTER_AT_MS: u64 = 1_000;
/// What `ffprobe` prints is some lines.
const PRINTED_BYTES_MAX: u64 = 64 << 10;

/// The name that `ffmpeg` knows a container by. It is told which, and never guesses: among those it
/// would guess are playlists, which name other files.
pub(crate) const fn demuxer(file_type: FileType) -> Option<&'static str> {
    match file_type {
        FileType::M4a | FileType::Mp4 | FileType::QuickTime => Some("mov"),
        FileType::WebmAudio | FileType::WebmVideo | FileType::Matroska => Some("matroska"),
        FileType::Mp3 => Some("mp3"),
        FileType::Aac => Some("aac"),
        FileType::OggOpus | FileType::OggVorbis => Some("ogg"),
        FileType::Wav => Some("wav"),
        FileType::Flac => Some("flac"),
        _ => None,
    }
}

/// Fills in the size and the duration of a video, and thumbnails of a frame.
pub(crate) fn show_video(
    processed: &mut Processed,
    source: &Reading<'_>,
    limits: &Limits,
    programs: &Programs,
) -> io::Result<Result<(), NoPreview>> {
    if processed.duration_ms.is_none() || processed.size.is_none() {
        probe(processed, source, limits, programs)?;
    }
    let Some(demuxer) = demuxer(processed.file_type) else {
        return Ok(Err(NoPreview::Unsupported));
    };
    if !programs.has(Program::Ffmpeg) {
        return Ok(Err(NoPreview::NotInstalled(Program::Ffmpeg)));
    }
    let at = processed.duration_ms.map_or(0, |total| POSTER_AT_MS.min(total / 2));
    let at = format!("{at}ms");
    let pixels = limits.pixels_max.to_string();
    let fit = format!(
        "scale='min({POSTER_SIDE},iw)':'min({POSTER_SIDE},ih)':force_original_aspect_ratio=decrease"
    );
    let file = source.on_disk()?;
    let before = ["-nostdin", "-v", "error", "-threads", "1", "-protocol_whitelist", "file"];
    let input = ["-max_pixels", &pixels, "-f", demuxer, "-ss", &at, "-i"];
    let output = ["-map", "0:v:0", "-frames:v", "1", "-vf", &fit, "-threads", "1"];
    let format = ["-f", "image2", "-update", "1", "-c:v", "png", "-y", POSTER];
    let arguments: Vec<&OsStr> = before.into_iter().chain(input).map(OsStr::new).collect();
    let rest = output.into_iter().chain(format).map(OsStr::new);
    let arguments: Vec<&OsStr> =
        arguments.into_iter().chain([file.path().as_os_str()]).chain(rest).collect();
    poster(processed, limits, programs, Program::Ffmpeg, &arguments)
}

/// Fills in thumbnails of the first page of a PDF.
pub(crate) fn show_pdf(
    processed: &mut Processed,
    source: &Reading<'_>,
    limits: &Limits,
    programs: &Programs,
) -> io::Result<Result<(), NoPreview>> {
    let program = Program::Pdftoppm;
    if !programs.has(program) {
        return Ok(Err(NoPreview::NotInstalled(program)));
    }
    let file = source.on_disk()?;
    let options = ["-f", "1", "-l", "1", "-singlefile", "-scale-to", POSTER_SIDE, "-png"];
    let mut arguments: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
    let name = POSTER.trim_end_matches(".png");
    arguments.extend([file.path().as_os_str(), OsStr::new(name)]);
    poster(processed, limits, programs, program, &arguments)
}

/// Runs a program that makes a picture, and shows the picture as one that a stranger has sent.
fn poster(
    processed: &mut Processed,
    limits: &Limits,
    programs: &Programs,
    program: Program,
    arguments: &[&OsStr],
) -> io::Result<Result<(), NoPreview>> {
    let folder = tempfile::tempdir()?;
    let printed = folder.path().join("printed");
    let ran = run(programs, program, arguments, folder.path(), &printed, limits)?;
    if let Err(why) = ran {
        return Ok(Err(why));
    }
    let path = folder.path().join(POSTER);
    let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    // A program that is content with a file of which it could read nothing.
    if !is_file || path.metadata()?.len() > limits.picture_bytes_max {
        return Ok(Err(NoPreview::Unreadable));
    }
    Ok(picture::show_poster(processed, &fs::read(path)?, limits))
}

/// Fills in what `ffprobe` knows of a video, if it is there. That it is not is no reason to stop.
fn probe(
    processed: &mut Processed,
    source: &Reading<'_>,
    limits: &Limits,
    programs: &Programs,
) -> io::Result<()> {
    let program = Program::Ffprobe;
    let Some(demuxer) = demuxer(processed.file_type).filter(|_| programs.has(program)) else {
        return Ok(());
    };
    let file = source.on_disk()?;
    let folder = tempfile::tempdir()?;
    let printed = folder.path().join("printed");
    let options = ["-v", "error", "-protocol_whitelist", "file", "-f", demuxer];
    let shown = ["-select_streams", "v:0", "-show_entries", "format=duration:stream=width,height"];
    let mut arguments: Vec<&OsStr> =
        options.into_iter().chain(shown).chain(["-of", "default=nw=1"]).map(OsStr::new).collect();
    arguments.push(file.path().as_os_str());
    if run(programs, program, &arguments, folder.path(), &printed, limits)?.is_ok() {
        let mut text = String::new();
        // What is no text is of no use, and not worth a second try.
        drop(fs::File::open(&printed)?.take(PRINTED_BYTES_MAX).read_to_string(&mut text));
        read_probe(processed, &text);
    }
    Ok(())
}

fn read_probe(processed: &mut Processed, printed: &str) {
    let value = |key: &str| printed.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
    let side = |key| value(key).and_then(|side| side.parse().ok()).filter(|&side: &u32| side > 0);
    if let (None, Some(width), Some(height)) = (processed.size, side("width"), side("height")) {
        processed.size = Some(Size { width, height });
    }
    let seconds: Option<f64> = value("duration").and_then(|seconds| seconds.parse().ok());
    if let (None, Some(seconds)) = (processed.duration_ms, seconds.filter(|s| *s > 0.0)) {
        processed.duration_ms = Some((seconds * 1000.0) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ffprobe_prints_is_read_and_what_else_may_be_there_is_not() {
        let mut processed = Processed::of(FileType::WebmVideo);
        read_probe(&mut processed, "width=640\nheight=360\nduration=2.500000\n");
        assert_eq!(processed.size, Some(Size { width: 640, height: 360 }));
        assert_eq!(processed.duration_ms, Some(2500));
        let mut processed = Processed::of(FileType::WebmVideo);
        read_probe(&mut processed, "width=0\nheight=-3\nduration=N/A\nwidth\n=\n");
        assert_eq!(processed, Processed::of(FileType::WebmVideo));
    }
}
