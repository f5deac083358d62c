//! Pictures: what they are, smaller versions of them, and a copy without metadata.

mod decode;
mod scale;
mod strip;
mod upright;
mod webp;

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::DynamicImage;
use image::metadata::Orientation;

use self::decode::Header;
use crate::process::contained;
use crate::{FileType, Limits, NoPreview, Processed, Size, Stripped, Thumbnail};

/// The names of the thumbnails and the squares they fit into, from small to large.
const THUMBNAILS: [(&str, u32); 2] = [("thumb", 320), ("preview", 1280)];
/// The largest that a `ThumbHash` is made of.
const PLACEHOLDER_SIDE: u32 = 100;
/// A colour profile that is larger is not worth having in a thumbnail. Those of telephones have
/// some hundred bytes.
const THUMBNAIL_PROFILE_BYTES_MAX: usize = 4 << 10;
/// A colour profile that is larger is left out of the copy too.
const PROFILE_BYTES_MAX: usize = 1 << 20;

/// Fills in everything that is known of a picture, as far as it comes, and why it came no further.
/// What keeps it from being shown does not keep it from being stripped.
pub(crate) fn show(
    processed: &mut Processed,
    bytes: &[u8],
    limits: &Limits,
) -> io::Result<Result<(), NoPreview>> {
    let mut header = Header::unknown();
    let shown = contained(|| Ok(show_pixels(processed, bytes, limits, &mut header)))?;
    processed.size = header.size;
    if processed.stripped.is_none() {
        let (profile, orientation) = (kept(&header).is_some(), header.orientation);
        let bytes = strip::strip(bytes, processed.file_type, profile, orientation);
        processed.stripped = bytes.map(|bytes| Stripped { bytes, lossless: true });
    }
    Ok(shown)
}

/// Makes the copy without metadata, and reads nothing else of the picture, not even how it is to be
/// turned.
pub(crate) fn strip_blindly(processed: &mut Processed, bytes: &[u8]) {
    let stripped = strip::strip(bytes, processed.file_type, false, Orientation::NoTransforms);
    processed.stripped = stripped.map(|bytes| Stripped { bytes, lossless: true });
}

/// What needs pixels: the thumbnails, and the copy of a picture that has to be turned.
fn show_pixels(
    processed: &mut Processed,
    bytes: &[u8],
    limits: &Limits,
    header: &mut Header,
) -> Result<(), NoPreview> {
    let mut image = decode::decode(bytes, processed.file_type, limits, header)?;
    let (profile, orientation) = (kept(header), header.orientation);
    thumbnails(processed, &image, orientation, profile)?;
    if orientation != Orientation::NoTransforms {
        image.apply_orientation(orientation);
        let bytes = upright::encode(image, processed.file_type, profile)?;
        processed.stripped = Some(Stripped { bytes, lossless: false });
    }
    Ok(())
}

/// The colour profile that the copy has.
fn kept(header: &Header) -> Option<&[u8]> {
    header.profile.as_deref().filter(|profile| profile.len() <= PROFILE_BYTES_MAX)
}

/// Fills in the thumbnails of a video or a document: of a picture of it that a program has made.
pub(crate) fn show_poster(
    processed: &mut Processed,
    poster: &[u8],
    limits: &Limits,
) -> Result<(), NoPreview> {
    let image = decode::decode(poster, FileType::Png, limits, &mut Header::unknown())?;
    thumbnails(processed, &image, Orientation::NoTransforms, None)
}

fn thumbnails(
    processed: &mut Processed,
    image: &DynamicImage,
    orientation: Orientation,
    profile: Option<&[u8]>,
) -> Result<(), NoPreview> {
    let is_rgb =
        |profile: &&[u8]| profile.get(16..20) == Some(b"RGB ") && image.color().has_color();
    let profile = profile.filter(is_rgb);
    let profile = profile.filter(|profile| profile.len() <= THUMBNAIL_PROFILE_BYTES_MAX);

    // From large to small: the small one is made of the large one.
    let mut made = Vec::with_capacity(THUMBNAILS.len());
    let mut smallest = None;
    for (name, side) in THUMBNAILS.into_iter().rev() {
        let of = smallest.as_ref().unwrap_or(image);
        let scaled = scale::to_fit(of, side)?;
        let mut shown = scale::eight_bits(&scaled);
        shown.apply_orientation(orientation);
        let size = Size { width: shown.width(), height: shown.height() };
        made.push(Thumbnail { name, size, webp: webp::encode(&shown, webp::QUALITY, profile)? });
        smallest = Some(scaled);
    }
    made.reverse();

    let mut tiny = scale::to_fit(smallest.as_ref().unwrap_or(image), PLACEHOLDER_SIDE)?;
    tiny.apply_orientation(orientation);
    let (width, height) = (tiny.width() as usize, tiny.height() as usize);
    let hash = thumbhash::rgba_to_thumb_hash(width, height, &tiny.into_rgba8());
    processed.placeholder = Some(STANDARD.encode(hash));
    processed.thumbnails = made;
    Ok(())
}
