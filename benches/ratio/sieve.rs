//! SIEVE (Zhang and others, NSDI 2024): objects stay in the order of their arrival. A hit marks; a hand that goes from the
//! oldest to the newest takes marks away, and evicts the first object without.

use super::list::List;
use super::policy::{Policy, Request, Shelf, check};

pub(crate) struct Sieve {
    bound: u64,
    used: u64,
    stored: Shelf<Stored>,
    order: List,
    hand: Option<u32>,
}

#[derive(Default)]
struct Stored {
    bytes: u32,
    is_visited: bool,
}

impl Sieve {
    pub(crate) fn new(bound_bytes: u64) -> Self {
        Self { bound: bound_bytes, used: 0, stored: Shelf::default(), order: List::default(), hand: None }
    }

    fn evict(&mut self) {
        let mut place = self.hand.or(self.order.back());
        while let Some(id) = place
            && let Some(stored) = self.stored.get_mut(id)
            && stored.is_visited
        {
            stored.is_visited = false;
            place = self.order.ahead(id).or(self.order.back());
        }
        if let Some(id) = place {
            self.hand = self.order.ahead(id);
            self.order.remove(id);
            self.used -= u64::from(self.stored.take(id).unwrap_or_default().bytes);
        }
    }
}

impl Policy for Sieve {
    fn request(&mut self, Request { id, bytes }: Request) -> bool {
        if let Some(stored) = self.stored.get_mut(id) {
            stored.is_visited = true;
            return true;
        }
        if u64::from(bytes) <= self.bound {
            while self.used + u64::from(bytes) > self.bound {
                self.evict();
            }
            self.used += u64::from(bytes);
            self.stored.put(id, Stored { bytes, is_visited: false });
            self.order.push_front(id);
        }
        false
    }
}

pub(crate) fn prove() {
    check(Sieve::new(3), "abc d a", "");
    // The mark of a keeps it, so that b goes, and then c, where the hand is.
    check(Sieve::new(3), "abc A d A e c A", "");
    // With a mark on every object, the hand goes round and evicts the oldest.
    check(Sieve::new(3), "abc ABC d B C a d", "");
    // The large one takes the place of two without a mark.
    check(Sieve::new(3), "abc B x B a B x", "x");
}
