//! Least recently used: a hit moves an object to the front, the back makes room.

use super::list::List;
use super::policy::{Policy, Request, Shelf, check};

pub(crate) struct Lru {
    bound: u64,
    used: u64,
    stored: Shelf<u32>,
    order: List,
}

impl Lru {
    pub(crate) fn new(bound_bytes: u64) -> Self {
        Self { bound: bound_bytes, used: 0, stored: Shelf::default(), order: List::default() }
    }
}

impl Policy for Lru {
    fn request(&mut self, Request { id, bytes }: Request) -> bool {
        let is_hit = self.stored.get_mut(id).is_some();
        if is_hit {
            self.order.remove(id);
        } else if u64::from(bytes) > self.bound {
            return false;
        } else {
            while self.used + u64::from(bytes) > self.bound
                && let Some(last) = self.order.back()
            {
                self.order.remove(last);
                self.used -= u64::from(self.stored.take(last).unwrap_or_default());
            }
            self.used += u64::from(bytes);
            self.stored.put(id, bytes);
        }
        self.order.push_front(id);
        is_hit
    }
}

pub(crate) fn prove() {
    check(Lru::new(3), "abc A d b", "");
    check(Lru::new(3), "abc ABC d a", "");
    // The large one takes the place of two.
    check(Lru::new(3), "abc x C X a X c", "x");
}
