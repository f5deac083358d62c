//! The HTTP interface: accounts, inbox, history. Plain TCP, keep-alive.

mod actions;
mod api;
mod connection;
pub(crate) mod media;
pub(crate) mod streamed;

use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::gateway::Gateway;
use crate::refusal::Refusal;

pub use api::{Around, EventsQuery, MessagesQuery, SearchQuery};

/// A request, its answer included, may take this long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// One gateway over HTTP. Clones share connections and token.
#[derive(Clone, Debug)]
pub struct Http {
    gateway: Arc<Gateway>,
    token: Arc<RwLock<Option<String>>>,
    idle: connection::Idle,
}

/// A request gave no answer, or not the wanted one.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nobody answers at the address.
    #[error("cannot reach the server")]
    Connect(#[source] std::io::Error),
    /// The connection broke.
    #[error("the connection to the server broke")]
    Transport(#[source] hyper::Error),
    /// No whole answer in time; a write may have happened: repeat it with its id.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The answer is over the limit, or was cut.
    #[error("the answer could not be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server says no.
    #[error(transparent)]
    Refused(Refusal),
    /// An answer that is not of this contract: another server, or a proxy.
    #[error("not an answer of a hansard server (status {0})")]
    Foreign(u16),
    /// The request cannot be built.
    #[error("the request cannot be built")]
    Request(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl HttpError {
    /// What the server said, if it was the server.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

#[derive(serde::Deserialize)]
struct Refused {
    error: Refusal,
}

impl Http {
    /// A gateway; nothing is connected before the first request.
    pub fn new(gateway: Gateway) -> Self {
        let token = Arc::default();
        Self { gateway: Arc::new(gateway), token, idle: connection::Idle::default() }
    }

    /// Which gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Keeps no connection for the next request.
    pub(crate) fn hang_up(&self) {
        self.idle.clear();
    }

    /// The session to speak for from now on, in all clones.
    pub fn set_token(&self, token: Option<String>) {
        *self.token.write().unwrap_or_else(std::sync::PoisonError::into_inner) = token;
    }

    fn token(&self) -> Option<String> {
        self.token.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, HttpError> {
        self.call(Method::GET, path, None::<&()>).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, HttpError> {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, HttpError> {
        let answer = self.exchange(method, path, body).await?;
        serde_json::from_slice(&answer).map_err(|error| HttpError::Body(Box::new(error)))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Bytes, HttpError> {
        let body = match body {
            Some(body) => {
                serde_json::to_vec(body).map_err(|error| HttpError::Request(error.into()))?
            }
            None => Vec::new(),
        };
        let request = self.request(&method, path, Bytes::from(body))?;
        let exchange = connection::exchange(&self.gateway, &self.idle, request);
        let (status, answer) = tokio::time::timeout(REQUEST_TIMEOUT, exchange)
            .await
            .map_err(|_| HttpError::TimedOut)??;
        if status.is_success() {
            return Ok(answer);
        }
        match serde_json::from_slice::<Refused>(&answer) {
            Ok(refused) => Err(HttpError::Refused(refused.error)),
            Err(_) => Err(HttpError::Foreign(status.as_u16())),
        }
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, HttpError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.gateway.authority())
            .header(header::ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(token) = self.token() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Full::new(body)).map_err(|error| HttpError::Request(error.into()))
    }
}
