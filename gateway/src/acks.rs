//! Read your writes: what each device was last told is stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hansard_model::{ConversationId, DeviceId, PartitionCount, PartitionId, Seq};
use quick_cache::sync::Cache;

/// Devices remembered.
const DEVICES_MAX: usize = 100_000;

/// The last ack in each partition: an owner that has applied it has applied all before it, so that
/// one position per partition is exact, however many conversations a device sends to.
type Last = Arc<Mutex<HashMap<PartitionId, (ConversationId, Seq)>>>;

/// The last acks of each device.
pub(crate) struct Acks {
    devices: Cache<DeviceId, Last>,
    partitions: PartitionCount,
}

impl Acks {
    pub(crate) fn new(partitions: PartitionCount) -> Self {
        Self { devices: Cache::new(DEVICES_MAX), partitions }
    }

    /// A device was told that an event is stored.
    pub(crate) fn note(&self, device: DeviceId, conversation: ConversationId, seq: Seq) {
        let make = || Ok::<_, std::convert::Infallible>(Last::default());
        let Ok(last) = self.devices.get_or_insert_with(&device, make);
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            last.entry(conversation.partition(self.partitions)).or_insert((conversation, seq));
        if known.1 < seq {
            *known = (conversation, seq);
        }
    }

    /// The log is another than it was: what was acknowledged may not be in it.
    pub(crate) fn forget(&self) {
        self.devices.clear();
    }

    /// What a read of a conversation must include for this device.
    pub(crate) fn required(&self, device: DeviceId, conversation: ConversationId) -> Option<Seq> {
        let last = self.devices.get(&device)?;
        let last = last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(&conversation.partition(self.partitions)).map(|(_, seq)| *seq)
    }

    /// What a read of the inbox must include for this device.
    pub(crate) fn all(&self, device: DeviceId) -> Vec<(ConversationId, Seq)> {
        let Some(last) = self.devices.get(&device) else { return Vec::new() };
        let last = last.lock().unwrap_or_else(PoisonError::into_inner);
        last.values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::GroupId;

    use super::*;

    #[test]
    fn the_latest_ack_of_each_partition_counts() {
        let acks = Acks::new(PartitionCount::DEFAULT);
        let device = DeviceId::from_entropy([1; 20]);
        let group = |n: u8| {
            let mut entropy = [1; 20];
            (entropy[0], entropy[1]) = (n, n / 32);
            ConversationId::Group(GroupId::from_entropy(entropy))
        };
        assert_eq!(acks.required(device, group(1)), None);
        acks.note(device, group(1), Seq(9));
        acks.note(device, group(1), Seq(7));
        assert_eq!(acks.required(device, group(1)), Some(Seq(9)));
        for n in 2..200 {
            acks.note(device, group(n), Seq(10));
        }
        assert!(acks.required(device, group(1)) >= Some(Seq(9)));
        assert!(acks.all(device).len() <= usize::from(PartitionCount::DEFAULT.get()));
    }
}
