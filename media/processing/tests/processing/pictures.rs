use hansard_media_processing::{
    FileType, Kind, Limits, NoPreview, Programs, Size, Source, process,
};
use image::metadata::Orientation;
use image::{DynamicImage, GenericImageView, ImageFormat, RgbaImage};

use crate::files::{
    encoded, exif, gif, jpeg, jpeg_exif, jpeg_segment, jpeg_with, picture, png, png_chunk,
    png_with, riff, vp8x, webp, zlib,
};
use crate::processed;

fn decoded(bytes: &[u8]) -> DynamicImage {
    image::load_from_memory(bytes).unwrap()
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_photograph_has_a_size_two_thumbnails_and_a_placeholder() {
    for file in [jpeg(1300, 975), png(1300, 975), webp(1300, 975), gif(1300, 975)] {
        let made = processed(&file);
        assert_eq!(made.no_preview, None, "{:?}", made.file_type);
        assert_eq!(made.kind(), Kind::Image);
        assert_eq!(made.size, Some(Size { width: 1300, height: 975 }));
        let names: Vec<&str> = made.thumbnails.iter().map(|thumbnail| thumbnail.name).collect();
        assert_eq!(names, ["thumb", "preview"]);
        for (thumbnail, (width, height)) in made.thumbnails.iter().zip([(320, 240), (1280, 960)]) {
            assert_eq!(thumbnail.size, Size { width, height });
            let shown = decoded(&thumbnail.webp);
            assert_eq!(image::guess_format(&thumbnail.webp).unwrap(), ImageFormat::WebP);
            assert_eq!(shown.dimensions(), (width, height));
            let above = shown.get_pixel(width - 9, 9);
            let below = shown.get_pixel(width - 9, height - 9);
            assert!(above[0] > 200 && above[2] < 60, "{above:?}");
            assert!(below[2] > 200 && below[0] < 60, "{below:?}");
        }
        let placeholder = made.placeholder.unwrap();
        assert!((20..=36).contains(&placeholder.len()), "{placeholder}");
    }
}

#[test]
fn a_small_picture_is_never_enlarged() {
    for (width, height) in [(1, 1), (2, 1), (319, 7), (320, 320)] {
        let made = processed(&png(width, height));
        assert_eq!(made.no_preview, None);
        for thumbnail in &made.thumbnails {
            assert_eq!(thumbnail.size, Size { width, height });
        }
    }
    let made = processed(&png(1, 5000));
    assert_eq!(made.thumbnails[0].size, Size { width: 1, height: 320 });
}

#[test]
fn each_orientation_is_applied_to_what_is_shown() {
    let upright = DynamicImage::from(picture(90, 60));
    for orientation in 0..=9 {
        let expected = Orientation::from_exif(u8::try_from(orientation).unwrap());
        let mut turned = upright.clone();
        turned.apply_orientation(expected.unwrap_or(Orientation::NoTransforms));
        let files = [
            jpeg_with(&jpeg(90, 60), &[jpeg_exif(&exif(orientation))]),
            png_with(&png(90, 60), &[png_chunk(b"eXIf", &exif(orientation))]),
            riff(
                b"WEBP",
                &[
                    (b"VP8X", &vp8x(0x08, 90, 60)),
                    (b"VP8L", &webp(90, 60)[20..]),
                    (b"EXIF", &exif(orientation)),
                ],
            ),
        ];
        for file in files {
            let made = processed(&file);
            let what = format!("{:?} {orientation}", made.file_type);
            assert_eq!(made.no_preview, None, "{what}");
            let size = Size { width: turned.width(), height: turned.height() };
            assert_eq!(made.size, Some(size), "{what}");
            let stripped = made.stripped.unwrap();
            assert!(!holds(&stripped.bytes, b"SECRET"), "{what}");
            let is_upright = expected.is_none_or(|found| found == Orientation::NoTransforms);
            assert_eq!(stripped.lossless, is_upright, "{what}");
            for shown in [&made.thumbnails[0].webp, &made.thumbnails[1].webp, &stripped.bytes] {
                let shown = decoded(shown);
                assert_eq!(shown.dimensions(), turned.dimensions(), "{what}");
                for (x, y) in [(4, 4), (size.width - 5, 4), (4, size.height - 5)] {
                    let (is, should) = (shown.get_pixel(x, y), turned.get_pixel(x, y));
                    let near = is.0.iter().zip(should.0).all(|(a, b)| a.abs_diff(b) < 40);
                    assert!(near, "{what} at {x},{y}: {is:?} for {should:?}");
                }
            }
        }
    }
}

#[test]
fn a_copy_has_every_pixel_and_nothing_that_was_hidden_in_the_file() {
    let secret = b"SECRET-PLACE";
    let itxt = [&b"Comment\0\0\0\0\0"[..], secret].concat();
    let xmp = [&b"http://ns.adobe.com/xap/1.0/\0"[..], secret].concat();
    let jpeg = jpeg_with(
        &jpeg(90, 60),
        &[
            jpeg_exif(&exif(1)),
            jpeg_segment(0xE1, &xmp),
            jpeg_segment(0xED, &[b"Photoshop 3.0\0", &secret[..]].concat()),
            jpeg_segment(0xE2, &[b"MPF\0", &secret[..]].concat()),
            jpeg_segment(0xFE, secret),
        ],
    );
    let jfif = [b"JFIF\0\x01\x02\0\0\x01\0\x01\x02\x02", &secret[..]].concat();
    let with_thumbnail = [&jpeg[..2], &jpeg_segment(0xE0, &jfif), &jpeg[2..]].concat();
    let png = png_with(
        &png(90, 60),
        &[
            png_chunk(b"eXIf", &exif(1)),
            png_chunk(b"tEXt", &[b"Author\0", &secret[..]].concat()),
            png_chunk(b"iTXt", &itxt),
            png_chunk(b"seCR", secret),
        ],
    );
    let gif = gif(90, 60);
    let colours = 13 + (3 << ((gif[10] & 7) + 1)) * usize::from(gif[10] >> 7);
    let comment = [&b"\x21\xFE\x0C"[..], secret, &[0]].concat();
    let xmp = [&b"\x21\xFF\x0BXMP DataXMP\x0C"[..], secret, &[0]].concat();
    let gif = [&gif[..colours], &comment, &xmp, &gif[colours..]].concat();
    let webp = riff(
        b"WEBP",
        &[
            (b"VP8X", &vp8x(0x0C, 90, 60)),
            (b"VP8L", &webp(90, 60)[20..]),
            (b"EXIF", &exif(1)),
            (b"XMP ", secret),
            (b"SECR", secret),
        ],
    );
    for file in [jpeg, with_thumbnail, png, gif, webp] {
        let file = [&file[..], b"PK\x03\x04 behind the end SECRET-PLACE"].concat();
        let made = processed(&file);
        let stripped = made.stripped.unwrap();
        assert!(stripped.lossless);
        assert!(!holds(&stripped.bytes, b"SECRET"), "{:?}", made.file_type);
        assert!(!holds(&stripped.bytes, b"PK\x03\x04"), "{:?}", made.file_type);
        assert_eq!(decoded(&stripped.bytes), decoded(&file), "{:?}", made.file_type);
        let again = processed(&stripped.bytes);
        assert_eq!(again.stripped.unwrap().bytes, stripped.bytes, "{:?}", made.file_type);
        assert_eq!(again.thumbnails, made.thumbnails);
    }
}

#[test]
fn an_animation_is_kept_in_the_copy() {
    let file = gif(90, 60);
    let made = processed(&file);
    let stripped = made.stripped.unwrap().bytes;
    assert!(holds(&stripped, b"NETSCAPE2.0"));
    let frames = |bytes: &[u8]| bytes.windows(2).filter(|pair| pair == b"\x21\xF9").count();
    assert_eq!(frames(&stripped), 3);
}

#[test]
fn colours_and_transparency_survive() {
    let mut profile = vec![0; 600];
    profile[16..20].copy_from_slice(b"RGB ");
    profile[36..40].copy_from_slice(b"acsp");
    let packed = [b"profile\0\0", &zlib(&profile)[..]].concat();
    let in_jpeg = jpeg_segment(0xE2, &[b"ICC_PROFILE\0\x01\x01", &profile[..]].concat());
    let files = [
        png_with(&png(900, 600), &[png_chunk(b"iCCP", &packed)]),
        jpeg_with(&jpeg(900, 600), &[in_jpeg]),
    ];
    for file in files {
        let made = processed(&file);
        for thumbnail in &made.thumbnails {
            assert!(holds(&thumbnail.webp, &profile), "{:?}", made.file_type);
            assert_eq!(decoded(&thumbnail.webp).width(), thumbnail.size.width);
        }
        let stripped = made.stripped.unwrap().bytes;
        assert!(holds(&stripped, b"iCCP") || holds(&stripped, &profile), "{:?}", made.file_type);
    }

    let glass = RgbaImage::from_fn(900, 600, |x, _| {
        image::Rgba([250, 10, 10, if x < 450 { 0 } else { 255 }])
    });
    let made = processed(&encoded(&glass.into(), ImageFormat::Png));
    let thumb = decoded(&made.thumbnails[0].webp);
    assert_eq!((thumb.get_pixel(5, 5)[3], thumb.get_pixel(300, 5)[3]), (0, 255));
    assert!(thumb.get_pixel(300, 5)[0] > 240);
}

#[test]
fn limits_are_held_before_anything_is_decoded() {
    let file = jpeg(300, 200);
    let with = |limits: Limits| {
        process(Source::Bytes(&file), &limits, &Programs::none()).unwrap().no_preview
    };
    assert_eq!(with(Limits { pixels_max: 60_000, ..Limits::default() }), None);
    let fewer = Limits { pixels_max: 59_999, ..Limits::default() };
    assert_eq!(with(fewer), Some(NoPreview::TooManyPixels));
    let smaller = Limits { decoded_bytes_max: 179_999, ..Limits::default() };
    assert_eq!(with(smaller), Some(NoPreview::TooLarge));
    let shorter = Limits { picture_bytes_max: 100, ..Limits::default() };
    assert_eq!(with(shorter), Some(NoPreview::TooLarge));
}

#[test]
fn a_file_on_disk_is_like_one_in_memory_and_its_name_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("../x.html").file_name().map(|name| folder.path().join(name));
    let path = path.unwrap();
    std::fs::write(&path, jpeg(400, 300)).unwrap();
    let on_disk = process(Source::Path(&path), &Limits::default(), &Programs::none()).unwrap();
    assert_eq!(on_disk, processed(&jpeg(400, 300)));
    assert_eq!(on_disk.file_type, FileType::Jpeg);
    let missing = folder.path().join("missing");
    assert!(process(Source::Path(&missing), &Limits::default(), &Programs::none()).is_err());
}

/// Whatever keeps it from being shown does not keep what the camera wrote in it.
#[test]
fn a_picture_that_is_not_shown_is_stripped_all_the_same() {
    let secret = b"SECRET-PLACE";
    let jpeg = jpeg_with(&jpeg(90, 60), &[jpeg_exif(&exif(1))]);
    let png = png_with(&png(90, 60), &[png_chunk(b"eXIf", &exif(1))]);
    let gif = gif(90, 60);
    let colours = 13 + (3 << ((gif[10] & 7) + 1)) * usize::from(gif[10] >> 7);
    let gif = [&gif[..colours], b"\x21\xFE\x0C", secret, &[0], &gif[colours..]].concat();
    let picture = webp(90, 60);
    let chunks: [(&[u8; 4], &[u8]); 3] =
        [(b"VP8X", &vp8x(0x08, 90, 60)), (b"VP8L", &picture[20..]), (b"EXIF", &exif(1))];
    let webp = riff(b"WEBP", &chunks);
    let many = (Limits { pixels_max: 5_399, ..Limits::default() }, NoPreview::TooManyPixels);
    let large = (Limits { picture_bytes_max: 100, ..Limits::default() }, NoPreview::TooLarge);
    for file in [jpeg, png, gif, webp] {
        let whole = processed(&file).stripped.unwrap().bytes;
        for (limits, reason) in [&many, &large] {
            let made = process(Source::Bytes(&file), limits, &Programs::none()).unwrap();
            assert_eq!(made.no_preview, Some(*reason), "{:?}", made.file_type);
            assert!(made.thumbnails.is_empty());
            assert!(holds(&file, secret));
            assert_eq!(made.stripped.unwrap().bytes, whole, "{:?}", made.file_type);
        }
        let least = Limits { stripped_bytes_max: file.len() as u64 - 1, ..Limits::default() };
        let made = process(Source::Bytes(&file), &least, &Programs::none()).unwrap();
        assert_eq!((made.no_preview, made.stripped), (Some(NoPreview::TooLarge), None));
    }
}

#[test]
fn a_damaged_picture_is_stripped_as_far_as_its_container_goes() {
    let mut jpeg_broken = jpeg_with(&jpeg(90, 60), &[jpeg_exif(&exif(6))]);
    let frame = jpeg_broken.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    // Of a precision that there is not.
    jpeg_broken[frame + 4] = 99;
    let mut png_broken = png_with(&png(90, 60), &[png_chunk(b"eXIf", &exif(1))]);
    png_broken[30] ^= 1;
    let with_exif = png_with(&png(90, 60), &[png_chunk(b"eXIf", &exif(1))]);
    let no_end = with_exif[..with_exif.len() - 12].to_vec();
    let mut webp_broken = webp(90, 60)[20..].to_vec();
    webp_broken[0] ^= 1;
    let webp_broken = riff(b"WEBP", &[(b"VP8L", &webp_broken), (b"EXIF", &exif(1))]);
    let short = jpeg_segment(0xE0, b"JFIF\0\x01");
    let jfif_broken = jpeg_with(&jpeg_broken, &[short]);
    for file in [jpeg_broken, png_broken, no_end, webp_broken, jfif_broken] {
        let made = processed(&file);
        let stripped = made.stripped.unwrap_or_else(|| panic!("{:?}", made.file_type)).bytes;
        assert!(holds(&file, b"SECRET") && !holds(&stripped, b"SECRET"), "{:?}", made.file_type);
    }
    // Nothing would be left of these.
    let no_picture = riff(b"WEBP", &[(b"EXIF", &exif(1))]);
    let cut = jpeg_with(&jpeg(90, 60), &[jpeg_exif(&exif(1))])[..150].to_vec();
    for file in [no_picture, cut] {
        let made = processed(&file);
        assert_eq!((made.no_preview, made.stripped), (Some(NoPreview::Unreadable), None));
    }
}

#[test]
fn a_photograph_that_is_too_large_to_be_turned_still_says_how_it_is() {
    let file = jpeg_with(&jpeg(90, 60), &[jpeg_exif(&exif(6))]);
    for limits in [
        Limits { pixels_max: 5_399, ..Limits::default() },
        Limits { picture_bytes_max: file.len() as u64 - 1, ..Limits::default() },
    ] {
        let made = process(Source::Bytes(&file), &limits, &Programs::none()).unwrap();
        assert_eq!(made.size, Some(Size { width: 60, height: 90 }));
        let stripped = made.stripped.unwrap();
        assert!(stripped.lossless && !holds(&stripped.bytes, b"SECRET"));
        let shown = processed(&stripped.bytes);
        assert_eq!(shown.thumbnails, processed(&file).thumbnails);
    }
}
