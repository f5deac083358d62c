//! What every request passes: a deadline, security headers, and one log line.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use super::error::Failure;
use super::extract::Requester;
use crate::metrics;

/// The longest that a request may take, body included; longer is `unavailable`. Above the longest
/// long poll.
const REQUEST_DEADLINE: Duration = Duration::from_secs(15);
/// The paths that take their time on purpose and bound it themselves: one waits for something to
/// happen, the others for a file to arrive.
const PATIENT: [&str; 3] = ["/v1/sync", "/v1/media", "/v1/media/{upload}"];

/// The middleware. The log line says method, route, status, duration and user: never the path as
/// sent, a query, a header or a body.
pub(crate) async fn observe(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let requester = Requester::default();
    request.extensions_mut().insert(requester.clone());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    let answering = next.run(request);
    let mut response = if PATIENT.contains(&route) {
        answering.await
    } else {
        tokio::time::timeout(REQUEST_DEADLINE, answering)
            .await
            .unwrap_or_else(|_| Failure::unavailable("the request took too long").into_response())
    };
    secure(&mut response);
    let status = response.status().as_u16();
    let took = started.elapsed();
    metrics::http_request(status, took);
    let user = requester.0.get().map(tracing::field::display);
    let duration_ms = took.as_millis();
    let method = method.as_str();
    if status >= 500 {
        tracing::warn!(method, route, status, duration_ms, user.id = user, "request failed");
    } else {
        tracing::info!(method, route, status, duration_ms, user.id = user, "request");
    }
    response
}

/// Headers that keep browsers from guessing, framing and telling.
fn secure(response: &mut Response) {
    const FIXED: [(HeaderName, &str); 4] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; img-src data:; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ];
    for (name, value) in FIXED {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
}
