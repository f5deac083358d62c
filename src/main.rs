//! The one binary: an event-sourced chat platform on NATS JetStream.
//!
//! One file per subcommand. This one parses the command line, sets up telemetry, and hands over.

mod admin;
mod archive;
mod bench;
mod chat;
mod check;
mod cluster;
mod environment;
mod gateways;
mod import;
mod replay;
mod restore;
mod roles;
mod serve;
mod settings;
mod telemetry;
mod views;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tikv_jemallocator::Jemalloc;

/// Small objects that one thread makes and another drops are most of what a gateway and a
/// projector allocate: with the C library's allocator a quarter of their time went there. And blocks
/// that are cached lie between others that are gone in a moment: with mimalloc twice as much as was
/// in use stayed with a projector. How soon it gives memory back: `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[derive(Parser)]
#[command(name = "hansard", version, about = "An event-sourced chat platform on NATS JetStream")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every role in this process, with an embedded nats-server.
    Serve(serve::Args),
    /// Run a gateway: WebSocket and HTTP for clients.
    Gateway(roles::GatewayArgs),
    /// Run a projector: inbox, history and the live feed.
    Projector(roles::ProjectorArgs),
    /// Run a searcher: indexes of what was said.
    Search(roles::SearchArgs),
    /// Run a media service: files that are uploaded, stored once, and downloaded.
    Media(roles::MediaArgs),
    /// Run only the embedded nats-server, provisioned.
    Nats(roles::NatsServerArgs),
    /// Run a cluster of nats-servers with gateways and projectors, as processes on this machine.
    Cluster(cluster::Args),
    /// Print the gateways that are running, and how many are connected to each.
    Gateways(gateways::Args),
    /// Print the effective configuration and what is unsafe in it.
    Check(check::Args),
    /// Chat in the terminal.
    Chat(chat::Args),
    /// Bring a chat in from a file.
    Import(import::Args),
    /// Print a conversation straight from the log.
    Replay(replay::Args),
    /// Look at the archive, and for damage in it.
    Archive(archive::Args),
    /// Bring the log back from the archive, after NATS lost it or its end.
    Restore(restore::Args),
    /// The projector's views: how they stand, whether they are right, building them anew.
    Views(views::Args),
    /// Measure.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    if let Err(error) = environment::check_names() {
        report(&error);
        return ExitCode::from(2);
    }
    let cli = Cli::parse();
    use_small_pages();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report(&error.into());
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Keeps the kernel from backing memory with huge pages, also that of processes started from here:
/// with them half of a projector's memory was the empty rest of a page (1.1 GiB instead of 0.6).
/// Where it cannot be done, nothing but memory is lost.
fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages are left as they are");
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Gateway(args) => roles::gateway(args).await,
        Command::Projector(args) => roles::projector(args).await,
        Command::Search(args) => roles::search(args).await,
        Command::Media(args) => roles::media(args).await,
        Command::Nats(args) => roles::nats_server(args).await,
        Command::Cluster(args) => cluster::run(args).await,
        Command::Gateways(args) => gateways::run(args).await,
        Command::Check(args) => check::run(args).await,
        Command::Chat(args) => Box::pin(chat::run(args)).await,
        Command::Import(args) => Box::pin(import::run(args)).await,
        Command::Replay(args) => Box::pin(replay::run(args)).await,
        Command::Archive(args) => Box::pin(archive::run(args)).await,
        Command::Restore(args) => Box::pin(restore::run(args)).await,
        Command::Views(args) => views::run(args).await,
        Command::Bench(args) => Box::pin(bench::run(args)).await,
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a failed command is for its caller")]
fn report(error: &anyhow::Error) {
    eprintln!("hansard: {error:#}");
}
