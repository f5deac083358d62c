//! What gateways pass on: uploads by tus 1.0 or in one request, and downloads.
//!
//! Every request says in a grant of its gateway on whose behalf it is and what it may do; who may
//! have which file was decided there. Bytes stream through, in both directions.

mod disposition;
mod download;
mod failure;
mod grant;
mod lingering;
mod listener;
mod places;
mod range;
mod simple;
mod tus;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{options, post};
use hansard_nats::LogClock;
use hansard_protocol::{ErrorBody, ErrorCode};
use http::HeaderMap;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::failure::Failure;
use self::grant::{Granted, Uploader};
use self::places::{Bounds, Fate, Places};
use self::simple::Said;
pub(crate) use self::{grant::Grants, listener::serve};
use crate::uploads::{AppendError, Uploads};

/// Uploads of one service at a time, and downloads; of one user; and those that wait, which hold a
/// connection each.
const TRANSFERS_MAX: Bounds = Bounds { all: 64, of_user: 8, waiting: 256 };
/// How long requests under way get to put away what they have.
const END_WITHIN: Duration = Duration::from_secs(10);

/// What the handlers share.
pub(crate) struct Shared {
    uploads: Uploads,
    grants: Grants,
    clock: LogClock,
    uploading: Places,
    downloading: Places,
    /// Requests that go on when nobody waits for them any more.
    tasks: TaskTracker,
    /// The service ends.
    ending: CancellationToken,
}

impl Shared {
    pub(crate) fn new(uploads: Uploads, grants: Grants) -> Arc<Self> {
        Arc::new(Self {
            clock: uploads.clock.clone(),
            uploads,
            grants,
            uploading: Places::new("upload", TRANSFERS_MAX),
            downloading: Places::new("download", TRANSFERS_MAX),
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
        })
    }

    /// What to say of an upload that was cut off: it is not always its sender's doing.
    fn cut(&self, fate: &Fate) -> Failure {
        let why = if self.ending.is_cancelled() {
            "this media service ends"
        } else if fate.is_displaced() {
            return places::displaced();
        } else if fate.is_broken() {
            return AppendError::Cut.into();
        } else {
            "the body came too slowly, or another request goes on with it"
        };
        // By tus, without a checksum, what came counts; all others begin anew, which may work, too.
        let body = ErrorBody::new(ErrorCode::Unavailable, why);
        body.after_ms(failure::BUSY_RETRY_MS).into()
    }

    /// Has requests under way put away what they have, and waits for them a little.
    pub(crate) async fn end(&self) {
        self.ending.cancel();
        self.uploads.interrupt_all();
        self.tasks.close();
        if tokio::time::timeout(END_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("uploads were cut off: what they had is not stored");
        }
    }
}

/// The routes.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let upload = post(tus::unsupported)
        .options(tus::options)
        .head(head)
        .get(download::get)
        .patch(tus::patch)
        .delete(tus::delete);
    Router::new()
        .route("/v1/media", options(tus::options).post(create))
        .route("/v1/media/{id}", upload)
        .fallback(failure::no_route)
        .with_state(shared)
}

/// `POST /v1/media`: a client of tus says so, any other brings the file.
async fn create(
    State(shared): State<Arc<Shared>>,
    uploader: Uploader,
    said: Result<Query<Said>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    if headers.contains_key(tus::TUS_RESUMABLE) {
        return tus::create(&shared, uploader, &headers, body).await;
    }
    let Query(said) = said.map_err(|error| Failure::bad_request(error.body_text()))?;
    simple::create(&shared, uploader, said, &headers, body).await
}

/// `HEAD /v1/media/{id}`: how far an upload is, or what a file is, by the grant.
async fn head(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    granted: Granted,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    match granted {
        Granted::Upload(uploader) => tus::head(&shared, &id, uploader, &headers).await,
        Granted::Read(reader) => download::head(&shared, &id, reader, &headers).await,
    }
}
