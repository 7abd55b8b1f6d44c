//! What is kept for a moment after it is over, under a bound of bytes.
//!
//! Requests for URLs that nobody has asked for before decide how much there is to hold: beyond the bound, what would end
//! first goes first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// Items by key, each until an instant of its own.
#[derive(Debug)]
pub(super) struct Holds<K, T> {
    bytes_max: u64,
    bytes: u64,
    held: HashMap<K, Held<T>>,
    /// The number tells those apart that end at the same time.
    ends: BTreeMap<(Instant, u64), K>,
    next: u64,
}

#[derive(Debug)]
struct Held<T> {
    item: T,
    bytes: u64,
    end: (Instant, u64),
}

impl<K: Clone + Eq + Hash, T> Holds<K, T> {
    /// Holds nothing yet, and never more than `bytes_max`.
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, bytes: 0, held: HashMap::new(), ends: BTreeMap::new(), next: 0 }
    }

    /// Holds an item of so many bytes, in place of the one with its key; not at all when it is beyond the bound alone.
    pub(super) fn hold(&mut self, key: K, item: T, bytes: u64, until: Instant) {
        self.remove(&key);
        if bytes > self.bytes_max {
            return;
        }
        while self.bytes + bytes > self.bytes_max
            && let Some((_, first)) = self.ends.pop_first()
        {
            self.remove(&first);
        }
        let end = (until, self.next);
        self.next += 1;
        self.bytes += bytes;
        self.ends.insert(end, key.clone());
        self.held.insert(key, Held { item, bytes, end });
    }

    /// What is held under `key`, and until when.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<(&T, Instant)> {
        self.held.get(key).filter(|held| now < held.end.0).map(|held| (&held.item, held.end.0))
    }

    /// Lets go of what has had its time.
    pub(super) fn let_go(&mut self, now: Instant) {
        while let Some(first) = self.ends.first_entry().filter(|first| first.key().0 <= now) {
            let key = first.remove();
            self.remove(&key);
        }
    }

    /// Items held, of which some may have had their time.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.held.len()
    }

    fn remove(&mut self, key: &K) {
        if let Some(Held { bytes, end, .. }) = self.held.remove(key) {
            self.bytes -= bytes;
            self.ends.remove(&end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    /// Items are `(key, bytes, seconds)`; expected are the keys held after `now` seconds, under a bound of 100 bytes.
    #[track_caller]
    fn check(items: &[(&'static str, u64, u64)], now: u64, expected: &[&str]) {
        let start = Clock::new().now().monotonic;
        let mut holds = Holds::new(100);
        for &(key, bytes, seconds) in items {
            holds.hold(key, (), bytes, start + Duration::from_secs(seconds));
            assert!(holds.bytes <= 100);
        }
        let now = start + Duration::from_secs(now);
        let held: Vec<_> = ["a", "b", "c"].into_iter().filter(|key| holds.get(key, now).is_some()).collect();
        assert_eq!(held, expected, "{items:?}");
        holds.let_go(now);
        assert_eq!((holds.count(), holds.ends.len()), (expected.len(), expected.len()), "{items:?}");
        holds.let_go(start + Duration::from_secs(3600));
        assert_eq!((holds.count(), holds.ends.len(), holds.bytes), (0, 0, 0), "{items:?}");
    }

    #[test]
    fn each_is_held_until_its_own_end() {
        check(&[("a", 10, 1), ("b", 10, 3)], 0, &["a", "b"]);
        check(&[("a", 10, 1), ("b", 10, 3)], 1, &["b"]);
        check(&[("a", 10, 3), ("b", 10, 1)], 1, &["a"]);
        check(&[("a", 10, 2), ("b", 10, 2)], 2, &[]);
    }

    #[test]
    fn beyond_the_bound_what_would_end_first_goes_first() {
        check(&[("a", 50, 1), ("b", 50, 3), ("c", 1, 2)], 0, &["b", "c"]);
        check(&[("a", 50, 3), ("b", 50, 1), ("c", 50, 2)], 0, &["a", "c"]);
        check(&[("a", 30, 1), ("b", 30, 2), ("c", 100, 3)], 0, &["c"]);
        check(&[("a", 50, 1), ("b", 101, 3)], 0, &["a"]);
    }

    #[test]
    fn the_latest_of_a_key_counts() {
        check(&[("a", 60, 1), ("a", 60, 3)], 2, &["a"]);
        check(&[("a", 60, 3), ("a", 60, 1)], 2, &[]);
        check(&[("a", 60, 3), ("a", 101, 3)], 0, &[]);
    }
}
