//! The operator's listener: is the process alive, is it ready, what does it measure.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use crate::Gateway;
use crate::config::{MetricsRenderer, ReadyProbe};

/// How long the accounts may take to show that they are up to date.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(1);

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Admin {
    /// The gateway.
    pub(crate) gateway: Arc<Gateway>,
    /// Renders the metrics.
    pub(crate) metrics: Option<MetricsRenderer>,
    /// What else must be ready.
    pub(crate) ready: Arc<[ReadyProbe]>,
}

/// The routes.
pub(crate) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn alive() -> &'static str {
    "ok\n"
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<String>,
}

/// 200, or 503 with what is missing.
async fn ready(State(admin): State<Admin>) -> Response {
    let reasons = admin.reasons().await;
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let json = serde_json::to_string(&Readiness { ready, reasons }).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/json")], json).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match &admin.metrics {
        Some(render) => {
            ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render()).into_response()
        }
        None => (StatusCode::NOT_FOUND, "no metrics are recorded\n").into_response(),
    }
}

impl Admin {
    /// Why traffic should go elsewhere.
    async fn reasons(&self) -> Vec<String> {
        let gateway = &self.gateway;
        let mut reasons = Vec::new();
        if gateway.stopping.is_cancelled() {
            reasons.push("the gateway is stopping".to_owned());
        }
        if !gateway.connection.is_connected() {
            reasons.push("NATS is not connected".to_owned());
        }
        if gateway.clock.now().is_err() {
            reasons.push("log time is not known".to_owned());
        }
        let caught_up = tokio::time::timeout(CATCH_UP_WITHIN, gateway.directory.catch_up());
        if !matches!(caught_up.await, Ok(Ok(()))) {
            reasons.push("the accounts are behind the log".to_owned());
        }
        if !gateway.router.is_ready() {
            reasons.push("the live feed has no position in some partition yet".to_owned());
        }
        reasons.extend(self.ready.iter().filter_map(|probe| probe().err()));
        reasons
    }
}
