//! Makers of files that hurt. The end-to-end tests send the same ones to a real service.

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb};

use super::files::{
    encoded, exif, flac, gif, jpeg, jpeg_exif, jpeg_segment, jpeg_with, mp3, mp4, mp4_box, opus,
    png, png_chunk, png_header, png_with, riff, vp8x, wav, webp, zlib,
};

/// A file: what it is, its bytes, and what it ends as.
pub(crate) type Hostile = (&'static str, Vec<u8>, &'static str);

/// It is shown; anything else is the code of the reason why it is not.
pub(crate) const SHOWN: &str = "";

/// All of them.
pub(crate) fn hostile() -> Vec<Hostile> {
    [bombs(), fools(), malformed()].concat()
}

/// EXIF whose only directory has these bytes.
fn exif_of(directory: &[u8]) -> Vec<u8> {
    jpeg_with(&jpeg(30, 20), &[jpeg_exif(&[b"II*\0\x08\0\0\0", directory].concat())])
}

fn bombs() -> Vec<Hostile> {
    let wide = [&png_header(60_000, 60_000)[..], &png_chunk(b"IDAT", &zlib(&[0; 1000]))].concat();
    let mut gif_screen = gif(8, 8);
    gif_screen[6..10].copy_from_slice(&[0xFF; 4]);
    let mut gif_frame = gif(8, 8);
    let place = gif_frame.iter().position(|&byte| byte == 0x2C).unwrap();
    gif_frame[place + 5..place + 9].copy_from_slice(&[0xFF; 4]);
    let canvas = riff(b"WEBP", &[(b"VP8X", &vp8x(0, 1 << 24, 1 << 24))]);
    let canvas_large = riff(
        b"WEBP",
        &[(b"VP8X", &vp8x(0x02, 16_000, 16_000)), (b"ANIM", &[0; 6]), (b"ANMF", &[0; 24])],
    );
    let mut lossless = webp(30, 20);
    lossless[21..25].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0x0F]);
    let mut tall = jpeg(30, 20);
    let frame = tall.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    tall[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    let zeros = zlib(&vec![0; 60_000_000]);
    let text = png_chunk(b"zTXt", &[b"Comment\0\0", &zeros[..]].concat());
    let international = png_chunk(b"iTXt", &[b"Comment\0\x01\0\0\0", &zeros[..]].concat());
    let profile = png_chunk(b"iCCP", &[b"profile\0\0", &zeros[..]].concat());
    // Exactly at the limit of pixels, and of one bit each, which become eight times as much.
    let header = [&7_000_u32.to_be_bytes()[..], &7_000_u32.to_be_bytes(), &[1, 0, 0, 0, 0]];
    let rows = zlib(&vec![0; 876 * 7_000]);
    let bits = [
        b"\x89PNG\r\n\x1A\n".to_vec(),
        png_chunk(b"IHDR", &header.concat()),
        png_chunk(b"IDAT", &rows),
        png_chunk(b"IEND", &[]),
    ]
    .concat();
    let deep = [&8_000_u32.to_be_bytes()[..], &5_000_u32.to_be_bytes(), &[16, 6, 0, 0, 0]];
    let deep = [b"\x89PNG\r\n\x1A\n".to_vec(), png_chunk(b"IHDR", &deep.concat())].concat();
    let scan = jpeg_segment(0xDA, &[1, 1, 0, 0, 63, 0]);
    let plain = jpeg(30, 20);
    let scans = [&plain[..plain.len() - 2], &scan.repeat(5_000), &[0xFF, 0xD9]].concat();
    let deep = [&deep[..], &png_chunk(b"IDAT", &zlib(&[0; 99]))].concat();
    vec![
        ("a PNG of 60000 by 60000", wide, "too_many_pixels"),
        ("a PNG of 16 bits beyond the memory", deep, "too_large"),
        ("a GIF with a giant screen", gif_screen, "too_many_pixels"),
        ("a GIF with a giant frame", gif_frame, "too_large"),
        ("a WebP with the largest canvas", canvas, "unreadable"),
        ("a WebP with a large animation", canvas_large, "too_many_pixels"),
        ("a lossless WebP that says it is large", lossless, "unreadable"),
        ("a JPEG that says it is large", tall, "too_many_pixels"),
        ("a JPEG of five thousand passes", scans, "too_long"),
        ("a PNG with a bomb in its text", png_with(&png(30, 20), &[text]), SHOWN),
        ("a PNG with a bomb in its other text", png_with(&png(30, 20), &[international]), SHOWN),
        ("a PNG with a bomb for a profile", png_with(&png(30, 20), &[profile]), SHOWN),
        ("a PNG of many pixels in few bytes", bits, SHOWN),
    ]
}

fn fools() -> Vec<Hostile> {
    let html = b"<html><script>alert(1)</script></html>";
    let mut gif_html = gif(8, 8);
    gif_html.extend_from_slice(html);
    let gif_script = [&b"GIF89a=1;/*"[..], &[0; 40], b"*/;alert(1)"].concat();
    let jpeg_zip = [jpeg(30, 20), b"PK\x03\x04\x14\0\0\0".to_vec(), vec![0; 99]].concat();
    let jpeg_php = jpeg_with(&jpeg(30, 20), &[jpeg_segment(0xFE, b"<?php system($_GET[0]); ?>")]);
    let pdf_script = b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>".to_vec();
    let png_html = png_with(&png(30, 20), &[png_chunk(b"tEXt", &[&b"a\0"[..], html].concat())]);
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>".to_vec();
    let entity = b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>";
    let playlist = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n".to_vec();
    let ogg_html = [&b"OggS\0\x02"[..], &[0; 20], &[1, 30], html].concat();
    vec![
        ("nothing", vec![], "empty"),
        ("one byte", vec![0xFF], "unsupported"),
        ("HTML with the name of a picture", html.to_vec(), "unsupported"),
        ("an SVG with a script", svg, "unsupported"),
        ("XML with an entity", entity.to_vec(), "unsupported"),
        ("a playlist of somebody's files", playlist, "unsupported"),
        ("a GIF that is HTML", gif_html, SHOWN),
        ("a GIF that is a script", gif_script, "too_many_pixels"),
        ("a JPEG that is a ZIP", jpeg_zip, SHOWN),
        ("a JPEG that is a program", jpeg_php, SHOWN),
        ("a PNG that is HTML", png_html, SHOWN),
        ("a PDF with a script", pdf_script, "not_installed"),
        ("an Ogg of HTML", ogg_html, "unsupported"),
        ("a JPEG that says PNG", [&b"\x89PNG\r\n\x1A\n"[..], &jpeg(9, 9)].concat(), "unreadable"),
        ("a RIFF of nothing", riff(b"WEBP", &[]), "unreadable"),
    ]
}

fn malformed() -> Vec<Hostile> {
    let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0];
    let looped = [&[1, 0][..], &[0x69, 0x87, 4, 0, 1, 0, 0, 0, 8, 0, 0, 0], &[8, 0, 0, 0]].concat();
    let many = [&[0xFF, 0xFF][..], &entry].concat();
    let huge = [&[1, 0, 0x12, 0x01, 3, 0][..], &[0xFF; 4], &[0xFF; 4]].concat();
    let profile = [b"ICC_PROFILE\0\x01\xFF".to_vec(), vec![7; 60_000]].concat();
    let profiles: Vec<Vec<u8>> = (1..=255_u8)
        .map(|i| {
            let mut part = profile.clone();
            part[12] = i;
            jpeg_segment(0xE2, &part)
        })
        .collect();
    let mut wrong_crc = png(30, 20);
    wrong_crc[30] ^= 1;
    let control = [0, 0, 0, 1, 0, 0, 0, 0].to_vec();
    let animated = png_with(&png(30, 20), &[png_chunk(b"acTL", &control)]);
    let deep: DynamicImage =
        ImageBuffer::from_fn(300, 200, |x, y| Rgb([x as u16 * 200, y as u16 * 300, 9])).into();
    let gray: DynamicImage = ImageBuffer::from_fn(300, 200, |x, _| Luma([x as u16 * 200])).into();
    // Four components are CMYK: the last is the first again.
    let mut cmyk = jpeg(32, 32);
    let frame = cmyk.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    cmyk[frame + 9] = 4;
    cmyk[frame + 3] += 3;
    let components = frame + 2 + 17;
    cmyk.splice(components..components, [4, 0x11, 0]);
    let boxes = [mp4_box(b"ftyp", b"isom\0\0\0\0"), mp4_box(b"free", &[]).repeat(5_000)].concat();
    let mut nested = vec![];
    for _ in 0..500 {
        nested = mp4_box(b"moov", &mp4_box(b"trak", &nested));
    }
    let nested = [mp4_box(b"ftyp", b"isom\0\0\0\0"), nested].concat();
    let endless =
        [mp4_box(b"ftyp", b"isom\0\0\0\0"), [0, 0, 0, 1].to_vec(), vec![0xFF; 12]].concat();
    let mut no_rate = wav(8_000, 1);
    no_rate[24..28].copy_from_slice(&[0; 4]);
    let mut no_channels = wav(8_000, 1);
    no_channels[22..24].copy_from_slice(&[0; 2]);
    let mut endless_wav = wav(8_000, 1);
    endless_wav[40..44].copy_from_slice(&[0xFF; 4]);
    let mut far = opus(30);
    let last = far.windows(4).rposition(|window| window == b"OggS").unwrap();
    far[last + 6..last + 14].copy_from_slice(&i64::MAX.to_le_bytes());
    vec![
        ("EXIF that loops", exif_of(&looped), SHOWN),
        ("EXIF of more entries than bytes", exif_of(&many), SHOWN),
        ("EXIF with a huge count", exif_of(&huge), SHOWN),
        ("EXIF of nothing", jpeg_with(&jpeg(30, 20), &[jpeg_exif(b"")]), SHOWN),
        ("orientation 0", jpeg_with(&jpeg(30, 20), &[jpeg_exif(&exif(0))]), SHOWN),
        ("orientation 9", jpeg_with(&jpeg(30, 20), &[jpeg_exif(&exif(9))]), SHOWN),
        ("fifteen megabytes of profile", jpeg_with(&jpeg(30, 20), &profiles), SHOWN),
        ("a PNG with a wrong checksum", wrong_crc, "unreadable"),
        ("an animated PNG without its frames", animated, SHOWN),
        ("one pixel", png(1, 1), SHOWN),
        ("one by 65535", jpeg(1, 65_535), SHOWN),
        ("65535 by one", png(65_535, 1), SHOWN),
        ("no pixel", png_header(0, 9), "unreadable"),
        ("a JPEG of four colours", cmyk, SHOWN),
        ("a PNG of 16 bits", encoded(&deep, ImageFormat::Png), SHOWN),
        ("a gray PNG of 16 bits", encoded(&gray, ImageFormat::Png), SHOWN),
        ("five thousand empty boxes", boxes, "not_installed"),
        ("boxes in boxes", nested, "not_installed"),
        ("a box without end", endless, "not_installed"),
        ("a WAV without a rate", no_rate, "unreadable"),
        ("a WAV without channels", no_channels, "unreadable"),
        ("a WAV without end", endless_wav, "unreadable"),
        ("an Opus of six million years", far, "too_long"),
        ("a FLAC of two days in some bytes", flac(8_000, &[1; 9], 1 << 31), "too_long"),
        ("an MP3 of nothing but a tag", mp3(0), "not_installed"),
        ("a film of no tracks", mp4(b"isom", u32::MAX, &[], false), "not_installed"),
    ]
}
