//! Read your writes: what each device was last told is stored.

use std::sync::{Arc, Mutex, PoisonError};

use hansard_model::{ConversationId, DeviceId, Seq};
use quick_cache::sync::Cache;

/// Devices remembered.
const DEVICES_MAX: usize = 100_000;
/// Conversations remembered of one device: the views catch up within seconds, and a device sends
/// to few conversations in that time.
const CONVERSATIONS_MAX: usize = 32;

type Recent = Arc<Mutex<Vec<(ConversationId, Seq)>>>;

/// The last acks of each device.
pub(crate) struct Acks {
    devices: Cache<DeviceId, Recent>,
}

impl Acks {
    pub(crate) fn new() -> Self {
        Self { devices: Cache::new(DEVICES_MAX) }
    }

    /// A device was told that an event is stored.
    pub(crate) fn note(&self, device: DeviceId, conversation: ConversationId, seq: Seq) {
        let recent = match self.devices.get(&device) {
            Some(recent) => recent,
            None => {
                let recent = Recent::default();
                self.devices.insert(device, Arc::clone(&recent));
                recent
            }
        };
        let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
        let before = recent.iter().position(|(known, _)| *known == conversation);
        let seq = before.map_or(seq, |index| seq.max(recent.remove(index).1));
        if recent.len() == CONVERSATIONS_MAX {
            recent.remove(0);
        }
        recent.push((conversation, seq));
    }

    /// What a read of a conversation must include for this device.
    pub(crate) fn required(&self, device: DeviceId, conversation: ConversationId) -> Option<Seq> {
        let recent = self.devices.get(&device)?;
        let recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().find(|(known, _)| *known == conversation).map(|(_, seq)| *seq)
    }

    /// What a read of the inbox must include for this device.
    pub(crate) fn all(&self, device: DeviceId) -> Vec<(ConversationId, Seq)> {
        self.devices
            .get(&device)
            .map(|recent| recent.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::{ConversationId, GroupId};

    use super::*;

    #[test]
    fn the_latest_ack_counts_and_memory_is_bounded() {
        let acks = Acks::new();
        let device = DeviceId::from_entropy([1; 20]);
        let group = |n| ConversationId::Group(GroupId::from_entropy([n; 20]));
        acks.note(device, group(1), Seq(9));
        acks.note(device, group(1), Seq(7));
        assert_eq!(acks.required(device, group(1)), Some(Seq(9)));
        for n in 2..=32 {
            acks.note(device, group(n), Seq(1));
        }
        // Base32 has 32 letters: the 33rd group is made of two.
        let mut entropy = [1; 20];
        entropy[0] = 2;
        acks.note(device, ConversationId::Group(GroupId::from_entropy(entropy)), Seq(1));
        assert_eq!(acks.all(device).len(), CONVERSATIONS_MAX);
        assert_eq!(acks.required(device, group(1)), None);
    }
}
