//! The live feed of all partitions: in order, without holes, to the router.
//!
//! Core NATS may lose messages. Each live event says which one it follows, so a hole shows with the
//! next; an interruption says that there may be one at the end; and quiet partitions are compared
//! now and then. A partition with a hole holds what comes until its owner has told what is missing;
//! the others flow.

mod lane;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hansard_model::event::EventClass;
use hansard_model::query::{FeedReply, FeedRequest, InboxEntry, QueryError};
use hansard_model::subject::QueryVerb;
use hansard_model::{Envelope, PartitionId, Seq};
use hansard_nats::live::{LiveEvent, LiveFeed, LiveMessage};
use hansard_nats::query::{AskError, ask};
use hansard_protocol::ServerFrame;
use tokio::time::MissedTickBehavior;

use crate::Gateway;
use crate::frame::Frame;
use crate::metrics::delivery as metrics;
use crate::router::{Change, Taken, is_meta};

use self::lane::{Lane, Next};

/// Events of one repair question.
const PAGE: usize = 256;
/// How long an owner may take.
const REPAIR_WITHIN: Duration = Duration::from_secs(3);
/// Pause before an owner is asked again that did not answer, or knew nothing new.
const PAUSE: Duration = Duration::from_millis(100);
/// How often quiet partitions are compared with their owners.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

type Repairs = FuturesUnordered<BoxFuture<'static, (PartitionId, Result<FeedReply, AskError>)>>;

/// Follows the live feed and keeps the connections' clocks, until dropped.
pub(crate) async fn run(gateway: Arc<Gateway>) {
    let feed = async {
        loop {
            match gateway.connection.subscribe_live().await {
                Ok(live) => Follow::new(&gateway).run(live).await,
                Err(error) => tracing::warn!(%error, "no live feed yet"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let ((), (), ()) = tokio::join!(
        feed,
        gateway.router.wheel.run(&gateway),
        gateway.router.typing.publish(&gateway.connection),
    );
}

struct Follow<'a> {
    gateway: &'a Arc<Gateway>,
    lanes: Vec<Lane>,
    repairs: Repairs,
}

impl<'a> Follow<'a> {
    fn new(gateway: &'a Arc<Gateway>) -> Self {
        let lanes = gateway.router.partitions().partitions().map(|_| Lane::default()).collect();
        Self { gateway, lanes, repairs: Repairs::new() }
    }

    async fn run(mut self, mut live: LiveFeed) {
        let mut interruptions = self.gateway.connection.interruptions();
        let mut epochs = self.gateway.router.epochs();
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The subscription is there: what its owner has sent before is asked for.
        self.compare_all();
        loop {
            tokio::select! {
                biased;
                Some((partition, reply)) = self.repairs.next(), if !self.repairs.is_empty() => {
                    self.repaired(partition, reply);
                }
                interrupted = interruptions.changed() => {
                    if interrupted.is_err() {
                        return;
                    }
                    tracing::info!("the live feed was interrupted: comparing all partitions");
                    self.compare_all();
                }
                // What is held or being asked is of another log: all begins anew.
                _ = epochs.changed() => return,
                message = live.next() => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
                _ = sweep.tick() => self.compare_quiet(),
            }
        }
    }

    fn take(&mut self, message: LiveMessage) {
        match message {
            LiveMessage::Event(event) => self.event(event),
            LiveMessage::User(user, notice) => {
                let InboxEntry { conversation, member, .. } = &notice.entry;
                if !self.gateway.router.has_user(user) {
                    return;
                }
                if member.role.is_some() && member.joined < member.as_of {
                    // How far they have read is not all in the notice: receipts say more.
                    self.gateway.router.announcements.show(user, *conversation);
                } else {
                    let view = self.gateway.inbox.view(user, &notice.entry);
                    let frame = Frame::server(&ServerFrame::Conversation(view));
                    self.gateway.router.send_to_user(user, &frame);
                }
            }
            LiveMessage::Typing { conversation, user } => {
                let partition = conversation.partition(self.gateway.router.partitions());
                let lane = self.lanes.get(partition.index());
                // Among what is missing may be a removal that it must not reach beyond.
                if lane.is_some_and(|lane| !lane.is_repairing()) {
                    let group = self.gateway.groups.known(conversation);
                    self.gateway.router.typing(conversation, user, group.as_deref());
                }
            }
        }
    }

    fn event(&mut self, event: LiveEvent) {
        let partition = event.conversation.partition(self.gateway.router.partitions());
        let Some(lane) = self.lanes.get_mut(partition.index()) else { return };
        lane.is_active = true;
        if lane.is_repairing() {
            lane.hold(event);
            return;
        }
        match deliver(self.gateway, &event) {
            Taken::Delivered | Taken::Repeated => {}
            Taken::Hole(position) => {
                metrics::hole_found();
                tracing::info!(%partition, %position, event.seq = %event.seq, "hole in the feed");
                lane.begin_repair();
                lane.hold(event);
                self.ask(partition, Duration::ZERO);
            }
            Taken::Unplaced => {
                lane.begin_repair();
                lane.hold(event);
                self.ask(partition, Duration::ZERO);
            }
        }
    }

    /// Asks the owner of a partition what comes after the position; where it stands, if there is
    /// none yet.
    fn ask(&self, partition: PartitionId, pause: Duration) {
        let gateway = self.gateway.clone();
        self.repairs.push(Box::pin(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let request = match gateway.router.position(partition) {
                Some(after) => FeedRequest { after, limit: PAGE },
                None => FeedRequest { after: Seq(u64::MAX), limit: 0 },
            };
            let connection = &gateway.connection;
            let verb = QueryVerb::Feed;
            (partition, ask(connection, partition, verb, &request, REPAIR_WITHIN).await)
        }));
    }

    fn compare_all(&mut self) {
        for partition in self.gateway.router.partitions().partitions() {
            self.compare(partition);
        }
    }

    fn compare_quiet(&mut self) {
        for partition in self.gateway.router.partitions().partitions() {
            let Some(lane) = self.lanes.get_mut(partition.index()) else { continue };
            let was_active = std::mem::take(&mut lane.is_active);
            if !was_active && !lane.is_repairing() {
                self.compare(partition);
            }
        }
    }

    fn compare(&mut self, partition: PartitionId) {
        let Some(lane) = self.lanes.get_mut(partition.index()) else { return };
        if lane.is_repairing() {
            // What was lost just now is after what is being asked.
            lane.ask_again();
        } else {
            lane.begin_repair();
            self.ask(partition, Duration::ZERO);
        }
    }

    fn repaired(&mut self, partition: PartitionId, reply: Result<FeedReply, AskError>) {
        let reply = match reply {
            Ok(reply) => reply,
            Err(AskError::Query(QueryError::TooFarBack)) => {
                tracing::error!(%partition, "the owner no longer has what the feed lacks");
                // Everybody resumes: catch-up reads the history, which has all of it.
                self.begin_anew(partition, "the live feed has a hole");
                return;
            }
            Err(error) => {
                tracing::debug!(%partition, %error, "the feed could not be compared");
                self.ask(partition, PAUSE);
                return;
            }
        };
        let before = self.gateway.router.position(partition);
        let is_behind = before.is_some_and(|at| reply.as_of < at);
        let lane = self.lanes.get_mut(partition.index());
        if lane.is_some_and(|lane| lane.is_cut_off(is_behind)) {
            tracing::error!(%partition, as_of = %reply.as_of, "the log has lost what was delivered");
            // What is appended now would pass for repeated.
            self.begin_anew(partition, "the log was restored");
            return;
        }
        if is_behind {
            self.ask(partition, PAUSE);
            return;
        }
        // An answer is cut by count or by bytes; one that was not reaches beyond its last event,
        // or nothing comes after it.
        let may_be_cut = reply.items.last().is_some_and(|last| last.item.seq >= reply.as_of);
        for item in reply.items {
            let body = item.item.body;
            let event = LiveEvent {
                conversation: item.conversation,
                seq: item.item.seq,
                prev: item.item.prev,
                n: item.item.n,
                ts: item.item.ts,
                follows: Seq::ZERO,
                payload: bytes::Bytes::copy_from_slice(body.get().as_bytes()),
            };
            let change = observe(self.gateway, &event);
            self.gateway.router.take_repaired(&event, change.as_ref());
        }
        self.gateway.router.advance(partition, reply.as_of);
        let moved = self.gateway.router.position(partition) != before;
        self.settle(partition, may_be_cut, moved);
    }

    /// Ends all connections, which resume, and asks where a partition stands now.
    fn begin_anew(&self, partition: PartitionId, reason: &'static str) {
        // In this order: nobody attaches in between, to a feed that has a gap.
        self.gateway.router.forget_position(partition);
        self.gateway.router.close_all(1012, reason);
        self.ask(partition, PAUSE);
    }

    /// Delivers what was held, as far as it follows; the rest is asked for.
    fn settle(&mut self, partition: PartitionId, may_be_cut: bool, moved: bool) {
        let gateway = self.gateway;
        let Some(lane) = self.lanes.get_mut(partition.index()) else { return };
        let position = gateway.router.position(partition).unwrap_or(Seq::ZERO);
        let next = lane.settle(may_be_cut, position, |event| {
            matches!(deliver(gateway, event), Taken::Delivered | Taken::Repeated)
        });
        match next {
            Next::Flow => metrics::hole_repaired(),
            Next::Ask => self.ask(partition, if moved { Duration::ZERO } else { PAUSE }),
        }
    }
}

fn deliver(gateway: &Gateway, event: &LiveEvent) -> Taken {
    let change = observe(gateway, event);
    gateway.router.take(event, change.as_ref())
}

/// Tells the folds of groups about an event that changes one, and gives what it does to a roster.
fn observe(gateway: &Gateway, event: &LiveEvent) -> Option<Change> {
    if !event.conversation.is_group() || !is_meta(&event.payload) {
        return None;
    }
    // An application's data can look like a meta event, which only the decoded event tells.
    let envelope = Envelope::decode(&event.payload).ok()?;
    if envelope.event.class() != EventClass::Meta {
        return None;
    }
    gateway.groups.observe(event);
    Change::of(&event.payload)
}
