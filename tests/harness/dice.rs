//! Ids, chances, and the two things a test takes from its environment.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hansard_model::MessageId;

/// A generator of chances (xorshift64*), from a seed that a failing test shows.
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    /// From `SEED` in the environment, or a new seed; printed either way.
    pub(crate) fn new() -> Self {
        let seed = setting("SEED", RandomState::new().hash_one(0)).max(1);
        println!("SEED={seed}");
        Self { state: seed }
    }

    /// Another one, whose chances follow from this one's.
    pub(crate) fn another(&mut self) -> Self {
        Self { state: self.below(u64::MAX - 1) + 1 }
    }

    /// One of some.
    pub(crate) fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// 0 to `below`, exclusive.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) % below
    }

    /// A duration of up to `most`.
    pub(crate) fn up_to(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap();
        Duration::from_micros(self.below(most.max(1)))
    }
}

/// A number from the environment, for runs that are larger than usual.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is not configuration")]
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A new id, as a client mints it when the person presses send.
pub(crate) fn mint() -> String {
    mint_at(now_ms())
}

/// A new id of a moment, in milliseconds since the Unix epoch.
pub(crate) fn mint_at(millis: u64) -> String {
    static MINTED: AtomicU64 = AtomicU64::new(0);
    let random = RandomState::new().hash_one(MINTED.fetch_add(1, Ordering::Relaxed));
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&random.to_be_bytes());
    MessageId::new(millis, bytes).to_string()
}

/// This machine's clock, which is nats-server's too, in milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "a client has only its own clock")]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
