//! A WebSocket connection: one task, from the 101 to the close.
//!
//! The task writes what is in its outbox, reads the next frame when it has room for the answer,
//! and waits. It never has more than one command on its way into the log's order, a bounded number
//! beyond that, and a bounded outbox: while a bound is reached it does not read.

mod farewell;
mod flood;
pub(crate) mod hello;
mod message;
mod network;
mod reader;
mod state;
mod wire;
mod writer;

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fastwebsockets::WebSocketError;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hansard_protocol::client::FrameRef;
use hansard_protocol::server::Ack;
use hansard_protocol::{ErrorBody, ErrorCode, ServerFrame};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::Gateway;
use crate::admission::Admitted;
use crate::frame::Frame;
use crate::headcount::Counted;
use crate::heartbeat::Pulse;
use crate::metrics::delivery as metrics;
use crate::outbox::{Closing, Outbox};
use crate::presence::own::Here;
use crate::receipts::ReceiptError;
use crate::resume;
use crate::router::{Attachment, Link, Origin};
use crate::send::{PendingSend, SendError, Stored};

use self::hello::Welcomed;
use self::message::{Assembly, Message, Refused};
use self::reader::{Part, Reader, is_gone};
use self::state::{Action, Answering, Ended, Identified, Unidentified};
use self::wire::Wire;
use self::writer::{Writer, Written};

/// Close code in logs and metrics of a connection that ended without a close.
const GONE: u16 = 1006;
/// Close code for bytes that are against the rules.
const BAD_FRAME: u16 = 4000;

/// Serves a connection until it ends. `read_ahead` is what came behind the upgrade request.
pub(crate) async fn serve(
    stream: TcpStream,
    read_ahead: Bytes,
    admitted: Arc<Admitted>,
    gateway: Arc<Gateway>,
) {
    Connection::new(stream, read_ahead, admitted, gateway).run().await;
}

/// The state of the task.
struct Connection {
    gateway: Arc<Gateway>,
    admitted: Arc<Admitted>,
    wire: Arc<Wire>,
    reader: Reader,
    assembly: Assembly,
    writer: Writer,
    outbox: Arc<Outbox>,
    pulse: Arc<Pulse>,
    phase: Phase,
    /// `hello` being checked, or a command on its way into the log's order.
    stage: Option<BoxFuture<'static, Staged>>,
    /// Holds the attachment while it runs.
    catch_up: Option<BoxFuture<'static, Attachment>>,
    in_flight: FuturesUnordered<InFlight>,
    receipts: FuturesUnordered<BoxFuture<'static, Receipted>>,
    opened: Instant,
    messages: u64,
}

enum Phase {
    Unidentified,
    Identified(Box<Member>),
}

/// An identified connection with its place in the router.
struct Member {
    state: Identified,
    link: Arc<Link>,
    here: Here,
    _counted: Counted,
    /// Here once the catch-up is over.
    _attachment: Option<Attachment>,
}

/// A stage is over.
enum Staged {
    Hello(Result<Box<Welcomed>, Box<Ended>>),
    Sent(Answering, Result<PendingSend, SendError>),
}

/// A command that is enqueued and not yet answered.
struct InFlight {
    answering: Option<Answering>,
    pending: PendingSend,
}

/// What the task woke up for.
enum Woken {
    Outbox,
    Writable(std::io::Result<()>),
    Staged(Staged),
    Answered(Answered),
    Receipted(Receipted),
    CaughtUp(Attachment),
    Read(Result<Part, WebSocketError>),
}

/// A receipt that was stored, or not.
type Receipted = (Option<FrameRef>, Result<(), ReceiptError>);

type Answered = (Option<Answering>, Result<Stored, SendError>);

impl Future for InFlight {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.pending.as_mut().poll(context));
        Poll::Ready((self.answering.take(), result))
    }
}

/// The outcome of a future that may not be there.
async fn of<T>(slot: &mut Option<BoxFuture<'static, T>>) -> T {
    match slot {
        Some(future) => future.await,
        None => pending().await,
    }
}

impl Connection {
    fn new(
        stream: TcpStream,
        read_ahead: Bytes,
        admitted: Arc<Admitted>,
        gateway: Arc<Gateway>,
    ) -> Self {
        let wire = Arc::new(Wire::new(stream, read_ahead));
        let outbox = Arc::new(Outbox::new(gateway.config.limits.outbox_bytes));
        let pulse = Arc::new(Pulse::new(outbox.clone()));
        gateway.router.wheel.watch(&pulse);
        Self {
            reader: Reader::new(wire.clone()),
            assembly: Assembly::default(),
            writer: Writer::default(),
            phase: Phase::Unidentified,
            stage: None,
            catch_up: None,
            in_flight: FuturesUnordered::new(),
            receipts: FuturesUnordered::new(),
            opened: Instant::now(),
            messages: 0,
            gateway,
            admitted,
            wire,
            outbox,
            pulse,
        }
    }

    async fn run(mut self) {
        let closing = loop {
            let written = match self.writer.pump(&self.wire, &self.outbox) {
                Ok(written) => written,
                Err(_) => break None,
            };
            if let Some(closing) = self.outbox.closing() {
                break Some((closing, false));
            }
            if written == Written::More {
                tokio::task::yield_now().await;
                continue;
            }
            match self.wait(written).await {
                Woken::Outbox | Woken::Writable(Ok(())) => {}
                Woken::Writable(Err(_)) => break None,
                Woken::Staged(staged) => {
                    self.stage = None;
                    self.staged(staged);
                }
                Woken::Answered((Some(answering), result)) => self.answer(answering, result),
                Woken::Answered((None, _)) => {}
                Woken::Receipted((reference, stored)) => self.outbox.push(match stored {
                    Ok(()) => Frame::server(&ServerFrame::Ok { reference }),
                    Err(error) => Frame::error(error.body().answering(reference)),
                }),
                Woken::CaughtUp(attachment) => {
                    self.catch_up = None;
                    if let Phase::Identified(member) = &mut self.phase {
                        member._attachment = Some(attachment);
                    }
                }
                Woken::Read(Ok(part)) => {
                    if let Some(code) = self.part(part) {
                        let code = if code == 1005 { 1000 } else { code };
                        break Some((Closing { code, reason: "", flush: true }, true));
                    }
                }
                Woken::Read(Err(error)) if is_gone(&error) => break None,
                Woken::Read(Err(error)) => self.bad_bytes(&error),
            }
        };
        self.end(closing).await;
    }

    async fn wait(&mut self, written: Written) -> Woken {
        let reads = self.stage.is_none()
            && self.in_flight.len() + self.receipts.len() < self.gateway.config.limits.in_flight
            && !self.outbox.is_congested();
        tokio::select! {
            () = self.outbox.changed() => Woken::Outbox,
            ready = self.wire.writable(), if written == Written::Blocked => Woken::Writable(ready),
            staged = of(&mut self.stage), if self.stage.is_some() => Woken::Staged(staged),
            Some(answered) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                Woken::Answered(answered)
            }
            Some(receipted) = self.receipts.next(), if !self.receipts.is_empty() => {
                Woken::Receipted(receipted)
            }
            attachment = of(&mut self.catch_up), if self.catch_up.is_some() => {
                Woken::CaughtUp(attachment)
            }
            part = self.reader.next(), if reads => Woken::Read(part),
        }
    }

    /// Takes a frame; gives the code of the other side's close.
    fn part(&mut self, part: Part) -> Option<u16> {
        self.pulse.heard();
        match self.assembly.take(part) {
            Ok(None | Some(Message::Pong)) => {}
            Ok(Some(Message::Text(text))) => {
                self.messages += 1;
                metrics::message_read();
                self.text(&text);
            }
            Ok(Some(Message::Ping(payload))) => self.outbox.push(Frame::pong(&payload)),
            Ok(Some(Message::Close(code))) => return Some(code.unwrap_or(1005)),
            Err(refused) => self.refuse(refused),
        }
        None
    }

    fn text(&mut self, text: &str) {
        let Phase::Identified(member) = &mut self.phase else {
            match Unidentified::first(text) {
                Ok((hello, reference)) => {
                    self.pulse.greeted();
                    let (gateway, outbox, pulse) =
                        (self.gateway.clone(), self.outbox.clone(), self.pulse.clone());
                    self.stage = Some(Box::pin(async move {
                        let welcome = hello::welcome(gateway, hello, reference, outbox, pulse);
                        Staged::Hello(welcome.await.map_err(Box::new))
                    }));
                }
                Err(ended) => self.finish(ended),
            }
            return;
        };
        let action = member.state.on_text(text, Instant::now());
        if action.is_of_person() {
            member.here.active();
        }
        match action {
            Action::Refuse(body) => self.outbox.push(Frame::error(*body)),
            Action::Send(command, answering) => {
                let sender = self.gateway.sender.clone();
                self.stage = Some(Box::pin(async move {
                    Staged::Sent(answering, sender.submit(*command).await)
                }));
            }
            Action::Receipt(said, reference) => {
                let receipts = self.gateway.receipts.clone();
                let stored = async move { (reference, receipts.take(said).await) };
                self.receipts.push(Box::pin(stored));
            }
            Action::Typing(conversation) => {
                let (router, user) = (&self.gateway.router, member.state.user);
                let is_shown = !member.link.background && !member.here.is_invisible();
                // Who types faster is no better seen.
                if is_shown
                    && self.gateway.rates.typing(user).is_ok()
                    && router.is_member(user, conversation)
                {
                    router.typing.note(conversation, user, Instant::now());
                }
            }
            Action::Watch(watch) => {
                if !member.link.background {
                    self.gateway.router.watch(&member.link, &watch.conversations);
                    member.here.watch(watch);
                }
            }
            Action::Presence(chosen) => member.here.choose(chosen),
            Action::Pong(reference) => {
                self.gateway.router.push_with_cursor(&member.link, |cursor| ServerFrame::Pong {
                    reference,
                    cursor,
                });
            }
            Action::End(ended) => self.finish(*ended),
        }
    }

    fn staged(&mut self, staged: Staged) {
        match staged {
            Staged::Hello(Ok(welcomed)) => self.welcomed(*welcomed),
            Staged::Hello(Err(ended)) => self.finish(*ended),
            Staged::Sent(answering, Ok(pending)) => {
                self.in_flight.push(InFlight { answering: Some(answering), pending });
            }
            Staged::Sent(answering, Err(error)) => self.answer(answering, Err(error)),
        }
    }

    fn welcomed(&mut self, welcomed: Welcomed) {
        self.admitted.identified();
        let Welcomed { mut attachment, request, presence } = welcomed;
        let link = attachment.link().clone();
        let gateway = self.gateway.clone();
        if let Ok(since) = gateway.clock.now() {
            link.came_from(Origin { since, network: network::of(self.admitted.peer()) });
        }
        let settings = gateway.directory.presence_settings(link.user);
        let here = gateway.presence.connect(&link, presence, settings);
        let state = Unidentified::identified(link.user, link.device, Instant::now());
        let counted = gateway.standing.headcount().enter(link.user, link.device);
        let member = Member { state, link, here, _counted: counted, _attachment: None };
        self.phase = Phase::Identified(Box::new(member));
        self.catch_up = Some(Box::pin(async move {
            resume::run(&gateway, &mut attachment, &request).await;
            attachment
        }));
    }

    fn answer(&self, answering: Answering, result: Result<Stored, SendError>) {
        let Answering { reference, conversation, id } = answering;
        let frame = match result {
            Ok(Stored { seq, duplicate }) => {
                ServerFrame::Ack(Ack { reference, conversation, id, seq, duplicate })
            }
            Err(error) => ServerFrame::Error(error.body().answering(reference)),
        };
        self.outbox.push(Frame::server(&frame));
    }

    fn finish(&self, ended: Ended) {
        if let Some(error) = ended.error {
            self.outbox.push(Frame::error(*error));
        }
        self.outbox.close(ended.code, ended.reason);
    }

    fn refuse(&self, refused: Refused) {
        let code = match refused {
            Refused::TooLarge | Refused::TooManyFragments => ErrorCode::TooLarge,
            Refused::Unmasked
            | Refused::Binary
            | Refused::Fragments
            | Refused::Control
            | Refused::Utf8 => ErrorCode::BadFrame,
        };
        let error = ErrorBody::new(code, refused.to_string());
        self.finish(Ended::with(error, BAD_FRAME, "bad frame"));
    }

    fn bad_bytes(&self, error: &WebSocketError) {
        match error {
            WebSocketError::FrameTooLarge => self.refuse(Refused::TooLarge),
            WebSocketError::InvalidUTF8 => self.refuse(Refused::Utf8),
            WebSocketError::ControlFrameFragmented | WebSocketError::PingFrameTooLarge => {
                self.refuse(Refused::Control);
            }
            // Reserved bits and opcodes, and what else is no frame.
            _ => self.outbox.close(BAD_FRAME, "not a frame of RFC 6455"),
        }
    }

    async fn end(self, closing: Option<(Closing, bool)>) {
        let Self { gateway, wire, reader, writer, outbox, phase, opened, messages, .. } = self;
        // What is under way is polled no more: it would keep its locks and places from others.
        drop((self.stage, self.catch_up, self.in_flight, self.receipts));
        let frames = writer.frames;
        // The place in the router is given up first: nothing more is for this connection.
        let code = closing.map_or(GONE, |(closing, _)| closing.code);
        let user = match phase {
            Phase::Unidentified => None,
            Phase::Identified(mut member) => {
                member.here.ended(code, closing.is_some_and(|(_, answered)| answered));
                Some(member.state.user)
            }
        };
        drop((reader, gateway));
        if let Some((closing, answered)) = closing {
            Box::pin(farewell::say(wire, writer, outbox, closing, answered)).await;
        }
        metrics::socket_closed(code);
        tracing::info!(
            user.id = user.map(tracing::field::display),
            code,
            messages,
            frames,
            open_ms = opened.elapsed().as_millis(),
            "connection ended"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that a function makes.
    fn size_of_future<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_is_a_small_task() {
        let bytes = size_of_future(serve);
        assert!(bytes <= 2 * 1024, "{bytes} bytes");
    }
}
