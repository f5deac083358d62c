//! The live feed of all partitions: in order, without holes, to the router.
//!
//! Core NATS may lose messages. Each live event says which one it follows, so a hole shows with the
//! next; an interruption says that there may be one at the end; and quiet partitions are compared
//! now and then. A partition with a hole holds what comes until its owner has told what is missing;
//! the others flow.
//!
//! The only gateway takes the feed whole. Where there are several each takes the order of all
//! events, and of their contents those of interest ([`Way`]). What is not there when its turn comes
//! is a hole like any other: so what arrives does not depend on what is subscribed.

mod contents;
mod cover;
mod lane;
mod upkeep;
mod way;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hansard_model::event::EventClass;
use hansard_model::query::{FeedReply, FeedRequest, Item, LiveOrder, QueryError};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, Envelope, PartitionId, Seq, UserId};
use hansard_nats::live::{InterestFeed, LiveEvent, LiveFeed, LiveMessage};
use hansard_nats::log::ReadError;
use hansard_nats::query::{AskError, ask};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::Gateway;
use crate::metrics::delivery as metrics;
use crate::router::{Change, Listed, Taken, is_meta, whose_view};

use self::cover::Cover;
use self::lane::{Delivery, Entry, Lane, Next};
use self::upkeep::Upkeep;
use self::way::Way;

/// Events of one repair question.
const PAGE: usize = 256;
/// How long an owner may take.
const REPAIR_WITHIN: Duration = Duration::from_secs(3);
/// Pause before an owner is asked again that did not answer, or knew nothing new.
const PAUSE: Duration = Duration::from_millis(100);
/// How often quiet partitions are compared with their owners.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How often those are of which no order comes, while one lacks it.
const WITHOUT_ORDER_EVERY: Duration = Duration::from_secs(1);

/// How long a content may come behind its turn when nothing else is there to be read.
const CONTENT_WITHIN: Duration = Duration::from_millis(100);
/// The same while there is: this gateway is what is late, but not for ever.
const CONTENT_AT_LAST: Duration = Duration::from_secs(1);
/// How often those are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Entries that wait for contents; with so many the order is not read on, the contents are.
const WAITING_MAX: usize = 1_024;

type Repairs = FuturesUnordered<BoxFuture<'static, (Asked, Result<FeedReply, AskError>)>>;

/// A question to an owner.
#[derive(Clone, Copy, Debug)]
struct Asked {
    partition: PartitionId,
    /// Where the partition stood; it may have moved on meanwhile.
    position: Option<Seq>,
    /// Of the log that this was a position of.
    epoch: u64,
}

/// Follows the live feed and keeps the connections' clocks, until dropped.
pub(crate) async fn run(gateway: Arc<Gateway>) {
    let way = watch::Sender::new(None);
    let feed = async {
        let mut ways = way.subscribe();
        loop {
            // The sender outlives this.
            let chosen = ways.wait_for(Option::is_some).await.ok().and_then(|way| *way);
            let Some(chosen) = chosen else { continue };
            match Feed::subscribe(&gateway, chosen).await {
                Ok(feed) => Follow::new(&gateway, chosen).run(feed, &mut ways).await,
                Err(error) => tracing::warn!(%error, "no live feed yet"),
            }
            gateway.router.ignore_interests();
            // What failed is tried again; another way is gone at once.
            if *ways.borrow() == Some(chosen) {
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    let ((), _, (), ()) = tokio::join!(
        feed,
        way::choose(&gateway, &way),
        gateway.router.wheel.run(&gateway),
        gateway.router.typing.publish(&gateway.connection),
    );
}

/// The subscriptions.
enum Feed {
    Whole(LiveFeed),
    ByInterest(Box<InterestFeed>),
}

impl Feed {
    async fn subscribe(gateway: &Gateway, way: Way) -> Result<Self, ReadError> {
        match way {
            Way::Whole => Ok(Self::Whole(gateway.connection.subscribe_live().await?)),
            Way::ByInterest => {
                Ok(Self::ByInterest(Box::new(gateway.connection.subscribe_order().await?)))
            }
        }
    }

    /// The next message; safe to drop while it waits.
    async fn next(&mut self, takes_order: bool) -> Option<LiveMessage> {
        match self {
            Self::Whole(feed) => feed.next().await,
            Self::ByInterest(feed) => feed.next(takes_order).await,
        }
    }
}

struct Follow<'a> {
    gateway: &'a Arc<Gateway>,
    lanes: Vec<Lane>,
    repairs: Repairs,
    /// Lanes that may be waiting for contents.
    waiting: BTreeSet<PartitionId>,
    /// Here when the feed is followed by interest.
    upkeep: Option<Upkeep>,
}

impl<'a> Follow<'a> {
    fn new(gateway: &'a Arc<Gateway>, way: Way) -> Self {
        let router = &gateway.router;
        let lanes = router.partitions().partitions().map(|_| Lane::default()).collect();
        let upkeep = (way == Way::ByInterest).then(|| Upkeep::begin(gateway));
        metrics::feed_by_interest(upkeep.is_some());
        tracing::info!(?way, "following the live feed");
        Self { gateway, lanes, repairs: Repairs::new(), waiting: BTreeSet::new(), upkeep }
    }

    async fn run(mut self, mut feed: Feed, ways: &mut watch::Receiver<Option<Way>>) {
        let mut interruptions = self.gateway.connection.interruptions();
        let mut epochs = self.gateway.router.epochs();
        let intervals = [SWEEP_EVERY, WITHOUT_ORDER_EVERY, LOOK_EVERY, LOOK_EVERY].map(|period| {
            let mut interval = tokio::time::interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        let [mut sweep, mut sweep_without_order, mut look, mut look_at_last] = intervals;
        // The subscription is there: what its owner has sent before is asked for.
        self.compare_all();
        loop {
            let (takes_order, is_waiting) = (self.takes_order(), !self.waiting.is_empty());
            tokio::select! {
                biased;
                Some((asked, reply)) = self.repairs.next(), if !self.repairs.is_empty() => {
                    self.repaired(asked, reply);
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
                _ = ways.changed() => return,
                turn = upkeep::turn(&mut self.upkeep) => {
                    if let (Some(upkeep), Feed::ByInterest(feed)) = (&mut self.upkeep, &mut feed) {
                        upkeep.take(turn, feed);
                    }
                }
                _ = look_at_last.tick(), if is_waiting => self.look(CONTENT_AT_LAST),
                message = feed.next(takes_order) => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
                // Behind the messages: what is there to be read is not late.
                _ = look.tick(), if is_waiting => self.look(CONTENT_WITHIN),
                _ = sweep.tick() => self.compare_quiet(),
                _ = sweep_without_order.tick() => self.compare_without_order(),
            }
        }
    }

    /// Whether the order may run further ahead of the contents.
    fn takes_order(&self) -> bool {
        let waiting = self.waiting.iter().filter_map(|partition| self.lanes.get(partition.index()));
        waiting.filter_map(Lane::waiting).sum::<usize>() < WAITING_MAX
    }

    fn take(&mut self, message: LiveMessage) {
        match message {
            // By interest, an event is the content of an entry in the order.
            LiveMessage::Event(event) if self.upkeep.is_some() => self.content(event),
            LiveMessage::Event(event) => {
                let partition = event.conversation.partition(self.gateway.router.partitions());
                self.entry(partition, Entry::Event(event));
            }
            LiveMessage::Order(partition, order) => self.order(partition, order),
            LiveMessage::Typing { conversation, user } => {
                let partition = conversation.partition(self.gateway.router.partitions());
                let lane = self.lanes.get(partition.index());
                // Among what is missing may be a removal that it must not reach beyond.
                if lane.is_some_and(Lane::is_flowing) {
                    let group = self.gateway.groups.known(conversation);
                    self.gateway.router.typing(conversation, user, group.as_deref());
                }
            }
        }
    }

    fn order(&mut self, partition: PartitionId, order: LiveOrder) {
        let mut follows = order.follows;
        for item in order.items {
            let (conversation, seq) = (item.conversation, item.seq);
            // Of another partition its position would be another's.
            if conversation.partition(self.gateway.router.partitions()) != partition {
                continue;
            }
            let entry = match item.event {
                Some(event) => Entry::Event(live_event(conversation, &event, follows)),
                None => Entry::Listed(Listed { conversation, seq, follows }),
            };
            follows = seq;
            self.entry(partition, entry);
        }
    }

    fn entry(&mut self, partition: PartitionId, entry: Entry) {
        self.with_lane(partition, |lane, to| lane.take(entry, Instant::now(), to));
    }

    fn content(&mut self, event: LiveEvent) {
        let router = &self.gateway.router;
        let partition = event.conversation.partition(router.partitions());
        let position = router.position(partition);
        self.with_lane(partition, |lane, to| lane.content(event, position, Instant::now(), to));
    }

    /// Does something with a lane, and what that comes to.
    fn with_lane(
        &mut self,
        partition: PartitionId,
        what: impl FnOnce(&mut Lane, &mut Passage<'_>) -> Next,
    ) {
        let Some(lane) = self.lanes.get_mut(partition.index()) else { return };
        let cover = self.upkeep.as_ref().map(Upkeep::cover);
        match what(lane, &mut Passage { gateway: self.gateway, cover }) {
            Next::Flow => {}
            Next::Wait => self.wait(partition),
            Next::Ask => self.ask(partition, Duration::ZERO),
            Next::Hole => {
                metrics::hole_found();
                // By interest, the first event of what is not subscribed yet is one as well.
                tracing::debug!(%partition, "hole in the feed");
                self.ask(partition, Duration::ZERO);
            }
        }
    }

    fn wait(&mut self, partition: PartitionId) {
        if self.lanes.get(partition.index()).is_some_and(|lane| lane.waiting().is_some()) {
            self.waiting.insert(partition);
        }
    }

    /// Asks for what was waited for in vain.
    fn look(&mut self, patience: Duration) {
        let now = Instant::now();
        for partition in std::mem::take(&mut self.waiting) {
            let Some(lane) = self.lanes.get_mut(partition.index()) else { continue };
            if lane.is_late(now, patience) {
                metrics::feed_content_late();
                metrics::hole_found();
                tracing::debug!(%partition, "a content is missing from the feed");
                self.ask(partition, Duration::ZERO);
            } else {
                self.wait(partition);
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
            let (position, epoch) = gateway.router.standing(partition);
            let request = match position {
                Some(after) => FeedRequest { after, limit: PAGE },
                None => FeedRequest { after: Seq(u64::MAX), limit: 0 },
            };
            let connection = &gateway.connection;
            let reply = ask(connection, partition, QueryVerb::Feed, &request, REPAIR_WITHIN).await;
            (Asked { partition, position, epoch }, reply)
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
            if lane.was_quiet() && !lane.is_repairing() {
                self.compare(partition);
            }
        }
    }

    /// An owner of before there was an order may have others beside it: what is not subscribed of
    /// theirs shows with nothing.
    fn compare_without_order(&mut self) {
        if !self.lanes.iter().any(Lane::lacks_order) {
            return;
        }
        for partition in self.gateway.router.partitions().partitions() {
            let Some(lane) = self.lanes.get(partition.index()) else { continue };
            if !lane.is_active() && !lane.is_repairing() {
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

    fn repaired(&mut self, asked: Asked, reply: Result<FeedReply, AskError>) {
        let partition = asked.partition;
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
        // Not of where it stands now: what came meanwhile may have moved it on.
        let is_behind = asked.position.is_some_and(|at| reply.as_of < at);
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
        let is_cut = reply.more && !reply.items.is_empty();
        for item in reply.items {
            let event = live_event(item.conversation, &item.item, Seq::ZERO);
            let change = observe(self.gateway, &event);
            let shown = changed_views(&event).unwrap_or_default();
            let is_new = self.gateway.router.take_repaired(&event, change.as_ref(), &shown);
            if is_new && !shown.is_empty() {
                show(self.gateway, event.conversation, shown);
            }
        }
        // Of a log that is no more, nothing is taken: all begins anew.
        self.gateway.router.advance(partition, reply.as_of, asked.epoch);
        let moved = self.gateway.router.position(partition) != before;
        self.settle(partition, is_cut, moved);
    }

    /// Ends all connections, which resume, and asks where a partition stands now.
    fn begin_anew(&self, partition: PartitionId, reason: &'static str) {
        // In this order: nobody attaches in between, to a feed that has a gap.
        self.gateway.router.forget_position(partition);
        self.gateway.router.close_all(1012, reason);
        self.ask(partition, PAUSE);
    }

    /// Delivers what was held, as far as it follows; the rest is asked for.
    fn settle(&mut self, partition: PartitionId, is_cut: bool, moved: bool) {
        let position = self.gateway.router.position(partition).unwrap_or(Seq::ZERO);
        let Some(lane) = self.lanes.get_mut(partition.index()) else { return };
        let cover = self.upkeep.as_ref().map(Upkeep::cover);
        let mut passage = Passage { gateway: self.gateway, cover };
        match lane.settle(is_cut, position, Instant::now(), &mut passage) {
            Next::Flow | Next::Wait => metrics::hole_repaired(),
            Next::Ask | Next::Hole => {
                self.ask(partition, if moved { Duration::ZERO } else { PAUSE });
            }
        }
        self.wait(partition);
    }
}

/// Where entries go: to the router.
struct Passage<'a> {
    gateway: &'a Arc<Gateway>,
    cover: Option<&'a Cover>,
}

impl Delivery for Passage<'_> {
    fn deliver(&mut self, entry: &Entry, content: Option<&LiveEvent>) -> Taken {
        match (entry, content) {
            (Entry::Event(event), _) => {
                let change = observe(self.gateway, event);
                let users = changed_views(event).unwrap_or_default();
                let taken = self.gateway.router.take(event, change.as_ref(), &users);
                if taken == Taken::Delivered && !users.is_empty() {
                    show(self.gateway, event.conversation, users);
                }
                taken
            }
            (Entry::Listed(listed), Some(event)) => {
                let change = observe(self.gateway, event);
                self.gateway.router.take_listed(listed, Some((event, change.as_ref())))
            }
            (Entry::Listed(listed), None) => self.gateway.router.take_listed(listed, None),
        }
    }

    fn is_covered(&self, conversation: ConversationId) -> bool {
        self.cover.is_some_and(|cover| cover.covers(conversation))
    }
}

/// Shows those of them who are here how the group is for them now.
fn show(gateway: &Gateway, group: ConversationId, users: Vec<UserId>) {
    for user in gateway.router.present(users) {
        gateway.router.announcements.show(user, group);
    }
}

/// Whose view of its group an event changes; `None` for almost all.
fn changed_views(event: &LiveEvent) -> Option<Vec<UserId>> {
    (event.conversation.is_group() && is_meta(&event.payload))
        .then(|| whose_view(&event.payload))
        .filter(|users| !users.is_empty())
}

fn live_event(conversation: ConversationId, item: &Item, follows: Seq) -> LiveEvent {
    let payload = bytes::Bytes::copy_from_slice(item.body.get().as_bytes());
    let Item { seq, prev, n, ts, .. } = *item;
    LiveEvent { conversation, seq, prev, n, ts, follows, payload }
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
