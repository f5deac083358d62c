//! The smallest HTTP client: one connection per request.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::{DEADLINE, PASSWORD};

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) addr: SocketAddr,
    pub(crate) token: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
    pub(crate) bytes: Bytes,
}

impl Answer {
    /// The body as JSON, if the status is the expected one.
    #[track_caller]
    pub(crate) fn expecting(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&self.text).expect("JSON")
    }

    /// Checks for a typed error.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        let body = self.expecting(status);
        assert_eq!(body["error"]["code"], code, "{body}");
        assert!(body["error"]["retry"].is_string() && body["error"]["stored"].is_string());
        assert_eq!(self.headers["content-type"], "application/json");
    }
}

impl Client {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, token: None }
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Logs in with the password that everybody has.
    pub(crate) async fn log_in(&self, handle: &str) -> Self {
        let session = json!({"handle": handle, "password": PASSWORD, "device_name": "test"});
        let opened = self.post("/v1/sessions", &session).await.expecting(201);
        self.with_token(opened["token"].as_str().expect("a token"))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body.to_string())).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, Some(body.to_string())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<String>) -> Answer {
        let mut request =
            http::Request::builder().method(method).uri(path).header("host", self.addr.to_string());
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        self.exchange(request.body(body).expect("a request")).await
    }

    pub(crate) async fn exchange(&self, request: http::Request<Full<Bytes>>) -> Answer {
        let exchange = async {
            let stream = TcpStream::connect(self.addr).await.expect("connected");
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
            let connection = tokio::spawn(connection);
            let response = sender.send_request(request).await.expect("an answer");
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await.expect("a body").to_bytes();
            connection.abort();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Answer { status: parts.status.as_u16(), headers: parts.headers, text, bytes }
        };
        tokio::time::timeout(DEADLINE, exchange).await.expect("an answer in time")
    }

    /// Sends bytes as they are and reads until the server closes, or for a moment.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.addr).await.expect("connected");
        stream.write_all(bytes).await.expect("written");
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}
