//! S3-FIFO (Yang and others, SOSP 2023): a small queue for newcomers, a main one for those asked for again while there or
//! soon after, and the names of those that left the small one.

use std::collections::VecDeque;

use super::policy::{Policy, Request, Shelf, check};

pub(crate) struct S3Fifo {
    bound: u64,
    small: Queue,
    main: Queue,
    stored: Shelf<Stored>,
    ghosts: Ghosts,
}

#[derive(Clone, Copy, Default)]
struct Stored {
    bytes: u32,
    /// Hits, at most [`HITS_MAX`].
    hits: u8,
}

/// Newest first.
#[derive(Default)]
struct Queue {
    ids: VecDeque<u32>,
    bytes: u64,
}

impl Queue {
    fn push(&mut self, id: u32, bytes: u32) {
        self.ids.push_front(id);
        self.bytes += u64::from(bytes);
    }
}

/// The names of what left the small queue last, up to the bytes that the main one may hold.
struct Ghosts {
    bound: u64,
    bytes: u64,
    /// With the number of its entry: what was asked for again, and left again, is there twice.
    order: VecDeque<(u32, u32, u64)>,
    known: Shelf<u64>,
    entries: u64,
}

impl Ghosts {
    fn push(&mut self, id: u32, bytes: u32) {
        self.entries += 1;
        self.known.put(id, self.entries);
        self.order.push_front((id, bytes, self.entries));
        self.bytes += u64::from(bytes);
        while self.bytes > self.bound
            && let Some((oldest, bytes, entry)) = self.order.pop_back()
        {
            self.bytes -= u64::from(bytes);
            if self.known.get_mut(oldest).is_some_and(|known| *known == entry) {
                self.known.take(oldest);
            }
        }
    }

    fn take(&mut self, id: u32) -> bool {
        self.known.take(id).is_some()
    }
}

impl S3Fifo {
    pub(crate) fn new(bound_bytes: u64) -> Self {
        let ghosts = Ghosts {
            bound: bound_bytes - bound_bytes / SMALL_SHARE,
            bytes: 0,
            order: VecDeque::new(),
            known: Shelf::default(),
            entries: 0,
        };
        Self { bound: bound_bytes, small: Queue::default(), main: Queue::default(), stored: Shelf::default(), ghosts }
    }

    fn evict(&mut self) {
        if self.small.bytes >= self.bound / SMALL_SHARE && !self.small.ids.is_empty() || self.main.ids.is_empty() {
            self.evict_small();
        } else {
            self.evict_main();
        }
    }

    /// Evicts one object, and moves on those before it that were asked for twice.
    fn evict_small(&mut self) {
        while let Some(id) = self.small.ids.pop_back() {
            let stored = self.stored.take(id).unwrap_or_default();
            self.small.bytes -= u64::from(stored.bytes);
            if stored.hits > 1 {
                self.main.push(id, stored.bytes);
                self.stored.put(id, Stored { hits: 0, ..stored });
                if self.main.bytes > self.ghosts.bound {
                    self.evict_main();
                }
            } else {
                self.ghosts.push(id, stored.bytes);
                return;
            }
        }
    }

    fn evict_main(&mut self) {
        while let Some(id) = self.main.ids.pop_back() {
            let stored = self.stored.take(id).unwrap_or_default();
            self.main.bytes -= u64::from(stored.bytes);
            if stored.hits == 0 {
                return;
            }
            self.main.push(id, stored.bytes);
            self.stored.put(id, Stored { hits: stored.hits - 1, ..stored });
        }
    }
}

impl Policy for S3Fifo {
    fn request(&mut self, Request { id, bytes }: Request) -> bool {
        if let Some(stored) = self.stored.get_mut(id) {
            stored.hits = (stored.hits + 1).min(HITS_MAX);
            return true;
        }
        if u64::from(bytes) <= self.bound {
            while self.small.bytes + self.main.bytes + u64::from(bytes) > self.bound {
                self.evict();
            }
            let queue = if self.ghosts.take(id) { &mut self.main } else { &mut self.small };
            queue.push(id, bytes);
            self.stored.put(id, Stored { bytes, hits: 0 });
        }
        false
    }
}

pub(crate) fn prove() {
    check(S3Fifo::new(10), "abcdefghij k a", "");
    // Two hits bring a into the main queue, where newcomers do not reach it; one does not keep b.
    check(S3Fifo::new(10), "abcdefghij AAB klmnopqrs A b", "");
    // What comes back soon goes to the main queue at once, and stays when the small queue has gone by.
    check(S3Fifo::new(10), "abcdefghij k a lmnopqrstu A", "");
}

/// The small queue's part of the bound, as in the paper.
const SMALL_SHARE: u64 = 10;

/// Two bits for each object, as in the paper.
const HITS_MAX: u8 = 3;
