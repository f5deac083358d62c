//! `hansard import`: brings a chat in from a file, straight onto the log.
//!
//! Design. Every id (people, group, requests, messages) is a hash of the deployment's salt and of
//! what the file says, so a second run finds what the first one stored and adds nothing. The file is
//! read twice: first for the people and for mistakes, so that nothing is stored of a file that
//! cannot be imported; then line by line. The messages go out pipelined on a connection that never
//! reconnects: what arrives is a beginning of what was sent, so after any fault the log is read and
//! the import goes on behind its end, without a gap and in the file's order. A lease keeps a second
//! importer of the same group out.

mod id;
pub(crate) mod line;
mod meta;
mod people;
mod say;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hansard_model::account::Handle;
use hansard_model::{ConversationId, limit};
use hansard_nats::lease::{Lease, Leases, RENEW_EVERY};
use hansard_nats::{Connection, Log, LogClock, ServiceRole, deployment};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use self::id::Ids;
use self::say::Said;
use crate::settings::NatsArgs;

/// How long the log may be away before the import gives up; it can be run again.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two questions to a log that is away.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the lease may be out of reach before the import gives up.
const LEASE_PATIENCE: Duration = Duration::from_secs(30);

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    nats: NatsArgs,
    /// The chat: one `{"ts","channel","nick","text"}` a line, plain or gzip.
    #[arg(long)]
    jsonl: PathBuf,
    /// The group that gets the messages; created if it is not there. The same name is the same
    /// group in every run.
    #[arg(long)]
    group: String,
    /// Handle of an account that owns the group: without one, nobody who can log in is in it.
    /// Default: whoever wrote the first line.
    #[arg(long)]
    owner: Option<Handle>,
    /// Members of a group at most: what the gateways of the deployment are started with.
    #[arg(long, env = "HANSARD_GROUP_LIMIT", default_value_t = limit::GROUP_MEMBERS_DEFAULT)]
    group_limit: usize,
    /// Messages on their way to the log at once.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u16).range(1..=8192))]
    in_flight: u16,
}

/// `hansard import`
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let endpoint = args.nats.endpoint()?;
    let connection = Connection::connect(&endpoint, ServiceRole::Operator).await?;
    let deployment = deployment::open(&connection).await?;
    let clock = LogClock::new();
    clock.compare(&connection).await?;
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    tokio::spawn(clock.clone().keep(connection.clone(), stop.clone()));

    let ids = Ids::new(&deployment, &args.group);
    let leases = Leases::open(&connection);
    let (key, holder) =
        (format!("import.{}", ids.group()), format!("import-{}", std::process::id()));
    let Some(lease) = insist(async || Ok(leases.acquire(&key, &holder).await?)).await? else {
        bail!("somebody else is importing into {:?}", args.group);
    };
    let lost = CancellationToken::new();
    let renewing =
        tokio::spawn(hold(leases.clone(), lease, (key, holder), lost.clone(), stop.clone()));
    let log = Log::open(&connection, &deployment, clock);
    let outcome = tokio::select! {
        outcome = Box::pin(import(&args, &log, &ids)) => outcome,
        () = lost.cancelled() => Err(anyhow::anyhow!("the lease was lost: run the same import again")),
    };
    stop.cancel();
    if let Ok(Some(lease)) = renewing.await {
        leases.release(lease).await;
    }
    outcome
}

async fn import(args: &Args, log: &Log, ids: &Ids) -> anyhow::Result<()> {
    let file = args.jsonl.clone();
    let census = tokio::task::spawn_blocking(move || people::census(&file))
        .await?
        .with_context(|| format!("cannot import {}", args.jsonl.display()))?;
    if census.lines == 0 {
        bail!("{} has no lines", args.jsonl.display());
    }
    let mut people = people::People::read(log.connection(), ids).await?;
    let owner = people.owner(args.owner.as_ref(), &census)?;
    let mut group = meta::GroupLog::read(log, ids).await?;
    if args.owner.is_some() {
        group.check_owner(owner)?;
    }
    group.check_room(&people.users(&census), owner, args.group_limit)?;
    people.create(&census).await?;
    group.create(&args.group, owner, &people.users(&census)).await?;

    let bar = progress_bar(census.lines);
    let began = Instant::now();
    let endpoint = args.nats.endpoint()?;
    let said = Said::new(log, ids, endpoint, usize::from(args.in_flight), bar.clone());
    let counts = said.append(&args.jsonl, &people).await;
    bar.finish_and_clear();
    let counts = counts?;
    let seconds = began.elapsed().as_secs_f64();
    let rate = counts.added as f64 / seconds.max(0.001);
    let conversation = ConversationId::Group(ids.group());
    let line = format!(
        "imported {} messages by {} people in {seconds:.1} s ({rate:.0}/s); {} were there already\n\
         the conversation is {conversation}\n",
        counts.added,
        census.nicks.len(),
        counts.before,
    );
    std::io::stdout().write_all(line.as_bytes()).context("standard output")
}

fn progress_bar(lines: u64) -> ProgressBar {
    let template = "{bar:40} {pos}/{len} {per_sec} {eta} left {msg}";
    // Drawn on standard error, and only when that is a terminal.
    match ProgressStyle::with_template(template) {
        Ok(style) => ProgressBar::new(lines).with_style(style),
        Err(_) => ProgressBar::new(lines),
    }
}

/// Asks again while there is no answer: a nats-server that was started again needs a moment.
async fn insist<T>(mut ask: impl AsyncFnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        match ask().await {
            Err(error) if began.elapsed() < PATIENCE => {
                tracing::debug!(%error, "asking again");
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// Renews the lease until `stop`, and gives it back then. A bucket that was away (its server was
/// started anew) is asked for the lease again: nobody else can have stored anything out of order
/// meanwhile, because both importers would send the same ids.
async fn hold(
    leases: Leases,
    mut lease: Lease,
    (key, holder): (String, String),
    lost: CancellationToken,
    stop: CancellationToken,
) -> Option<Lease> {
    let mut healthy = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(RENEW_EVERY) => {}
            () = stop.cancelled() => return Some(lease),
        }
        if leases.renew(&mut lease).await.is_ok() {
            healthy = Instant::now();
            continue;
        }
        match leases.acquire(&key, &holder).await {
            Ok(Some(again)) => (lease, healthy) = (again, Instant::now()),
            Err(_) if healthy.elapsed() < LEASE_PATIENCE => {}
            Ok(None) | Err(_) => {
                lost.cancel();
                return None;
            }
        }
    }
}
