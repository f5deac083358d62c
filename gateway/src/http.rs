//! The HTTP interface, a table of contents: one file per noun.

mod canonical;
mod conversations;
mod error;
mod explain;
mod extract;
mod gateways;
mod history;
mod media;
mod mentions;
mod messages;
mod pins;
mod presence;
mod reactions;
mod receipts;
mod search;
mod sessions;
pub(crate) mod sync;
mod upgrade;
mod users;
mod web;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{delete, get, patch, post};
use hansard_model::{ConversationId, PartitionId, Seq};
use hansard_protocol::ErrorCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use tower_http::cors::{AllowHeaders, CorsLayer, ExposeHeaders};

pub(crate) use error::{Failure, UNAVAILABLE_RETRY_MS};
pub(crate) use extract::{Authorized, Params};
pub(crate) use history::Pages;

use crate::Gateway;

/// Bytes of a request body.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a body to the routes that need no token: what they take is below a kilobyte.
const STRANGER_BODY_BYTES_MAX: usize = 16 * 1024;

/// How long a browser may go by what it was told of another origin's rights.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// All routes of the listener for clients.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/v1/ws", get(upgrade::upgrade))
        .route("/v1/sync", get(sync::sync))
        .route("/v1/users", post(users::create).get(users::list).layer(of_strangers()))
        .route("/v1/users/me", patch(users::change).get(users::show_own))
        .route("/v1/users/{user}", get(users::show))
        .route("/v1/sessions", post(sessions::open).get(sessions::list).layer(of_strangers()))
        .route("/v1/sessions/refresh", post(sessions::refresh))
        .route("/v1/sessions/{device}", delete(sessions::revoke))
        .route("/v1/conversations", post(conversations::create).get(conversations::list))
        .route("/v1/conversations/{conversation}", get(conversations::show))
        .route("/v1/conversations/{conversation}/me", patch(conversations::change))
        .route("/v1/conversations/{conversation}/members", get(conversations::members))
        .route(
            "/v1/conversations/{conversation}/messages",
            post(messages::send).get(history::messages),
        )
        .route("/v1/conversations/{conversation}/events", get(history::events))
        .route("/v1/conversations/{conversation}/explain", get(explain::explain))
        .route("/v1/conversations/{conversation}/pins", get(pins::list))
        .route("/v1/conversations/{conversation}/reactions", get(reactions::list))
        .route("/v1/conversations/{conversation}/receipt", post(receipts::take))
        .route("/v1/conversations/{conversation}/receipts", get(receipts::list))
        .route("/v1/conversations/{conversation}/presence", get(presence::list))
        .route("/v1/mentions", get(mentions::list))
        .route("/v1/search", get(search::search))
        .route("/v1/search/suggestions", get(search::suggest))
        .route("/v1/media", post(media::create))
        .route(
            "/v1/media/{upload}",
            get(media::download).head(media::head).patch(media::append).delete(media::end),
        )
        .route("/v1/media/{upload}/info", get(media::info))
        .route("/v1/media/{upload}/url", get(media::url))
        .route("/v1/gateways", get(gateways::list))
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(cors(&gateway.config.allowed_origins))
        .layer(middleware::from_fn_with_state(gateway.clone(), media::capabilities))
        // Of no concern to pages of other origins.
        .merge(web::client().method_not_allowed_fallback(wrong_method))
        .layer(middleware::from_fn(canonical::observe))
        .with_state(gateway)
}

/// What web pages of the origins that are allowed by name may ask for: everything, with a token;
/// there are no cookies. Browsers ask again after the time given.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok());
    CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::list(
            [AUTHORIZATION, CONTENT_TYPE].into_iter().chain(media::REQUEST_HEADERS),
        ))
        .expose_headers(ExposeHeaders::list(
            [RETRY_AFTER].into_iter().chain(media::RESPONSE_HEADERS),
        ))
        .max_age(PREFLIGHT_AGE)
}

/// Bodies that come without a token: very many at once must not take much memory.
fn of_strangers() -> DefaultBodyLimit {
    DefaultBodyLimit::max(STRANGER_BODY_BYTES_MAX)
}

/// Refuses at once what waiting would not bring: a position beyond the end of the log.
async fn check_reachable(
    gateway: &Gateway,
    positions: &[(ConversationId, Seq)],
) -> Result<(), Failure> {
    let mut furthest: BTreeMap<PartitionId, Seq> = BTreeMap::new();
    for (conversation, seq) in positions {
        let partition = conversation.partition(gateway.deployment.partitions);
        let known = furthest.entry(partition).or_default();
        *known = (*known).max(*seq);
    }
    for (partition, seq) in furthest {
        // What the feed has passed needs no question.
        if gateway.router.position(partition).is_some_and(|at| at >= seq) {
            continue;
        }
        let extent = gateway.past.extent(partition).await.map_err(|error| {
            tracing::debug!(%error, "the end of the log is not known");
            Failure::unavailable("the log does not answer in time")
        })?;
        if seq > extent.last {
            return Err(Failure::unavailable("min_seq is beyond the end of the log"));
        }
    }
    Ok(())
}

async fn no_route() -> Failure {
    Failure::not_found("route")
}

async fn wrong_method() -> Failure {
    Failure::new(ErrorCode::Unsupported, "the route has no such method")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}
