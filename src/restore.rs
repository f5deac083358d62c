//! `hansard restore`: the log again, from the archive, after NATS lost its data or the end of it.
//! Nothing else may run meanwhile.

use std::time::Duration;

use anyhow::Context;
use hansard_archive::restore::{self, Outcome, Restored};
use hansard_nats::{Connection, ServiceRole};
use tokio_util::sync::CancellationToken;

use crate::serve;
use crate::settings::{DurabilityArgs, NatsArgs, ObjectStoreArgs};

/// How long NATS gets to answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

#[derive(clap::Args, Debug)]
#[command(after_help = "Stop every other role first. Without --nats the embedded nats-server of \
                        --data is started for as long as it takes.")]
pub(crate) struct Args {
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    objects: ObjectStoreArgs,
    #[command(flatten)]
    durability: DurabilityArgs,
    /// Copies of each stream that is created.
    #[arg(long, env = "HANSARD_REPLICAS", default_value_t = 1, value_parser = crate::settings::replicas)]
    replicas: usize,
    /// Do not wait until no client can send an event again that only the archive knows. It would
    /// be stored twice.
    #[arg(long)]
    no_wait: bool,
}

/// `hansard restore`
#[expect(clippy::print_stdout, reason = "what was done is for whoever asked for it")]
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let objects = args.objects.open(&args.nats.data)?;
    let (server, endpoint) = match args.nats.external()? {
        Some(endpoint) => (None, endpoint),
        None => {
            let (server, endpoint) =
                serve::start_embedded(args.nats.data.clone(), args.durability).await?;
            (Some(server), endpoint)
        }
    };
    let restored = async {
        let (role, never) = (ServiceRole::Operator, CancellationToken::new());
        let connection =
            Connection::connect_within(&endpoint, role, CONNECT_WITHIN, &never).await?;
        let restored = restore::restore(&connection, &objects, args.replicas).await?;
        anyhow::Ok(restored)
    };
    let restored = restored.await.context("nothing, or not everything, was restored");
    if let Ok(Restored { streams, epoch, wait }) = &restored {
        for (stream, outcome) in streams {
            println!("{stream}: {}", described(outcome));
        }
        println!("epoch {epoch}: clients start anew, views are compared with the log");
        if !wait.is_zero() && !args.no_wait {
            println!(
                "waiting {} s, until nobody sends again what only the archive knows",
                wait.as_secs()
            );
            tokio::time::sleep(*wait).await;
        }
    }
    if let Some(server) = server {
        server.stop().await;
    }
    restored.map(|_| ())
}

fn described(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Whole { last } => format!("whole, up to {last}"),
        Outcome::Continued { last, archived } => {
            format!("ended at {last}; the archive has events up to {archived}, goes on behind them")
        }
        Outcome::Created { archived } => {
            format!("created; the archive has events up to {archived}, goes on behind them")
        }
        Outcome::StoredAgain { events } => format!("{events} events stored again"),
    }
}
