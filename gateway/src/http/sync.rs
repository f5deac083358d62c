//! `GET /v1/sync`: what a WebSocket connection would get, by long poll.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hansard_model::limit;
use hansard_protocol::server::Synced;
use hansard_protocol::{ErrorBody, ErrorCode, ServerFrame};
use http::header::CONTENT_TYPE;
use tokio::time::Instant;

use super::error::Failure;
use super::{Authorized, Params};
use crate::Gateway;
use crate::accounts::Identity;
use crate::connection::hello::{self, TURN_WITHIN};
use crate::cursor::Start;
use crate::frame::Frame;
use crate::metrics::{self, Refused};
use crate::outbox::Outbox;
use crate::resume::{self, ResumeRequest};
use crate::router::{AttachError, Attachment};
use crate::turnstile::hint_ms;

/// Longest wait for something new.
const TIMEOUT_S_MAX: u64 = 60;
/// Wait for something new, when the client does not say.
const TIMEOUT_S_DEFAULT: u64 = 25;
/// Bytes of a catch-up in an answer; more become gaps.
const CATCH_UP_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of an answer, live events included.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long events are fetched; what is left then becomes gaps, so that the cursor gets on.
const FETCH_WITHIN: Duration = Duration::from_secs(8);
/// How long a catch-up may take.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(20);

/// Catches up, waits for something new if there is nothing, and answers.
pub(crate) async fn sync(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    params: Params,
) -> Result<Response, Failure> {
    let cursor = params.one("cursor")?.map(str::to_owned);
    let catch_up: Option<usize> = params.parsed("catch_up")?;
    let timeout_s: Option<u64> = params.parsed("timeout_s")?;
    let timeout = Duration::from_secs(timeout_s.unwrap_or(TIMEOUT_S_DEFAULT).min(TIMEOUT_S_MAX));
    // In this order: nobody takes a turn from the others who would be refused anyway.
    gateway.rates.catch_up(identity.user).map_err(|error| error.body())?;
    let may_attach = gateway.router.may_attach(identity.user, identity.device);
    may_attach.map_err(|error| refused(&error))?;
    let turn = gateway.polls.turn(Instant::now(), TURN_WITHIN).map_err(|hint| {
        metrics::connection_refused(Refused::CatchUps);
        ErrorBody::new(ErrorCode::Overloaded, "too many catch up at once").after_ms(hint_ms(hint))
    })?;
    let request = ResumeRequest {
        turn,
        // Decided once the connection is attached.
        start: Start::Nothing,
        cursor,
        seen: std::collections::HashMap::new(),
        catch_up: catch_up.unwrap_or(limit::CATCH_UP_DEFAULT).min(limit::CATCH_UP_MAX),
        bytes_max: CATCH_UP_BYTES_MAX,
        fetch_within: Some(FETCH_WITHIN),
    };
    let frames = poll(&gateway, identity, request, timeout).await?;
    Ok(([(CONTENT_TYPE, "application/json")], body(&frames)).into_response())
}

async fn poll(
    gateway: &Arc<Gateway>,
    identity: Identity,
    mut request: ResumeRequest,
    timeout: Duration,
) -> Result<Vec<Frame>, Failure> {
    let outbox = Arc::new(Outbox::unread(ANSWER_BYTES_MAX));
    let mut attachment = gateway
        .router
        .attach(identity.user, identity.device, outbox, true, None)
        .map_err(|error| refused(&error))?;
    // Behind the attachment: when the log becomes another from here on, the connection is ended.
    request.start = hello::start(gateway, request.cursor.as_deref());
    let caught_up = resume::catch_up(gateway, &mut attachment, &request);
    let complete = tokio::time::timeout(CATCH_UP_WITHIN, caught_up).await.unwrap_or(false);
    let reset = request.start == Start::Reset;
    // Whoever begins anew is told so at once; whoever lacks something asks again at once.
    if complete && !reset {
        wait(gateway, &attachment, timeout).await;
    }
    let link = attachment.link();
    let closing = link.outbox.closing();
    if closing.is_some_and(|closing| matches!(closing.code, 4001 | 4003)) {
        return Err(Failure::new(ErrorCode::Unauthorized, "the session is over"));
    }
    // A close, of a restart or of an overflow, may have dropped what waited.
    let complete = complete && closing.is_none();
    let frozen = (!complete).then(|| request.fallback_cursor(gateway.router.epoch()));
    let mut frames = gateway
        .router
        .finish(link, frozen, |cursor| ServerFrame::Synced(Synced { cursor, complete, reset }));
    frames.retain(Frame::is_text);
    Ok(frames)
}

/// Waits for the first frame, the end of the gateway, or the timeout.
async fn wait(gateway: &Gateway, attachment: &Attachment, timeout: Duration) {
    let outbox = &attachment.link().outbox;
    let something = async {
        while outbox.backlog() == 0 && outbox.closing().is_none() {
            outbox.changed().await;
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(timeout, something) => {}
        () = gateway.stopping.cancelled() => {}
    }
}

fn refused(error: &AttachError) -> Failure {
    let code = match error {
        AttachError::TooManyConnections => ErrorCode::Overloaded,
        AttachError::NotReady | AttachError::Draining => ErrorCode::Unavailable,
    };
    ErrorBody::new(code, error.to_string()).after_ms(super::UNAVAILABLE_RETRY_MS).into()
}

/// `{"frames":[..]}` around the payloads as they are.
fn body(frames: &[Frame]) -> Vec<u8> {
    let bytes: usize = frames.iter().map(|frame| frame.len() + 1).sum();
    let mut body = Vec::with_capacity(bytes + 16);
    body.extend_from_slice(br#"{"frames":["#);
    for (place, frame) in frames.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&frame.payload());
    }
    body.extend_from_slice(b"]}");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_json_around_the_frames() {
        let frames = [Frame::text(br#"{"type":"x"}"#), Frame::text(&[b'1'; 300])];
        let body: serde_json::Value = serde_json::from_slice(&body(&frames)).expect("JSON");
        assert_eq!(body["frames"][0]["type"], "x");
        assert_eq!(super::body(&[]), br#"{"frames":[]}"#);
    }
}
