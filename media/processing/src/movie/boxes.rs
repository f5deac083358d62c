//! The boxes of an ISO media file (MP4, M4A, `QuickTime`) that tell what is in it.

use crate::Size;
use crate::source::{Stream, read_at};

/// Boxes that are looked at. A film has some dozen before what is read here; a fragmented one has
/// a pair for every second behind it.
const BOXES_MAX: usize = 1_000;

/// What a film says of itself. None of it is proven.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Movie {
    pub(crate) duration_ms: Option<u64>,
    /// Of the first track that has one, as it is shown.
    pub(crate) size: Option<Size>,
    pub(crate) has_video: bool,
    pub(crate) has_audio: bool,
}

/// Reads the header of a film of so many bytes. Damaged parts are left out.
pub(crate) fn read(stream: &mut dyn Stream, bytes: u64) -> Movie {
    let mut movie = Movie::default();
    let mut boxes_left = BOXES_MAX;
    walk(stream, (0, bytes), 0, &mut boxes_left, &mut movie);
    movie
}

/// Boxes within boxes: `moov`, `trak`, `mdia`.
const DEPTH_MAX: usize = 3;

fn walk(
    stream: &mut dyn Stream,
    (mut at, end): (u64, u64),
    depth: usize,
    boxes_left: &mut usize,
    movie: &mut Movie,
) {
    while at < end && *boxes_left > 0 {
        *boxes_left -= 1;
        let Some((name, inside, behind)) = header(stream, at, end) else { return };
        match &name {
            b"moov" | b"trak" | b"mdia" if depth < DEPTH_MAX => {
                walk(stream, (inside, behind), depth + 1, boxes_left, movie);
            }
            b"mvhd" => movie.duration_ms = duration(stream, inside),
            b"tkhd" => movie.size = movie.size.or_else(|| track_size(stream, inside)),
            b"hdlr" => match read_at::<4>(stream, inside + 8).as_ref() {
                Some(b"vide") => movie.has_video = true,
                Some(b"soun") => movie.has_audio = true,
                _ => {}
            },
            _ => {}
        }
        at = behind;
    }
}

/// The name of the box at a place, where its contents begin and where they end.
fn header(stream: &mut dyn Stream, at: u64, end: u64) -> Option<([u8; 4], u64, u64)> {
    let [a, b, c, d, name @ ..] = read_at::<8>(stream, at)?;
    let (head, length) = match u32::from_be_bytes([a, b, c, d]) {
        0 => (8, end.checked_sub(at)?),
        1 => (16, u64::from_be_bytes(read_at(stream, at + 8)?)),
        length => (8, u64::from(length)),
    };
    let behind = at.checked_add(length)?.min(end);
    (length >= head && at + head <= behind).then_some((name, at + head, behind))
}

fn duration(stream: &mut dyn Stream, at: u64) -> Option<u64> {
    let (scale, length) = if read_at::<1>(stream, at)? == [1] {
        let scale = u32::from_be_bytes(read_at(stream, at + 20)?);
        (scale, u64::from_be_bytes(read_at(stream, at + 24)?))
    } else {
        let scale = u32::from_be_bytes(read_at(stream, at + 12)?);
        (scale, u64::from(u32::from_be_bytes(read_at(stream, at + 16)?)))
    };
    let is_known = length > 0 && length != u64::MAX && length != u64::from(u32::MAX);
    let ms = u128::from(length) * 1000 / u128::from(scale.max(1));
    (is_known && scale > 0).then(|| u64::try_from(ms).ok()).flatten()
}

/// In 16.16 fixed point, with a matrix that turns it by quarters.
fn track_size(stream: &mut dyn Stream, at: u64) -> Option<Size> {
    let later = if read_at::<1>(stream, at)? == [1] { 12 } else { 0 };
    let first_of_matrix = i32::from_be_bytes(read_at(stream, at + later + 40)?);
    let width = u32::from_be_bytes(read_at(stream, at + later + 76)?) >> 16;
    let height = u32::from_be_bytes(read_at(stream, at + later + 80)?) >> 16;
    let (width, height) = if first_of_matrix == 0 { (height, width) } else { (width, height) };
    (width > 0 && height > 0).then_some(Size { width, height })
}
