//! Rate limits by user, address and handle.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use hansard_model::UserId;
use hansard_model::account::Handle;
use hansard_protocol::{ErrorBody, ErrorCode};

use crate::config::{Rate, Rates};
use crate::metrics::{self, Limited};

/// Keys that one limit remembers. When there are more, those that are at rest are forgotten at
/// once; while none is, strangers are refused rather than remembered.
const KEYS_MAX: usize = 200_000;
/// How often keys at rest are forgotten.
pub(crate) const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Too fast: not before this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many {what}")]
pub(crate) struct TooFast {
    what: &'static str,
    wait: Duration,
}

impl TooFast {
    /// The error that the caller gets.
    pub(crate) fn body(&self) -> ErrorBody {
        let wait_ms = u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX);
        ErrorBody::new(ErrorCode::RateLimited, self.to_string()).after_ms(wait_ms.max(1))
    }
}

/// All rate limits of a gateway.
pub(crate) struct RateLimits {
    sends: Limit<UserId>,
    receipts: Limit<UserId>,
    typing: Limit<UserId>,
    catch_ups: Limit<UserId>,
    groups: Limit<UserId>,
    requests: Limit<UserId>,
    uploads: Limit<UserId>,
    handshakes: Limit<IpAddr>,
    signups: Limit<IpAddr>,
    logins: Limit<IpAddr>,
    logins_of: Limit<Handle>,
    trust_loopback: bool,
}

impl RateLimits {
    /// The limits of a configuration.
    pub(crate) fn new(rates: &Rates, trust_loopback: bool) -> Self {
        Self {
            sends: Limit::new(rates.sends_per_user, Limited::Sends),
            receipts: Limit::new(rates.receipts_per_user, Limited::Receipts),
            typing: Limit::new(rates.typing_per_user, Limited::Typing),
            catch_ups: Limit::new(rates.catch_ups_per_user, Limited::CatchUps),
            groups: Limit::new(rates.groups_per_user, Limited::Groups),
            requests: Limit::new(rates.requests_per_user, Limited::Requests),
            uploads: Limit::new(rates.uploads_per_user, Limited::Uploads),
            handshakes: Limit::new(rates.handshakes_per_address, Limited::Handshakes),
            signups: Limit::new(rates.signups_per_address, Limited::Signups),
            logins: Limit::new(rates.logins_per_address, Limited::Logins),
            logins_of: Limit::new(rates.logins_per_handle, Limited::Logins),
            trust_loopback,
        }
    }

    /// Counts a send.
    ///
    /// # Errors
    /// [`TooFast`]: nothing was counted.
    pub(crate) fn send(&self, user: UserId) -> Result<(), TooFast> {
        self.sends.check(&user)
    }

    /// Counts a receipt.
    ///
    /// # Errors
    /// [`TooFast`]: nothing was counted.
    pub(crate) fn receipt(&self, user: UserId) -> Result<(), TooFast> {
        self.receipts.check(&user)
    }

    /// Counts a `typing`.
    ///
    /// # Errors
    /// [`TooFast`]: nothing was counted.
    pub(crate) fn typing(&self, user: UserId) -> Result<(), TooFast> {
        self.typing.check(&user)
    }

    /// Counts a catch-up.
    ///
    /// # Errors
    /// [`TooFast`]: nothing was counted.
    pub(crate) fn catch_up(&self, user: UserId) -> Result<(), TooFast> {
        self.catch_ups.check(&user)
    }

    /// Counts the creation of a group.
    ///
    /// # Errors
    /// [`TooFast`]: nothing was counted.
    pub(crate) fn group(&self, user: UserId) -> Result<(), TooFast> {
        self.groups.check(&user)
    }

    /// Counts an HTTP request.
    ///
    /// # Errors
    /// [`TooFast`]: nothing was counted.
    pub(crate) fn request(&self, user: UserId) -> Result<(), TooFast> {
        self.requests.check(&user)
    }

    /// Counts a new upload.
    ///
    /// # Errors
    /// [`TooFast`]: nothing was counted.
    pub(crate) fn upload(&self, user: UserId) -> Result<(), TooFast> {
        self.uploads.check(&user)
    }

    /// Counts an upgrade to WebSocket.
    ///
    /// # Errors
    /// [`TooFast`]: nothing was counted.
    pub(crate) fn handshake(&self, peer: IpAddr) -> Result<(), TooFast> {
        self.by_address(&self.handshakes, peer)
    }

    /// Counts the creation of an account.
    ///
    /// # Errors
    /// [`TooFast`]: nothing was counted.
    pub(crate) fn signup(&self, peer: IpAddr) -> Result<(), TooFast> {
        self.by_address(&self.signups, peer)
    }

    /// Counts an attempt to log in.
    ///
    /// # Errors
    /// [`TooFast`]
    pub(crate) fn login(&self, peer: IpAddr, handle: &Handle) -> Result<(), TooFast> {
        self.by_address(&self.logins, peer)?;
        self.logins_of.check(handle)
    }

    fn by_address(&self, limit: &Limit<IpAddr>, peer: IpAddr) -> Result<(), TooFast> {
        if self.trust_loopback && peer.is_loopback() {
            return Ok(());
        }
        limit.check(&network(peer))
    }

    /// Forgets everybody who has been slow enough for a while.
    pub(crate) fn forget_the_idle(&self) {
        self.sends.forget_the_idle();
        self.receipts.forget_the_idle();
        self.typing.forget_the_idle();
        self.catch_ups.forget_the_idle();
        self.groups.forget_the_idle();
        self.requests.forget_the_idle();
        self.uploads.forget_the_idle();
        self.handshakes.forget_the_idle();
        self.signups.forget_the_idle();
        self.logins.forget_the_idle();
        self.logins_of.forget_the_idle();
    }
}

/// What counts as one address: an IPv4 address, or an IPv6 network of 64 bits, which is what one
/// household or server gets.
pub(crate) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

struct Limit<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, DefaultClock>,
    limited: Limited,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    fn new(rate: Rate, limited: Limited) -> Self {
        let at_least_one = |value| NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN);
        let each = rate.period / at_least_one(rate.count).get();
        let each = each.max(Duration::from_nanos(1));
        let quota = Quota::with_period(each)
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(at_least_one(rate.burst));
        Self { limiter: RateLimiter::dashmap(quota), limited }
    }

    fn check(&self, key: &K) -> Result<(), TooFast> {
        if self.limiter.len() > KEYS_MAX {
            self.forget_the_idle();
            if self.limiter.len() > KEYS_MAX {
                return Err(self.too_fast(Duration::from_secs(1)));
            }
        }
        self.limiter.check_key(key).map_err(|not_until| {
            self.too_fast(not_until.wait_time_from(self.limiter.clock().now()))
        })
    }

    fn too_fast(&self, wait: Duration) -> TooFast {
        metrics::rate_limited(self.limited);
        TooFast { what: self.limited.as_str(), wait }
    }

    fn forget_the_idle(&self) {
        self.limiter.retain_recent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(trust_loopback: bool) -> RateLimits {
        let rates = Rates {
            sends_per_user: Rate::new(1, 2),
            logins_per_address: Rate::new(1, 1),
            logins_per_handle: Rate::new(1, 1),
            ..Rates::default()
        };
        RateLimits::new(&rates, trust_loopback)
    }

    #[test]
    fn a_burst_passes_and_the_next_is_told_how_long_to_wait() {
        let limits = limits(true);
        let user = UserId::from_entropy([1; 20]);
        assert_eq!(limits.send(user), Ok(()));
        assert_eq!(limits.send(user), Ok(()));
        let body = limits.send(user).expect_err("over the burst").body();
        assert_eq!(body.code, ErrorCode::RateLimited);
        assert!(body.retry_after_ms.is_some_and(|wait| (1..=1000).contains(&wait)), "{body:?}");
        assert_eq!(limits.send(UserId::from_entropy([2; 20])), Ok(()), "others do not notice");
    }

    #[test]
    fn one_person_takes_no_more_than_their_share_of_what_all_have() {
        let limits = RateLimits::new(&Rates::default(), true);
        let [ana, ben] = [1, 2].map(|byte| UserId::from_entropy([byte; 20]));
        // Some may come back while this runs.
        let typed = (0..100).filter(|_| limits.typing(ana).is_ok()).count();
        assert!((8..50).contains(&typed), "{typed}");
        let caught_up = (0..300).filter(|_| limits.catch_up(ana).is_ok()).count();
        assert!((200..290).contains(&caught_up), "{caught_up}");
        assert!(limits.typing(ben).is_ok() && limits.catch_up(ben).is_ok());
    }

    #[test]
    fn a_rate_per_hour_gives_one_place_at_a_time() {
        let rates = Rates { groups_per_user: Rate::per_hour(60, 1), ..Rates::default() };
        let limits = RateLimits::new(&rates, true);
        let user = UserId::from_entropy([1; 20]);
        assert_eq!(limits.group(user), Ok(()));
        let wait = limits.group(user).expect_err("over the burst").body().retry_after_ms;
        assert!(wait.is_some_and(|wait| (59_000..=60_000).contains(&wait)), "{wait:?}");
    }

    #[test]
    fn logins_are_limited_by_handle_from_anywhere() {
        let limits = limits(true);
        let handle: Handle = "ana".parse().expect("a handle");
        assert_eq!(limits.login([192, 0, 2, 1].into(), &handle), Ok(()));
        assert!(limits.login([192, 0, 2, 2].into(), &handle).is_err());
    }

    #[test]
    fn loopback_is_exempt_only_when_trusted() {
        let peer = IpAddr::from([127, 0, 0, 1]);
        let handles: [Handle; 2] = ["ana", "ben"].map(|text| text.parse().expect("a handle"));
        let trusting = limits(true);
        assert!(handles.iter().all(|handle| trusting.login(peer, handle).is_ok()));
        let strict = limits(false);
        assert!(strict.login(peer, &handles[0]).is_ok());
        assert!(strict.login(peer, &handles[1]).is_err());
    }

    #[test]
    fn a_network_of_ipv6_counts_once() {
        let one: IpAddr = "2001:db8:1:2:3::1".parse().expect("an address");
        let other: IpAddr = "2001:db8:1:2:ffff::9".parse().expect("an address");
        assert_eq!(network(one), network(other));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().expect("an address");
        assert_eq!(network(mapped), IpAddr::from([192, 0, 2, 1]));
    }
}
