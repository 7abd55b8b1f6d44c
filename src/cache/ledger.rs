//! The byte ledger: what holds the memory bound.
//!
//! Every stored response and every fill in flight holds a [`Reservation`] for its bytes. The engine that decides what to
//! evict lags behind its writers, so its own weight is no bound; a reservation that is refused is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts reserved bytes against a bound that is never exceeded. Clones count together.
#[derive(Clone, Debug)]
pub struct Ledger {
    account: Arc<Account>,
}

impl Ledger {
    /// A ledger with nothing reserved.
    pub fn new(bound_bytes: u64) -> Self {
        Self { account: Arc::new(Account { bound: bound_bytes, ..Account::default() }) }
    }

    /// Reserves `bytes`, or nothing when they do not fit.
    pub fn reserve(&self, bytes: u64) -> Option<Reservation> {
        self.account.take(bytes).then(|| Reservation { account: Arc::clone(&self.account), bytes })
    }

    /// Bytes reserved now; at most [`Ledger::bound`].
    pub fn used(&self) -> u64 {
        self.account.used.load(Ordering::Relaxed)
    }

    /// Bytes reserved for what has yet to come, and so in no memory now.
    pub fn awaited(&self) -> u64 {
        self.account.awaited.load(Ordering::Relaxed)
    }

    /// The bound, in bytes.
    pub fn bound(&self) -> u64 {
        self.account.bound
    }
}

/// Bytes taken from a [`Ledger`]; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<Account>,
    bytes: u64,
}

impl Reservation {
    /// Takes `more` bytes as well; false, and nothing changed, when they do not fit.
    #[must_use]
    pub fn grow(&mut self, more: u64) -> bool {
        let fits = self.account.take(more);
        if fits {
            self.bytes += more;
        }
        fits
    }

    /// All of it, as long as it is for what has yet to come.
    pub(super) fn awaited(&self) -> Awaited {
        self.account.awaited.fetch_add(self.bytes, Ordering::Relaxed);
        Awaited { account: Arc::clone(&self.account), bytes: self.bytes }
    }

    /// Holds what `other`, from the same ledger, has held as well.
    pub(super) fn join(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.account, &other.account), "one account pays for one response");
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives back what is held beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.account.used.fetch_sub(surplus, Ordering::Relaxed);
        self.bytes -= surplus;
    }

    /// Holds `bytes`, or as many of them as there are.
    pub(super) fn approach(&mut self, bytes: u64) {
        self.shrink_to(bytes);
        self.bytes += self.account.take_some(bytes - self.bytes);
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// Bytes that are reserved and have yet to come; until they have, or until it is dropped.
#[derive(Debug)]
pub(super) struct Awaited {
    account: Arc<Account>,
    bytes: u64,
}

impl Awaited {
    /// So many have come.
    pub(super) fn come(&mut self, bytes: u64) {
        let come = bytes.min(self.bytes);
        self.account.awaited.fetch_sub(come, Ordering::Relaxed);
        self.bytes -= come;
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.come(self.bytes);
    }
}

#[derive(Debug, Default)]
struct Account {
    bound: u64,
    used: AtomicU64,
    awaited: AtomicU64,
}

impl Account {
    fn take(&self, bytes: u64) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&after| after <= self.bound)
            })
            .is_ok()
    }

    /// Takes up to `bytes`; how many it were.
    fn take_some(&self, bytes: u64) -> u64 {
        let some = |used: u64| bytes.min(self.bound - used);
        let before = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| Some(used + some(used)));
        before.map_or(0, some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_beyond_the_bound_is_refused_and_changes_nothing() {
        let ledger = Ledger::new(100);
        let mut first = ledger.reserve(60).expect("fits");
        assert!(ledger.reserve(41).is_none());
        assert!(!first.grow(41));
        assert_eq!((ledger.used(), first.bytes()), (60, 60));
        assert!(first.grow(40));
        assert!(ledger.reserve(1).is_none());
    }

    #[test]
    fn what_has_yet_to_come_is_told_until_it_has_come_or_is_not_waited_for() {
        let ledger = Ledger::new(100);
        let [first, second] = [50, 30].map(|bytes| ledger.reserve(bytes).expect("fits"));
        let [mut of_first, of_second] = [&first, &second].map(Reservation::awaited);
        assert_eq!((ledger.used(), ledger.awaited()), (80, 80));
        of_first.come(20);
        assert_eq!((ledger.used(), ledger.awaited()), (80, 60));
        of_first.come(100);
        assert_eq!(ledger.awaited(), 30);
        drop(of_second);
        assert_eq!((ledger.used(), ledger.awaited()), (80, 0));
    }

    #[test]
    fn bytes_return_when_shrunk_and_when_dropped() {
        let ledger = Ledger::new(100);
        let mut reservation = ledger.reserve(80).expect("fits");
        reservation.shrink_to(30);
        assert_eq!(ledger.used(), 30);
        reservation.shrink_to(50);
        assert_eq!(ledger.used(), 30);
        drop(reservation);
        assert_eq!(ledger.used(), 0);
    }

    #[test]
    fn a_reservation_that_approaches_takes_what_there_is() {
        let ledger = Ledger::new(100);
        let others = ledger.reserve(70).expect("fits");
        let mut reservation = ledger.reserve(0).expect("fits");
        for (wanted, expected) in [(20, 20), (50, 30), (10, 10), (10, 10), (0, 0)] {
            reservation.approach(wanted);
            assert_eq!((reservation.bytes(), ledger.used()), (expected, 70 + expected));
        }
        drop(others);
        reservation.approach(500);
        assert_eq!((reservation.bytes(), ledger.used()), (100, 100));
    }

    #[test]
    fn what_is_joined_is_held_once() {
        let ledger = Ledger::new(100);
        let (mut one, other) = (ledger.reserve(30).expect("fits"), ledger.reserve(50).expect("fits"));
        one.join(other);
        assert_eq!((one.bytes(), ledger.used()), (80, 80));
        drop(one);
        assert_eq!(ledger.used(), 0);
    }

    #[test]
    fn an_overflowing_request_is_refused() {
        let ledger = Ledger::new(u64::MAX);
        let _most = ledger.reserve(u64::MAX).expect("fits");
        assert!(ledger.reserve(1).is_none());
    }

    #[test]
    fn many_threads_never_pass_the_bound() {
        let ledger = Ledger::new(1000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for size in 1..2000_u64 {
                        let held = ledger.reserve(size % 700);
                        assert!(ledger.used() <= 1000);
                        drop(held);
                    }
                });
            }
        });
        assert_eq!(ledger.used(), 0);
    }
}
