use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::DynamicImage;

use crate::NoPreview;

/// The picture scaled down to fit into a square. Never enlarged.
pub(super) fn to_fit(image: &DynamicImage, side: u32) -> Result<DynamicImage, NoPreview> {
    let (width, height) = (image.width(), image.height());
    let longer = width.max(height);
    if longer <= side {
        return Ok(image.clone());
    }
    // At least one pixel: there are pictures of one by 65535.
    let scaled = |length: u32| {
        let rounded =
            (u64::from(length) * u64::from(side) + u64::from(longer) / 2) / u64::from(longer);
        u32::try_from(rounded).unwrap_or(side).clamp(1, side)
    };
    let mut fitting = DynamicImage::new(scaled(width), scaled(height), image.color());
    let algorithm = ResizeAlg::Convolution(FilterType::CatmullRom);
    let options = ResizeOptions::new().resize_alg(algorithm);
    let resized = Resizer::new().resize(image, &mut fitting, &options);
    resized.map_err(|_| NoPreview::Unsupported)?;
    Ok(fitting)
}

/// With eight bits for each of red, green, blue, and alpha if there is any transparency.
pub(super) fn eight_bits(image: &DynamicImage) -> DynamicImage {
    if image.color().has_alpha() {
        let pixels = image.to_rgba8();
        if pixels.pixels().any(|pixel| pixel[3] != u8::MAX) {
            return DynamicImage::ImageRgba8(pixels);
        }
    }
    DynamicImage::ImageRgb8(image.to_rgb8())
}
