//! `hansard check`: the effective configuration, and what is unsafe in it.

use std::time::Duration;

use hansard_archive::{BindError, Marker, Objects, ObjectsUrl};
use hansard_nats::deployment::{self, ProvisionError};
use hansard_nats::server::BinarySearch;
use hansard_nats::{Connection, Durability, ServiceRole, durability};
use hansard_protocol::server::Reconnect;

use crate::settings::{GatewaySettings, LogArgs, ObjectStoreArgs};

/// How long the object store gets to answer.
const REACH_WITHIN: Duration = Duration::from_secs(10);

#[derive(clap::Args, Debug)]
#[command(
    after_help = "Give it the flags and environment variables that `hansard serve` is started \
                        with: it judges these."
)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    objects: ObjectStoreArgs,
    #[command(flatten)]
    gateway: GatewaySettings,
}

/// What was found.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    unsafe_count: usize,
}

impl Report {
    fn say(&mut self, line: String) {
        self.lines.push(format!("  {line}"));
    }

    fn warn(&mut self, line: &str) {
        self.unsafe_count += 1;
        self.lines.push(format!("! {line}"));
    }
}

/// Prints the report; fails when something is unsafe.
#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut report = Report::default();
    configuration(&args, &mut report);
    let url = args.objects.url(&args.log.nats.data);
    let marker = match objects(&url, &mut report).await {
        Ok(marker) => marker,
        Err(error) => {
            report.warn(&format!("the object store {url} cannot be used: {error:#}"));
            None
        }
    };
    match args.log.nats.endpoint() {
        Ok(endpoint) => {
            report.say(format!("nats = {}", endpoint.servers().join(",")));
            if let Err(error) = log(&args, &endpoint, marker, &mut report).await {
                report.warn(&format!("the log cannot be looked at: {error:#}"));
            }
        }
        // A URL that cannot be read is no embedded nats-server.
        Err(error) if args.log.nats.nats.is_some() => report.warn(&format!("{error:#}")),
        Err(_) if !args.log.nats.data.exists() => report.say(format!(
            "nats = embedded; there is no directory {} yet: `hansard serve` makes it",
            args.log.nats.data.display()
        )),
        Err(_) => report
            .say(format!("nats = embedded, in {} (not started yet)", args.log.nats.data.display())),
    }
    for line in &report.lines {
        println!("{line}");
    }
    anyhow::ensure!(report.unsafe_count == 0, "{} unsafe", report.unsafe_count);
    println!("nothing unsafe");
    Ok(())
}

fn configuration(args: &Args, report: &mut Report) {
    let Args { log: LogArgs { nats, durability, deployment }, objects: _, gateway } = args;
    report.say(format!("data = {}", nats.data.display()));
    report.say(format!("durability = {}", durability.durability));
    report.say(format!("listen = {}", gateway.listen));
    match gateway.admin_listen {
        Some(address) => report.say(format!("admin_listen = {address}")),
        None => report.say("admin_listen = (nowhere)".to_owned()),
    }
    match &gateway.advertise {
        Some(url) => report.say(format!("advertise = {url}")),
        None => report.say("advertise = (nobody is sent here)".to_owned()),
    }
    report.say(format!("region = {}", gateway.region));
    report.say(format!("group_limit = {}", gateway.group_limit));
    report.say(format!("replicas = {}", deployment.replicas));
    report.say(format!("connections_max = {}", gateway.connections_max));
    report.say(format!("sends = {}/s, burst {}", gateway.sends_per_second, gateway.send_burst));
    let (rate, burst) = (gateway.handshakes_per_second, gateway.handshake_burst);
    report.say(format!("handshakes = {rate}/s, burst {burst}"));
    let (rate, burst) = (gateway.catch_ups_per_second, gateway.catch_up_burst);
    report.say(format!("catch_ups = {rate}/s, burst {burst}"));
    match gateway.reconnect() {
        Ok(Reconnect { base_ms, cap_ms }) => {
            report.say(format!("reconnect = {base_ms} ms, doubling to {cap_ms} ms"));
        }
        Err(error) => report.warn(&error.to_string()),
    }
    report.say(format!("allowed_origins = {:?}", gateway.allowed_origins));
    if durability.durability == Durability::Os {
        report.warn("durability os: a power failure can take acknowledged messages of two minutes");
    }
    if !gateway.listen.ip().is_loopback() {
        report.warn("clients are served beyond this machine without TLS: put a TLS proxy in front");
    }
    if gateway.admin_listen.is_some_and(|address| !address.ip().is_loopback()) {
        report.warn("the admin listener is reachable beyond this machine");
    }
    if nats.nats.is_none() {
        match BinarySearch::from_environment().find() {
            Ok(binary) => {
                report.say(format!("nats-server = {} ({})", binary.path.display(), binary.version));
            }
            Err(error) => report.warn(&error.to_string()),
        }
    }
}

/// Whose the object store is; `None`: nobody's yet.
async fn objects(url: &ObjectsUrl, report: &mut Report) -> anyhow::Result<Option<Marker>> {
    if matches!(url, ObjectsUrl::Directory(path) if !path.is_dir()) {
        report.say(format!("object_store = {url} (made at the first start)"));
        return Ok(None);
    }
    let objects = Objects::open(url)?;
    let marker = objects.reach(REACH_WITHIN).await?;
    let place = objects.place();
    let Some(found) = &marker else {
        report.say(format!("object_store = {place} (no deployment's yet)"));
        return Ok(None);
    };
    report.say(format!("object_store = {place} (of a deployment with salt {})", found.salt));
    objects.compare_and_set(found).await?;
    Ok(marker)
}

async fn log(
    args: &Args,
    endpoint: &hansard_nats::Endpoint,
    marker: Option<Marker>,
    report: &mut Report,
) -> anyhow::Result<()> {
    if endpoint.has(ServiceRole::Monitor) {
        let monitor = Connection::connect(endpoint, ServiceRole::Monitor).await?;
        for server in durability::report(&monitor).await? {
            report
                .say(format!("server {} {}: {}", server.server, server.version, server.durability));
            if server.durability == Durability::Os
                && args.log.durability.durability == Durability::Fsync
            {
                report.warn(&format!("{} acknowledges before it syncs", server.server));
            }
        }
    } else {
        report.warn("whether NATS syncs before it acknowledges is not known: give --nats-system");
    }
    let connection = Connection::connect(endpoint, ServiceRole::Operator).await?;
    let deployment = deployment::open(&connection).await?;
    report.say(format!("partitions = {}", deployment.partitions));
    report.say(format!("epoch = {}", deployment.epoch));
    if let Some(Marker { salt: found, .. }) = marker
        && found != deployment.salt
    {
        let expected = deployment.salt.clone();
        report.warn(&BindError::Other { found, expected }.to_string());
    }
    if let Some(wanted) =
        args.log.deployment.partitions.filter(|wanted| *wanted != deployment.partitions)
    {
        let recorded = deployment.partitions;
        report.warn(&ProvisionError::Partitions { recorded, wanted }.to_string());
    }
    for difference in
        deployment::drift(&connection, &deployment, args.log.deployment.replicas).await?
    {
        report.warn(&difference);
    }
    Ok(())
}
