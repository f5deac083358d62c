//! Photographs, from the end of their upload until there are thumbnails.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use hansard_client::HttpError;
use hansard_model::media::Variant;
use hansard_protocol::ErrorCode;
use hansard_protocol::media::MediaState;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::machine::cpu_s;
use super::super::people::Person;
use super::super::report::Latency;
use super::{Args, Stage};

/// Twelve megapixels.
const WIDTH: u32 = 4_000;
const HEIGHT: u32 = 3_000;
/// How often a picture is asked for: less often than one person may ask for anything.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// How long one may take when all come at once.
const READY_WITHIN: Duration = Duration::from_secs(300);

pub(super) async fn run(args: &Args, stage: &Stage) -> anyhow::Result<Value> {
    let photograph = tokio::task::spawn_blocking(photograph).await??;
    let pid = stage.service.process.pid();
    // The first one pays for what is done once.
    ready(stage, &stage.people[0], named(&photograph, u32::MAX)).await?;

    let before = cpu_s(pid)?;
    let mut due = Instant::now();
    let mut paced = Vec::new();
    for number in 0..args.pictures {
        due += Duration::from_secs_f64(1.0 / args.pictures_per_second);
        let person = &stage.people[number % stage.people.len()];
        let picture = named(&photograph, u32::try_from(number)?);
        paced.push(async move {
            tokio::time::sleep_until(due).await;
            ready(stage, person, picture).await
        });
    }
    let paced = try_join_all(paced).await?;
    let cpu_each = (cpu_s(pid)? - before) / args.pictures as f64;

    let (started, before) = (Instant::now(), cpu_s(pid)?);
    let at_once = (0..args.pictures).map(|number| {
        let person = &stage.people[number % stage.people.len()];
        let number = u32::try_from(args.pictures + number).unwrap_or(u32::MAX);
        ready(stage, person, named(&photograph, number))
    });
    let at_once = try_join_all(at_once).await?;
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_s(pid)? - before);
    Ok(json!({
        "bytes": photograph.len(),
        "per_second": args.pictures_per_second,
        "upload_to_thumbnail": Latency::of(paced),
        "service_cpu_s_each": cpu_each,
        "at_once": {
            "pictures_per_second": args.pictures as f64 / wall,
            "pictures_per_second_of_one_core": args.pictures as f64 / cpu,
            "upload_to_thumbnail": Latency::of(at_once),
        },
    }))
}

/// Uploads a picture; nanoseconds from the end of that until its thumbnail can be read.
async fn ready(stage: &Stage, person: &Person, picture: Bytes) -> anyhow::Result<u64> {
    let (wire, http) = (stage.wire(person), stage.http(person)?);
    let id = wire.upload(&[&picture]).await?;
    let started = Instant::now();
    loop {
        let info = match http.media_info(id).await {
            Ok(info) => info,
            Err(HttpError::Refused(refusal)) if refusal.known() == Some(ErrorCode::RateLimited) => {
                let wait_ms = refusal.retry_after_ms.context("no retry_after_ms")?;
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if info.state == MediaState::Ready {
            let took = u64::try_from(started.elapsed().as_nanos())?;
            let thumb = info.variants.get(&Variant::Thumb).context("no thumbnail")?;
            ensure!(thumb.width == Some(320), "a thumbnail of {:?}", thumb.width);
            return Ok(took);
        }
        ensure!(started.elapsed() < READY_WITHIN, "a picture is not ready");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Soft gradients with edges and with the noise of a sensor: about as large, once compressed, as
/// what telephones make.
fn photograph() -> anyhow::Result<Vec<u8>> {
    let mut noise = 7_u32;
    let photograph = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        let grain = (noise % 24) as f32;
        let soft = (x as f32 * 0.013).sin() * 60.0 + (y as f32 * 0.007).cos() * 50.0 + 110.0;
        let edge = if ((x / 97) ^ (y / 61)) & 3 == 0 { 40.0 } else { 0.0 };
        let of = |share: f32| (soft * share + edge + grain) as u8;
        image::Rgb([of(1.0), of(0.8), of(0.5)])
    });
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, 85);
    encoder.write_image(&photograph, WIDTH, HEIGHT, ExtendedColorType::Rgb8)?;
    Ok(file)
}

/// The same picture with a comment: other bytes, the same work.
fn named(photograph: &[u8], number: u32) -> Bytes {
    let comment = [&[0xFF, 0xFE, 0, 6][..], &number.to_be_bytes()].concat();
    [&photograph[..2], &comment, &photograph[2..]].concat().into()
}
