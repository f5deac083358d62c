//! `/v1/sessions`: logging in and out, per device.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hansard_model::DeviceId;
use hansard_nats::sessions::OpenConnection;
use hansard_protocol::http::{OpenSession, SessionConnection, SessionList};
use http::StatusCode;

use super::error::{Failure, json};
use super::extract::{Authorized, Body, PathId, Peer};
use crate::{Gateway, sessions};

/// `POST /v1/sessions`
pub(crate) async fn open(
    State(gateway): State<Arc<Gateway>>,
    Peer(peer): Peer,
    Body(request): Body<OpenSession>,
) -> Result<Response, Failure> {
    gateway.rates.login(peer, &request.handle).map_err(|error| error.body())?;
    let opened = gateway.directory.open_session(request).await.map_err(|error| error.body())?;
    json(StatusCode::CREATED, &opened)
}

/// `POST /v1/sessions/refresh`
pub(crate) async fn refresh(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
) -> Result<Response, Failure> {
    let opened =
        gateway.directory.refresh_session(&identity).await.map_err(|error| error.body())?;
    json(StatusCode::CREATED, &opened)
}

/// `GET /v1/sessions`
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
) -> Result<Response, Failure> {
    let mut items = gateway.directory.sessions(&identity).await.map_err(|error| error.body())?;
    let (connections, partial) = sessions::everywhere(&gateway, identity.user).await;
    for OpenConnection { device, gateway, since, network, background } in connections {
        if let Some(session) = items.iter_mut().find(|session| session.device == device) {
            session.connections.push(SessionConnection { gateway, since, network, background });
        }
    }
    json(StatusCode::OK, &SessionList { items, partial })
}

/// `DELETE /v1/sessions/{device}`
pub(crate) async fn revoke(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(device): PathId<DeviceId>,
) -> Result<Response, Failure> {
    let revoked = gateway.directory.revoke_session(identity.user, device).await;
    revoked.map_err(|error| error.body())?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
