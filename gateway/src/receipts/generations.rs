//! A map of what was lately: two generations of bounded size, of which the older one is forgotten
//! when the younger one is full or old.

use std::collections::HashMap;
use std::hash::Hash;

/// See the module.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    now: HashMap<K, V>,
    before: HashMap<K, V>,
    /// Entries of one generation.
    max: usize,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// Of at most twice `max` entries.
    pub(crate) fn new(max: usize) -> Self {
        Self { now: HashMap::new(), before: HashMap::new(), max }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.now.get(key).or_else(|| self.before.get(key))
    }

    /// Inserts; `true` when that made a generation pass.
    pub(crate) fn insert(&mut self, key: K, value: V) -> bool {
        let is_full = self.now.len() >= self.max && !self.now.contains_key(&key);
        if is_full {
            self.pass();
        }
        self.now.insert(key, value);
        is_full
    }

    /// Forgets the older generation; the younger one is the older one from here on.
    pub(crate) fn pass(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    /// Everything, and nothing is left.
    pub(crate) fn take(&mut self) -> HashMap<K, V> {
        let mut all = std::mem::take(&mut self.before);
        all.extend(std::mem::take(&mut self.now));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let mut map = Generations::new(2);
        for key in 0..100 {
            map.insert(0, -1);
            map.insert(key + 1, key);
            assert_eq!(map.get(&0), Some(&-1));
            assert_eq!(map.get(&(key + 1)), Some(&key));
        }
        assert!(map.take().len() <= 4);
        assert_eq!(map.get(&0), None);
    }
}
