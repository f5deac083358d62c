//! `hansard views`: how the projector's views stand, and what an operator does about one that is
//! wrong: examine it, build it anew beside the one that serves, go back. The owners of the
//! partitions do the work, one partition after the other; nobody who reads notices.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, bail};
use hansard_model::query::{
    DIFFERENCES_MAX, DifferenceKind, JobState, ParkedItem, ParkedReply, ParkedRequest, QueryError,
    View, ViewsJob, ViewsOp, ViewsRequest, ViewsStatus,
};
use hansard_model::subject::QueryVerb;
use hansard_model::{PartitionId, Seq};
use hansard_nats::query::{AskError, ask};
use hansard_nats::search::ask_views;
use hansard_nats::{Connection, Deployment, deployment};
use serde::Serialize;
use tokio::time::Instant;

use crate::settings::NatsArgs;

/// How long an owner may take to answer, a takeover included.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long an owner may be busy with somebody else's job.
const BUSY_FOR: Duration = Duration::from_secs(600);
/// Between two questions about a job.
const POLL: Duration = Duration::from_millis(250);
/// How often a job is begun again because the partition changed its owner.
const OWNERS_MAX: u32 = 5;
/// Parked events asked for at once.
const PAGE: usize = 500;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Where each partition's views stand.
    Status(Target),
    /// Build a view anew from the log beside the one that serves, compare, and switch.
    Rebuild(Named),
    /// Compute a view anew from the log and report every difference; fails when there is one.
    Verify(Verified),
    /// Go back to the history before the last rebuild.
    Rollback(Target),
    /// The events that could not be read, and why.
    Parked(Target),
}

#[derive(clap::Args, Debug)]
struct Target {
    #[command(flatten)]
    nats: NatsArgs,
    /// Only this partition.
    #[arg(long)]
    partition: Option<u16>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct Named {
    /// Which view.
    #[arg(value_enum)]
    view: ViewName,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args, Debug)]
struct Verified {
    /// Which view. Default: both.
    #[arg(value_enum)]
    view: Option<ViewName>,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ViewName {
    History,
    Inbox,
    Search,
}

impl From<ViewName> for View {
    fn from(name: ViewName) -> Self {
        match name {
            ViewName::History => Self::History,
            ViewName::Inbox => Self::Inbox,
            ViewName::Search => Self::Search,
        }
    }
}

/// `hansard views`
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    match args.what {
        What::Status(target) => status(&Operator::connect(target).await?).await,
        What::Rebuild(Named { view, target }) => {
            let operator = Operator::connect(target).await?;
            operator.run_everywhere(ViewsOp::Rebuild, &[view.into()]).await
        }
        What::Verify(Verified { view, target }) => {
            let operator = Operator::connect(target).await?;
            let views = view.map_or(vec![View::History, View::Inbox], |view| vec![view.into()]);
            operator.run_everywhere(ViewsOp::Verify, &views).await
        }
        What::Rollback(target) => {
            let operator = Operator::connect(target).await?;
            operator.run_everywhere(ViewsOp::Rollback, &[View::History]).await
        }
        What::Parked(target) => parked(&Operator::connect(target).await?).await,
    }
}

/// Who asks the owners.
struct Operator {
    connection: Connection,
    partitions: Vec<PartitionId>,
    json: bool,
}

impl Operator {
    async fn connect(target: Target) -> anyhow::Result<Self> {
        let connection = target.nats.connect_operator().await?;
        let Deployment { partitions, .. } = deployment::open(&connection).await?;
        let partitions: Vec<PartitionId> = match target.partition {
            Some(one) if one >= partitions.get() => {
                bail!("there is no partition {one}: there are {partitions}, from 0")
            }
            Some(one) => vec![PartitionId(one)],
            None => partitions.partitions().collect(),
        };
        Ok(Self { connection, partitions, json: target.json })
    }

    async fn ask(
        &self,
        partition: PartitionId,
        op: ViewsOp,
        view: View,
    ) -> Result<ViewsStatus, AskError> {
        let request = ViewsRequest { op, view };
        if view == View::Search {
            return ask_views(&self.connection, partition, &request, ANSWER_WITHIN).await;
        }
        ask(&self.connection, partition, QueryVerb::Views, &request, ANSWER_WITHIN).await
    }

    /// One partition after the other: a job reads all of its log.
    async fn run_everywhere(&self, op: ViewsOp, views: &[View]) -> anyhow::Result<()> {
        let (mut failed, mut differences) = (0, 0);
        for view in views {
            for partition in &self.partitions {
                let job = self.run(*partition, op, *view).await;
                let job = job.with_context(|| format!("partition {partition}"))?;
                failed += u32::from(job.state == JobState::Failed);
                differences += job.differences;
                if self.json {
                    line(serde_json::to_string(&Told { partition: *partition, job: &job })?)?;
                } else {
                    line(readable(*partition, &job))?;
                    for difference in &job.found {
                        line(format!("  {}: {}", kind(difference.what), difference.key))?;
                    }
                    if job.differences > DIFFERENCES_MAX as u64 {
                        line(format!("  and {} more", job.differences - job.found.len() as u64))?;
                    }
                }
            }
        }
        if failed > 0 {
            bail!("{failed} partitions failed: nothing was switched there");
        }
        if op == ViewsOp::Verify && differences > 0 {
            bail!("{differences} differences: `hansard views rebuild` puts them right");
        }
        Ok(())
    }

    /// Has the owner do a job, and waits for its end. An owner that is gone took its job along.
    async fn run(
        &self,
        partition: PartitionId,
        op: ViewsOp,
        view: View,
    ) -> anyhow::Result<ViewsJob> {
        for _ in 0..OWNERS_MAX {
            let mut status = self.begin(partition, op, view).await?;
            loop {
                match status.job {
                    Some(job) if job.op == op && job.view == view => match job.state {
                        JobState::Running => {}
                        JobState::Done | JobState::Failed => return Ok(job),
                    },
                    Some(_) | None => break,
                }
                tokio::time::sleep(POLL).await;
                status = self.ask(partition, ViewsOp::Status, view).await?;
            }
        }
        bail!("it changed its owner {OWNERS_MAX} times meanwhile")
    }

    async fn begin(
        &self,
        partition: PartitionId,
        op: ViewsOp,
        view: View,
    ) -> anyhow::Result<ViewsStatus> {
        let deadline = Instant::now() + BUSY_FOR;
        loop {
            match self.ask(partition, op, view).await {
                Err(AskError::Query(QueryError::Busy)) if Instant::now() < deadline => {
                    tokio::time::sleep(POLL).await;
                }
                Err(AskError::Query(QueryError::BadRequest)) => {
                    bail!("that view cannot do this: `search` is only rebuilt")
                }
                Err(AskError::Query(QueryError::NotFound)) if op == ViewsOp::Rollback => {
                    bail!("there is no history before this one")
                }
                answer => return Ok(answer?),
            }
        }
    }
}

/// A job, with where it ran.
#[derive(Serialize)]
struct Told<'a> {
    partition: PartitionId,
    #[serde(flatten)]
    job: &'a ViewsJob,
}

fn readable(partition: PartitionId, job: &ViewsJob) -> String {
    let done = match job.op {
        ViewsOp::Status => "status of",
        ViewsOp::Rebuild => "rebuilt",
        ViewsOp::Verify => "verified",
        ViewsOp::Rollback => "rolled back",
    };
    let view = match job.view {
        View::History => "history",
        View::Inbox => "inbox",
        View::Search => "search",
    };
    match (&job.failure, job.state) {
        (Some(failure), _) => format!("partition {partition}: not {done} {view}: {failure}"),
        (None, JobState::Failed) => format!("partition {partition}: not {done} {view}"),
        (None, JobState::Running | JobState::Done) => format!(
            "partition {partition}: {done} {view} at {}: {} compared, {} different",
            job.to, job.compared, job.differences
        ),
    }
}

fn kind(difference: DifferenceKind) -> &'static str {
    match difference {
        DifferenceKind::Missing => "missing",
        DifferenceKind::Extra => "not in the log",
        DifferenceKind::Different => "different",
    }
}

async fn status(operator: &Operator) -> anyhow::Result<()> {
    let mut silent = 0;
    for partition in &operator.partitions {
        match operator.ask(*partition, ViewsOp::Status, View::History).await {
            Ok(status) if operator.json => line(serde_json::to_string(&status)?)?,
            Ok(status) => line(standing(&status))?,
            Err(error) => {
                silent += 1;
                line(format!("partition {partition}: {error}"))?;
            }
        }
    }
    if silent > 0 {
        bail!("{silent} partitions do not answer");
    }
    Ok(())
}

fn standing(status: &ViewsStatus) -> String {
    let previous = status.previous.map_or_else(String::new, |one| format!(" (before it {one})"));
    let mut text = format!(
        "partition {}: applied {} of {}, epoch {}, history {}{previous} flushed to {}, inbox \
         written to {} with {} waiting, {} parked",
        status.partition,
        status.applied,
        status.last_known,
        status.epoch,
        status.generation,
        status.flushed,
        status.bucket,
        status.stale,
        status.parked
    );
    if let Some(job) = &status.job {
        let state = match job.state {
            JobState::Running => format!("at {} of {}", job.applied, job.to),
            JobState::Done => "done".to_owned(),
            JobState::Failed => "failed".to_owned(),
        };
        text.push_str(&format!("; {} {state}", job_name(job)));
    }
    text
}

fn job_name(job: &ViewsJob) -> String {
    format!("{:?} of {:?}", job.op, job.view).to_lowercase()
}

/// A parked event, with where it is.
#[derive(Serialize)]
struct Parked<'a> {
    partition: PartitionId,
    #[serde(flatten)]
    item: &'a ParkedItem,
}

async fn parked(operator: &Operator) -> anyhow::Result<()> {
    let mut count = 0;
    for partition in &operator.partitions {
        let mut after = Seq::ZERO;
        loop {
            let request = ParkedRequest { after, limit: PAGE };
            let reply: ParkedReply =
                ask(&operator.connection, *partition, QueryVerb::Parked, &request, ANSWER_WITHIN)
                    .await
                    .with_context(|| format!("partition {partition}"))?;
            for item in &reply.items {
                after = item.seq;
                if operator.json {
                    line(serde_json::to_string(&Parked { partition: *partition, item })?)?;
                } else {
                    let ParkedItem { seq, conversation, reason } = item;
                    line(format!("partition {partition} {seq} {conversation}: {reason}"))?;
                }
            }
            if reply.items.is_empty() {
                count += reply.count;
                break;
            }
        }
    }
    if !operator.json {
        line(format!("{count} parked"))?;
    }
    Ok(())
}

/// A line on standard output.
fn line(text: impl Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output")
}
