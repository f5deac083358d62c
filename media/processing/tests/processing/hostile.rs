//! Files that somebody made to crash, fill, stall or fool what reads them.

use std::time::{Duration, Instant};

use crate::files::{mp3, mp4, one_of_each, pdf};
use crate::hostile_files::{SHOWN, hostile};
use crate::processed;
use hansard_media_processing::{FileType, NoPreview, Processed, Programs};

/// How long one may take here, on a machine that is busy and in a build that is not optimized.
const PATIENCE: Duration = Duration::from_secs(30);
/// Kilobytes that all of them together may ever have had in memory, the test itself included.
const MEMORY_KB_MAX: u64 = 400_000;

/// The most memory that this process has had, in kilobytes.
fn memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn assert_safe(name: &str, made: &Processed) {
    assert_eq!(made.no_preview.is_none(), has_preview(made), "{name}: {:?}", made.no_preview);
    for thumbnail in &made.thumbnails {
        let shown = image::load_from_memory(&thumbnail.webp).unwrap();
        assert_eq!((shown.width(), shown.height()), (thumbnail.size.width, thumbnail.size.height));
        assert!(shown.width() <= 1280 && shown.height() <= 1280, "{name}");
    }
    if let Some(stripped) = &made.stripped {
        assert_eq!(hansard_media_processing::sniff(&stripped.bytes), made.file_type, "{name}");
    }
}

fn has_preview(made: &Processed) -> bool {
    made.waveform.is_some() || made.thumbnails.len() == 2 && made.placeholder.is_some()
}

fn run(name: &str, file: &[u8]) -> Processed {
    let started = Instant::now();
    let made = processed(file);
    assert!(started.elapsed() < PATIENCE, "{name} took {:?}", started.elapsed());
    assert_safe(name, &made);
    made
}

#[test]
fn every_hostile_file_ends_in_a_reason_or_a_safe_preview() {
    let files = hostile();
    assert!(files.len() >= 30);
    let mut wrong = Vec::new();
    for (name, file, expected) in &files {
        let made = run(name, file);
        let ended = made.no_preview.map_or(SHOWN, NoPreview::code);
        if ended != *expected {
            wrong.push(format!("{name}: {ended:?}, not {expected:?}"));
        }
        let memory = memory_kb();
        assert!(memory < MEMORY_KB_MAX, "{name}: {memory} kB");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_that_breaks_off_anywhere_is_shown_as_far_as_it_goes_or_not_at_all() {
    for (name, file) in one_of_each() {
        let started = Instant::now();
        for part in 0..=40 {
            let cut = file.len() * part / 40;
            let near = [cut.saturating_sub(1), cut, (cut + 1).min(file.len())];
            for length in near.into_iter().chain([part]) {
                let made = run(name, &file[..length.min(file.len())]);
                let codes = ["empty", "unreadable", "unsupported", "not_installed", SHOWN];
                let ended = made.no_preview.map_or(SHOWN, NoPreview::code);
                assert!(codes.contains(&ended), "{name} of {length} bytes: {ended}");
            }
        }
        assert!(started.elapsed() < PATIENCE, "{name}");
    }
    assert!(memory_kb() < MEMORY_KB_MAX);
}

#[test]
fn with_programs_the_worst_is_still_a_reason() {
    let programs = Programs::find();
    let files = [
        b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>".to_vec(),
        pdf()[..300].to_vec(),
        mp4(b"isom", 1, &[b"vide"], false),
        mp4(b"M4A ", 1, &[b"soun"], false),
        mp3(5),
        [&b"\x1A\x45\xDF\xA3webm V_VP9 file:///etc/passwd"[..], &[0xFF; 99]].concat(),
    ];
    for file in files {
        let limits = hansard_media_processing::Limits::default();
        let source = hansard_media_processing::Source::Bytes(&file);
        let made = hansard_media_processing::process(source, &limits, &programs).unwrap();
        assert_safe(made.file_type.mime(), &made);
        let ended = made.no_preview.map_or(SHOWN, NoPreview::code);
        let codes = ["unreadable", "not_installed", "timed_out", SHOWN];
        assert!(codes.contains(&ended), "{:?}: {ended}", made.file_type);
        assert_ne!(made.file_type, FileType::Unknown);
    }
}
