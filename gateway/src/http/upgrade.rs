//! `GET /v1/ws`: from HTTP to WebSocket. The socket leaves hyper here and is served by
//! [`crate::connection`] from then on.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use hansard_protocol::{ErrorBody, ErrorCode, SUBPROTOCOL};
use http::header::{CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::upgrade::Parts;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::error::Failure;
use crate::Gateway;
use crate::accept::Patient;
use crate::admission::Admitted;
use crate::connection;
use crate::metrics::{self, Refused};
use crate::turnstile::hint_ms;

/// Answers 101 and hands the socket over.
pub(crate) async fn upgrade(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request,
) -> Result<Response, Failure> {
    let admitted = request.extensions().get::<Arc<Admitted>>().cloned();
    let admitted = admitted.ok_or_else(|| Failure::new(ErrorCode::Internal, "no connection"))?;
    // Before anything else is looked at: what is refused must cost next to nothing. One address
    // that is too fast takes nothing from all others.
    gateway.rates.handshake(admitted.peer()).map_err(|error| error.body())?;
    if let Err(hint) = gateway.handshakes.pass(Instant::now()) {
        return Ok(crowded(&gateway, hint));
    }
    check_origin(request.headers(), &gateway.config.allowed_origins)?;
    check_upgrade(&request)?;
    check_subprotocol(request.headers())?;
    let upgrading = hyper::upgrade::on(&mut request);
    // The library computes the accept key; its own upgrade future would wrap the socket.
    let (response, _) = fastwebsockets::upgrade::upgrade(&mut request)
        .map_err(|_| Failure::bad_request("not a WebSocket handshake"))?;
    let sockets = gateway.sockets.clone();
    sockets.spawn(async move {
        let Ok(upgraded) = upgrading.await else { return };
        let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<Patient>>() else {
            tracing::error!("an upgraded connection is not a TCP stream");
            return;
        };
        connection::serve(io.into_inner().into_inner(), read_buf, admitted, gateway).await;
    });
    let mut response = response.map(Body::new);
    let spoken = HeaderValue::from_static(SUBPROTOCOL);
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, spoken);
    Ok(response)
}

/// Tells a client when to come again; the connection ends, so that it holds no place until then.
fn crowded(gateway: &Gateway, hint: Duration) -> Response {
    metrics::connection_refused(Refused::Handshakes);
    let error = ErrorBody {
        reconnect: Some(Box::new(gateway.config.reconnect)),
        ..ErrorBody::new(ErrorCode::Overloaded, "too many connect at once")
    };
    let mut response = Failure::from(error.after_ms(hint_ms(hint))).into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Whether the request is a handshake of the one version there is.
fn check_upgrade(request: &Request) -> Result<(), Failure> {
    let needed = |message| Failure::bad_request(message).with_status(StatusCode::UPGRADE_REQUIRED);
    if !fastwebsockets::upgrade::is_upgrade_request(request) {
        return Err(needed("this route speaks WebSocket"));
    }
    let version = request.headers().get(SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version.as_bytes() != b"13") {
        return Err(needed("the WebSocket version is 13"));
    }
    Ok(())
}

/// Whether the client speaks this contract.
fn check_subprotocol(headers: &HeaderMap) -> Result<(), Failure> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    let speaks = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim() == SUBPROTOCOL);
    let refused =
        || Failure::new(ErrorCode::Unsupported, format!("the subprotocol is {SUBPROTOCOL}"));
    speaks.then_some(()).ok_or_else(refused)
}

/// Whether a web page may connect: one from this host, or from an origin that is allowed by name.
/// What sends no `Origin` is not a browser.
fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Failure> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let refused = || Failure::new(ErrorCode::Forbidden, "this origin may not connect");
    let origin = origin.to_str().map_err(|_| refused())?;
    if allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
        return Ok(());
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).ok_or_else(refused)?;
    let (scheme, authority) = origin.split_once("://").ok_or_else(refused)?;
    let default_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return Err(refused()),
    };
    let bare = |authority: &str| {
        authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase()
    };
    (bare(authority) == bare(host)).then_some(()).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(origin: Option<&str>, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().expect("a value"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().expect("a value"));
        }
        check_origin(&headers, &["https://chat.example.org".to_owned()]).is_ok()
    }

    #[test]
    fn pages_of_this_host_and_allowed_ones_connect() {
        assert!(from(None, "a.example"));
        assert!(from(Some("https://a.example"), "a.example"));
        assert!(from(Some("https://A.example"), "a.example:443"));
        assert!(from(Some("http://127.0.0.1:8080"), "127.0.0.1:8080"));
        assert!(from(Some("https://chat.example.org"), "api.example.org"));
    }

    #[test]
    fn pages_of_others_do_not() {
        assert!(!from(Some("https://evil.example"), "a.example"));
        assert!(!from(Some("http://a.example:8081"), "a.example:8080"));
        assert!(!from(Some("https://a.example.evil.example"), "a.example"));
        assert!(!from(Some("null"), "a.example"));
        assert!(!from(Some("file://a.example"), "a.example"));
    }

    #[test]
    fn the_subprotocol_is_found_among_others() {
        let speaks = |offered: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(SEC_WEBSOCKET_PROTOCOL, offered.parse().expect("a value"));
            check_subprotocol(&headers).is_ok()
        };
        assert!(speaks("hansard.v1"));
        assert!(speaks("x, hansard.v1"));
        assert!(!speaks("hansard.v2"));
        assert!(check_subprotocol(&HeaderMap::new()).is_err());
    }
}
