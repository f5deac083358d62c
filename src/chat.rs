//! `hansard chat`: a person at a terminal. Full screen, or line by line for scripts and tests.
//!
//! [`profile`] finds out who chats, [`state`] keeps what there is to show, [`screen`] and
//! [`lines`] show it. [`text`] stands between other people's text and the terminal.

mod command;
mod editor;
mod lines;
mod profile;
mod prompt;
mod room;
mod screen;
mod state;
mod text;

use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;

use hansard_client::{Client, ClientOptions, Gateway};

/// Chat in the terminal.
#[derive(clap::Args)]
#[command(after_help = "A profile is a file `<name>.db` in $XDG_DATA_HOME/hansard, else in \
                        ~/.local/share/hansard. /help in the chat lists commands, keys and marks.")]
pub(crate) struct Args {
    /// Address of the server.
    #[arg(long, env = "HANSARD_SERVER", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// Name of the profile, which holds the session and what is not sent yet [default: the handle]
    #[arg(long, env = "HANSARD_PROFILE")]
    profile: Option<String>,
    /// Who you are; a new handle makes an account. Asked for if absent.
    #[arg(long, env = "HANSARD_HANDLE")]
    handle: Option<String>,
    /// Password, 8 to 256 bytes. Better set the environment variable, or be asked.
    #[arg(long, env = "HANSARD_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Line by line even at a terminal.
    #[arg(long, env = "HANSARD_LINES")]
    lines: bool,
    /// Where files go that are fetched [default: the current directory]
    #[arg(long, env = "HANSARD_DOWNLOADS", default_value = ".", hide_default_value = true)]
    downloads: PathBuf,
    /// Where profiles are kept: in `hansard` below it.
    #[arg(long, env = "XDG_DATA_HOME", hide = true)]
    data_home: Option<PathBuf>,
    /// Where the person's files are.
    #[arg(long, env = "HOME", hide = true)]
    home: Option<PathBuf>,
}

/// Chats until the person leaves.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let gateway: Gateway = args.server.parse()?;
    let profile = profile::open(&args, &gateway).await?;
    let options = ClientOptions::new(gateway, profile.token);
    let store = profile.store.clone();
    let (client, updates) = Client::connect(options, profile.store).await?;
    let places = state::files::Places { downloads: args.downloads, home: args.home };
    let chat = state::Chat::new(client, profile.user, places).await?;
    let outcome = if stdin().is_terminal() && stdout().is_terminal() && !args.lines {
        screen::run(chat, updates).await
    } else {
        lines::run(chat, updates).await
    };
    store.close().await;
    outcome
}

/// Milliseconds since the Unix epoch, as this device believes.
#[expect(clippy::disallowed_methods, reason = "a terminal has no other clock")]
fn wall_ms() -> u64 {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    wall.map_or(0, |wall| u64::try_from(wall.as_millis()).unwrap_or(u64::MAX))
}
