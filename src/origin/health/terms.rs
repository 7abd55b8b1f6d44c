//! Terms: what an address sends between one good probe and the next is good or bad as a whole.
//!
//! A probe that fails cannot tell since when the address has been failing, only that it was good at the last good probe.
//! So each good probe begins a term, and a failing one takes back the term it finds: whatever came in it may be garbage.
//! Terms are numbered from a place drawn at random, so that no two addresses share one, of whatever site and time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::origin::view::PoolView;

/// The terms of one site's addresses. Written by the site's steward, read by workers.
#[derive(Debug, Default)]
pub struct Terms {
    known: Mutex<BTreeMap<(usize, SocketAddr), Term>>,
}

impl Terms {
    /// Begins a term for every address of `view` that has none, and forgets the addresses that are not in it.
    pub fn follow(&self, view: &PoolView, random: &mut fastrand::Rng, now: Instant) {
        let mut known = self.lock();
        let mut followed = BTreeMap::new();
        for (index, origin) in view.origins.iter().enumerate() {
            for endpoint in &origin.endpoints {
                let place = (index, endpoint.address);
                let term = known.remove(&place).unwrap_or_else(|| Term::new(random.u64(..), now));
                followed.insert(place, term);
            }
        }
        *known = followed;
    }

    /// The term that an address is in; `None` when it is not probed, so that nothing is ever taken back.
    pub fn current(&self, origin: usize, address: SocketAddr) -> Option<u64> {
        self.lock().get(&(origin, address)).map(|term| term.number)
    }

    /// The terms that what has come since term `first` may have come in as well, as far as they can be or were taken back.
    pub fn since(&self, origin: usize, address: SocketAddr, first: u64) -> impl Iterator<Item = u64> + use<> {
        let term = self.lock().get(&(origin, address)).copied();
        term.into_iter().flat_map(move |term| term.since(first))
    }

    /// Whether the last probe of an address failed.
    pub fn is_failing(&self, origin: usize, address: SocketAddr) -> bool {
        self.lock().get(&(origin, address)).is_some_and(Term::is_failing)
    }

    /// A probe passed.
    pub fn begin(&self, origin: usize, address: SocketAddr, now: Instant) {
        if let Some(term) = self.lock().get_mut(&(origin, address)) {
            *term = term.next(now);
        }
    }

    /// A probe failed; the term to take back.
    pub fn fail(&self, origin: usize, address: SocketAddr, now: Instant) -> Option<Failed> {
        self.lock().get_mut(&(origin, address)).map(|term| term.fail(now))
    }

    /// Takes note of how many responses of a failed term were found; whether they are more than before.
    pub fn found(&self, origin: usize, address: SocketAddr, responses: u64) -> bool {
        self.lock().get_mut(&(origin, address)).is_some_and(|term| term.found(responses))
    }

    /// The map is whole between any two of its operations.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(usize, SocketAddr), Term>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A term in which a probe failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its number.
    pub term: u64,
    /// How long ago it began, which is when a probe last passed.
    pub age: Duration,
}

/// The term of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    number: u64,
    began: Instant,
    /// The last term that was taken back, this one or one before it.
    failed: Option<u64>,
    /// Responses found when this one was taken back, at most so far.
    found: u64,
}

impl Term {
    fn new(number: u64, now: Instant) -> Self {
        Self { number, began: now, failed: None, found: 0 }
    }

    fn next(self, now: Instant) -> Self {
        Self { failed: self.failed, ..Self::new(self.number.wrapping_add(1), now) }
    }

    fn fail(&mut self, now: Instant) -> Failed {
        self.failed = Some(self.number);
        Failed { term: self.number, age: now.saturating_duration_since(self.began) }
    }

    fn is_failing(&self) -> bool {
        self.failed == Some(self.number)
    }

    fn found(&mut self, responses: u64) -> bool {
        let before = self.found;
        self.found = before.max(responses);
        responses > before
    }

    /// Those between `first` and this one that did not fail can no longer do so.
    fn since(self, first: u64) -> impl Iterator<Item = u64> {
        let is_later = move |term: &u64| term.wrapping_sub(first) <= self.number.wrapping_sub(first) && *term != first;
        let failed = self.failed.filter(|failed| *failed != self.number);
        failed.into_iter().chain([self.number]).filter(is_later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    enum Probe {
        Fails,
        Passes,
    }
    use Probe::{Fails, Passes};

    /// After these probes of an address whose terms begin with 0, something that came since term `first` came in these too.
    #[track_caller]
    fn check(probes: &[Probe], first: u64, expected: &[u64]) {
        for start in [0, 7, u64::MAX - 1] {
            let now = Clock::new().now().monotonic;
            let mut term = Term::new(start, now);
            for probe in probes {
                match probe {
                    Fails => assert_eq!(term.fail(now).term, term.number),
                    Passes => term = term.next(now),
                }
            }
            let since: Vec<u64> =
                term.since(start.wrapping_add(first)).map(|number| number.wrapping_sub(start)).collect();
            assert_eq!(since, expected);
        }
    }

    #[test]
    fn what_came_within_one_term_is_of_that_term_alone() {
        check(&[], 0, &[]);
        check(&[Fails, Fails], 0, &[]);
        check(&[Passes, Passes], 2, &[]);
        check(&[Fails, Passes], 1, &[]);
    }

    #[test]
    fn what_came_in_several_is_of_the_last_and_of_the_one_that_failed_between() {
        check(&[Passes], 0, &[1]);
        check(&[Passes, Passes, Passes], 0, &[3]);
        check(&[Passes, Fails, Passes, Passes], 0, &[1, 3]);
        check(&[Fails, Passes], 0, &[1]);
        check(&[Fails, Passes, Passes], 1, &[2]);
        check(&[Passes, Passes, Fails], 0, &[2]);
    }

    #[test]
    fn a_term_is_as_old_as_its_last_good_probe() {
        let now = Clock::new().now().monotonic;
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut term = Term::new(0, now);
        term = term.next(later(2));
        assert_eq!(term.fail(later(4)), Failed { term: 1, age: Duration::from_secs(2) });
        assert_eq!(term.fail(later(5)), Failed { term: 1, age: Duration::from_secs(3) });
    }

    #[test]
    fn only_more_responses_than_before_are_news() {
        let now = Clock::new().now().monotonic;
        let mut term = Term::new(0, now);
        let news = [0, 3, 3, 2, 4, 4].map(|responses| term.found(responses));
        assert_eq!(news, [false, true, false, false, true, false]);
        assert!(term.next(now).found(1));
    }
}
