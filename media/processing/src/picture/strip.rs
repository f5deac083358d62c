//! A picture without metadata, losslessly: of each container only the parts that make the picture.
//!
//! What is kept is listed, not what is removed: the next place where somebody hides a location is
//! not known yet. Libraries for these containers keep what follows the end of the picture, where
//! telephones put a film and others a ZIP; hence our own walks, each a loop over lengths.

mod gif;
mod jpeg;
mod png;
mod webp;

pub(super) use jpeg::scans;
pub(super) use webp::with_profile as webp_with_profile;

use image::metadata::Orientation;

use crate::FileType;

/// None if the container is so damaged that no picture would be left. No pixel is decoded.
///
/// How it is to be turned is said again in a JPEG, as cameras write them: one that is too large to
/// be turned is shown upright all the same.
pub(super) fn strip(
    bytes: &[u8],
    file_type: FileType,
    with_profile: bool,
    orientation: Orientation,
) -> Option<Vec<u8>> {
    match file_type {
        FileType::Jpeg => jpeg::strip(bytes, with_profile, orientation),
        FileType::Png => png::strip(bytes, with_profile),
        FileType::Gif => gif::strip(bytes),
        FileType::WebP => webp::strip(bytes, with_profile),
        _ => None,
    }
}

/// Whether it has frames that [`strip`] keeps and nothing else here knows of.
pub(super) fn is_animated(bytes: &[u8], file_type: FileType) -> bool {
    match file_type {
        FileType::Png => png::is_animated(bytes),
        FileType::WebP => webp::is_animated(bytes),
        FileType::Gif => true,
        _ => false,
    }
}

/// The first `length` bytes, which the rest is moved behind.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}
