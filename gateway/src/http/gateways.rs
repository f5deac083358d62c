//! `/v1/gateways`: where to connect.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hansard_protocol::http::List;
use http::StatusCode;

use super::error::{Failure, json};
use super::{Authorized, Params};
use crate::Gateway;
use crate::config::place::Region;

/// The gateways that the caller may connect to, best first; empty where none has a URL to name,
/// unavailable where those that have are not to be named now.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    params: Params,
) -> Result<Response, Failure> {
    let region: Option<Region> = params.parsed("region")?;
    let items = gateway.discovery.gateways(identity.user, region.as_ref()).await;
    let items = items.map_err(|error| Failure::unavailable(error.to_string()))?;
    json(StatusCode::OK, &List { items, next: None })
}
