use std::time::Duration;

use hansard_media_processing::{
    FileType, Kind, Limits, NoPreview, Processed, Program, Programs, Source, process,
};

use crate::files::{aac, flac, mp3, mp4, opus, wav};
use crate::processed;

fn assert_rises(made: &Processed) {
    let waveform = made.waveform.unwrap();
    assert!(waveform[..30].iter().all(|&peak| peak == 0), "{waveform:?}");
    assert!(waveform[34..].is_sorted(), "{waveform:?}");
    assert_eq!(waveform[63], 255);
}

#[test]
fn a_recording_has_a_duration_and_the_waveform_of_what_is_heard() {
    let made = processed(&wav(16_000, 3));
    assert_eq!((made.kind(), made.duration_ms, made.no_preview), (Kind::Audio, Some(3000), None));
    assert_rises(&made);
}

#[test]
fn flac_is_heard() {
    let values: Vec<i16> = (0..64).map(|i| (i - 32).max(0) * 500).collect();
    let made = processed(&flac(32_000, &values, 64 * 4096));
    assert_eq!(made.no_preview, None);
    assert_eq!((made.file_type, made.duration_ms), (FileType::Flac, Some(8192)));
    assert_rises(&made);
}

#[test]
fn what_needs_a_program_has_its_duration_without() {
    let files = [
        (opus(150), FileType::OggOpus, 3000),
        (mp3(100), FileType::Mp3, 2612),
        (aac(100), FileType::Aac, 2321),
        (mp4(b"M4A ", 2500, &[b"soun"], false), FileType::M4a, 2500),
        (mp4(b"mp42", 2500, &[b"soun"], false), FileType::M4a, 2500),
    ];
    for (file, file_type, ms) in files {
        let made = processed(&file);
        assert_eq!((made.file_type, made.kind()), (file_type, Kind::Audio));
        assert_eq!(made.duration_ms, Some(ms), "{file_type:?}");
        assert_eq!(made.waveform, None);
        assert_eq!(made.no_preview, Some(NoPreview::NotInstalled(Program::Ffmpeg)));
    }
}

#[test]
fn what_lasts_too_long_has_only_its_duration() {
    let limits = Limits { sound_max: Duration::from_secs(1), ..Limits::default() };
    for file in [wav(8_000, 3), flac(8_000, &[9; 10], 10 * 4096), opus(150), mp3(100)] {
        let made = process(Source::Bytes(&file), &limits, &Programs::none()).unwrap();
        assert_eq!(made.no_preview, Some(NoPreview::TooLong), "{:?}", made.file_type);
        assert!(made.duration_ms.unwrap() > 2000 && made.waveform.is_none());
    }
    // Of which the header says nothing.
    let made = process(Source::Bytes(&flac(8_000, &[9; 10], 0)), &limits, &Programs::none());
    assert_eq!(made.unwrap().no_preview, Some(NoPreview::TooLong));
}

#[test]
fn what_takes_too_long_is_given_up() {
    let limits = Limits { decoding_max: Duration::ZERO, ..Limits::default() };
    for file in [wav(48_000, 3), flac(8_000, &[9; 10], 10 * 4096)] {
        let made = process(Source::Bytes(&file), &limits, &Programs::none()).unwrap();
        assert_eq!(made.no_preview, Some(NoPreview::TimedOut), "{:?}", made.file_type);
    }
}

#[test]
fn a_recording_that_was_cut_off_is_heard_as_far_as_it_goes() {
    for file in [wav(16_000, 4), flac(8_000, &[900; 20], 20 * 4096)] {
        let made = processed(&file[..file.len() / 2]);
        assert_eq!(made.no_preview, None, "{:?}", made.file_type);
        assert!(made.waveform.is_some(), "{:?}", made.file_type);
    }
}

#[test]
fn a_voice_note_is_heard_if_there_is_what_hears_it() {
    let programs = Programs::find();
    for file in [opus(150), mp3(100)] {
        let made = process(Source::Bytes(&file), &Limits::default(), &programs).unwrap();
        if programs.has(Program::Ffmpeg) {
            assert_eq!(made.no_preview, None, "{:?}", made.file_type);
            assert!(made.waveform.is_some());
        } else {
            assert_eq!(made.no_preview, Some(NoPreview::NotInstalled(Program::Ffmpeg)));
        }
        assert!(made.duration_ms.unwrap() > 2000);
    }
}
