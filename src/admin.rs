//! The operator's listener of a process without a gateway: is it alive, is it ready, what does it
//! measure. A gateway has one of its own, with the same three routes.

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hansard_gateway::config::{MetricsRenderer, ReadyProbe};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Answers `/healthz`, `/readyz` and `/metrics` at an address until the process ends.
///
/// # Errors
/// When nothing can listen there.
pub(crate) async fn listen(
    address: SocketAddr,
    metrics: MetricsRenderer,
    ready: ReadyProbe,
) -> anyhow::Result<JoinHandle<()>> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move || readiness(&ready)))
        .route("/metrics", get(async move || rendered(&metrics)));
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the admin listener ended");
        }
    }))
}

/// 200, or 503 with what is missing.
fn readiness(ready: &ReadyProbe) -> Response {
    let reasons: Vec<String> = ready().err().into_iter().collect();
    let is_ready = reasons.is_empty();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "ready": is_ready, "reasons": reasons }).to_string();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

fn rendered(metrics: &MetricsRenderer) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics()).into_response()
}
