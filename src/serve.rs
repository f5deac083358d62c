//! `hansard serve`: every role in one process, which still meet on subjects only.

use std::path::PathBuf;

use anyhow::Context;
use hansard_nats::Endpoint;
use hansard_nats::embedded::{self, EmbeddedOptions};
use hansard_nats::server::Server;

use crate::roles::{self, GatewayRole, MediaRole, ProjectorRole, SearchRole};
use crate::settings::{
    ArchivingArgs, DurabilityArgs, GatewaySettings, LogArgs, MediaSettings, ObjectStoreArgs,
    SearchSettings,
};
use crate::telemetry;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    objects: ObjectStoreArgs,
    #[command(flatten)]
    archiving: ArchivingArgs,
    #[command(flatten)]
    search: SearchSettings,
    #[command(flatten)]
    media: MediaSettings,
    #[command(flatten)]
    gateway: GatewaySettings,
}

/// Runs until SIGINT or SIGTERM: the gateway leaves first, nats-server last.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let metrics = telemetry::install()?;
    let signal = roles::stop_signal()?;
    let (server, endpoint) = match args.log.nats.external()? {
        Some(endpoint) => (None, endpoint),
        None => {
            let (server, endpoint) =
                start_embedded(args.log.nats.data.clone(), args.log.durability).await?;
            (Some(server), endpoint)
        }
    };
    let objects = roles::reach(&args.objects, &args.log.nats.data, &signal).await?;
    roles::refuse_lost(&endpoint, &objects).await?;
    roles::provision(&endpoint, args.log.durability, args.log.deployment).await?;
    roles::refuse_set_back(&endpoint, &objects).await?;
    let directory = args.search.directory(&args.log.nats.data);
    let search = SearchRole::start(endpoint.clone(), objects.clone(), directory);
    let media = MediaRole::start(endpoint.clone(), objects.clone(), &args.media).await?;
    let projector = ProjectorRole::start(endpoint.clone(), objects, args.archiving)?;
    // People chat also while an index is being built.
    let ready = projector.ready_probe();
    let gateway =
        GatewayRole::start(endpoint, &args.gateway, args.log.durability, metrics, vec![ready])
            .await?;
    let serving = async {
        gateway.ready().await;
        roles::say_ready(&format!("listening on http://{}", gateway.address()));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = serving => {}
        () = signal.cancelled() => {}
        () = projector.failed() => tracing::error!("the projector ended"),
        () = search.failed() => tracing::error!("the search ended"),
        () = media.failed() => tracing::error!("the media service ended"),
        () = gateway.failed() => tracing::error!("a part of the gateway ended by itself"),
    }
    tracing::info!("stopping");
    gateway.stop().await;
    let (searched, kept, projected) = tokio::join!(search.stop(), media.stop(), projector.stop());
    if let Some(server) = server {
        server.stop().await;
    }
    projected.and(searched).and(kept)
}

/// Starts nats-server in the data directory.
pub(crate) async fn start_embedded(
    data_dir: PathBuf,
    durability: DurabilityArgs,
) -> anyhow::Result<(Server, Endpoint)> {
    start_embedded_on(data_dir, durability, 0).await
}

/// Starts nats-server in the data directory on a port; 0: the one it had, or any.
pub(crate) async fn start_embedded_on(
    data_dir: PathBuf,
    durability: DurabilityArgs,
    port: u16,
) -> anyhow::Result<(Server, Endpoint)> {
    let options = EmbeddedOptions { data_dir, durability: durability.durability, port };
    embedded::start(options).await.context("the embedded nats-server")
}
