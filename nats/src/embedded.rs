//! An embedded nats-server with a user for each role, and the file by which other processes of the
//! same deployment find it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hansard_model::DeviceId;

use crate::connection::{Endpoint, ServiceRole};
use crate::server::{Durability, Server, ServerOptions, ServerUser, StartServerError};

/// The file in the data directory, readable by its owner alone.
pub const CONNECTION_FILE: &str = "connection.json";

/// What to start.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// The deployment's data directory.
    pub data_dir: PathBuf,
    /// What an acknowledgement survives.
    pub durability: Durability,
    /// Loopback port; 0: the one it had before, or any.
    pub port: u16,
}

/// Why it was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartEmbeddedError {
    /// The server did not start.
    #[error(transparent)]
    Server(#[from] StartServerError),
    /// The connection file cannot be read or written.
    #[error("cannot use {}", path.display())]
    ConnectionFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The operating system gives no randomness.
    #[error("no randomness for passwords")]
    Randomness(#[source] getrandom::Error),
}

/// Starts the server, or starts it again where it was: passwords and port stay, so that processes
/// that are connected find it.
///
/// # Errors
/// [`StartEmbeddedError`]; nothing is left running.
pub async fn start(options: EmbeddedOptions) -> Result<(Server, Endpoint), StartEmbeddedError> {
    let path = options.data_dir.join(CONNECTION_FILE);
    let before = read_connection_file(&options.data_dir).ok();
    let user = |role: ServiceRole| -> Result<ServerUser, StartEmbeddedError> {
        let known = before.as_ref().and_then(|endpoint| endpoint.password(role));
        let password = match known {
            Some(password) => password.to_owned(),
            None => new_password()?,
        };
        let name = role.as_str().to_owned();
        Ok(ServerUser { name, password, publish_deny: role.publish_deny() })
    };
    let users = ServiceRole::ALL.into_iter().map(user).collect::<Result<Vec<_>, _>>()?;
    let monitor = user(ServiceRole::Monitor)?;
    let port = match (options.port, &before) {
        (0, Some(endpoint)) => endpoint.port().unwrap_or(0),
        (port, _) => port,
    };
    let server_options = |port| ServerOptions {
        data_dir: options.data_dir.join("nats"),
        durability: options.durability,
        port,
        users: users.clone(),
        monitor: Some(monitor.clone()),
        cluster: None,
    };
    let server = match Server::start(server_options(port)).await {
        // Somebody else has taken the port meanwhile, and nobody asked for this one.
        Err(StartServerError::PortInUse { .. }) if options.port == 0 => {
            Server::start(server_options(0)).await?
        }
        started => started?,
    };
    let credentials = ServiceRole::ALL
        .into_iter()
        .zip(&users)
        .chain([(ServiceRole::Monitor, &monitor)])
        .map(|(role, user)| (role, user.name.clone(), user.password.clone()))
        .collect();
    let endpoint = Endpoint::with_users(vec![server.address().to_string()], credentials);
    save_connection(&options.data_dir, &endpoint)
        .map_err(|source| StartEmbeddedError::ConnectionFile { path, source })?;
    Ok((server, endpoint))
}

/// Where the deployment in a data directory is.
///
/// # Errors
/// When there is no such file, or it is not one of Hansard's.
pub fn read_connection_file(data_dir: &Path) -> std::io::Result<Endpoint> {
    let text = std::fs::read(data_dir.join(CONNECTION_FILE))?;
    serde_json::from_slice(&text).map_err(std::io::Error::other)
}

/// Writes the connection file in one step, never readable by others.
///
/// # Errors
/// When it cannot be written.
pub fn save_connection(data_dir: &Path, endpoint: &Endpoint) -> std::io::Result<()> {
    let path = data_dir.join(CONNECTION_FILE);
    let draft = path.with_extension("json.new");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(&serde_json::to_vec(endpoint)?)?;
    std::fs::rename(draft, path)
}

fn new_password() -> Result<String, StartEmbeddedError> {
    let mut entropy = [0; DeviceId::LEN];
    getrandom::fill(&mut entropy).map_err(StartEmbeddedError::Randomness)?;
    Ok(DeviceId::from_entropy(entropy).to_string())
}
