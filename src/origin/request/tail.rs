//! How long the slowest heads of one origin take: the time within which 95 of 100 arrive.
//!
//! One number, which each head moves: a slower one a long step up, a quicker one a short step down. It rests where one in
//! twenty is slower, forgets as fast as it learns, and needs no list of samples.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The tail of one origin's times to the head, shared by all workers.
#[derive(Debug)]
pub struct Tail {
    microseconds: AtomicU64,
}

impl Tail {
    /// The time that 95 of 100 heads take at most: 250 ms or more, 30 s or less.
    pub fn longest_usual(&self) -> Duration {
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed))
    }

    /// Takes the time that one head took, or that was waited for it in vain.
    pub fn measured(&self, latency: Duration) {
        let latency = latency.as_micros();
        let moved = |usual: u64| {
            let step = usual / STEPS;
            let next = if latency > u128::from(usual) { usual + 19 * step } else { usual - step };
            Some(next.clamp(LEAST.as_micros() as u64, MOST.as_micros() as u64))
        };
        let _always_some = self.microseconds.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
    }
}

impl Default for Tail {
    fn default() -> Self {
        Self { microseconds: AtomicU64::new(LEAST.as_micros() as u64) }
    }
}

/// A step down is so small a part of the whole; a step up is 19 of these.
const STEPS: u64 = 200;

/// Whoever is a little late with a quick answer is not to be doubted.
const LEAST: Duration = Duration::from_millis(250);

/// So that the steps have an end.
const MOST: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the tail rests when heads take `milliseconds` on average, spread evenly from nothing to the double.
    #[track_caller]
    fn check(milliseconds: u64, expected: std::ops::Range<u64>) {
        let (tail, mut random) = (Tail::default(), fastrand::Rng::with_seed(milliseconds));
        (0..10_000).for_each(|_| tail.measured(Duration::from_millis(random.u64(0..=2 * milliseconds))));
        let usual = tail.longest_usual();
        assert!(expected.contains(&(usual.as_millis() as u64)), "{milliseconds} ms on average: {usual:?}");
    }

    #[test]
    fn it_rests_where_one_in_twenty_is_slower() {
        check(10, 250..251);
        check(1_000, 1_650..2_000);
        check(5_000, 8_300..10_000);
        check(60_000, 29_000..30_001);
    }

    #[test]
    fn it_follows_an_origin_that_became_slow_within_a_few_answers_and_forgets_in_a_few_hundred() {
        let tail = Tail::default();
        (0..8).for_each(|_| tail.measured(Duration::from_millis(500)));
        assert!(tail.longest_usual() >= Duration::from_millis(500), "{tail:?}");
        (0..200).for_each(|_| tail.measured(Duration::from_millis(20)));
        assert_eq!(tail.longest_usual(), LEAST);
    }
}
