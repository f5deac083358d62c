use image::DynamicImage;
use webp::{Encoder, WebPConfig};

use super::strip;
use crate::NoPreview;

/// Of thumbnails.
pub(super) const QUALITY: f32 = 80.0;
/// Of a picture that had to be rotated.
pub(super) const QUALITY_HIGH: f32 = 92.0;
/// Of six: the last one that costs less than the decoding. The next is twice as slow for a
/// twentieth of the bytes.
const EFFORT: i32 = 2;

/// Encodes a picture of eight bits, with its colour profile.
pub(super) fn encode(
    image: &DynamicImage,
    quality: f32,
    profile: Option<&[u8]>,
) -> Result<Vec<u8>, NoPreview> {
    let mut config = WebPConfig::new().map_err(|()| NoPreview::DecoderFailed)?;
    config.quality = quality;
    config.method = EFFORT;
    let (width, height) = (image.width(), image.height());
    let encoder = match image {
        DynamicImage::ImageRgba8(pixels) => Encoder::from_rgba(pixels, width, height),
        DynamicImage::ImageRgb8(pixels) => Encoder::from_rgb(pixels, width, height),
        _ => return Err(NoPreview::Unsupported),
    };
    // What libwebp refuses is what does not fit into the format: sides of 16384 pixels.
    let plain = encoder.encode_advanced(&config).map_err(|_| NoPreview::Unsupported)?;
    let with_profile = profile.and_then(|profile| {
        strip::webp_with_profile(&plain, profile, (width, height), image.color().has_alpha())
    });
    Ok(with_profile.unwrap_or_else(|| plain.to_vec()))
}
