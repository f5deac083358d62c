use std::io::Cursor;

use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::strip;
use crate::{FileType, Limits, NoPreview, Size};

/// Passes over a JPEG. Encoders make a dozen; each costs a pass over all pixels, however few bytes
/// it has.
const SCANS_MAX: usize = 32;

/// Colour profiles are compressed in a PNG: what they may unpack to, and all else that is no pixel.
const ANCILLARY_BYTES_MAX: u64 = 8 << 20;

/// Bytes at the beginning of a picture that is too large to be decoded, among which its header is
/// looked for.
const HEADER_BYTES: usize = 4 << 20;

/// What a picture says before its pixels.
pub(super) struct Header {
    /// As it is shown: turned.
    pub(super) size: Option<Size>,
    /// How it is to be turned. That of an animation is ignored: there is nothing that could turn
    /// all of its frames.
    pub(super) orientation: Orientation,
    pub(super) profile: Option<Vec<u8>>,
}

impl Header {
    /// Nothing is known yet.
    pub(super) const fn unknown() -> Self {
        Self { size: None, orientation: Orientation::NoTransforms, profile: None }
    }
}

/// Decodes a picture, or the first frame of an animation. The header is filled in before anything
/// can go wrong with the pixels.
pub(super) fn decode(
    bytes: &[u8],
    file_type: FileType,
    limits: &Limits,
    header: &mut Header,
) -> Result<DynamicImage, NoPreview> {
    let start = bytes.get(..HEADER_BYTES).unwrap_or(bytes);
    if bytes.len() as u64 > limits.picture_bytes_max {
        let _unknown = open(start, file_type, limits, header);
        return Err(NoPreview::TooLarge);
    }
    if file_type == FileType::Jpeg && strip::scans(bytes) > SCANS_MAX {
        let _unknown = open(start, file_type, limits, header);
        return Err(NoPreview::TooLong);
    }
    let decoder = open(bytes, file_type, limits, header)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits.pixels_max {
        return Err(NoPreview::TooManyPixels);
    }
    if decoder.total_bytes() > limits.decoded_bytes_max {
        return Err(NoPreview::TooLarge);
    }
    DynamicImage::from_decoder(decoder).map_err(|error| refusal(&error))
}

/// Reads the header.
fn open<'a>(
    bytes: &'a [u8],
    file_type: FileType,
    limits: &Limits,
    header: &mut Header,
) -> Result<impl ImageDecoder + 'a, NoPreview> {
    let format = match file_type {
        FileType::Jpeg => ImageFormat::Jpeg,
        FileType::Png => ImageFormat::Png,
        FileType::Gif => ImageFormat::Gif,
        FileType::WebP => ImageFormat::WebP,
        _ => return Err(NoPreview::Unsupported),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut bounds = image::Limits::no_limits();
    bounds.max_alloc = Some(limits.decoded_bytes_max.saturating_add(ANCILLARY_BYTES_MAX));
    reader.limits(bounds);
    let mut decoder = reader.into_decoder().map_err(|error| refusal(&error))?;

    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(NoPreview::Unreadable);
    }
    header.orientation = match decoder.orientation() {
        Ok(orientation) if !strip::is_animated(bytes, file_type) => orientation,
        _ => Orientation::NoTransforms,
    };
    header.size = Some(if is_turned(header.orientation) {
        Size { width: height, height: width }
    } else {
        Size { width, height }
    });
    header.profile = decoder.icc_profile().unwrap_or(None);
    Ok(decoder)
}

fn refusal(error: &ImageError) -> NoPreview {
    match error {
        ImageError::Limits(_) => NoPreview::TooLarge,
        _ => NoPreview::Unreadable,
    }
}

const fn is_turned(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}
