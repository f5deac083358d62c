//! Errors as responses: always `{"error": ..}` with the matching status, never plain text.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hansard_model::Rejection;
use hansard_protocol::http::ErrorResponse;
use hansard_protocol::{ErrorBody, ErrorCode};
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderValue, StatusCode};

/// A request that was not done, as its caller sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    body: Box<ErrorBody>,
    status: Option<StatusCode>,
}

impl Failure {
    /// A failure with what its code implies.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ErrorBody::new(code, message).into()
    }

    /// A failure that is about a part of a search, from and to, in UTF-16 code units.
    pub(crate) fn about(code: ErrorCode, message: impl Into<String>, part: [u16; 2]) -> Self {
        ErrorBody::new(code, message).at(part).into()
    }

    /// With a status that says more than the code's own.
    #[must_use]
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// The body or a parameter is not what the contract says.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadFrame, message)
    }

    /// There is no such thing, or none that the caller may know of.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("no such {what}"))
    }

    /// What was asked did not answer in time.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        ErrorBody::new(ErrorCode::Unavailable, message).after_ms(UNAVAILABLE_RETRY_MS).into()
    }

    /// The error.
    #[cfg(test)]
    pub(crate) fn body(&self) -> &ErrorBody {
        &self.body
    }
}

/// When to try again what did not answer in time, in milliseconds.
pub(crate) const UNAVAILABLE_RETRY_MS: u64 = 500;

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        Self { body: Box::new(body), status: None }
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::new(rejection.into(), rejection.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.status.unwrap_or_else(|| {
            StatusCode::from_u16(self.body.code.status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        });
        let retry_after_ms = self.body.retry_after_ms;
        let unauthorized = self.body.code == ErrorCode::Unauthorized;
        let json = serde_json::to_vec(&ErrorResponse { error: *self.body }).unwrap_or_default();
        let mut response = (status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait_ms) = retry_after_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1000)));
        }
        if unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl serde::Serialize) -> Result<Response, Failure> {
    let text = serde_json::to_string(body)
        .map_err(|_| Failure::new(ErrorCode::Internal, "the answer cannot be written"))?;
    Ok(json_text(status, text))
}

/// An answer that is JSON text already.
pub(crate) fn json_text(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = (status, text.into()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
