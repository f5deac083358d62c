//! `hansard bench media`: what files cost.
//!
//! Three parts: `copy`, one file up and down through a gateway, against the same bytes put into and
//! got from the same object store by the same calls without anything in between, by turns;
//! `parallel`, many at once and the memory of the media service meanwhile; `pictures`, photographs
//! of twelve megapixels, from the end of the upload until there are thumbnails, at a pace and all
//! at once.
//!
//! The clients are in this process, and write and read as fast as the connection takes it: what
//! they need of the cores counts against the services. The figures of `sdk` are those of the SDK,
//! which besides compares what arrived and, downloading, writes a file.

mod copy;
mod parallel;
mod pictures;
mod wire;

use hansard_client::{Gateway, Http, Media, Store};
use hansard_model::media::Declared;
use serde_json::{Map, json};

use super::deployment::{Bench, MediaService, Plan};
use super::people::{self, Person};
use super::{Place, say};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "copy,parallel,pictures")]
    only: Vec<Part>,
    /// Size of a file, in MiB.
    #[arg(long, default_value_t = 100)]
    mib: usize,
    /// Files copied, one after the other.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Files at once.
    #[arg(long, default_value_t = 20)]
    parallel: usize,
    /// Photographs at a pace, and as many at once.
    #[arg(long, default_value_t = 40)]
    pictures: usize,
    /// How many of them per second.
    #[arg(long, default_value_t = 1.0)]
    pictures_per_second: f64,
}

/// A part that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Copy,
    Parallel,
    Pictures,
}

/// What all parts use.
struct Stage {
    bench: Bench,
    service: MediaService,
    people: Vec<Person>,
}

impl Stage {
    /// The gateway, as somebody.
    fn http(&self, person: &Person) -> anyhow::Result<Http> {
        let gateway: Gateway = self.bench.gateways[0].address.to_string().parse()?;
        let http = Http::new(gateway);
        http.set_token(Some(person.token.clone()));
        Ok(http)
    }

    /// Transfers of somebody's that nothing is kept of.
    fn media(&self, person: &Person) -> anyhow::Result<Media> {
        Ok(Media::new(self.http(person)?, Store::none()))
    }

    fn wire(&self, person: &Person) -> wire::Wire {
        wire::Wire { address: self.bench.gateways[0].address, token: person.token.clone() }
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let plan = Plan { gateways: 1, projectors: 1, group_limit: 1_000, partitions: 4 };
    let bench = Bench::start(&args.place, plan).await?;
    let service = bench.start_media().await?;
    // Each has one file at a time: what one person may do is not what is measured.
    let people = people::create(&bench, args.parallel.max(args.pictures).max(1)).await?;
    let stage = Stage { bench, service, people };
    // A gateway hears of a service a moment after that has begun; the SDK waits for it.
    let first = bytes::Bytes::from_static(b"first");
    stage.media(&stage.people[0])?.upload(first, Declared::default()).done().await?;
    let mut figures = Map::new();
    if args.only.contains(&Part::Copy) {
        say("one file after the other");
        let part = Box::pin(copy::run(&args, &stage)).await?;
        figures.insert("copy".to_owned(), part);
    }
    if args.only.contains(&Part::Parallel) {
        say("many files at once");
        let part = Box::pin(parallel::run(&args, &stage)).await?;
        figures.insert("parallel".to_owned(), part);
    }
    if args.only.contains(&Part::Pictures) {
        say("photographs");
        let part = Box::pin(pictures::run(&args, &stage)).await?;
        figures.insert("pictures".to_owned(), part);
    }
    let mut report = json!({
        "bench": "media",
        "on": stage.bench.describe(),
        "sizes": { "mib": args.mib, "parallel": args.parallel, "pictures": args.pictures },
    });
    if let Some(report) = report.as_object_mut() {
        report.extend(figures);
    }
    stage.service.process.stop().await?;
    stage.bench.stop().await?;
    super::print(&report)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
