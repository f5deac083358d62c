//! How many photographs of twelve megapixels one core processes in a second, against decoding the
//! same ones and doing nothing with them, in the same run and by turns.
//!
//! `cargo run --release --example thumbnails -p hansard-media-processing`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, on a terminal")]

use std::time::{Duration, Instant};

use hansard_media_processing::{Limits, Programs, Source, process};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageFormat, RgbImage};

const WIDTH: u32 = 4000;
const HEIGHT: u32 = 3000;
const ROUNDS: u32 = 10;

/// Soft gradients with edges and with the noise of a sensor: about as large, once compressed, as
/// what telephones make.
fn photograph(seed: u32) -> RgbImage {
    let mut noise = seed;
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        let grain = (noise % 24) as f32;
        let soft = (x as f32 * 0.013).sin() * 60.0 + (y as f32 * 0.007).cos() * 50.0 + 110.0;
        let edge = if ((x / 97) ^ (y / 61)) & 3 == 0 { 40.0 } else { 0.0 };
        let of = |share: f32| (soft * share + edge + grain) as u8;
        image::Rgb([of(1.0), of(0.8), of(0.5)])
    })
}

fn jpeg(seed: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, 85);
    encoder.write_image(&photograph(seed), WIDTH, HEIGHT, ExtendedColorType::Rgb8).unwrap();
    file
}

/// With EXIF of nothing but an orientation: held in the hand, as most are.
fn turned(jpeg: &[u8]) -> Vec<u8> {
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, exif, &jpeg[2..]].concat()
}

fn timed(total: &mut Vec<Duration>, work: impl FnOnce()) {
    let started = Instant::now();
    work();
    total.push(started.elapsed());
}

fn tell(what: &str, mut times: Vec<Duration>) -> f64 {
    times.sort();
    let median = times[times.len() / 2].as_secs_f64();
    let worst = times[times.len() - 1].as_secs_f64();
    println!(
        "{what}: {:.0} ms, at worst {:.0}; {:.2} a second",
        median * 1e3,
        worst * 1e3,
        1.0 / median
    );
    median
}

fn main() {
    let (limits, programs) = (Limits::default(), Programs::none());
    let show = |file: &[u8]| {
        let made = process(Source::Bytes(file), &limits, &programs).unwrap();
        assert!(made.no_preview.is_none() && made.thumbnails.len() == 2);
    };
    let files: Vec<Vec<u8>> = (1..=4).map(jpeg).collect();
    let bytes: usize = files.iter().map(Vec::len).sum::<usize>() / files.len();
    println!("{WIDTH} by {HEIGHT} in {:.1} MB, {ROUNDS} rounds of each", bytes as f64 / 1e6);
    let (mut plain, mut upright, mut rotated) = (vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let file = &files[round as usize % files.len()];
        let lying = turned(file);
        timed(&mut plain, || {
            image::load_from_memory_with_format(file, ImageFormat::Jpeg).unwrap();
        });
        timed(&mut upright, || show(file));
        timed(&mut rotated, || show(&lying));
    }
    let plain = tell("decoded and nothing else", plain);
    let upright = tell("two thumbnails, placeholder, copy without metadata", upright);
    let rotated = tell("the same of one that lies on its side", rotated);
    println!("{:.2} and {:.2} times the decoding", upright / plain, rotated / plain);
}
