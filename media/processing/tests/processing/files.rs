//! Makers of small files of each type.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{Delay, DynamicImage, ExtendedColorType, Frame, ImageEncoder, ImageFormat, RgbImage};

/// Xorshift: the same numbers in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// Red above, blue below, and brighter to the right: no two of its corners are alike.
pub(crate) fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let bright = (x * 200 / width.max(1) + 55) as u8;
        if y < height / 2 { image::Rgb([bright, 0, 0]) } else { image::Rgb([0, 0, bright]) }
    })
}

pub(crate) fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, 90);
    encoder.write_image(&picture(width, height), width, height, ExtendedColorType::Rgb8).unwrap();
    file
}

pub(crate) fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, format).unwrap();
    file.into_inner()
}

pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    encoded(&picture(width, height).into(), ImageFormat::Png)
}

pub(crate) fn webp(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let (pixels, rgb) = (picture(width, height), ExtendedColorType::Rgb8);
    WebPEncoder::new_lossless(&mut file).encode(&pixels, width, height, rgb).unwrap();
    file
}

/// Of three frames, which runs for ever.
pub(crate) fn gif(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    // Fast, and good enough for two colours.
    let mut encoder = GifEncoder::new_with_speed(&mut file, 30);
    encoder.set_repeat(Repeat::Infinite).unwrap();
    for _ in 0..3 {
        let frame = DynamicImage::from(picture(width, height)).into_rgba8();
        let delay = Delay::from_numer_denom_ms(100, 1);
        encoder.encode_frame(Frame::from_parts(frame, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    file
}

/// EXIF with an orientation, a place, and a name.
pub(crate) fn exif(orientation: u16) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x02\0".to_vec();
    exif.extend_from_slice(&[0x12, 0x01, 3, 0, 1, 0, 0, 0]);
    exif.extend_from_slice(&orientation.to_le_bytes());
    exif.extend_from_slice(&[0, 0]);
    exif.extend_from_slice(&[0x3B, 0x01, 2, 0, 13, 0, 0, 0, 38, 0, 0, 0]);
    exif.extend_from_slice(&[0, 0, 0, 0]);
    exif.extend_from_slice(b"SECRET-PLACE\0");
    exif
}

pub(crate) fn jpeg_segment(marker: u8, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len() + 2).unwrap();
    [&[0xFF, marker][..], &length.to_be_bytes(), contents].concat()
}

/// With segments right behind the start.
pub(crate) fn jpeg_with(jpeg: &[u8], segments: &[Vec<u8>]) -> Vec<u8> {
    [&jpeg[..2], &segments.concat(), &jpeg[2..]].concat()
}

pub(crate) fn jpeg_exif(exif: &[u8]) -> Vec<u8> {
    jpeg_segment(0xE1, &[b"Exif\0\0", exif].concat())
}

pub(crate) fn png_chunk(name: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    let mut checksum = flate2::Crc::new();
    checksum.update(name);
    checksum.update(contents);
    let length = u32::try_from(contents.len()).unwrap();
    let checksum = checksum.sum().to_be_bytes();
    [&length.to_be_bytes()[..], name, contents, &checksum].concat()
}

/// With chunks right behind the header.
pub(crate) fn png_with(png: &[u8], chunks: &[Vec<u8>]) -> Vec<u8> {
    [&png[..33], &chunks.concat(), &png[33..]].concat()
}

pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Only what says how large it would be.
pub(crate) fn png_header(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1A\n"[..], &png_chunk(b"IHDR", &header)].concat()
}

pub(crate) fn riff(kind: &[u8; 4], chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = kind.to_vec();
    for (name, contents) in chunks {
        body.extend_from_slice(*name);
        body.extend_from_slice(&u32::try_from(contents.len()).unwrap().to_le_bytes());
        body.extend_from_slice(contents);
        body.resize(body.len() + contents.len() % 2, 0);
    }
    [&b"RIFF"[..], &u32::try_from(body.len()).unwrap().to_le_bytes(), &body].concat()
}

/// The extended header of a WebP with this canvas.
pub(crate) fn vp8x(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let mut header = vec![flags, 0, 0, 0];
    header.extend_from_slice(&(width - 1).to_le_bytes()[..3]);
    header.extend_from_slice(&(height - 1).to_le_bytes()[..3]);
    header
}

/// Silence, then a tone that becomes louder, of one channel and 16 bits.
pub(crate) fn samples(rate: u32, seconds: u32) -> Vec<i16> {
    let count = rate * seconds;
    let sample = |i: u32| {
        let loudness = (i * 2).saturating_sub(count) as f32 / count as f32;
        (loudness * 20_000.0 * (i as f32 * 0.3).sin()) as i16
    };
    (0..count).map(sample).collect()
}

pub(crate) fn wav(rate: u32, seconds: u32) -> Vec<u8> {
    let mut format = [1_u16, 1].map(u16::to_le_bytes).concat();
    format.extend_from_slice(&rate.to_le_bytes());
    format.extend_from_slice(&(rate * 2).to_le_bytes());
    format.extend_from_slice(&[2, 0, 16, 0]);
    let data: Vec<u8> = samples(rate, seconds).into_iter().flat_map(i16::to_le_bytes).collect();
    riff(b"WAVE", &[(b"fmt ", &format), (b"data", &data)])
}

/// Blocks of 4096 samples, each of one value.
pub(crate) fn flac(rate: u32, values: &[i16], claimed: u64) -> Vec<u8> {
    let mut info = vec![0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0];
    let packed = u64::from(rate) << 44 | 15 << 36 | claimed;
    info.extend_from_slice(&packed.to_be_bytes());
    info.extend_from_slice(&[0; 16]);
    let mut file = b"fLaC\x80\0\0\x22".to_vec();
    file.extend_from_slice(&info);
    for (number, value) in values.iter().enumerate() {
        // 4096 samples, the rate of the header, one channel of 16 bits.
        let mut frame = vec![0xFF, 0xF8, 0xC0, 0x08];
        frame.extend_from_slice(char::from_u32(number as u32).unwrap().to_string().as_bytes());
        frame.push(frame.iter().fold(0_u8, |crc, byte| {
            (0..8).fold(crc ^ byte, |crc, _| crc << 1 ^ if crc & 0x80 == 0 { 0 } else { 0x07 })
        }));
        frame.push(0);
        frame.extend_from_slice(&value.to_be_bytes());
        let crc = frame.iter().fold(0_u16, |crc, &byte| {
            let crc = crc ^ u16::from(byte) << 8;
            (0..8).fold(crc, |crc, _| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x8005 })
        });
        frame.extend_from_slice(&crc.to_be_bytes());
        file.extend_from_slice(&frame);
    }
    file
}

/// Packets of 20 milliseconds, of noise.
pub(crate) fn opus(packets: usize) -> Vec<u8> {
    use ogg::{PacketWriteEndInfo, PacketWriter};
    let mut random = Random(7);
    let mut file = PacketWriter::new(Vec::new());
    let head = [&b"OpusHead\x01\x01"[..], &312_u16.to_le_bytes(), &[0x80, 0xBB, 0, 0, 0, 0, 0]];
    let page = PacketWriteEndInfo::EndPage;
    file.write_packet(head.concat(), 1, page, 0).unwrap();
    file.write_packet(&b"OpusTags\0\0\0\0\0\0\0\0"[..], 1, page, 0).unwrap();
    for i in 1..=packets {
        let packet = [vec![0xF8], random.bytes(120)].concat();
        let end = if i == packets {
            PacketWriteEndInfo::EndStream
        } else if i.is_multiple_of(50) {
            PacketWriteEndInfo::EndPage
        } else {
            PacketWriteEndInfo::NormalPacket
        };
        file.write_packet(packet, 1, end, i as u64 * 960 + 312).unwrap();
    }
    file.into_inner()
}

/// Of 128 kbit/s and 44.1 kHz: each frame has 1152 samples in 417 bytes.
pub(crate) fn mp3(frames: usize) -> Vec<u8> {
    let frame = [&[0xFF, 0xFB, 0x90, 0x00][..], &[0; 413]].concat();
    [&b"ID3\x04\0\0\0\0\x01\x00"[..], &[0; 128], &frame.repeat(frames)].concat()
}

/// Of 44.1 kHz: each frame has 1024 samples in 16 bytes.
pub(crate) fn aac(frames: usize) -> Vec<u8> {
    let frame = [&[0xFF, 0xF1, 0x50, 0x80, 0x02, 0x1F, 0xFC][..], &[0; 9]].concat();
    frame.repeat(frames)
}

pub(crate) fn mp4_box(name: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len() + 8).unwrap();
    [&length.to_be_bytes()[..], name, contents].concat()
}

/// The header of a film of so many milliseconds with tracks of these kinds, and no frames.
pub(crate) fn mp4(brand: &[u8; 4], ms: u32, tracks: &[&[u8; 4]], turned: bool) -> Vec<u8> {
    let mut film = vec![0; 100];
    film[12..16].copy_from_slice(&1000_u32.to_be_bytes());
    film[16..20].copy_from_slice(&ms.to_be_bytes());
    let mut inside = mp4_box(b"mvhd", &film);
    for kind in tracks {
        let mut track = vec![0; 84];
        if *kind == b"vide" {
            track[40..44].copy_from_slice(&u32::from(!turned).wrapping_mul(0x10000).to_be_bytes());
            track[76..80].copy_from_slice(&(1920_u32 << 16).to_be_bytes());
            track[80..84].copy_from_slice(&(1080_u32 << 16).to_be_bytes());
        }
        let handler = [&[0; 8][..], *kind, &[0; 13]].concat();
        let media = mp4_box(b"mdia", &mp4_box(b"hdlr", &handler));
        inside.extend(mp4_box(b"trak", &[mp4_box(b"tkhd", &track), media].concat()));
    }
    let brands = [&brand[..], &[0; 4], brand].concat();
    [mp4_box(b"ftyp", &brands), mp4_box(b"moov", &inside), mp4_box(b"mdat", &[0; 64])].concat()
}

/// Of one page with a line of text.
pub(crate) fn pdf() -> Vec<u8> {
    let mut file = b"%PDF-1.4\n".to_vec();
    let text = "BT /F1 24 Tf 20 100 Td (Minutes of the meeting) Tj ET";
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R\
         /Resources<</Font<</F1 5 0 R>>>>>>"
            .to_owned(),
        format!("<</Length {}>>stream\n{text}\nendstream", text.len()),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
    ];
    let mut places = Vec::new();
    for (i, object) in objects.iter().enumerate() {
        places.push(file.len());
        file.extend(format!("{} 0 obj\n{object}\nendobj\n", i + 1).bytes());
    }
    let table = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", places.len() + 1).bytes());
    for place in &places {
        file.extend(format!("{place:010} 00000 n \n").bytes());
    }
    let size = places.len() + 1;
    file.extend(format!("trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{table}\n%%EOF\n").bytes());
    file
}

/// One of each type that anything is made of, with the extension that people give it.
pub(crate) fn one_of_each() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("jpg", jpeg_with(&jpeg(90, 60), &[jpeg_exif(&exif(6))])),
        ("png", png_with(&png(90, 60), &[png_chunk(b"eXIf", &exif(3))])),
        ("gif", gif(24, 16)),
        ("webp", webp(90, 60)),
        ("wav", wav(8_000, 1)),
        ("flac", flac(8_000, &[100, 2000, 30], 3 * 4096)),
        ("opus", opus(30)),
        ("mp3", mp3(20)),
        ("aac", aac(20)),
        ("m4a", mp4(b"M4A ", 2500, &[b"soun"], false)),
        ("mp4", mp4(b"isom", 2500, &[b"vide", b"soun"], false)),
        ("pdf", pdf()),
    ]
}
