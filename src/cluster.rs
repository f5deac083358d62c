//! `hansard cluster`: the topology of a real deployment, as processes on this machine: nats-servers
//! that replicate every stream, two gateways, two projectors,
//! a searcher, a media service.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, ensure};
use hansard_model::DeviceId;
use hansard_nats::server::{ClusterOptions, Server, ServerOptions, ServerUser};
use hansard_nats::{Endpoint, ServiceRole, embedded};
use tokio::process::{Child, Command};

use crate::roles::{self, say_ready};
use crate::settings::{DeploymentArgs, DurabilityArgs};
use crate::telemetry;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How many nats-servers: 3 or 5.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Where each node's data go.
    #[arg(long, env = "HANSARD_DATA", default_value = "data-cluster")]
    data: PathBuf,
    /// Where the first gateway listens; the second takes the next port.
    #[arg(long, env = "HANSARD_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    durability: DurabilityArgs,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    telemetry::install()?;
    ensure!(matches!(args.nodes, 3 | 5), "a cluster has 3 or 5 nodes");
    let stop = roles::stop_signal()?;
    let (servers, endpoint) = start_nodes(&args).await?;
    embedded::save_connection(&args.data, &endpoint)?;
    let deployment = DeploymentArgs { partitions: None, replicas: 3.min(args.nodes) };
    roles::provision(&endpoint, args.durability, deployment).await?;
    let mut children = Vec::new();
    for _ in 0..2 {
        children.push(role(&args, &["projector"])?);
    }
    children.push(role(&args, &["search"])?);
    children.push(role(&args, &["media"])?);
    for offset in 0..2 {
        let mut listen = args.listen;
        listen.set_port(listen.port() + offset);
        let (at, url) = (listen.to_string(), format!("http://{listen}"));
        let mut arguments = vec!["gateway", "--listen", &at];
        // Nobody can be sent to an address that stands for all of them.
        if !listen.ip().is_unspecified() {
            arguments.extend(["--advertise", &url]);
        }
        children.push(role(&args, &arguments)?);
        say_ready(&format!("listening on http://{listen}"));
    }
    stop.cancelled().await;
    for mut child in children {
        terminate(&child);
        // A child that is gone already is what was asked for.
        let _ = child.wait().await;
    }
    for server in servers {
        server.stop().await;
    }
    Ok(())
}

async fn start_nodes(args: &Args) -> anyhow::Result<(Vec<Server>, Endpoint)> {
    let before = embedded::read_connection_file(&args.data).ok();
    let user = |role: ServiceRole| -> anyhow::Result<ServerUser> {
        let known = before.as_ref().and_then(|endpoint| endpoint.password(role));
        let password = known.map_or_else(random_name, |known| Ok(known.to_owned()))?;
        Ok(ServerUser {
            name: role.as_str().to_owned(),
            password,
            publish_deny: role.publish_deny(),
        })
    };
    let users = ServiceRole::ALL.into_iter().map(user).collect::<anyhow::Result<Vec<_>>>()?;
    let monitor = user(ServiceRole::Monitor)?;
    let ports = free_ports(args.nodes)?;
    let mut servers = Vec::new();
    for (node, port) in ports.iter().enumerate() {
        let others = ports.iter().filter(|other| *other != port);
        let options = ServerOptions {
            data_dir: args.data.join(format!("nats-{node}")),
            durability: args.durability.durability,
            port: 0,
            users: users.clone(),
            monitor: Some(monitor.clone()),
            cluster: Some(ClusterOptions {
                name: "hansard".to_owned(),
                server_name: format!("hansard-{node}"),
                port: *port,
                routes: others.map(|other| format!("nats://127.0.0.1:{other}")).collect(),
            }),
        };
        servers.push(Server::start(options).await.with_context(|| format!("node {node}"))?);
    }
    let addresses: Vec<String> =
        servers.iter().map(|server| server.address().to_string()).collect();
    let credentials = ServiceRole::ALL
        .into_iter()
        .zip(&users)
        .chain([(ServiceRole::Monitor, &monitor)])
        .map(|(role, user)| (role, user.name.clone(), user.password.clone()))
        .collect();
    Ok((servers, Endpoint::with_users(addresses, credentials)))
}

fn random_name() -> anyhow::Result<String> {
    let mut entropy = [0; DeviceId::LEN];
    getrandom::fill(&mut entropy)?;
    Ok(DeviceId::from_entropy(entropy).to_string())
}

/// Ports that are free now, held together while they are picked so that they differ.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let held =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<Vec<_>, _>>()?;
    Ok(held.iter().map(|l| l.local_addr().map(|a| a.port())).collect::<Result<_, _>>()?)
}

/// Starts this program again in one role.
fn role(args: &Args, arguments: &[&str]) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("own path")?;
    let child = Command::new(program)
        .args(arguments)
        .args(["--replicas", "3", "--durability", args.durability.durability.as_str()])
        .arg("--data")
        .arg(&args.data)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

fn terminate(child: &Child) {
    let Some(pid) = child.id() else { return };
    // The child drains on SIGTERM; tokio itself can only kill.
    let _ = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status();
}
