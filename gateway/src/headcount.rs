//! How many people and devices are connected here over WebSocket, for operators.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_model::{DeviceId, UserId};

/// Counts those who said who they are. It holds an entry for each connected device.
#[derive(Debug, Default)]
pub(crate) struct Headcount {
    present: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    /// Connections of each device; neighbours are of the same user.
    devices: BTreeMap<(UserId, DeviceId), u32>,
    users: u64,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    headcount: Arc<Headcount>,
    of: (UserId, DeviceId),
}

impl Headcount {
    /// Counts a connection.
    pub(crate) fn enter(self: &Arc<Self>, user: UserId, device: DeviceId) -> Counted {
        let of = (user, device);
        let mut present = self.lock();
        present.users += u64::from(!present.has(of));
        *present.devices.entry(of).or_default() += 1;
        drop(present);
        Counted { headcount: self.clone(), of }
    }

    /// Users, and devices of them, with a connection here.
    pub(crate) fn users_and_devices(&self) -> (u64, u64) {
        let present = self.lock();
        (present.users, present.devices.len() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Present {
    /// Whether the user has a device here.
    fn has(&self, of: (UserId, DeviceId)) -> bool {
        let next = self.devices.range(of..).next();
        let before = self.devices.range(..of).next_back();
        next.into_iter().chain(before).any(|((user, _), _)| *user == of.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut present = self.headcount.lock();
        let Some(connections) = present.devices.get_mut(&self.of) else { return };
        *connections -= 1;
        if *connections == 0 {
            present.devices.remove(&self.of);
            present.users -= u64::from(!present.has(self.of));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_devices_are_counted_once_while_they_are_connected() {
        let headcount = Arc::new(Headcount::default());
        let user = |byte| UserId::from_entropy([byte; 20]);
        let device = |byte| DeviceId::from_entropy([byte; 20]);
        let enter = |of, on| headcount.enter(user(of), device(on));
        let mut counted = vec![enter(1, 5), enter(1, 5), enter(1, 9), enter(2, 7), enter(0, 7)];
        assert_eq!(headcount.users_and_devices(), (3, 4));
        counted.remove(0);
        assert_eq!(headcount.users_and_devices(), (3, 4), "one of two connections");
        counted.remove(0);
        assert_eq!(headcount.users_and_devices(), (3, 3), "one of two devices");
        counted.remove(0);
        assert_eq!(headcount.users_and_devices(), (2, 2));
        drop(counted);
        assert_eq!(headcount.users_and_devices(), (0, 0));
    }
}
