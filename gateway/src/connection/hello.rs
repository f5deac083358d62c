//! From `hello` to `welcome`: who is it, and where do they go on.

use std::sync::Arc;
use std::time::Duration;

use hansard_model::limit;
use hansard_model::{DeviceId, UserId};
use hansard_presence::Chosen;
use hansard_protocol::client::{FrameRef, Hello, Presence};
use hansard_protocol::server::{Limits, Welcome};
use hansard_protocol::{ErrorBody, ErrorCode, FRAME_BYTES_MAX, ServerFrame};
use tokio::time::Instant;

use super::state::Ended;
use crate::Gateway;
use crate::cursor::{Cursor, Start};
use crate::frame::Frame;
use crate::heartbeat::{HEARTBEAT_S, Pulse};
use crate::metrics::{Refused, connection_refused as refused};
use crate::outbox::Outbox;
use crate::resume::ResumeRequest;
use crate::router::{AttachError, Attachment};
use crate::turnstile::hint_ms;

/// How long `hello` waits for a gateway that has just started to know where the feed stands.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// How long a catch-up waits for its turn. Its connection can send meanwhile, and holds little: what
/// comes by is only noted.
pub(crate) const TURN_WITHIN: Duration = Duration::from_secs(10);
/// When to come back to a gateway that cannot serve now, in milliseconds.
const RETRY_MS: u64 = 2_000;
/// What this server does beyond the bare contract.
const FEATURES: [&str; 6] = ["media", "presence", "presence_batch", "receipts", "sync", "typing"];

/// A connection that may begin its catch-up.
pub(super) struct Welcomed {
    /// Its place in the router.
    pub(super) attachment: Attachment,
    /// What to catch up.
    pub(super) request: ResumeRequest,
    /// How its person is to be shown.
    pub(super) presence: Option<Chosen>,
}

/// Checks a token, attaches the connection and pushes `welcome`.
///
/// # Errors
/// What the connection ends with.
pub(super) async fn welcome(
    gateway: Arc<Gateway>,
    hello: Box<Hello>,
    reference: Option<FrameRef>,
    outbox: Arc<Outbox>,
    pulse: Arc<Pulse>,
) -> Result<Box<Welcomed>, Ended> {
    let ended = |body: ErrorBody, code, reason| {
        Ended::with(body.answering(reference.clone()), code, reason)
    };
    let identity = gateway.directory.authenticate(&hello.token).await.map_err(|error| {
        let body = error.body();
        let code = if body.code == ErrorCode::Unauthorized { 4001 } else { 1011 };
        ended(body, code, "not authenticated")
    })?;
    // Not ready in time: the attempt to attach says so.
    let _ = tokio::time::timeout(READY_WITHIN, gateway.router.ready()).await;
    let not_attached = |error: AttachError| match error {
        AttachError::TooManyConnections => {
            let body = ErrorBody::new(ErrorCode::Overloaded, error.to_string());
            ended(body.after_ms(RETRY_MS), 4009, "too many connections")
        }
        AttachError::NotReady => ended(unavailable("not ready yet"), 1011, "unavailable"),
        AttachError::Draining => ended(unavailable("about to stop"), 1012, "restarting"),
    };
    // In this order: nobody takes a turn from the others who would be refused anyway.
    gateway
        .rates
        .catch_up(identity.user)
        .map_err(|error| ended(error.body(), 4009, "too many catch up"))?;
    gateway.router.may_attach(identity.user, identity.device).map_err(not_attached)?;
    // Before the attachment: who is told to come again has begun nothing.
    let turn = gateway.catch_ups.turn(Instant::now(), TURN_WITHIN).map_err(|hint| {
        refused(Refused::CatchUps);
        let body = ErrorBody {
            reconnect: Some(Box::new(gateway.config.reconnect)),
            ..ErrorBody::new(ErrorCode::Overloaded, "too many catch up at once")
        };
        ended(body.after_ms(hint_ms(hint)), 4009, "too many catch up")
    })?;
    let frame = welcome_frame(&gateway, identity.user, identity.device)
        .ok_or_else(|| ended(unavailable("the time is not known yet"), 1011, "unavailable"))?;
    let attachment = gateway
        .router
        .attach(identity.user, identity.device, outbox, hello.background, Some(frame))
        .map_err(not_attached)?;
    // A session revoked between the check and the attachment was closed by nobody.
    if gateway.directory.session_ends(identity.user, identity.device).is_none() {
        let body = ErrorBody::new(ErrorCode::Unauthorized, "the session is over");
        return Err(ended(body, 4003, "the session is over"));
    }
    pulse.identified(attachment.link());
    // Behind the attachment: when the log becomes another from here on, the connection is ended.
    let request = resume_request(&gateway, &hello, turn);
    let presence = hello.presence.map(chosen);
    Ok(Box::new(Welcomed { attachment, request, presence }))
}

/// What a device says of its person.
pub(super) fn chosen(presence: Presence) -> Chosen {
    match presence {
        Presence::Online => Chosen::Online,
        Presence::Away => Chosen::Away,
        Presence::Invisible => Chosen::Invisible,
    }
}

fn unavailable(message: &'static str) -> ErrorBody {
    ErrorBody::new(ErrorCode::Unavailable, message).after_ms(RETRY_MS)
}

fn resume_request(gateway: &Gateway, hello: &Hello, turn: Instant) -> ResumeRequest {
    ResumeRequest {
        start: start(gateway, hello.cursor.as_deref()),
        cursor: hello.cursor.clone(),
        turn,
        seen: hello.seen.clone(),
        catch_up: hello.catch_up.unwrap_or(limit::CATCH_UP_DEFAULT).min(limit::CATCH_UP_MAX),
        bytes_max: usize::MAX,
        fetch_within: None,
    }
}

/// Where a client is that has this cursor. One that cannot be read is of another log: the client
/// drops its cache and begins anew, rather than never getting in again.
pub(crate) fn start(gateway: &Gateway, cursor: Option<&str>) -> Start {
    let router = &gateway.router;
    match cursor {
        None => Start::Nothing,
        Some(text) => Cursor::parse(text)
            .map_or(Start::Reset, |cursor| cursor.start(router.epoch(), router.partitions())),
    }
}

fn welcome_frame(gateway: &Gateway, user: UserId, device: DeviceId) -> Option<Frame> {
    Some(Frame::server(&ServerFrame::Welcome(Welcome {
        user,
        device,
        server_time: gateway.clock.now().ok()?,
        heartbeat_s: HEARTBEAT_S,
        durability: gateway.config.durability.as_str().to_owned(),
        limits: Limits {
            text_bytes: limit::TEXT_BYTES_MAX,
            frame_bytes: FRAME_BYTES_MAX,
            group: gateway.config.group_limit,
            catch_up: limit::CATCH_UP_MAX,
            page: limit::PAGE_ITEMS_MAX,
            in_flight: gateway.config.limits.in_flight,
        },
        features: FEATURES.map(str::to_owned).to_vec(),
        reconnect: Some(gateway.config.reconnect),
    })))
}
