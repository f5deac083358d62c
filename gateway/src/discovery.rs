//! Which gateway a client connects to: what this one says of itself, and what all of them say.
//!
//! Each gateway keeps an entry in the bucket of gateways, which a removal relies on anyway, and
//! reads those of all others when a client asks, at most a few times a second. The order in which a
//! client tries them is a pure function of the entries and the user's bucket
//! ([`hansard_model::placement`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hansard_model::placement::{Candidate, Occupancy, rank};
use hansard_model::{DeviceId, UserId};
use hansard_nats::registry::{GatewayEntry, Registered};
use hansard_nats::{Connection, LogClock};
use hansard_protocol::http::Gateway;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::Instant;

use crate::admission::Admission;
use crate::config::place::Region;
use crate::headcount::Headcount;

/// How often a gateway looks whether its occupancy changed.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long what the gateways said is passed on without being read again.
pub(crate) const KNOWN_FOR: Duration = Duration::from_millis(250);
/// How long it is passed on when it cannot be read: no longer than entries that were good when they
/// were read still are.
const KEPT_FOR: Duration = Duration::from_secs(4);
/// How long a read may take.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// What this gateway says of itself.
pub(crate) struct Standing {
    gateway: DeviceId,
    url: Option<String>,
    region: Region,
    admission: Arc<Admission>,
    headcount: Arc<Headcount>,
    occupancy: Mutex<Occupancy>,
    draining: watch::Sender<bool>,
    /// Whether the entry says that the gateway is draining.
    told: watch::Sender<bool>,
}

impl Standing {
    pub(crate) fn new(
        gateway: DeviceId,
        url: Option<String>,
        region: Region,
        admission: Arc<Admission>,
    ) -> Self {
        let (draining, told) = (watch::Sender::new(false), watch::Sender::new(false));
        let (headcount, occupancy) = (Arc::default(), Mutex::default());
        Self { gateway, url, region, admission, headcount, occupancy, draining, told }
    }

    /// Who is connected.
    pub(crate) fn headcount(&self) -> &Arc<Headcount> {
        &self.headcount
    }

    /// Its id.
    pub(crate) fn gateway(&self) -> DeviceId {
        self.gateway
    }

    /// The entry, as of now.
    pub(crate) fn entry(&self) -> GatewayEntry {
        let (connections, capacity) = (self.admission.open(), self.admission.capacity());
        let (users, devices) = self.headcount.users_and_devices();
        let mut occupancy = self.occupancy.lock().unwrap_or_else(PoisonError::into_inner);
        *occupancy = occupancy.next(connections, capacity);
        GatewayEntry {
            gateway: self.gateway,
            url: self.url.clone(),
            region: self.region.as_str().to_owned(),
            connections,
            users,
            devices,
            capacity,
            occupancy: *occupancy,
            draining: *self.draining.borrow(),
        }
    }

    /// The entry is written.
    pub(crate) fn written(&self, entry: &GatewayEntry) {
        self.told.send_replace(entry.draining);
    }

    /// Resolves when others should know something else than this entry before it is renewed
    /// anyway: the gateway drains, or has another occupancy.
    pub(crate) async fn changed(&self, entry: &GatewayEntry) {
        let mut draining = self.draining.subscribe();
        loop {
            tokio::select! {
                // The sender is part of self: it is not gone.
                _ = draining.wait_for(|draining| *draining != entry.draining) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if self.entry().occupancy != entry.occupancy {
                return;
            }
        }
    }

    /// The gateway is about to stop: returns when clients are not sent to it any more, at the
    /// latest after the time given.
    pub(crate) async fn drain(&self, within: Duration) {
        self.draining.send_replace(true);
        if self.url.is_none() {
            return;
        }
        let mut told = self.told.subscribe();
        let unknown = async {
            // As above.
            let _ = told.wait_for(|told| *told).await;
            // Until then others pass on what they have read before.
            tokio::time::sleep(KNOWN_FOR).await;
        };
        if tokio::time::timeout(within, unknown).await.is_err() {
            tracing::warn!("clients may be sent here for a few more seconds");
        }
    }
}

/// What all gateways say of themselves.
pub(crate) struct Discovery {
    connection: Connection,
    clock: LogClock,
    known: AsyncMutex<Known>,
}

#[derive(Default)]
struct Known {
    asked: Option<Instant>,
    read: Option<(Instant, Arc<[Registered]>)>,
}

/// The gateways are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gateways are not known now")]
pub(crate) struct Unknown;

impl Discovery {
    pub(crate) fn new(connection: Connection, clock: LogClock) -> Self {
        Self { connection, clock, known: AsyncMutex::default() }
    }

    /// The gateways that a user may connect to, best first.
    ///
    /// # Errors
    /// [`Unknown`]
    pub(crate) async fn gateways(
        &self,
        user: UserId,
        region: Option<&Region>,
    ) -> Result<Vec<Gateway>, Unknown> {
        let registered = self.registered().await?;
        let heard = self.heard(&registered)?;
        let offered = ranked(user.bucket(), region.map(Region::as_str), heard);
        // An empty list says that there are none to name, and clients forget those they know.
        let is_named = registered.iter().any(|registered| is_named(&registered.entry));
        if offered.is_empty() && is_named { Err(Unknown) } else { Ok(offered) }
    }

    /// Whether there are other gateways than this one.
    ///
    /// # Errors
    /// [`Unknown`]
    pub(crate) async fn has_others(&self, own: DeviceId) -> Result<bool, Unknown> {
        let registered = self.registered().await?;
        Ok(self.heard(&registered)?.any(|entry| entry.gateway != own))
    }

    /// Those that were not silent for too long.
    fn heard<'a>(
        &self,
        registered: &'a [Registered],
    ) -> Result<impl Iterator<Item = &'a GatewayEntry>, Unknown> {
        let now = self.clock.now().map_err(|_| Unknown)?;
        let is_heard = move |registered: &&Registered| !registered.is_silent(now);
        Ok(registered.iter().filter(is_heard).map(|registered| &registered.entry))
    }

    async fn registered(&self) -> Result<Arc<[Registered]>, Unknown> {
        let mut known = self.known.lock().await;
        if known.asked.is_none_or(|asked| asked.elapsed() > KNOWN_FOR) {
            let read = self.connection.registered_gateways();
            match tokio::time::timeout(READ_WITHIN, read).await {
                Ok(Ok(registered)) => known.read = Some((Instant::now(), registered.into())),
                Ok(Err(error)) => tracing::debug!(%error, "the gateways cannot be read"),
                Err(_) => tracing::debug!("the gateways cannot be read in time"),
            }
            // After it: those who waited meanwhile share the outcome, whichever it was.
            known.asked = Some(Instant::now());
        }
        let kept = known.read.as_ref().filter(|(at, _)| at.elapsed() <= KEPT_FOR);
        kept.map(|(_, registered)| registered.clone()).ok_or(Unknown)
    }
}

/// What entries with one URL come to: a balancer stands before them.
struct Place<'a> {
    region: &'a str,
    connections: u64,
    capacity: u64,
    /// The least of those that do not drain; `None`: all do.
    occupancy: Option<Occupancy>,
}

/// Whether a gateway says where it is: who does has a place to offer, if not now.
fn is_named(entry: &GatewayEntry) -> bool {
    entry.url.is_some() && entry.capacity > 0
}

fn ranked<'a>(
    bucket: &str,
    region: Option<&str>,
    entries: impl Iterator<Item = &'a GatewayEntry>,
) -> Vec<Gateway> {
    let mut places: BTreeMap<&str, Place<'_>> = BTreeMap::new();
    for entry in entries.filter(|entry| entry.capacity > 0) {
        let Some(url) = &entry.url else { continue };
        let place = places.entry(url).or_insert(Place {
            region: &entry.region,
            connections: 0,
            capacity: 0,
            occupancy: None,
        });
        place.connections += entry.connections;
        place.capacity += entry.capacity;
        // One that can take somebody is enough; one that stops takes nobody, however empty it is.
        if !entry.draining {
            let least = place.occupancy.unwrap_or(entry.occupancy);
            place.occupancy = Some(least.min(entry.occupancy));
        }
    }
    let candidates: Vec<Candidate<'_>> = places
        .iter()
        .map(|(url, place)| Candidate {
            url,
            region: place.region,
            occupancy: place.occupancy.unwrap_or_default(),
            draining: place.occupancy.is_none(),
        })
        .collect();
    let order = rank(bucket, region, &candidates);
    let offered = order.into_iter().filter_map(|index| {
        let Candidate { url, region, .. } = candidates[index];
        let place = places.get(url)?;
        let parts = place.connections.saturating_mul(100) / place.capacity.max(1);
        Some(Gateway { url: url.to_owned(), region: region.to_owned(), load: parts as f64 / 100.0 })
    });
    offered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(url: Option<&str>, connections: u64, draining: bool) -> GatewayEntry {
        GatewayEntry {
            gateway: DeviceId::from_entropy([1; 20]),
            url: url.map(str::to_owned),
            region: "eu".to_owned(),
            connections,
            users: 0,
            devices: 0,
            capacity: 100,
            occupancy: Occupancy::Open.next(connections, 100),
            draining,
        }
    }

    fn urls(entries: &[GatewayEntry]) -> Vec<String> {
        ranked("aa", None, entries.iter()).into_iter().map(|gateway| gateway.url).collect()
    }

    #[test]
    fn who_says_no_url_is_not_offered() {
        let unsaid = GatewayEntry { capacity: 0, ..entry(Some("http://old"), 0, false) };
        assert_eq!(urls(&[entry(None, 1, false), unsaid]), Vec::<String>::new());
    }

    #[test]
    fn gateways_behind_one_url_are_one() {
        let behind = [
            entry(Some("http://a"), 100, false),
            entry(Some("http://a"), 20, false),
            entry(Some("http://a"), 30, true),
        ];
        let offered = ranked("aa", None, behind.iter());
        assert_eq!(offered.len(), 1);
        assert!((offered[0].load - 0.5).abs() < 1e-9, "{offered:?}");
        assert_eq!(
            urls(&[entry(Some("http://a"), 1, true), entry(Some("http://a"), 1, true)]),
            [""; 0]
        );
    }

    #[test]
    fn a_gateway_that_stops_has_no_room_for_those_who_come_to_its_url() {
        let behind = [entry(Some("http://a"), 100, false), entry(Some("http://a"), 0, true)];
        assert_eq!(urls(&behind), [""; 0], "the one that stays is full");
        assert!(behind.iter().all(is_named), "but they are there");
        assert!(!is_named(&entry(None, 0, false)));
    }

    #[test]
    fn an_entry_of_an_earlier_version_is_read_and_not_offered() {
        let old =
            format!(r#"{{"gateway":"{}","url":"http://a"}}"#, DeviceId::from_entropy([1; 20]));
        let entry: GatewayEntry = serde_json::from_str(&old).expect("an entry");
        assert_eq!(urls(&[entry]), [""; 0]);
    }
}
