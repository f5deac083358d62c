//! Ids that depend on the deployment and on what the file says, and on nothing else.

use hansard_model::{DeviceId, GroupId, LogTime, MessageId, UserId};
use hansard_nats::Deployment;
use sha2::{Digest, Sha256};

/// The ids of one import.
#[derive(Clone)]
pub(super) struct Ids {
    salt: String,
    group: GroupId,
}

impl Ids {
    pub(super) fn new(deployment: &Deployment, name: &str) -> Self {
        let group = GroupId::from_entropy(hash(&[&deployment.salt, "import", "group", name]));
        Self { salt: deployment.salt.clone(), group }
    }

    /// The group of this import.
    pub(super) fn group(&self) -> GroupId {
        self.group
    }

    /// The person of a nick: the same one in every group.
    pub(super) fn user(&self, nick: &str) -> UserId {
        UserId::from_entropy(hash(&[&self.salt, "import", "user", nick]))
    }

    /// What importers call their device.
    pub(super) fn device(&self) -> DeviceId {
        DeviceId::from_entropy(hash(&[&self.salt, "import", "device"]))
    }

    /// The request that created a person.
    pub(super) fn user_request(&self, nick: &str) -> MessageId {
        MessageId::new(0, hash(&[&self.salt, "import", "request", nick]))
    }

    /// The event that created the group.
    pub(super) fn creation(&self, now: LogTime) -> MessageId {
        MessageId::new(
            now.as_millis(),
            hash(&[&self.salt, "import", "create", self.group.as_str()]),
        )
    }

    /// The event that made somebody a member.
    pub(super) fn membership(&self, user: UserId) -> MessageId {
        let parts = [&self.salt, "import", "member", self.group.as_str(), user.as_str()];
        MessageId::new(0, hash(&parts))
    }

    /// The event of a line. `millis` ascends with the lines of one moment.
    pub(super) fn line(&self, millis: u64, number: u64, text: &str) -> MessageId {
        let parts = [&self.salt, "import", "line", self.group.as_str(), &number.to_string(), text];
        MessageId::new(millis, hash(&parts))
    }

    /// A few characters that tell nicks apart whose handles would be the same.
    pub(super) fn mark(&self, nick: &str) -> String {
        self.user(nick).to_string()
    }
}

/// The first bytes of a hash that depends on all parts and nothing else.
fn hash<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps two lists of parts from running into the same text.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut bytes = [0; N];
    bytes.copy_from_slice(&hash.finalize()[..N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(hash::<20>(&["ab", "c"]), hash::<20>(&["a", "bc"]));
        assert_eq!(hash::<10>(&["a", "b"]), hash::<10>(&["a", "b"]));
    }
}
