//! One client: the SDK's machine, a socket, and no store. Messages of a group are numbered by the
//! one who says them, so that each member sees what is missing and what came twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use hansard_client::backoff::Backoff;
use hansard_client::frame::{self, Incoming};
use hansard_client::machine::action::{Action, Discovered, EventsRequest, Snapshot};
use hansard_client::machine::timeline::{Page, ReadFailure};
use hansard_client::machine::{Machine, Options};
use hansard_client::{Content, Http, Loss, ReceiptPolicy, Refusal, StoredEvent, Update};
use hansard_model::Event;
use hansard_model::event::MessageSent;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::clients::Shared;
use super::orders::{Acked, Delivery, Member, wall_us};
use super::wire::{self, OpenFailure, Socket};
use crate::bench::dice::Dice;
use crate::bench::people::random;

/// Bytes of a message's text.
pub(super) const TEXT_BYTES: usize = 100;
/// Latencies that one process keeps of a phase.
const LATENCIES_MAX: usize = 300_000;
/// How long a client without anything to do sleeps.
const IDLE: Duration = Duration::from_secs(3_600);

pub(super) struct Client {
    shared: Arc<Shared>,
    machine: Machine,
    member: Member,
    index: usize,
    socket: Option<Socket>,
    opening: Option<BoxFuture<'static, Result<Socket, OpenFailure>>>,
    asking: Option<BoxFuture<'static, Discovered>>,
    reads: FuturesUnordered<BoxFuture<'static, (EventsRequest, Result<Page, ReadFailure>)>>,
    http: Option<Http>,
    /// When the attempt to connect began that is not accepted yet.
    attempt: Option<Instant>,
    is_synced: bool,
    /// The phase in which the connection was lost last.
    lost_in: Option<u64>,
    next_send: Option<Instant>,
    said: u64,
    /// When what is unanswered was said.
    unanswered: VecDeque<u64>,
    /// Whether the first of these was refused.
    was_refused: bool,
    /// The last message received; `None` after a gap.
    number: Option<u64>,
}

impl Client {
    pub(super) fn new(
        gateways: &[String],
        member: Member,
        index: usize,
        shared: Arc<Shared>,
    ) -> anyhow::Result<Self> {
        let mut dice = Dice::new(u64::from_le_bytes(random()?));
        let mut gateways = gateways.to_vec();
        let first = dice.below(gateways.len());
        gateways.rotate_left(first);
        let options = Options {
            token: member.person.token.clone(),
            gateways,
            discover: true,
            catch_up: None,
            background: false,
            backoff: Backoff::RECONNECT,
            receipts: ReceiptPolicy::Nothing,
            seed: dice.next(),
        };
        let next_send = member.every.map(|every| Instant::now() + every.mul_f64(dice.share()));
        Ok(Self {
            shared,
            machine: Machine::new(options, Snapshot::default()),
            member,
            index,
            socket: None,
            opening: None,
            asking: None,
            reads: FuturesUnordered::new(),
            http: None,
            attempt: None,
            is_synced: false,
            lost_in: None,
            next_send,
            said: 0,
            unanswered: VecDeque::new(),
            was_refused: false,
            number: Some(0),
        })
    }

    pub(super) async fn run(mut self) {
        loop {
            self.machine.tick(self.shared.now());
            self.carry_out().await;
            let deadline = self.machine.deadline().map_or(IDLE, |tick| {
                Duration::from_millis(tick.saturating_sub(self.shared.now().tick_ms))
            });
            let next_send = self.next_send.unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                received = receive(&mut self.socket) => self.received(received),
                opened = of(&mut self.opening) => self.opened(opened),
                answer = of(&mut self.asking) => self.answered(answer),
                Some((request, page)) = self.reads.next(), if !self.reads.is_empty() => {
                    self.machine.page(self.shared.now(), request, page);
                }
                () = tokio::time::sleep(deadline) => {}
                () = tokio::time::sleep_until(next_send) => self.say(),
            }
        }
    }

    /// Says the next message, if this is a time to speak.
    fn say(&mut self) {
        self.next_send = self.member.every.map(|every| Instant::now() + every);
        if self.next_send.is_none() || !self.shared.note(|notes| notes.speak) {
            return;
        }
        let now_us = wall_us();
        // What waits for a connection of its own says nothing about others.
        let sent_us = if self.is_synced { now_us } else { 0 };
        let text = format!("{} {sent_us} ", self.said + 1);
        let text = format!("{text:.<TEXT_BYTES$}");
        let event = Event::Message(MessageSent { text, ..MessageSent::default() });
        let Ok(event) = serde_json::value::to_raw_value(&event) else { return };
        if self.machine.send(self.shared.now(), self.member.group, event).is_err() {
            return;
        }
        self.said += 1;
        self.unanswered.push_back(now_us);
        let (index, said) = (self.index, self.said);
        self.shared.note(|notes| {
            notes.report.totals.said += 1;
            notes.report.totals.unanswered += 1;
            if let Some(progress) = notes.progress.get_mut(index) {
                progress.said = Some(said);
            }
        });
    }

    fn opened(&mut self, opened: Result<Socket, OpenFailure>) {
        self.opening = None;
        let now = self.shared.now();
        match opened {
            Ok(socket) => {
                self.socket = Some(socket);
                self.machine.connected(now);
            }
            Err((loss, refusal)) => {
                if loss == Loss::Overloaded {
                    self.note_refusal(refusal.as_deref());
                }
                self.machine.disconnected(now, loss, refusal.as_deref());
            }
        }
    }

    fn answered(&mut self, answer: Discovered) {
        self.asking = None;
        if answer == Discovered::NoAnswer {
            self.shared.note(|notes| notes.report.unanswered_questions += 1);
        }
        self.machine.gateways(self.shared.now(), answer);
    }

    fn received(&mut self, received: Option<Result<Message, Error>>) {
        let now = self.shared.now();
        match received {
            Some(Ok(Message::Text(text))) => match frame::decode(text.as_str()) {
                Ok(frame) => {
                    self.look_at(&frame);
                    self.machine.frame(now, frame);
                }
                Err(_) => self.machine.heard(now),
            },
            Some(Ok(Message::Close(frame))) => {
                self.socket = None;
                let code = frame.map_or(1005, |frame| frame.code.into());
                self.machine.disconnected(now, Loss::Closed(code), None);
            }
            Some(Ok(_)) => self.machine.heard(now),
            Some(Err(_)) | None => {
                self.socket = None;
                self.machine.disconnected(now, Loss::Closed(1006), None);
            }
        }
    }

    /// What the machine does not tell.
    fn look_at(&mut self, frame: &Incoming) {
        match frame {
            Incoming::Welcome(_) => {
                let took = self.attempt.take().map(|began| micros(began.elapsed()));
                self.shared.note(|notes| notes.report.accepted_us.extend(took));
            }
            Incoming::Error(None, refusal) if refusal.code == "overloaded" => {
                self.note_refusal(Some(refusal));
            }
            Incoming::Error(Some(_), refusal) => {
                self.was_refused = true;
                let code = refusal.code.clone();
                self.shared.note(|notes| *notes.report.send_refusals.entry(code).or_default() += 1);
            }
            _ => {}
        }
    }

    fn note_refusal(&mut self, refusal: Option<&Refusal>) {
        let took = self.attempt.take().map(|began| micros(began.elapsed()));
        let is_hinted = refusal.is_some_and(|refusal| refusal.retry_after_ms.is_some());
        self.shared.note(|notes| {
            notes.report.refused_us.extend(took);
            notes.report.hinted += usize::from(took.is_some() && is_hinted);
        });
    }

    async fn carry_out(&mut self) {
        loop {
            let actions = self.machine.take_actions();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.perform(action).await;
            }
        }
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Discover(url) => {
                let region = self.member.region.clone();
                self.asking = self.http(&url).map(|http| {
                    let asking: BoxFuture<'static, _> =
                        Box::pin(async move { http.discover(Some(&region)).await });
                    asking
                });
            }
            Action::Connect(url) => {
                self.asking = None;
                self.http = self.http(&url);
                self.attempt = Some(Instant::now());
                self.opening = self.http.as_ref().map(|http| {
                    let opening: BoxFuture<'static, _> =
                        Box::pin(wire::open(http.gateway().clone()));
                    opening
                });
            }
            Action::Transmit(text) => {
                if let Some(socket) = &mut self.socket
                    && socket.send(Message::text(text)).await.is_err()
                {
                    self.socket = None;
                    let now = self.shared.now();
                    self.machine.disconnected(now, Loss::Closed(1006), None);
                }
            }
            Action::Disconnect => {
                (self.opening, self.asking, self.socket) = (None, None, None);
            }
            Action::FetchEvents(request) => {
                if let Some(http) = self.http.clone() {
                    self.reads.push(Box::pin(async move {
                        let page = http.page(request).await;
                        (request, page)
                    }));
                }
            }
            Action::FetchView(request) => self.machine.view(self.shared.now(), request, None),
            Action::Publish(update) => self.show(update),
            // Nothing of these clients outlives the process.
            Action::Persist(_) => {}
        }
    }

    /// A gateway's interface, without a connection so far.
    fn http(&self, url: &str) -> Option<Http> {
        let http = Http::new(url.parse().ok()?);
        http.set_token(Some(self.member.person.token.clone()));
        Some(http)
    }

    fn show(&mut self, update: Update) {
        match update {
            Update::Event(event) => self.event(&event),
            Update::Synced => {
                let was_lost = self.lost_in.is_some();
                self.is_synced = true;
                self.shared.note(|notes| {
                    notes.report.totals.synced += 1;
                    notes.report.back_at_us.extend(was_lost.then(wall_us));
                });
            }
            Update::Disconnected { .. } => self.disconnected(),
            Update::Gap(gap) if gap.conversation == self.member.group => {
                self.number = None;
                self.shared.note(|notes| notes.report.totals.gaps += 1);
            }
            Update::Ack { .. } => self.acked(),
            Update::Failed { .. } => {
                self.unanswered.pop_front();
                self.was_refused = false;
                self.shared.note(|notes| {
                    let totals = &mut notes.report.totals;
                    totals.failed += 1;
                    totals.unanswered = totals.unanswered.saturating_sub(1);
                });
            }
            Update::Renamed { .. } => self.shared.note(|notes| notes.report.totals.renamed += 1),
            _ => {}
        }
    }

    fn disconnected(&mut self) {
        let was_synced = std::mem::take(&mut self.is_synced);
        // A refusal has taken it.
        let is_unanswered = self.attempt.take().is_some();
        let interrupted = &self.unanswered;
        let lost_in = self.shared.note(|notes| {
            notes.report.interrupted_at_us.extend(interrupted);
            notes.report.unanswered_attempts += usize::from(is_unanswered);
            if was_synced {
                notes.report.totals.losses += 1;
                notes.report.totals.synced = notes.report.totals.synced.saturating_sub(1);
            }
            notes.phase
        });
        if was_synced {
            self.lost_in = Some(lost_in);
        }
    }

    fn acked(&mut self) {
        let Some(said_at_us) = self.unanswered.pop_front() else { return };
        let was_refused = std::mem::take(&mut self.was_refused);
        let acked = Acked { said_at_us, acked_at_us: wall_us(), was_refused };
        let index = self.index;
        self.shared.note(|notes| {
            let totals = &mut notes.report.totals;
            totals.acked += 1;
            totals.unanswered = totals.unanswered.saturating_sub(1);
            notes.report.acks.push(acked);
            if let Some(progress) = notes.progress.get_mut(index) {
                progress.acked_said_at_us = said_at_us;
            }
        });
    }

    fn event(&mut self, event: &StoredEvent) {
        let Content::Known(Event::Message(message)) = event.content() else { return };
        let mut words = message.text.split(' ').map(str::parse::<u64>);
        let (Some(Ok(number)), Some(Ok(sent_us))) = (words.next(), words.next()) else { return };
        if event.conversation != self.member.group {
            return;
        }
        let before = self.number;
        self.number = Some(before.unwrap_or(0).max(number));
        let (index, lost_in, is_synced) = (self.index, self.lost_in, self.is_synced);
        self.shared.note(|notes| {
            let is_live = is_synced && sent_us > 0 && lost_in != Some(notes.phase);
            let report = &mut notes.report;
            report.events += 1;
            if let Some(before) = before {
                report.totals.doubled += u64::from(number <= before);
                report.totals.lost += number.saturating_sub(before + 1);
            }
            if is_live && report.live.len() < LATENCIES_MAX {
                let took_us = wall_us().saturating_sub(sent_us);
                report.live.push(Delivery { said_at_us: sent_us, took_us });
            }
            if let Some(progress) = notes.progress.get_mut(index) {
                progress.number = progress.number.max(number);
            }
        });
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

async fn receive(socket: &mut Option<Socket>) -> Option<Result<Message, Error>> {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}

/// The outcome of a future that may not be there.
async fn of<T>(slot: &mut Option<BoxFuture<'static, T>>) -> T {
    match slot {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
