//! One file after the other, by turns with a plain copy: of memory and the object store alone, and
//! with one connection over loopback between them.

mod loopback;

use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;
use hansard_archive::{Objects, ObjectsUrl};
use hansard_model::media::{Declared, Variant};
use serde_json::{Value, json};

use super::super::people::random;
use super::super::report::median;
use super::{Args, Stage, mib};

/// Bytes of an object, as the service stores them.
const PART_BYTES: usize = 1 << 20;

/// Rates of one direction, in MiB/s.
#[derive(Default)]
struct Rates {
    plain: Vec<f64>,
    loopback: Vec<f64>,
    wire: Vec<f64>,
    sdk: Vec<f64>,
}

impl Rates {
    fn report(self) -> Value {
        let Self { plain, loopback, wire, sdk } = self;
        let [plain, loopback, wire, sdk] = [plain, loopback, wire, sdk].map(median);
        json!({
            "plain_mib_per_s": plain,
            "loopback_mib_per_s": loopback,
            "mib_per_s": wire,
            "of_plain": wire / plain,
            "of_loopback": wire / loopback,
            "sdk_mib_per_s": sdk,
            "sdk_of_plain": sdk / plain,
        })
    }
}

/// Random bytes, no two blocks alike: nothing is stored twice.
pub(super) fn noise(bytes: usize) -> anyhow::Result<Vec<u8>> {
    let mut state = u64::from_le_bytes(random()?) | 1;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    Ok(noise)
}

pub(super) async fn run(args: &Args, stage: &Stage) -> anyhow::Result<Value> {
    // In the deployment's own directory, so on the same file system, and beside its objects.
    let place = stage.bench.data.join("plain");
    let url: ObjectsUrl = format!("file://{}", place.display()).parse()?;
    let objects = Objects::open(&url)?;
    let person = &stage.people[0];
    let (wire, media) = (stage.wire(person), stage.media(person)?);
    let directory = stage.bench.data.join("fetched");
    std::fs::create_dir_all(&directory)?;
    let (mut up, mut down) = (Rates::default(), Rates::default());
    for round in 0..args.rounds {
        let size = args.mib << 20;
        let rate = |started: Instant| mib(size as u64) / started.elapsed().as_secs_f64();
        let file = Bytes::from(noise(size)?);

        let started = Instant::now();
        put(&objects, round, &file).await?;
        up.plain.push(rate(started));
        let started = Instant::now();
        get(&objects, round, size).await?;
        down.plain.push(rate(started));
        let started = Instant::now();
        loopback::put(&objects, args.rounds + round, &file).await?;
        up.loopback.push(rate(started));
        let started = Instant::now();
        loopback::get(&objects, args.rounds + round, size).await?;
        down.loopback.push(rate(started));

        let started = Instant::now();
        let id = wire.upload(&[&file]).await?;
        up.wire.push(rate(started));
        let started = Instant::now();
        wire.download(id).await?;
        down.wire.push(rate(started));

        let other = Bytes::from(noise(size)?);
        let started = Instant::now();
        let info = media.upload(other.clone(), Declared::default()).done().await?;
        up.sdk.push(rate(started));
        let started = Instant::now();
        let path = directory.join(round.to_string());
        let path = media.download(info.id, Variant::File, path).done().await?;
        down.sdk.push(rate(started));
        ensure!(std::fs::read(&path)? == other, "a file came back as another");
        std::fs::remove_file(path)?;
    }
    Ok(json!({ "rounds": args.rounds, "up": up.report(), "down": down.report() }))
}

/// The calls of an upload, and nothing else.
async fn put(objects: &Objects, round: usize, file: &Bytes) -> anyhow::Result<()> {
    for (number, offset) in (0..file.len()).step_by(PART_BYTES).enumerate() {
        let part = file.slice(offset..(offset + PART_BYTES).min(file.len()));
        put_part(objects, (round, number), part).await?;
    }
    Ok(())
}

async fn put_part(objects: &Objects, at: (usize, usize), part: Bytes) -> anyhow::Result<()> {
    objects.store.put_opts(&objects.path(&name(at)), part.into(), Default::default()).await?;
    Ok(())
}

/// The calls of a download, and nothing else.
async fn get(objects: &Objects, round: usize, size: usize) -> anyhow::Result<()> {
    let mut read = 0;
    for number in 0..size.div_ceil(PART_BYTES) {
        read += get_part(objects, (round, number)).await?.len();
    }
    ensure!(read == size, "{read} bytes of {size}");
    Ok(())
}

async fn get_part(objects: &Objects, at: (usize, usize)) -> anyhow::Result<Bytes> {
    let found = objects.store.get_opts(&objects.path(&name(at)), Default::default()).await?;
    Ok(found.bytes().await?)
}

fn name((round, number): (usize, usize)) -> String {
    format!("{round}/{number}")
}
