use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::programs::Programs;
use crate::sniff::{HEAD_BYTES, sniff};
use crate::source::{Reading, Source};
use crate::{FileType, Kind, Limits, NoPreview, Processed, movie, picture, sound};

/// Everything that can be known and shown of a file. Blocks for as long as the limits allow: some
/// hundred milliseconds for a photograph.
///
/// # Errors
/// Only of this machine: the file cannot be read, there is no place for a temporary file, or no
/// process can be started. Nothing that the bytes could be is an error.
pub fn process(source: Source<'_>, limits: &Limits, programs: &Programs) -> io::Result<Processed> {
    let source = Reading::of(source);
    let head = source.head(HEAD_BYTES)?;
    let mut processed = Processed::of(sniff(&head));
    if head.is_empty() {
        processed.no_preview = Some(NoPreview::Empty);
        return Ok(processed);
    }
    let shown = contained(|| show(&mut processed, &source, limits, programs))?;
    if let Some(failure) = source.failure() {
        return Err(failure);
    }
    // A picture of which only the copy could not be made has its preview all the same.
    let has_preview = !processed.thumbnails.is_empty() || processed.waveform.is_some();
    processed.no_preview = shown.err().filter(|_| !has_preview);
    Ok(processed)
}

/// What takes no decoder: the type of a file, and a copy of a picture without metadata. For a file
/// that took everybody with it who looked closer.
///
/// # Errors
/// As [`process`].
pub fn process_blindly(source: Source<'_>, limits: &Limits) -> io::Result<Processed> {
    let source = Reading::of(source);
    let mut processed = Processed::of(sniff(&source.head(HEAD_BYTES)?));
    processed.no_preview = Some(NoPreview::DecoderFailed);
    let is_small = source.bytes_total()? <= limits.stripped_bytes_max;
    if processed.file_type.is_stripped() && is_small {
        picture::strip_blindly(&mut processed, &source.whole()?);
    }
    match source.failure() {
        Some(failure) => Err(failure),
        None => Ok(processed),
    }
}

/// What a decoder promises it never does, and what the fuzzers of all the world have not found yet,
/// is one file without a preview. What it had filled in so far was true.
pub(crate) fn contained(
    work: impl FnOnce() -> io::Result<Result<(), NoPreview>>,
) -> io::Result<Result<(), NoPreview>> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Ok(Err(NoPreview::DecoderFailed)))
}

fn show(
    processed: &mut Processed,
    source: &Reading<'_>,
    limits: &Limits,
    programs: &Programs,
) -> io::Result<Result<(), NoPreview>> {
    if matches!(processed.file_type, FileType::M4a | FileType::Mp4 | FileType::QuickTime) {
        let bytes = source.bytes_total()?;
        let movie = movie::read(&mut *source.open()?, bytes);
        processed.duration_ms = movie.duration_ms;
        processed.file_type = match (movie.has_video, movie.has_audio) {
            (false, true) => FileType::M4a,
            (true, _) if processed.file_type == FileType::M4a => FileType::Mp4,
            _ => processed.file_type,
        };
        if processed.kind() == Kind::Video {
            processed.size = movie.size;
        }
    }
    match processed.file_type.kind() {
        Kind::Image if processed.file_type.is_stripped() => show_picture(processed, source, limits),
        Kind::Audio => sound::show(processed, source, limits, programs),
        Kind::Video => movie::show_video(processed, source, limits, programs),
        Kind::Document => movie::show_pdf(processed, source, limits, programs),
        Kind::Image | Kind::File => Ok(Err(NoPreview::Unsupported)),
    }
}

fn show_picture(
    processed: &mut Processed,
    source: &Reading<'_>,
    limits: &Limits,
) -> io::Result<Result<(), NoPreview>> {
    if source.bytes_total()? > limits.stripped_bytes_max {
        return Ok(Err(NoPreview::TooLarge));
    }
    picture::show(processed, &source.whole()?, limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_panics_takes_one_preview_with_it() {
        let indexed = |bytes: &[u8]| bytes[9];
        let result = contained(|| {
            indexed(&[1, 2, 3]);
            Ok(Ok(()))
        });
        assert_eq!(result.unwrap(), Err(NoPreview::DecoderFailed));
        assert_eq!(contained(|| Ok(Ok(()))).unwrap(), Ok(()));
        assert!(contained(|| Err(io::Error::other("gone"))).is_err());
    }
}
