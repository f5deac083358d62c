//! What messages refer to, kept in the records of uploads from the log.
//!
//! Each partition has one owner among all media services ([`hansard_nats::ownership`]). It reads
//! the log from the position that it has written last, so what an event says is written at least
//! once, and written again it changes nothing.
//!
//! - `fold`: what an event says, and what that does to a record, pure;
//! - `records`: writing it.
//!
//! Invariant: a position is written after everything that it covers.
//! Invariant: the log of another epoch is read from its beginning, after the records that it may
//! refer to were put back (see [`crate::reconcile`]).

mod fold;
mod records;
mod standing;

use std::time::Duration;

use bytes::Bytes;
use hansard_archive::{Archive, FollowError, LogReader};
use hansard_model::{Envelope, PartitionId, Record, Seq};
use hansard_nats::Log;
use hansard_nats::ownership::{Owners, Tenure};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::fold::Known;
use self::fold::Said;
use self::records::{NotKept, Records};
pub(crate) use self::records::{remember, tell_ready};
pub(crate) use self::standing::Standing;
use crate::collector::{Collector, Patience};
use crate::fault::Fault;
use crate::metrics;
use crate::reconcile;

/// Between two writes of a position: how much is read again, and how long the collector waits.
const POSITION_EVERY: Duration = Duration::from_millis(500);
/// Pause before what did not answer is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Attempts to write what one event says before the partition stops, which is reported, and is
/// begun again later.
const ATTEMPTS_MAX: u32 = 50;
/// The owner of this partition is the collector.
const COLLECTING: PartitionId = PartitionId(0);

/// What the owners of one process share.
#[derive(Clone)]
pub(crate) struct Following {
    pub(crate) log: Log,
    pub(crate) archive: Archive,
    /// As last seen.
    pub(crate) epoch: watch::Receiver<u64>,
    pub(crate) collector: Collector,
    pub(crate) standing: Standing,
}

/// Why an owner stopped by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StopReason {
    /// The log is not what it should be.
    #[error(transparent)]
    Log(#[from] FollowError),
    /// References cannot be written.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Owners for Following {
    type Stop = StopReason;

    const LEASES: &'static str = "media";

    async fn own(
        self,
        partition: PartitionId,
        tenure: Tenure,
        ending: CancellationToken,
    ) -> Result<(), StopReason> {
        Box::pin(own(self, partition, tenure, ending)).await
    }

    fn ended(&self, partition: PartitionId, stopped: bool) {
        metrics::tenure_ended(if stopped { "stopped" } else { "ended" });
        self.standing.left(partition);
    }

    fn is_settled(&self) -> bool {
        self.standing.is_settled()
    }

    fn looked(&self) {
        self.standing.tell();
    }
}

/// Holds a partition until `ending`, the end of the lease, or another epoch.
async fn own(
    following: Following,
    partition: PartitionId,
    tenure: Tenure,
    ending: CancellationToken,
) -> Result<(), StopReason> {
    let lost = tenure.lost();
    let mut raised = following.epoch.clone();
    let epoch = *raised.borrow_and_update();
    following.standing.owns(partition);
    let collecting = (partition == COLLECTING).then(|| {
        let collector = following.collector.clone();
        AbortOnDropHandle::new(tokio::spawn(collector.run(epoch, tenure.clone())))
    });
    let stopped = tokio::select! {
        stopped = follow(&following, partition, tenure, epoch) => stopped,
        () = lost.cancelled() => Ok(()),
        () = ending.cancelled() => Ok(()),
        // The next owner reads the other log.
        _ = raised.wait_for(|now| *now != epoch) => Ok(()),
    };
    drop(collecting);
    stopped
}

async fn follow(
    following: &Following,
    partition: PartitionId,
    tenure: Tenure,
    epoch: u64,
) -> Result<(), StopReason> {
    let bucket = following.collector.bucket().clone();
    while !reconcile::is_done(&bucket, epoch).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "not yet");
        false
    }) {
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    let clock = following.log.clock().clone();
    let Patience { grace, forget, .. } = following.collector.patience;
    let records = Records { bucket, clock, tenure, epoch, grace, forget };
    let Some(position) = patiently(|| records.position(partition)).await? else {
        return Ok(());
    };
    let reader = following.archive.follow(&following.log, partition, position);
    tracing::info!(%partition, event.seq = position.0, "reading what messages refer to");
    let mut owner =
        Owner { partition, records, reader, written: None, standing: &following.standing };
    owner.run().await
}

/// The owner of the references of a partition.
struct Owner<'a> {
    partition: PartitionId,
    records: Records,
    reader: LogReader,
    /// The position that was written last: at first none, so that one is there whatever the log has.
    written: Option<Seq>,
    standing: &'a Standing,
}

impl Owner<'_> {
    async fn run(&mut self) -> Result<(), StopReason> {
        let mut tick = tokio::time::interval(POSITION_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                record = self.reader.next() => {
                    let record = record?;
                    // Whoever finds the lease lost leaves the rest to the next owner.
                    if apply(&self.records, &record).await?.is_none() {
                        return Ok(());
                    }
                }
                _ = tick.tick() => if self.advance().await?.is_none() {
                    return Ok(());
                },
            }
        }
    }

    /// Writes how far everything is written. `None`: the lease is lost.
    async fn advance(&mut self) -> Result<Option<()>, StopReason> {
        let seq = self.reader.position();
        self.standing.reached(self.partition, seq, self.reader.last_known());
        if self.written == Some(seq) {
            return Ok(Some(()));
        }
        let (records, partition) = (&self.records, self.partition);
        let advanced = patiently(|| records.advance(partition, seq)).await?;
        if advanced.is_some() {
            self.written = Some(seq);
        }
        Ok(advanced)
    }
}

/// Writes what an event says. `None`: the lease is lost.
async fn apply(records: &Records, record: &Record<Bytes>) -> Result<Option<()>, StopReason> {
    let outcome = match said(record) {
        Ok(Some(said)) => {
            let keep = || records.keep(record.conversation, record.ts, &said);
            match patiently(keep).await? {
                Some(true) => "kept",
                Some(false) => "valid",
                None => return Ok(None),
            }
        }
        Ok(None) => "valid",
        Err(outcome) => outcome,
    };
    metrics::record(outcome);
    Ok(Some(()))
}

/// What a record says about media, or why it says nothing to anybody.
fn said(record: &Record<Bytes>) -> Result<Option<Said>, &'static str> {
    if record.is_void() {
        return Err("void");
    }
    match Envelope::decode(&record.payload) {
        Ok(envelope) if envelope.event.class() == record.class => {
            Ok(Said::read(record.seq, &envelope))
        }
        Ok(_) | Err(_) => Err("unreadable"),
    }
}

/// Tries until it succeeds, or the lease is lost (`None`), or for so long that somebody has to know.
async fn patiently<T, F>(mut attempt: impl FnMut() -> F) -> Result<Option<T>, StopReason>
where
    F: Future<Output = Result<T, NotKept>>,
{
    let began = Instant::now();
    for attempts in 1.. {
        match attempt().await {
            Ok(done) => return Ok(Some(done)),
            Err(NotKept::Lost) => return Ok(None),
            Err(NotKept::Fault(fault)) if attempts >= ATTEMPTS_MAX => return Err(fault.into()),
            Err(NotKept::Fault(fault)) => {
                let since_ms = began.elapsed().as_millis();
                tracing::debug!(error = %fault, since_ms, "references are not written yet");
            }
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    Ok(None)
}
