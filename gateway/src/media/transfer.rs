//! Passing a request on to a media service, and its answer back: both as they come, nothing kept.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use hansard_model::UploadId;
use hansard_nats::grant::GRANT_HEADER;
use hansard_nats::log::ReadError;
use http::header::{
    CONNECTION, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    IF_NONE_MATCH, IF_RANGE, PROXY_AUTHENTICATE, RANGE, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use super::Media;
use super::patience::{Failed, Watched};
use crate::metrics::media as metrics;

/// How long a service may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How long a body may stand still, in either direction.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a service may take to answer after it took the last of a request.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Services that are tried for one request.
const TRIED_MAX: usize = 3;
/// Idle connections that are kept to each service, and how long.
const IDLE_MAX: usize = 32;
const IDLE_FOR: Duration = Duration::from_secs(20);

/// What a service is told of a request's head, besides the grant.
const PASSED_ON: [HeaderName; 13] = [
    CONTENT_TYPE,
    CONTENT_DISPOSITION,
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    HeaderName::from_static("tus-resumable"),
    HeaderName::from_static("upload-length"),
    HeaderName::from_static("upload-offset"),
    HeaderName::from_static("upload-metadata"),
    HeaderName::from_static("upload-checksum"),
    HeaderName::from_static("upload-defer-length"),
    HeaderName::from_static("upload-concat"),
];
/// What of an answer's head is about its connection, or not for a service to say.
const HELD_BACK: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A request that is passed on.
pub(crate) struct Passed {
    /// As it came.
    pub(crate) method: Method,
    /// Path and query, as a service takes them.
    pub(crate) target: String,
    /// As they came; few of them are passed on.
    pub(crate) headers: HeaderMap,
    /// As it comes.
    pub(crate) body: Body,
    /// Which upload it is about, if there is one already.
    pub(crate) upload: Option<UploadId>,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    /// None is there.
    #[error("no media service is there")]
    NoService,
    /// It is not known which there are.
    #[error(transparent)]
    Unknown(#[from] ReadError),
    /// It did not answer in time.
    #[error("the media service takes too long")]
    Late,
    /// It did not answer, or the client did not send all.
    #[error("the request was not answered")]
    Unanswered(#[source] Error),
    /// What the client sent broke.
    #[error("the body broke")]
    Broken,
    /// The client stopped sending.
    #[error("nothing came for a while")]
    Idle,
    /// The request cannot be written.
    #[error("the request cannot be passed on")]
    Malformed(#[from] http::Error),
}

/// Connections to media services; clones share them.
#[derive(Clone)]
pub(super) struct Transfer {
    client: Client<HttpConnector, Watched>,
}

impl Transfer {
    pub(super) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Self { client }
    }

    async fn ask(
        &self,
        request: Request<Watched>,
        body: &Watched,
    ) -> Result<http::Response<Incoming>, TransferError> {
        let mut answer = self.client.request(request);
        loop {
            let late = body.moved() + ANSWER_WITHIN;
            tokio::select! {
                answer = &mut answer => return answer.map_err(TransferError::Unanswered),
                () = tokio::time::sleep_until(late) => {
                    if body.moved() + ANSWER_WITHIN <= Instant::now() {
                        return Err(TransferError::Late);
                    }
                }
            }
        }
    }
}

impl Media {
    /// Passes a request on, to another service if the first is not there. Returns when the head of
    /// the answer has come.
    ///
    /// # Errors
    /// [`TransferError`]; of what changes something it may have been done all the same.
    pub(crate) async fn pass(
        &self,
        passed: Passed,
        grant: Option<&str>,
    ) -> Result<Response, TransferError> {
        let Passed { method, target, headers, body, upload } = passed;
        let body = Watched::new(body, PATIENCE, metrics::bytes_taken);
        let mut last = TransferError::NoService;
        for service in self.services.in_order(upload).await?.into_iter().take(TRIED_MAX) {
            let head = head(&method, service.clone(), &target, &headers, grant)?;
            match self.transfer.ask(head.body(body.clone())?, &body).await {
                Ok(answer) => return Ok(answer_of(answer)),
                // Of what is the client's doing no service is to be avoided.
                Err(error) => match body.failed() {
                    Some(Failed::Broken) => return Err(TransferError::Broken),
                    Some(Failed::Idle) => return Err(TransferError::Idle),
                    None => last = error,
                },
            }
            self.services.avoid(service).await;
            let is_repeatable = method.is_safe() && matches!(last, TransferError::Unanswered(_));
            let is_unsent = matches!(&last, TransferError::Unanswered(error) if error.is_connect());
            if body.is_touched() || !(is_unsent || is_repeatable) {
                break;
            }
        }
        metrics::unanswered();
        Err(last)
    }
}

fn head(
    method: &Method,
    service: Authority,
    target: &str,
    headers: &HeaderMap,
    grant: Option<&str>,
) -> Result<http::request::Builder, http::Error> {
    let uri = Uri::builder().scheme(Scheme::HTTP).authority(service).path_and_query(target);
    let mut request = Request::builder().method(method).uri(uri.build()?);
    for name in &PASSED_ON {
        for value in headers.get_all(name) {
            request = request.header(name, value);
        }
    }
    if let Some(grant) = grant {
        request = request.header(GRANT_HEADER, HeaderValue::try_from(grant)?);
    }
    Ok(request)
}

fn answer_of(answer: http::Response<Incoming>) -> Response {
    let (mut parts, body) = answer.into_parts();
    for name in &HELD_BACK {
        parts.headers.remove(name);
    }
    parts.extensions.clear();
    let body = Watched::new(Body::new(body), PATIENCE, metrics::bytes_given);
    Response::from_parts(parts, Body::new(body))
}
