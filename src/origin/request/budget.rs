//! How much more a site may ask of its origins than its clients ask of it.
//!
//! Another try is worth its cost as long as it brings answers, and feeds a storm when it does not. So what was in vain stays
//! charged, and one success, which is reason to believe in further ones, clears the account.
//!
//! A try after a failure is charged once it has failed too: a failover that works is not refused, however many need it at
//! once, and though much may fail everywhere beside it; while origins that all fail soon get little more than one request
//! for each that a client sends. A try beside one that may yet succeed is charged when it is made: a crowd that waits for a
//! slow answer must not all ask twice.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The account of one kind of further tries at one site, shared by all workers.
#[derive(Debug)]
pub struct Budget {
    /// What each request adds, in hundredths of a try.
    percent: i64,
    /// What one success brings the account to, in hundredths of a try.
    trust: i64,
    /// In hundredths of a try; what is in flight when the first is charged leads below zero.
    credit: AtomicI64,
    born: Instant,
    /// Milliseconds since then, from which on one try is free.
    free_at: AtomicU64,
}

impl Budget {
    /// An account to which each request adds `percent` hundredths of a try, and which each success brings to `trust` tries;
    /// with no percent at all, nothing is ever allowed.
    pub fn new(percent: u32, trust: u32, now: Instant) -> Self {
        let (credit, free_at) = (AtomicI64::new(CREDIT_MAX), AtomicU64::new(0));
        Self { percent: percent.into(), trust: i64::from(trust) * ONE, credit, born: now, free_at }
    }

    /// One request of a client's has to be asked of an origin.
    pub fn earn(&self) {
        self.add(self.percent);
    }

    /// Whether there may be one more try now. Without credit, one in a second may: nothing else would show that times have
    /// changed.
    pub fn allows(&self, now: Instant) -> bool {
        if self.percent == 0 {
            return false;
        }
        if self.credit.load(Ordering::Relaxed) >= ONE {
            return true;
        }
        let age = now.saturating_duration_since(self.born).as_millis() as u64;
        let taken = |free_at| (age >= free_at).then_some(age + FREE_INTERVAL.as_millis() as u64);
        self.free_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    /// One try is made, or was in vain.
    pub fn charge(&self) {
        self.add(-ONE);
    }

    /// A try that it allowed brought the answer.
    pub fn clear(&self) {
        self.credit.store(self.trust, Ordering::Relaxed);
    }

    fn add(&self, hundredths: i64) {
        // What trust has brought beyond that is spent, and not added to.
        let added = |credit: i64| Some((credit + hundredths).clamp(DEBT_MAX, CREDIT_MAX.max(credit)));
        let _always_some = self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }
}

/// One try, in hundredths.
const ONE: i64 = 100;

/// Ten tries: enough to fail over a site with few visitors.
const CREDIT_MAX: i64 = 10 * ONE;

/// What requests in flight may overdraw is paid back, so that the share holds in the long run, up to here.
const DEBT_MAX: i64 = -1000 * ONE;

/// Between tries without credit.
const FREE_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    /// How many of `requests`, `milliseconds` apart, get a second try when every try is in vain.
    fn in_vain(budget: &Budget, requests: u32, milliseconds: u64, start: Instant) -> u32 {
        let mut tries = 0;
        for number in 0..requests {
            budget.earn();
            if budget.allows(start + Duration::from_millis(u64::from(number) * milliseconds)) {
                budget.charge();
                tries += 1;
            }
        }
        tries
    }

    #[test]
    fn tries_in_vain_come_to_a_share_of_the_requests() {
        let now = Clock::new().now().monotonic;
        for (percent, requests, apart, expected) in
            [(5, 1000, 0, 58..=61), (5, 1000, 100, 105..=112), (20, 1000, 0, 208..=211), (0, 1000, 100, 0..=0)]
        {
            let tries = in_vain(&Budget::new(percent, 10, now), requests, apart, now);
            assert!(expected.contains(&tries), "{percent} % of {requests}, {apart} ms apart: {tries}");
        }
    }

    #[test]
    fn tries_that_help_are_never_refused() {
        let now = Clock::new().now().monotonic;
        let budget = Budget::new(5, 10, now);
        for _ in 0..1000 {
            assert!((0..50).all(|_| budget.allows(now)), "50 at once");
            (0..9).for_each(|_| budget.charge());
            budget.clear();
        }
    }

    #[test]
    fn among_many_tries_in_vain_the_few_that_help_are_not_refused() {
        let now = Clock::new().now().monotonic;
        let (budget, mut refused) = (Budget::new(5, 100, now), 0);
        for number in 0..10_000 {
            budget.earn();
            match (budget.allows(now), number % 20 == 0) {
                (true, true) => budget.clear(),
                (true, false) => budget.charge(),
                (false, _) => refused += 1,
            }
        }
        assert_eq!(refused, 0);
    }

    #[test]
    fn what_was_overdrawn_is_paid_back() {
        let now = Clock::new().now().monotonic;
        let budget = Budget::new(5, 10, now);
        assert!((0..50).all(|_| budget.allows(now)));
        (0..50).for_each(|_| budget.charge());
        assert_eq!(in_vain(&budget, 800, 0, now), 1, "40 requests' worth of debt, but for the free one");
        assert!(in_vain(&budget, 100, 0, now) >= 4);
    }

    #[test]
    fn without_credit_one_in_a_second_is_free_and_one_success_is_enough() {
        let now = Clock::new().now().monotonic;
        let budget = Budget::new(5, 10, now);
        (0..500).for_each(|_| budget.charge());
        assert!(budget.allows(now));
        assert!(!budget.allows(now + FREE_INTERVAL / 2));
        assert!(budget.allows(now + FREE_INTERVAL));
        budget.clear();
        assert!((0..10).all(|_| budget.allows(now + FREE_INTERVAL)));
    }
}
