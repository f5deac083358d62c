//! Logs and metrics of a process that serves. Logs go to standard error: standard output carries
//! the ready line.

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::Context;
use hansard_gateway::config::MetricsRenderer;
use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::EnvFilter;

/// Environment variable with a filter such as `info,hansard_gateway=debug`.
const FILTER: &str = "HANSARD_LOG";
/// Environment variable: `text` (default) or `json`.
const FORMAT: &str = "HANSARD_LOG_FORMAT";

/// Bounds of latency histograms, in seconds.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Installs both; the renderer is for the admin listener.
pub(crate) fn install() -> anyhow::Result<MetricsRenderer> {
    let filter = EnvFilter::try_from_env(FILTER)
        .unwrap_or_else(|_| EnvFilter::new("info,async_nats=warn,object_store=warn"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    #[expect(
        clippy::disallowed_methods,
        reason = "logging is set up before anything is configured"
    )]
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let subscriber = subscriber.with_ansi(!plain && std::io::stderr().is_terminal());
    #[expect(
        clippy::disallowed_methods,
        reason = "logging is set up before anything is configured"
    )]
    let json = std::env::var(FORMAT).is_ok_and(|format| format == "json");
    let installed = if json { subscriber.json().try_init() } else { subscriber.try_init() };
    installed.map_err(|error| anyhow::anyhow!("logging: {error}"))?;
    let recorder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)
        .context("metric buckets")?
        .install_recorder()
        .context("metrics")?;
    hansard_nats::metrics::describe();
    hansard_archive::metrics::describe();
    hansard_projector::metrics::describe();
    hansard_search::metrics::describe();
    hansard_media::metrics::describe();
    hansard_gateway::metrics::describe();
    Ok(Arc::new(move || {
        recorder.run_upkeep();
        recorder.render()
    }))
}
