//! The type of a file by its first bytes.

use crate::FileType;

/// How many bytes of a file [`sniff()`] wants to see.
pub const HEAD_BYTES: usize = 4096;

/// The type of a file by its first [`HEAD_BYTES`] bytes, or by all if it has fewer.
///
/// A signature at the very beginning decides. What browsers would guess from anything further in,
/// such as HTML behind the header of a GIF, they do not guess with `nosniff`.
#[must_use]
pub fn sniff(head: &[u8]) -> FileType {
    binary(head).unwrap_or_else(|| text(head))
}

fn binary(head: &[u8]) -> Option<FileType> {
    let starts = |signature: &[u8]| head.starts_with(signature);
    let at = |place: usize, bytes: &[u8]| head.get(place..).is_some_and(|h| h.starts_with(bytes));
    let is = |found: bool, file_type| found.then_some(file_type);
    is(starts(b"\xFF\xD8\xFF"), FileType::Jpeg)
        .or_else(|| is(starts(b"\x89PNG\r\n\x1A\n"), FileType::Png))
        .or_else(|| is(starts(b"GIF87a") || starts(b"GIF89a"), FileType::Gif))
        .or_else(|| is(starts(b"RIFF") && at(8, b"WEBP"), FileType::WebP))
        .or_else(|| is(starts(b"RIFF") && at(8, b"WAVE"), FileType::Wav))
        .or_else(|| is(starts(b"fLaC"), FileType::Flac))
        .or_else(|| is(starts(b"%PDF-"), FileType::Pdf))
        .or_else(|| is(starts(b"OggS"), ogg(head)))
        .or_else(|| is(starts(b"\x1A\x45\xDF\xA3"), matroska(head)))
        .or_else(|| if at(4, b"ftyp") { movie(head) } else { None })
        .or_else(|| mpeg_audio(head))
}

/// By the first packet, which begins behind the lengths of the segments of the first page.
fn ogg(head: &[u8]) -> FileType {
    let Some(&segments) = head.get(26) else { return FileType::Unknown };
    let packet = head.get(27 + usize::from(segments)..).unwrap_or_default();
    if packet.starts_with(b"OpusHead") {
        FileType::OggOpus
    } else if packet.starts_with(b"\x01vorbis") {
        FileType::OggVorbis
    } else {
        FileType::Unknown
    }
}

/// Matroska names its codecs near the beginning, in what browsers and telephones record.
fn matroska(head: &[u8]) -> FileType {
    let has = |needle: &[u8]| head.windows(needle.len()).any(|window| window == needle);
    let is_video = [&b"V_VP8"[..], b"V_VP9", b"V_AV1", b"V_MPEG"].into_iter().any(has);
    if !has(b"webm") {
        FileType::Matroska
    } else if !is_video && (has(b"A_OPUS") || has(b"A_VORBIS")) {
        FileType::WebmAudio
    } else {
        FileType::WebmVideo
    }
}

/// By the brands of an ISO media file: the major one, then those it is compatible with.
fn movie(head: &[u8]) -> Option<FileType> {
    let length = u32::from_be_bytes(head.get(..4)?.try_into().ok()?) as usize;
    let brands = head.get(8..length.clamp(12, 128).min(head.len()))?;
    let of = |brand: &[u8]| match brand {
        b"avif" | b"avis" => Some(FileType::Avif),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" => Some(FileType::Heic),
        b"M4A " | b"M4B " => Some(FileType::M4a),
        b"qt  " => Some(FileType::QuickTime),
        b"isom" | b"iso2" | b"iso4" | b"iso5" | b"iso6" | b"mp41" | b"mp42" | b"avc1" | b"M4V "
        | b"dash" | b"3gp4" | b"3gp5" | b"3gp6" | b"MSNV" => Some(FileType::Mp4),
        _ => None,
    };
    brands.chunks_exact(4).find_map(of)
}

fn mpeg_audio(head: &[u8]) -> Option<FileType> {
    if head.starts_with(b"ID3") {
        return Some(FileType::Mp3);
    }
    let [0xFF, second, third, ..] = *head else { return None };
    // ADTS: the layer is always 0, and the index of the rate is one of thirteen.
    if second & 0xF6 == 0xF0 {
        return ((third >> 2) & 0x0F < 13).then_some(FileType::Aac);
    }
    let valid = second & 0xE6 == 0xE2
        && second & 0x18 != 0x08
        && !matches!(third >> 4, 0x0 | 0xF)
        && (third >> 2) & 0x3 != 0x3;
    valid.then_some(FileType::Mp3)
}

/// What browsers take for HTML when it comes first.
const HTML: [&str; 17] = [
    "<!doctype html",
    "<html",
    "<head",
    "<script",
    "<iframe",
    "<h1",
    "<div",
    "<font",
    "<table",
    "<a ",
    "<style",
    "<title",
    "<b>",
    "<body",
    "<br",
    "<p>",
    "<meta",
];

fn text(head: &[u8]) -> FileType {
    let utf16 = head.starts_with(b"\xFE\xFF") || head.starts_with(b"\xFF\xFE");
    // Whatever the encoding, what is active in it is in ASCII.
    let plain: String = if utf16 {
        head.iter()
            .filter(|byte| byte.is_ascii() && **byte != 0)
            .map(|&byte| byte as char)
            .collect()
    } else {
        String::from_utf8_lossy(head).into_owned()
    };
    let plain = plain.trim_start_matches('\u{FEFF}').trim_start().to_ascii_lowercase();
    if plain.starts_with('<') {
        if HTML.iter().any(|tag| plain.starts_with(tag)) {
            return FileType::Html;
        }
        // Behind a declaration, a doctype or comments.
        return match (plain.find("<svg"), plain.find("<html")) {
            (Some(svg), html) if html.is_none_or(|html| svg < html) => FileType::Svg,
            (_, Some(_)) => FileType::Html,
            _ if plain.starts_with("<?xml") => FileType::Xml,
            _ if plain.starts_with("<!--") => FileType::Html,
            _ => FileType::Xml,
        };
    }
    let is_control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C);
    let cut = |error: std::str::Utf8Error| error.error_len().is_none();
    let is_utf8 = std::str::from_utf8(head).map_or_else(cut, |_| true);
    if !head.is_empty() && is_utf8 && !head.iter().any(is_control) {
        FileType::Text
    } else {
        FileType::Unknown
    }
}
