//! What was said: every line a message by its nick's user, in the order of the file.
//!
//! Many are in flight on one connection that never reconnects, so what the log holds of them is a
//! beginning of what was sent. All that are in flight carry the same `Vouch-Until`, so the valid
//! ones are a beginning too. After any doubt (no acknowledgement, a duplicate, an end of the vouch)
//! the log is read and the rest is sent on a new connection.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use hansard_model::event::EventClass;
use hansard_model::record::EventKey;
use hansard_model::{ConversationId, LogTime, MessageId, Seq, UserId, envelope, limit};
use hansard_nats::log::{Append, NotSynchronized, PendingAppend};
use hansard_nats::{Connection, Deployment, Endpoint, Log, LogClock, ServiceRole, deployment};
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::id::Ids;
use super::line::{self, Line};
use super::people::People;
use super::{PATIENCE, PAUSE, insist};

/// A vouch is replaced when less than this is left of it.
const VOUCH_LEFT_MIN: Duration = Duration::from_secs(60);
/// Lines read ahead of the log.
const LINES_AHEAD: usize = 4_096;

/// Until when an event may be vouched for whose absence from the log was just read: for so long the
/// stream recognises a second attempt.
pub(super) fn vouch(clock: &LogClock) -> Result<LogTime, NotSynchronized> {
    let window = Duration::from_millis(limit::DEDUPLICATION_WINDOW_MS - limit::LOG_TIME_ERROR_MS);
    Ok(clock.now()?.plus(window))
}

/// What an import did.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    /// Messages stored by this run.
    pub(super) added: u64,
    /// Messages of the file that were stored before.
    pub(super) before: u64,
}

/// What the log holds of the file's messages.
#[derive(Default)]
struct Held {
    stored: HashSet<MessageId>,
    void: HashMap<MessageId, Vec<Seq>>,
    reached: Seq,
}

pub(super) struct Said<'a> {
    log: &'a Log,
    ids: &'a Ids,
    endpoint: Endpoint,
    in_flight: usize,
    bar: ProgressBar,
    conversation: ConversationId,
}

/// A line with its place in the log to be.
struct Entry {
    line: Line,
    id: MessageId,
}

impl<'a> Said<'a> {
    pub(super) fn new(
        log: &'a Log,
        ids: &'a Ids,
        endpoint: Endpoint,
        in_flight: usize,
        bar: ProgressBar,
    ) -> Self {
        let conversation = ConversationId::Group(ids.group());
        Self { log, ids, endpoint, in_flight, bar, conversation }
    }

    /// Appends what the log does not hold.
    pub(super) async fn append(&self, path: &Path, people: &People<'_>) -> anyhow::Result<Counts> {
        let mut held = Held::default();
        insist(async || self.read(&mut held).await).await?;
        let at_first = held.stored.len();
        let deployment = deployment::open(self.log.connection()).await?;
        let (mut progress, mut best) = (Instant::now(), at_first);
        loop {
            let Some(doubt) = self.attempt(path, people, &deployment, &held).await? else { break };
            tracing::warn!(doubt = %format!("{doubt:#}"), "reading the log before going on");
            self.bar.set_message("(reading the log)");
            loop {
                if progress.elapsed() > PATIENCE {
                    return Err(
                        doubt.context("the log is away too long: run the same import again")
                    );
                }
                tokio::time::sleep(PAUSE).await;
                if self.read(&mut held).await.is_ok() {
                    break;
                }
            }
            self.bar.set_message("");
            if held.stored.len() > best {
                (progress, best) = (Instant::now(), held.stored.len());
            }
        }
        insist(async || self.read(&mut held).await).await?;
        let before = at_first as u64;
        Ok(Counts { added: held.stored.len() as u64 - before, before })
    }

    /// Reads what the log holds beyond what is known.
    async fn read(&self, held: &mut Held) -> anyhow::Result<()> {
        let device = self.ids.device();
        let mut records = self.log.replay(self.conversation, held.reached, false).await?;
        while let Some(record) = records.recv().await {
            held.reached = record.seq;
            let Some(key) = record.key.filter(|_| record.class == EventClass::Msg) else {
                continue;
            };
            if record.is_void() {
                held.void.entry(key.id).or_default().push(record.seq);
            } else if is_of(&record.payload, device.as_str()) {
                held.stored.insert(key.id);
            }
        }
        Ok(())
    }

    /// Sends what is missing, in order, until the end of the file or the first doubt.
    async fn attempt(
        &self,
        path: &Path,
        people: &People<'_>,
        deployment: &Deployment,
        held: &Held,
    ) -> anyhow::Result<Option<anyhow::Error>> {
        let connection = match Connection::connect_once(&self.endpoint, ServiceRole::Operator).await
        {
            Ok(connection) => connection,
            Err(error) => return Ok(Some(error.into())),
        };
        let log = Log::open(&connection, deployment, self.log.clock().clone());
        let mut pipeline = match Pipeline::new(log, self.in_flight, &self.bar) {
            Ok(pipeline) => pipeline,
            Err(error) => return Ok(Some(error)),
        };
        let mut entries = self.entries(path)?;
        self.bar.set_position(0);
        while let Some(entry) = entries.recv().await {
            let Entry { line, id } = entry?;
            if held.stored.contains(&id) {
                self.bar.inc(1);
                continue;
            }
            let sender = people.user(&line.nick);
            let void = held.void.get(&id).cloned().unwrap_or_default();
            let payload = self.payload(&line, id, sender)?;
            let key = EventKey { conversation: self.conversation, sender, id };
            if let Err(doubt) = pipeline.push(key, void, payload).await {
                return Ok(Some(doubt));
            }
        }
        Ok(pipeline.drain().await.err())
    }

    fn payload(&self, line: &Line, id: MessageId, sender: UserId) -> anyhow::Result<String> {
        Ok(envelope::encode(id, sender, self.ids.device(), &line.draft()?))
    }

    /// The file's lines with their ids, read ahead on a thread for blocking work.
    fn entries(&self, path: &Path) -> anyhow::Result<mpsc::Receiver<anyhow::Result<Entry>>> {
        let lines = line::read(path).context("the file is gone")?;
        let ids = self.ids.clone();
        let (sender, receiver) = mpsc::channel(LINES_AHEAD);
        tokio::task::spawn_blocking(move || {
            let (mut last, mut same) = (0, 0);
            for line in lines {
                let entry = line.and_then(|line| {
                    let millis = line.millis()?;
                    // Lines of one moment get ids in their order.
                    same = if millis == last { same + 1 } else { 0 };
                    last = millis;
                    let id = ids.line(millis + same, line.number, &line.text);
                    Ok(Entry { line, id })
                });
                let failed = entry.is_err();
                if sender.blocking_send(entry).is_err() || failed {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

/// Whether a payload was written by an importer: people may talk in the group too.
fn is_of(payload: &[u8], device: &str) -> bool {
    payload.windows(device.len()).take(256).any(|window| window == device.as_bytes())
}

/// Appends in order, acknowledged in order.
struct Pipeline<'a> {
    log: Log,
    pending: VecDeque<PendingAppend>,
    in_flight: usize,
    until: LogTime,
    bar: &'a ProgressBar,
}

impl<'a> Pipeline<'a> {
    fn new(log: Log, in_flight: usize, bar: &'a ProgressBar) -> anyhow::Result<Self> {
        let until = vouch(log.clock())?;
        Ok(Self { log, pending: VecDeque::with_capacity(in_flight), in_flight, until, bar })
    }

    async fn push(&mut self, key: EventKey, void: Vec<Seq>, payload: String) -> anyhow::Result<()> {
        if self.log.clock().now()?.plus(VOUCH_LEFT_MIN) > self.until {
            // All in flight have one vouch: see the module.
            self.drain().await?;
            self.until = vouch(self.log.clock())?;
        }
        if self.pending.len() >= self.in_flight {
            self.settle_first().await?;
        }
        let (class, kind, vouch_until) = (EventClass::Msg, "message", self.until);
        let payload = payload.into();
        let append = Append { key, void, class, kind, vouch_until, expected: None, payload };
        self.pending.push_back(self.log.append(append).await?);
        Ok(())
    }

    async fn settle_first(&mut self) -> anyhow::Result<()> {
        let Some(pending) = self.pending.pop_front() else { return Ok(()) };
        if pending.await?.duplicate {
            return Err(anyhow!("a message was there already"));
        }
        let error = Duration::from_millis(limit::LOG_TIME_ERROR_MS);
        if self.log.clock().now()?.plus(error) > self.until {
            return Err(anyhow!("an acknowledgement came too late to be sure of"));
        }
        self.bar.inc(1);
        Ok(())
    }

    /// Waits for all acknowledgements.
    async fn drain(&mut self) -> anyhow::Result<()> {
        while !self.pending.is_empty() {
            self.settle_first().await?;
        }
        Ok(())
    }
}
