//! Large newcomers that were refused, and how often: whoever is asked for all the time is let in at last.
//!
//! TinyLFU lets a newcomer in if it was asked for more often than all that it would displace, taken together. Its sketch
//! counts no further than 15, so that one which would displace sixteen of those that were asked for once could be asked for
//! for ever.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was refused lately, by hashes of keys. Where two meet, the later one is remembered.
#[derive(Debug)]
pub(super) struct Refusals([AtomicU64; SLOTS]);

impl Refusals {
    /// None.
    pub(super) fn new() -> Self {
        Self([const { AtomicU64::new(0) }; SLOTS])
    }

    /// One more of this key.
    pub(super) fn note(&self, hash: u64) {
        let (slot, found) = self.slot(hash);
        let so_far = if found & NAME == hash & NAME { found & COUNT } else { 0 };
        slot.store((hash & NAME) | (so_far + 1).min(COUNT), Ordering::Relaxed);
    }

    /// Whether it was refused often enough; that is forgotten then.
    pub(super) fn are_enough(&self, hash: u64) -> bool {
        let (slot, found) = self.slot(hash);
        let are_enough = found & NAME == hash & NAME && found & COUNT >= ENOUGH;
        if are_enough {
            slot.store(0, Ordering::Relaxed);
        }
        are_enough
    }

    fn slot(&self, hash: u64) -> (&AtomicU64, u64) {
        let slot = &self.0[(hash >> 32) as usize % SLOTS];
        (slot, slot.load(Ordering::Relaxed))
    }
}

/// Refusals after which a large newcomer is let in: few for what everybody asks for, and more than a scan has.
const ENOUGH: u64 = 4;

/// A thousand keys: of so many large ones between two requests for one, it is no favorite.
const SLOTS: usize = 1024;

/// The part of a slot that tells keys from one another; the rest counts.
const NAME: u64 = !COUNT;
const COUNT: u64 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_refusals_are_enough_once() {
        let refusals = Refusals::new();
        let hash = 0x0123_4567_89ab_cdef;
        for round in 0..3 {
            for refused in 0..ENOUGH {
                assert!(!refusals.are_enough(hash), "round {round}, refused {refused} times");
                refusals.note(hash);
            }
            assert!(refusals.are_enough(hash), "round {round}");
        }
        (0..1000).for_each(|_| refusals.note(hash));
        assert!(refusals.are_enough(hash));
    }

    #[test]
    fn of_two_that_meet_the_later_one_is_remembered() {
        let refusals = Refusals::new();
        let [one, other] = [0x100, 0x200];
        (0..ENOUGH).for_each(|_| refusals.note(one));
        refusals.note(other);
        assert!(!refusals.are_enough(one) && !refusals.are_enough(other));
        (1..ENOUGH).for_each(|_| refusals.note(other));
        assert!(refusals.are_enough(other));
    }
}
