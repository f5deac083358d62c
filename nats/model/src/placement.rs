//! Where a user connects: gateways in the order in which a client tries them, the same whichever
//! gateway is asked.
//!
//! The order among equals is by highest random weight (D. Thaler and C. Ravishankar, "Using
//! Name-Based Mappings to Increase Hit Rates", IEEE/ACM Transactions on Networking 6(1), 1998): every
//! pair of a bucket and a gateway has a weight of its own, and the heaviest gateway comes first. Who
//! goes takes along only the buckets that it had; who comes takes only those that it wins.
//!
//! Load enters in three steps with a distance between up and down, never as a number: a connection
//! more or less changes no order.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

/// Parts of a hundred at which a gateway is busy, and below which it is so no more.
const BUSY: Step = Step { from: 85, until: 75 };
/// The same for full. Below all of it, because others learn of it a little later.
const FULL: Step = Step { from: 95, until: 90 };

struct Step {
    from: u64,
    until: u64,
}

impl Step {
    fn is_reached(&self, was: bool, connections: u64, capacity: u64) -> bool {
        let parts = if was { self.until } else { self.from };
        connections.saturating_mul(100) >= capacity.saturating_mul(parts)
    }
}

/// How much room a gateway has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occupancy {
    /// Enough.
    #[default]
    Open,
    /// Little: others of its region come first.
    Busy,
    /// None: it is not offered.
    Full,
}

impl Occupancy {
    /// What it is now, given what it was: it goes up and comes down at different loads.
    #[must_use]
    pub fn next(self, connections: u64, capacity: u64) -> Self {
        if FULL.is_reached(self >= Self::Full, connections, capacity) {
            Self::Full
        } else if BUSY.is_reached(self >= Self::Busy, connections, capacity) {
            Self::Busy
        } else {
            Self::Open
        }
    }
}

/// A gateway that users may be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Where clients reach it: its name, so that it has the same users after a restart.
    pub url: &'a str,
    /// Where it is.
    pub region: &'a str,
    /// How much room it has.
    pub occupancy: Occupancy,
    /// It is about to stop.
    pub draining: bool,
}

/// The places in `candidates` of those that may be offered, best first: those of the region before
/// others, those with room before busy ones, then by weight. Full and draining ones are left out.
pub fn rank(bucket: &str, region: Option<&str>, candidates: &[Candidate<'_>]) -> Vec<usize> {
    let mut offered: Vec<usize> = (0..candidates.len())
        .filter(|place| {
            let candidate = &candidates[*place];
            !candidate.draining && candidate.occupancy < Occupancy::Full
        })
        .collect();
    offered.sort_by_cached_key(|place| {
        let Candidate { url, region: of, occupancy, .. } = candidates[*place];
        let is_elsewhere = region.is_some_and(|region| region != of);
        (is_elsewhere, occupancy, Reverse(weight(bucket, url)), url)
    });
    offered
}

/// FNV-1a (64 bit) of both names, finished as in `SplitMix64`: FNV alone leaves names that differ
/// in their last character close to each other.
fn weight(bucket: &str, url: &str) -> u64 {
    let bytes = bucket.bytes().chain([0xff]).chain(url.bytes());
    let mut z = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every bucket there is: the first two characters of a user's id.
    fn buckets() -> Vec<String> {
        let letters = "abcdefghijklmnopqrstuvwxyz234567";
        letters.chars().flat_map(|a| letters.chars().map(move |b| format!("{a}{b}"))).collect()
    }

    fn open<'a>(url: &'a str, region: &'a str) -> Candidate<'a> {
        Candidate { url, region, occupancy: Occupancy::Open, draining: false }
    }

    fn first<'a>(bucket: &str, candidates: &[Candidate<'a>]) -> Option<&'a str> {
        rank(bucket, None, candidates).first().map(|place| candidates[*place].url)
    }

    proptest! {
        // Chance may leave a place four standard deviations from a fifth: few cases.
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn removing_one_of_five_moves_its_own_buckets_and_at_most_a_fifth_and_a_twentieth(
            names in proptest::collection::hash_set("[a-z0-9]{1,12}(\\.[a-z]{2,8})?:[0-9]{2,5}", 5),
            gone in 0..5_usize,
        ) {
            let urls: Vec<String> = names.iter().map(|name| format!("http://{name}")).collect();
            let all: Vec<_> = urls.iter().map(|url| open(url, "eu")).collect();
            let mut left = all.clone();
            let removed = left.remove(gone);
            let mut moved = 0;
            let buckets = buckets();
            for bucket in &buckets {
                let (before, after) = (first(bucket, &all), first(bucket, &left));
                if before == Some(removed.url) {
                    moved += 1;
                } else {
                    prop_assert_eq!(before, after, "bucket {} moved for nothing", bucket);
                }
            }
            prop_assert_eq!(buckets.len(), 1_024);
            prop_assert!(moved * 100 <= buckets.len() * 25, "{} of 1,024 moved", moved);
            prop_assert!(moved * 100 >= buckets.len() * 10, "{} of 1,024 moved", moved);
        }

        #[test]
        fn the_order_does_not_depend_on_who_is_listed_first(
            turn in 0..5_usize, bucket in "[a-z2-7]{2}",
        ) {
            let urls = ["http://a:1", "http://b:1", "http://c:1", "http://d:1", "http://e:1"];
            let mut listed: Vec<_> = urls.iter().map(|url| open(url, "eu")).collect();
            let before: Vec<_> =
                rank(&bucket, None, &listed).iter().map(|place| listed[*place].url).collect();
            listed.rotate_left(turn);
            let after: Vec<_> =
                rank(&bucket, None, &listed).iter().map(|place| listed[*place].url).collect();
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn full_and_draining_ones_are_not_offered_and_busy_ones_come_last_of_their_region() {
        let candidates = [
            Candidate { occupancy: Occupancy::Full, ..open("http://full", "eu") },
            Candidate { draining: true, ..open("http://draining", "eu") },
            Candidate { occupancy: Occupancy::Busy, ..open("http://busy", "eu") },
            open("http://far", "us"),
            open("http://near", "eu"),
        ];
        for bucket in buckets() {
            assert_eq!(rank(&bucket, Some("eu"), &candidates), [4, 2, 3]);
            assert_eq!(rank(&bucket, None, &candidates).len(), 3);
            assert_eq!(rank(&bucket, None, &candidates)[2], 2);
        }
    }

    #[test]
    fn a_bucket_of_a_gateway_that_goes_is_shared_by_all_others() {
        let urls = ["http://a:1", "http://b:1", "http://c:1", "http://d:1", "http://e:1"];
        let all: Vec<_> = urls.iter().map(|url| open(url, "eu")).collect();
        let mut heirs = std::collections::BTreeMap::<&str, usize>::new();
        for bucket in buckets().iter().filter(|bucket| first(bucket, &all) == Some(urls[2])) {
            *heirs.entry(urls[rank(bucket, None, &all)[1]]).or_default() += 1;
        }
        assert_eq!(heirs.len(), 4);
        assert!(heirs.values().all(|count| (25..=80).contains(count)), "{heirs:?}");
    }

    #[test]
    fn a_load_that_swings_around_a_step_changes_nothing() {
        let mut occupancy = Occupancy::Open;
        for (connections, wanted) in [
            (84, Occupancy::Open),
            (85, Occupancy::Busy),
            (80, Occupancy::Busy),
            (86, Occupancy::Busy),
            (95, Occupancy::Full),
            (91, Occupancy::Full),
            (89, Occupancy::Busy),
            (75, Occupancy::Busy),
            (74, Occupancy::Open),
            (100, Occupancy::Full),
            (0, Occupancy::Open),
        ] {
            occupancy = occupancy.next(connections, 100);
            assert_eq!(occupancy, wanted, "at {connections}");
        }
        assert_eq!(Occupancy::Open.next(0, 0), Occupancy::Full, "without places there is no room");
    }
}
