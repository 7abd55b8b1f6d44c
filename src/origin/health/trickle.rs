//! Lets single requests through to what is not to be relied on, to find out whether it has become better.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// Whether a request has passed of which it is not known yet how it went.
    pending: AtomicBool,
}

impl Trickle {
    /// A trickle whose first request may pass at once.
    pub fn new(pace: TricklePace, now: Instant) -> Self {
        let interval = AtomicU64::new(milliseconds(pace.first));
        Self { pace, epoch: now, next: AtomicU64::new(0), interval, pending: AtomicBool::new(false) }
    }

    /// Begins anew: the first request may pass after the first interval.
    pub fn reset(&self, now: Instant) {
        self.pending.store(false, Ordering::Relaxed);
        self.pass_next_after(milliseconds(self.pace.first), now);
    }

    /// Whether a request may pass now; of several that ask at the same time one may.
    pub fn take(&self, now: Instant) -> bool {
        let now = milliseconds(now.saturating_duration_since(self.epoch));
        let next = self.next.load(Ordering::Relaxed);
        let after = now + self.interval.load(Ordering::Relaxed);
        let passes =
            now >= next && self.next.compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if passes {
            self.pending.store(true, Ordering::Relaxed);
        }
        passes
    }

    /// Whether every request may pass, because the last one went well.
    pub fn is_open(&self) -> bool {
        self.interval.load(Ordering::Relaxed) == 0
    }

    /// Takes how a request went: the next one follows soon, or waits longer. What was under way before any request passed
    /// says nothing.
    pub fn went(&self, well: bool, now: Instant) {
        if !self.pending.swap(false, Ordering::Relaxed) && !self.is_open() {
            return;
        }
        let before = self.interval.load(Ordering::Relaxed);
        let first = milliseconds(self.pace.first);
        let interval = match well {
            true => milliseconds(self.pace.shortest),
            false if before < first => first,
            false => (before * 2).min(milliseconds(self.pace.longest)),
        };
        self.pass_next_after(interval, now);
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

    /// Steps: `.` lets a second pass, `+` and `-` say how the last request went, `?` is a request, `!`
    /// begins anew; expected are the answers.
    #[track_caller]
    fn check(pace: TricklePace, steps: &str, expected: &str) {
        let mut now = Clock::new().now().monotonic;
        let trickle = Trickle::new(pace, now);
        let mut passed = String::new();
        for step in steps.chars() {
            match step {
                '+' => trickle.went(true, now),
                '-' => trickle.went(false, now),
                '!' => trickle.reset(now),
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
    fn what_did_not_pass_here_changes_nothing() {
        check(PACE, "---?", "y");
        check(PACE, "?---......?", "yy");
        check(PACE, "!?..?.?", "nny");
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
