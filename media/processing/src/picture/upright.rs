use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageEncoder};

use super::{scale, webp};
use crate::{FileType, NoPreview};

const JPEG_QUALITY: u8 = 90;

/// Encodes a picture that has been turned upright, in the format that it came in.
pub(super) fn encode(
    image: DynamicImage,
    file_type: FileType,
    profile: Option<&[u8]>,
) -> Result<Vec<u8>, NoPreview> {
    let space: &[u8] = if image.color().has_color() { b"RGB " } else { b"GRAY" };
    // A picture of another colour space, as CMYK, was converted when it was decoded.
    let profile = profile.filter(|profile| profile.get(16..20) == Some(space));
    let mut bytes = Vec::new();
    match file_type {
        FileType::WebP => {
            return webp::encode(&scale::eight_bits(&image), webp::QUALITY_HIGH, profile);
        }
        FileType::Png => {
            let (fast, filter) = (CompressionType::Fast, FilterType::Adaptive);
            let encoder = PngEncoder::new_with_quality(&mut bytes, fast, filter);
            write(encoder, &image, profile)?;
        }
        _ => {
            let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
            write(encoder, &image, profile)?;
        }
    }
    Ok(bytes)
}

fn write(
    mut encoder: impl ImageEncoder,
    image: &DynamicImage,
    profile: Option<&[u8]>,
) -> Result<(), NoPreview> {
    if let Some(profile) = profile {
        // An encoder that knows no profiles writes none.
        drop(encoder.set_icc_profile(profile.to_vec()));
    }
    image.write_with_encoder(encoder).map_err(|_| NoPreview::Unsupported)
}
