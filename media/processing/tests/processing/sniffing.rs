use hansard_media_processing::{FileType, sniff};

use crate::files::{mp4, one_of_each, opus};

#[test]
fn every_type_is_known_by_its_content() {
    let types: Vec<FileType> = one_of_each().iter().map(|(_, file)| sniff(file)).collect();
    let expected = [
        FileType::Jpeg,
        FileType::Png,
        FileType::Gif,
        FileType::WebP,
        FileType::Wav,
        FileType::Flac,
        FileType::OggOpus,
        FileType::Mp3,
        FileType::Aac,
        FileType::M4a,
        FileType::Mp4,
        FileType::Pdf,
    ];
    assert_eq!(types, expected);
    assert_eq!(sniff(&mp4(b"qt  ", 1, &[], false)), FileType::QuickTime);
    assert_eq!(sniff(&mp4(b"avif", 1, &[], false)), FileType::Avif);
    assert_eq!(sniff(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"), FileType::Heic);
    let mut vorbis = opus(1);
    vorbis[28..35].copy_from_slice(b"\x01vorbis");
    assert_eq!(sniff(&vorbis), FileType::OggVorbis);
    let webm = |codec: &str| sniff(format!("\x1A\x45{codec}").as_bytes());
    assert_eq!(webm(""), FileType::Unknown);
    let webm = |codec: &[u8]| sniff(&[b"\x1A\x45\xDF\xA3webm", codec].concat());
    assert_eq!(webm(b"A_OPUS"), FileType::WebmAudio);
    assert_eq!(webm(b"V_VP9A_OPUS"), FileType::WebmVideo);
    assert_eq!(sniff(b"\x1A\x45\xDF\xA3matroska"), FileType::Matroska);
}

#[test]
fn what_is_active_is_known_in_all_its_disguises() {
    let html = [
        "<!DOCTYPE html><p>",
        "  \n<ScRiPt>alert(1)</script>",
        "\u{FEFF}<html>",
        "<!-- x --><html>",
        "<iframe src=x>",
        "<!-- only a comment",
    ];
    for text in html {
        assert_eq!(sniff(text.as_bytes()), FileType::Html, "{text}");
    }
    let svg = [
        "<svg onload=alert(1)>",
        "<?xml version='1.0'?><!DOCTYPE svg><svg>",
        "<!-- x --><SVG/>",
        "<?xml?><svg><foreignObject><html>",
    ];
    for text in svg {
        assert_eq!(sniff(text.as_bytes()), FileType::Svg, "{text}");
    }
    assert_eq!(sniff(b"<?xml version='1.0'?><feed>"), FileType::Xml);
    let utf16: Vec<u8> = "\u{FEFF}<script>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(sniff(&utf16), FileType::Html);
    assert_eq!(sniff(b"#!/bin/sh\nrm -r ."), FileType::Text);
    assert_eq!(sniff("caf\u{e9}".as_bytes()), FileType::Text);
    assert_eq!(sniff("caf\u{e9}".as_bytes().split_last().unwrap().1), FileType::Text);
    assert_eq!(sniff(b"MZ\x90\0\x03"), FileType::Unknown);
    assert_eq!(sniff(b""), FileType::Unknown);
}

#[test]
fn nothing_active_is_ever_shown_inline() {
    let active = ["svg", "html", "xml", "pdf", "plain", "octet-stream", "script"];
    for file_type in FileType::ALL {
        let mime = file_type.mime();
        let is_active = active.iter().any(|word| mime.contains(word));
        assert!(!(is_active && file_type.may_be_inline()), "{mime}");
        let media = ["image/", "audio/", "video/"].iter().any(|kind| mime.starts_with(kind));
        assert!(media || !file_type.may_be_inline(), "{mime}");
    }
}
