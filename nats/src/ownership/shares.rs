//! Who owns how many partitions: what a process takes, wants and gives back, from one look at the
//! leases. Pure.

use std::collections::{HashMap, HashSet};

use hansard_model::{PartitionCount, PartitionId};

/// The partitions of a kind and their holders, as one of them sees it.
pub(super) struct Shares {
    partitions: usize,
    me: String,
    holders: HashMap<PartitionId, String>,
    /// How many each has; those who want one and have none too.
    owned: HashMap<String, usize>,
    wanting: HashSet<String>,
}

impl Shares {
    /// From the leases as pairs of a partition's number and a holder, and the names of those who
    /// want one.
    pub(super) fn new(
        me: &str,
        partitions: PartitionCount,
        leases: &[(String, String)],
        wanting: &[(String, String)],
    ) -> Self {
        let mut holders = HashMap::new();
        let mut owned = HashMap::from([(me.to_owned(), 0)]);
        let wanting: HashSet<String> = wanting.iter().map(|(_, holder)| holder.clone()).collect();
        for holder in &wanting {
            owned.entry(holder.clone()).or_default();
        }
        for (partition, holder) in leases {
            let Ok(number) = partition.parse() else { continue };
            if number < partitions.get() {
                holders.insert(PartitionId(number), holder.clone());
                *owned.entry(holder.clone()).or_default() += 1;
            }
        }
        Self { partitions: partitions.get().into(), me: me.to_owned(), holders, owned, wanting }
    }

    /// Somebody else holds its lease.
    pub(super) fn is_of_another(&self, partition: PartitionId) -> bool {
        self.holders.get(&partition).is_some_and(|holder| *holder != self.me)
    }

    /// How many it takes of what has just become free: as many as each has when all have about the
    /// same, and no more than one more than another who wants some.
    pub(super) fn limit(&self) -> usize {
        let fair = self.partitions.div_ceil(self.owned.len());
        let others = self.wanting.iter().filter(|holder| **holder != self.me);
        let least = others.filter_map(|holder| self.owned.get(holder)).min();
        least.map_or(fair, |least| fair.min(least + 1))
    }

    /// Somebody has at least two more.
    pub(super) fn is_mine_too_small(&self) -> bool {
        self.owned.values().any(|owned| *owned >= self.mine() + 2)
    }

    /// Nobody has more, nothing is free, and somebody who wants one has at least two fewer. Of those
    /// who have the most only one finds so: several would give more than is wanted.
    pub(super) fn is_mine_too_large(&self) -> bool {
        let mine = (self.mine(), self.me.as_str());
        let is_most = self.owned.iter().all(|(holder, owned)| (*owned, holder.as_str()) <= mine);
        let wants = |holder: &String| self.owned.get(holder).is_some_and(|o| o + 2 <= mine.0);
        is_most && self.holders.len() == self.partitions && self.wanting.iter().any(wants)
    }

    fn mine(&self) -> usize {
        self.owned.get(&self.me).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pairs(of: &[(&str, &[u16])]) -> Vec<(String, String)> {
        let pair = |number: &u16, holder: &str| (number.to_string(), holder.to_owned());
        of.iter().flat_map(|(holder, own)| own.iter().map(|n| pair(n, holder))).collect()
    }

    fn wanting(names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect()
    }

    fn count(partitions: u16) -> PartitionCount {
        PartitionCount::new(partitions).expect("a count")
    }

    fn seen_by(me: &str, of: &[(&str, &[u16])], want: &[&str]) -> Shares {
        Shares::new(me, count(4), &pairs(of), &wanting(want))
    }

    #[test]
    fn one_that_joins_wants_a_share_and_the_largest_gives_one() {
        let owned: &[(&str, &[u16])] = &[("a", &[0, 1, 2, 3])];
        assert!(seen_by("b", owned, &[]).is_mine_too_small());
        assert!(!seen_by("a", owned, &[]).is_mine_too_large(), "nobody has said so");
        assert!(seen_by("a", owned, &["b"]).is_mine_too_large());
        assert!(!seen_by("b", owned, &["b"]).is_mine_too_large());
        assert_eq!(seen_by("b", owned, &["b"]).limit(), 2);
        assert_eq!(seen_by("a", owned, &["b"]).limit(), 1, "what is given is left to it");
    }

    #[test]
    fn nothing_is_given_while_something_is_free() {
        assert!(!seen_by("a", &[("a", &[0, 1, 2])], &["b"]).is_mine_too_large());
    }

    #[test]
    fn a_difference_of_one_is_none() {
        let owned: &[(&str, &[u16])] = &[("a", &[0, 1]), ("b", &[2]), ("c", &[3])];
        assert!(!seen_by("a", owned, &["b", "c"]).is_mine_too_large());
        assert!(!seen_by("b", owned, &[]).is_mine_too_small());
    }

    #[test]
    fn what_is_no_partition_counts_for_nobody() {
        let leases = [("9".to_owned(), "a".to_owned()), ("x".to_owned(), "a".to_owned())];
        let shares = Shares::new("b", count(4), &leases, &[]);
        assert_eq!((shares.limit(), shares.is_mine_too_small()), (4, false));
    }

    /// Whatever the shares, gifts one after the other end with about equal ones.
    #[test]
    fn gifts_come_to_an_end_with_about_equal_shares() {
        let names = ["a", "b", "c", "d", "e"];
        for seed in 0..200_u64 {
            let drawn = |n: u16| seed.wrapping_mul(6_364_136_223_846_793_005) >> (n % 48) & 7;
            let mut holders: BTreeMap<u16, usize> = BTreeMap::new();
            for partition in 0..16 {
                holders.insert(partition, (drawn(partition) as usize).min(4));
            }
            for round in 0.. {
                assert!(round < 64, "no end with {seed}: {holders:?}");
                let lease = |(n, of): (&u16, &usize)| (n.to_string(), names[*of].to_owned());
                let leases: Vec<_> = holders.iter().map(lease).collect();
                let of =
                    |me: &str, want: &[(String, String)]| Shares::new(me, count(16), &leases, want);
                let want: Vec<&str> =
                    names.into_iter().filter(|me| of(me, &[]).is_mine_too_small()).collect();
                let want = wanting(&want);
                let gives: Vec<usize> =
                    (0..5).filter(|me| of(names[*me], &want).is_mine_too_large()).collect();
                let [giver] = gives[..] else {
                    assert!(gives.is_empty(), "{gives:?} give at once");
                    break;
                };
                let gift = *holders.iter().find(|(_, of)| **of == giver).expect("owned").0;
                let owned = |of: usize| holders.values().filter(|one| **one == of).count();
                // The worst that may happen to it: who has the most of those that may takes it.
                let may = |one: &usize| owned(*one) < of(names[*one], &want).limit();
                let taker =
                    (0..5).filter(|one| *one != giver).filter(may).max_by_key(|o| owned(*o));
                holders.insert(gift, taker.expect("somebody may"));
            }
            let owned = |of: usize| holders.values().filter(|one| **one == of).count();
            let (least, most) = ((0..5).map(owned).min(), (0..5).map(owned).max());
            assert!(most <= least.map(|least| least + 1), "{holders:?}");
        }
    }
}
