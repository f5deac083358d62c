//! With and without the programs of other packages: a test of what a program makes also says what
//! is there when it is not installed.

use hansard_media_processing::{
    FileType, Kind, Limits, NoPreview, Program, Programs, Size, Source, process,
};

use crate::files::{mp4, pdf};
use crate::processed;

#[test]
fn a_film_tells_its_size_and_duration_without_any_program() {
    for (turned, width, height) in [(false, 1920, 1080), (true, 1080, 1920)] {
        let made = processed(&mp4(b"isom", 61_500, &[b"soun", b"vide"], turned));
        assert_eq!((made.file_type, made.kind()), (FileType::Mp4, Kind::Video));
        assert_eq!(made.size, Some(Size { width, height }));
        assert_eq!(made.duration_ms, Some(61_500));
        assert_eq!(made.no_preview, Some(NoPreview::NotInstalled(Program::Ffmpeg)));
    }
    let made = processed(&mp4(b"M4A ", 1000, &[b"vide"], false));
    assert_eq!(made.file_type, FileType::Mp4, "a video is one whatever its brand");
}

#[test]
fn a_film_without_frames_has_no_poster() {
    let programs = Programs::find();
    let file = mp4(b"isom", 2500, &[b"vide"], false);
    let made = process(Source::Bytes(&file), &Limits::default(), &programs).unwrap();
    let expected = if programs.has(Program::Ffmpeg) {
        NoPreview::Unreadable
    } else {
        NoPreview::NotInstalled(Program::Ffmpeg)
    };
    assert_eq!(made.no_preview, Some(expected));
}

#[test]
fn a_document_shows_its_first_page() {
    let programs = Programs::find();
    for (file, is_whole) in [(pdf(), true), (b"%PDF-1.4 and nothing".to_vec(), false)] {
        let made = process(Source::Bytes(&file), &Limits::default(), &programs).unwrap();
        assert_eq!((made.file_type, made.kind()), (FileType::Pdf, Kind::Document));
        assert!(!made.file_type.may_be_inline());
        if !programs.has(Program::Pdftoppm) {
            let expected = NoPreview::NotInstalled(Program::Pdftoppm);
            assert_eq!(made.no_preview, Some(expected));
        } else if !programs.has(Program::Prlimit) {
            // Nothing runs that nothing bounds.
            let expected = NoPreview::NotInstalled(Program::Prlimit);
            assert_eq!(made.no_preview, Some(expected));
        } else if is_whole {
            assert_eq!(made.no_preview, None);
            let (width, height) = (1280, 853);
            let preview = &made.thumbnails[1];
            assert!(preview.size.width == width && preview.size.height.abs_diff(height) <= 1);
            let page = image::load_from_memory(&preview.webp).unwrap().into_luma8();
            let dark = page.pixels().filter(|pixel| pixel[0] < 100).count();
            assert!((1000..100_000).contains(&dark), "{dark} dark pixels");
        } else {
            assert_eq!(made.no_preview, Some(NoPreview::Unreadable));
        }
    }
}
