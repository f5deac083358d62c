//! Clients that watch each other, and whose connections drop and come back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use hansard_model::UserId;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::HANDSHAKES;
use super::socket::Socket;
use crate::bench::dice::Dice;
use crate::bench::people::Person;

/// How long a dropped connection stays away, at most.
const AWAY_MAX: Duration = Duration::from_secs(5);
/// Drops that a client may be behind.
const DROPS_WAITING: usize = 4;

/// Somebody, and whom they watch.
pub(in crate::bench) type Watcher = (Person, Vec<UserId>);

/// How often connections drop.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(in crate::bench) struct Churn {
    /// Drops in a minute, of all together.
    pub(in crate::bench) per_minute: f64,
    /// For how long.
    pub(in crate::bench) seconds: f64,
}

/// The clients; each takes for how long it is to be away.
#[derive(Default)]
pub(super) struct Watchers {
    clients: Vec<mpsc::Sender<Duration>>,
}

impl Watchers {
    /// Connects more; how many there are then.
    pub(super) async fn connect(
        &mut self,
        address: SocketAddr,
        watchers: Vec<Watcher>,
        background: bool,
    ) -> anyhow::Result<usize> {
        let opened: Vec<(Watcher, Socket)> = futures_util::stream::iter(watchers)
            .map(|watcher| async move {
                let socket = open(address, &watcher, background).await?;
                anyhow::Ok((watcher, socket))
            })
            .buffer_unordered(HANDSHAKES)
            .try_collect()
            .await?;
        for (watcher, socket) in opened {
            let (drops, dropped) = mpsc::channel(DROPS_WAITING);
            self.clients.push(drops);
            tokio::spawn(live(address, Arc::new(watcher), background, socket, dropped));
        }
        Ok(self.clients.len())
    }

    /// Drops connections, evenly over the time; how many.
    pub(super) async fn churn(&self, churn: Churn) -> usize {
        let mut dice = Dice::new(1);
        let period = Duration::from_secs_f64(60.0 / churn.per_minute.max(0.001));
        let end = Instant::now() + Duration::from_secs_f64(churn.seconds);
        let (mut next, mut drops) = (Instant::now() + period, 0);
        while next < end {
            tokio::time::sleep_until(next).await;
            next += period;
            let client = self.clients.get(dice.below(self.clients.len()));
            let away = AWAY_MAX.mul_f64(dice.share());
            drops += usize::from(client.is_some_and(|client| client.try_send(away).is_ok()));
        }
        tokio::time::sleep_until(end).await;
        drops
    }
}

async fn open(address: SocketAddr, watcher: &Watcher, background: bool) -> anyhow::Result<Socket> {
    let (person, watched) = watcher;
    let mut socket = Socket::open_as(address, person, 0, background).await?;
    if !background {
        socket.watch(watched).await?;
    }
    Ok(socket)
}

/// A client, until nobody can tell it anything any more.
async fn live(
    address: SocketAddr,
    watcher: Arc<Watcher>,
    background: bool,
    socket: Socket,
    mut dropped: mpsc::Receiver<Duration>,
) {
    let mut socket = Some(socket);
    loop {
        let reading = async {
            match socket.as_mut() {
                Some(socket) => socket.read_on().await,
                None => Ok(()),
            }
        };
        tokio::select! {
            away = dropped.recv() => {
                let Some(away) = away else { return };
                // Without a close: as when a network is lost.
                drop(socket.take());
                tokio::time::sleep(away).await;
            }
            ended = reading => {
                if let Err(error) = ended {
                    crate::bench::say(&format!("a connection ended: {error:#}"));
                }
                tokio::time::sleep(AWAY_MAX / 5).await;
            }
        }
        socket = match open(address, &watcher, background).await {
            Ok(socket) => Some(socket),
            Err(error) => {
                crate::bench::say(&format!("not back: {error:#}"));
                None
            }
        };
    }
}
