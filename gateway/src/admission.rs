//! Who gets in: bounds of open connections, refused early when they are reached.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::metrics::{self, Refused};
use crate::rate::network;

/// Counts the open connections of a gateway.
pub(crate) struct Admission {
    connections: Arc<Semaphore>,
    unidentified: Arc<Semaphore>,
    /// Those of the loopback interface among them, which no limit per address holds back.
    unidentified_loopback: Arc<Semaphore>,
    addresses: Arc<Addresses>,
    trust_loopback: bool,
    capacity: usize,
}

/// A place in the gateway, held for as long as the connection lives.
pub(crate) struct Admitted {
    peer: IpAddr,
    _connection: OwnedSemaphorePermit,
    unidentified: Mutex<Option<Stranger>>,
    address: Option<(Arc<Addresses>, IpAddr)>,
}

/// A place among those who have not said who they are.
struct Stranger {
    _place: OwnedSemaphorePermit,
    _loopback: Option<OwnedSemaphorePermit>,
}

/// Connections by address. An entry exists only while it has connections, so there are never more
/// entries than connections.
struct Addresses {
    open: Mutex<HashMap<IpAddr, usize>>,
    each_max: usize,
}

impl Admission {
    /// Admission by these limits.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(limits.connections)),
            unidentified: Arc::new(Semaphore::new(limits.unidentified)),
            unidentified_loopback: Arc::new(Semaphore::new(loopback_share(limits.unidentified))),
            addresses: Arc::new(Addresses {
                open: Mutex::new(HashMap::new()),
                each_max: limits.connections_per_address,
            }),
            trust_loopback: limits.trust_loopback,
            capacity: limits.connections,
        }
    }

    /// Open connections.
    pub(crate) fn open(&self) -> u64 {
        self.capacity.saturating_sub(self.connections.available_permits()) as u64
    }

    /// Connections at most.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    /// A place for a connection from `peer`.
    ///
    /// # Errors
    /// [`Refused`] when a bound is reached; nothing is held then.
    pub(crate) fn admit(&self, peer: IpAddr) -> Result<Arc<Admitted>, Refused> {
        let connection = self.connections.clone().try_acquire_owned().map_err(|_| Refused::Full)?;
        let place = |places: &Arc<Semaphore>| {
            places.clone().try_acquire_owned().map_err(|_| Refused::Unidentified)
        };
        let trusted = self.trust_loopback && peer.is_loopback();
        let loopback = trusted.then(|| place(&self.unidentified_loopback)).transpose()?;
        let stranger = Stranger { _place: place(&self.unidentified)?, _loopback: loopback };
        let address = if trusted {
            None
        } else {
            let network = network(peer);
            if !self.addresses.enter(network) {
                return Err(Refused::Address);
            }
            Some((self.addresses.clone(), network))
        };
        metrics::connection_opened();
        Ok(Arc::new(Admitted {
            peer,
            _connection: connection,
            unidentified: Mutex::new(Some(stranger)),
            address,
        }))
    }
}

/// How many strangers may come through the loopback interface: all of them must not be able to
/// shut out those from elsewhere.
fn loopback_share(unidentified: usize) -> usize {
    unidentified - unidentified / 4
}

impl Admitted {
    /// The other side's address. Never logged.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// The connection has shown a valid token: it no longer counts as a stranger's.
    pub(crate) fn identified(&self) {
        self.unidentified.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        metrics::connection_closed();
        if let Some((addresses, network)) = self.address.take() {
            addresses.leave(network);
        }
    }
}

impl Addresses {
    fn enter(&self, network: IpAddr) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network).or_insert(0);
        let fits = *count < self.each_max;
        if fits {
            *count += 1;
        } else if *count == 0 {
            open.remove(&network);
        }
        fits
    }

    fn leave(&self, network: IpAddr) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, each: usize, unidentified: usize) -> Admission {
        Admission::new(&Limits {
            connections,
            connections_per_address: each,
            unidentified,
            trust_loopback: false,
            ..Limits::default()
        })
    }

    fn place(admission: &Admission, peer: IpAddr) -> Arc<Admitted> {
        match admission.admit(peer) {
            Ok(admitted) => admitted,
            Err(reason) => panic!("refused: {reason:?}"),
        }
    }

    const ANA: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const BEN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn places_are_given_back() {
        let admission = admission(1, 1, 1);
        let place = place(&admission, ANA);
        assert_eq!(admission.admit(BEN).err(), Some(Refused::Full));
        drop(place);
        assert!(admission.admit(BEN).is_ok());
        assert!(admission.addresses.open.lock().expect("a lock").is_empty());
    }

    #[test]
    fn one_address_does_not_take_all_places() {
        let admission = admission(3, 2, 3);
        let _places = [admission.admit(ANA), admission.admit(ANA)];
        assert_eq!(admission.admit(ANA).err(), Some(Refused::Address));
        assert!(admission.admit(BEN).is_ok());
    }

    #[test]
    fn strangers_on_the_loopback_interface_leave_room_for_others() {
        let loopback: IpAddr = [127, 0, 0, 1].into();
        let limits = Limits { unidentified: 4, trust_loopback: true, ..Limits::default() };
        let admission = Admission::new(&limits);
        let places: Vec<_> = (0..3).map(|_| place(&admission, loopback)).collect();
        assert_eq!(admission.admit(loopback).err(), Some(Refused::Unidentified));
        let _other = place(&admission, ANA);
        assert_eq!(admission.admit(BEN).err(), Some(Refused::Unidentified));
        places[0].identified();
        assert!(admission.admit(loopback).is_ok());
    }

    #[test]
    fn strangers_make_room_by_saying_who_they_are() {
        let admission = admission(3, 3, 1);
        let first = place(&admission, ANA);
        assert_eq!(admission.admit(BEN).err(), Some(Refused::Unidentified));
        first.identified();
        assert!(admission.admit(BEN).is_ok());
    }
}
