//! `hansard media`, and the same as a part of `hansard serve`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use hansard_archive::Objects;
use hansard_gateway::config::ReadyProbe;
use hansard_nats::{Endpoint, LogClock};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{holder, provision, reach, say_ready, stop_signal};
use crate::settings::{LogArgs, MediaSettings, ObjectStoreArgs};
use crate::{admin, telemetry};

#[derive(clap::Args, Debug)]
pub(crate) struct MediaArgs {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    objects: ObjectStoreArgs,
    #[command(flatten)]
    media: MediaSettings,
    /// Where /healthz, /readyz and /metrics are. Default: nowhere.
    #[arg(long, env = "HANSARD_ADMIN_LISTEN")]
    admin_listen: Option<SocketAddr>,
}

/// `hansard media`
pub(crate) async fn media(args: MediaArgs) -> anyhow::Result<()> {
    let metrics = telemetry::install()?;
    let stop = stop_signal()?;
    let endpoint = args.log.nats.endpoint()?;
    provision(&endpoint, args.log.durability, args.log.deployment).await?;
    let objects = reach(&args.objects, &args.log.nats.data, &stop).await?;
    let media = MediaRole::start(endpoint, objects, &args.media).await?;
    if let Some(address) = args.admin_listen {
        admin::listen(address, metrics, media.health_probe()).await?;
    }
    say_ready(&format!("media on http://{}", media.address()));
    tokio::select! {
        () = stop.cancelled() => {}
        () = media.failed() => tracing::error!("the media service ended"),
    }
    media.stop().await
}

/// A media service that runs.
pub(crate) struct MediaRole {
    running: JoinHandle<Result<(), hansard_media::RunError>>,
    progress: hansard_media::Progress,
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: CancellationToken,
}

impl MediaRole {
    pub(crate) async fn start(
        endpoint: Endpoint,
        objects: Objects,
        settings: &MediaSettings,
    ) -> anyhow::Result<Self> {
        let (shutdown, ended) = (CancellationToken::new(), CancellationToken::new());
        let progress = hansard_media::Progress::new();
        let listen = settings.media_listen;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("listening on {listen} for gateways that bring files"))?;
        let address = listener.local_addr().context("the address of the listener")?;
        let config = hansard_media::Config {
            endpoint,
            holder: holder(),
            progress: progress.clone(),
            objects,
            listener,
            advertise: settings.media_advertise.clone(),
            clock: LogClock::new(),
            upload_bytes_max: settings.upload_max.0,
            user_bytes_max: settings.user_quota.0,
            patience: settings.patience()?,
        };
        let end = ended.clone().drop_guard();
        let run = hansard_media::run(config, shutdown.clone());
        let running = tokio::spawn(async move {
            let _end = end;
            Box::pin(run).await
        });
        Ok(Self { running, progress, address, shutdown, ended })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Healthy while gateways know where it is.
    pub(crate) fn health_probe(&self) -> ReadyProbe {
        let progress = self.progress.clone();
        Arc::new(move || {
            if progress.serves() {
                Ok(())
            } else {
                Err("gateways do not know of this media service".to_owned())
            }
        })
    }

    /// Returns when the service has ended by itself.
    pub(crate) async fn failed(&self) {
        self.ended.cancelled().await;
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(self.running.await??)
    }
}
