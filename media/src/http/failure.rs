//! Errors as responses: always `{"error": ..}` with the matching status, as gateways answer.

use axum::response::{IntoResponse, Response};
use hansard_protocol::http::ErrorResponse;
use hansard_protocol::{ErrorBody, ErrorCode};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::fault::Fault;
use crate::holdings::Exceeded;
use crate::metrics;
use crate::uploads::{AppendError, EndError, Refusal};

/// When to try again what did not answer in time, in milliseconds.
const UNAVAILABLE_RETRY_MS: u64 = 500;
/// When to try again while there is no place, in milliseconds.
pub(super) const BUSY_RETRY_MS: u64 = 1_000;

/// A request that was not done, as its caller sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    body: Box<ErrorBody>,
    status: Option<StatusCode>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    /// A failure with what its code implies.
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ErrorBody::new(code, message).into()
    }

    /// A header or the body is not what it should be.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadFrame, message)
    }

    /// There is no such thing, or none that the caller may know of.
    pub(super) fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "no such upload")
    }

    /// With a status that says more than the code's own.
    #[must_use]
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// With a header.
    #[must_use]
    pub(super) fn with_header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        Self { body: Box::new(body), status: None, headers: Vec::new() }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        note(&fault);
        let message = match &fault {
            Fault::Bucket(_) | Fault::Clock(_) => "the records do not answer",
            Fault::Store(_) => "the object store does not answer",
            Fault::Missing { .. } | Fault::Damaged { .. } => "bytes of it are lost for now",
            Fault::Machine(_) => "this machine has no room",
            Fault::Full => "too many uploads of the same bytes",
        };
        ErrorBody::new(ErrorCode::Unavailable, message).after_ms(UNAVAILABLE_RETRY_MS).into()
    }
}

/// Logs and counts what went wrong on this side.
pub(super) fn note(fault: &Fault) {
    match fault {
        Fault::Missing { object } => {
            metrics::unreadable("missing");
            tracing::error!(%object, "an object is missing");
        }
        Fault::Damaged { object } => {
            metrics::unreadable("damaged");
            tracing::error!(%object, "an object is damaged");
        }
        Fault::Bucket(_) | Fault::Store(_) | Fault::Full | Fault::Machine(_) | Fault::Clock(_) => {
            tracing::warn!(error = %chain(fault), "a request failed");
        }
    }
}

/// An error and what caused it.
fn chain(fault: &Fault) -> String {
    let mut text = fault.to_string();
    let mut cause = std::error::Error::source(fault);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooLong => Self::new(ErrorCode::TooLarge, "longer than uploads may be"),
            Refusal::Exceeded(Exceeded::Unfinished) => {
                Self::new(ErrorCode::QuotaExceeded, "too many unfinished uploads")
            }
            Refusal::Exceeded(Exceeded::Bytes) => {
                Self::new(ErrorCode::QuotaExceeded, "your files would have too many bytes")
            }
        }
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NotFound => Self::not_found(),
            AppendError::Elsewhere(offset) => {
                let failure = Self::new(ErrorCode::Conflict, "the upload is at another offset");
                match offset {
                    Some(offset) => failure.with_header(super::tus::UPLOAD_OFFSET, offset),
                    None => failure,
                }
            }
            AppendError::TooLong => {
                Self::new(ErrorCode::TooLarge, "more bytes than were announced")
            }
            AppendError::TooManyWriters => {
                Self::new(ErrorCode::TooLarge, "too many requests for one upload")
            }
            AppendError::Checksum => {
                Self::new(ErrorCode::ChecksumMismatch, "the bytes have another checksum")
            }
            AppendError::Cut => Self::bad_request("the body ended early"),
            AppendError::Fault(fault) => fault.into(),
        }
    }
}

impl From<EndError> for Failure {
    fn from(error: EndError) -> Self {
        match error {
            EndError::NotFound => Self::not_found(),
            EndError::InUse => Self::new(ErrorCode::Conflict, "it was sent, or is in use"),
            EndError::Fault(fault) => fault.into(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        metrics::refused(self.body.code.as_str());
        let status = self.status.unwrap_or_else(|| {
            StatusCode::from_u16(self.body.code.status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        });
        let retry_after_ms = self.body.retry_after_ms;
        let json = serde_json::to_vec(&ErrorResponse { error: *self.body }).unwrap_or_default();
        let mut response = (status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait_ms) = retry_after_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1000)));
        }
        headers.extend(self.headers);
        response
    }
}

/// There is nothing at this path.
pub(super) async fn no_route() -> Failure {
    Failure::new(ErrorCode::NotFound, "no such route")
}
