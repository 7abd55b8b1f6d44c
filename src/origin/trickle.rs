//! Lets single requests through to what is not to be relied on, to find out whether it has become better.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How far apart the requests of a trickle are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TricklePace {
    /// After one that went well; zero lets every request through until one does not.
    pub shortest: Duration,
    /// At first, and after one that did not; doubled with each further one.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

/// One trickle, shared by all workers.
#[derive(Debug)]
pub struct Trickle {
    pace: TricklePace,
    epoch: Instant,
    /// When the next request may pass, in milliseconds after the epoch.
    next: AtomicU64,
    /// What is added to that with each request, in milliseconds.
    interval: AtomicU64,
}

impl Trickle {
    /// A trickle whose first request may pass after `now`.
    pub fn new(pace: TricklePace, now: Instant) -> Self {
        Self { pace, epoch: now, next: AtomicU64::new(0), interval: AtomicU64::new(milliseconds(pace.first)) }
    }

    /// Whether a request may pass now; of several that ask at the same time one may.
    pub fn take(&self, now: Instant) -> bool {
        let now = milliseconds(now.saturating_duration_since(self.epoch));
        let next = self.next.load(Ordering::Relaxed);
        let after = now + self.interval.load(Ordering::Relaxed);
        now >= next && self.next.compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether every request may pass, because the last one went well.
    pub fn is_open(&self) -> bool {
        self.interval.load(Ordering::Relaxed) == 0
    }

    /// A request that has passed went well: the next one may follow soon.
    pub fn went_well(&self, now: Instant) {
        self.pass_next_after(milliseconds(self.pace.shortest), now);
    }

    /// A request that has passed did not go well: the next one waits longer.
    pub fn went_badly(&self, now: Instant) {
        let before = self.interval.load(Ordering::Relaxed);
        let doubled = if before < milliseconds(self.pace.first) { milliseconds(self.pace.first) } else { before * 2 };
        self.pass_next_after(doubled.min(milliseconds(self.pace.longest)), now);
    }

    fn pass_next_after(&self, interval: u64, now: Instant) {
        self.interval.store(interval, Ordering::Relaxed);
        self.next.store(milliseconds(now.saturating_duration_since(self.epoch)) + interval, Ordering::Relaxed);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    /// Steps: `.` lets a second pass, `+` and `-` say how the last request went, `?` is a request; expected are the answers.
    #[track_caller]
    fn check(pace: TricklePace, steps: &str, expected: &str) {
        let mut now = Clock::new().now().monotonic;
        let trickle = Trickle::new(pace, now);
        let mut passed = String::new();
        for step in steps.chars() {
            match step {
                '+' => trickle.went_well(now),
                '-' => trickle.went_badly(now),
                '?' => passed.push(if trickle.take(now) { 'y' } else { 'n' }),
                _ => now += Duration::from_secs(1),
            }
        }
        assert_eq!(passed, expected, "{steps}");
    }

    #[test]
    fn one_request_passes_at_a_time() {
        check(PACE, "???", "ynn");
        check(PACE, "?.?.?.?", "ynny");
    }

    #[test]
    fn failures_make_it_slower_up_to_a_bound() {
        check(PACE, "?-.....?.?", "yny");
        check(PACE, "?-......?-.......?.?", "yyny");
        check(PACE, "?-......?-........?-.......?.?", "yyyny");
    }

    #[test]
    fn success_lets_the_next_one_follow() {
        check(PACE, "?+?.?.?", "ynyy");
        check(PACE, "?-......?+.?-..?.?", "yyyny");
    }

    #[test]
    fn with_no_shortest_pace_success_opens_it() {
        let pace = TricklePace { shortest: Duration::ZERO, ..PACE };
        check(pace, "?+???", "yyyy");
        check(pace, "?+??-?", "yyyn");
    }

    const PACE: TricklePace = TricklePace {
        shortest: Duration::from_secs(1),
        first: Duration::from_secs(3),
        longest: Duration::from_secs(8),
    };
}
