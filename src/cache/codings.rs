//! A stored body in the content codings that were made of it, each of them once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::chunks::StoredBody;
use crate::semantics::content_coding::{Availability, ContentCoding};

/// The codings of one body, shared by the responses that share the body. Reading takes no lock.
#[derive(Debug)]
pub struct Codings {
    /// Where the body is stored.
    pub(super) key: Box<str>,
    /// The body without a coding.
    pub(super) body: Arc<StoredBody>,
    /// What orders count their time from.
    began: Instant,
    /// By coding, as [`ContentCoding`] declares them.
    slots: [Slot; ContentCoding::ALL.len()],
}

#[derive(Debug, Default)]
struct Slot {
    /// From when on it may be ordered, in milliseconds after `began`; [`ORDERED`] when somebody has done so.
    open_from: AtomicU64,
    /// Empty until it was tried; then the body, or nothing when it is of no use.
    outcome: OnceLock<Option<Arc<StoredBody>>>,
}

impl Codings {
    /// None yet, of `body` stored under `key` after `began`.
    pub fn new(key: &str, body: Arc<StoredBody>, began: Instant) -> Self {
        Self { key: key.into(), body, began, slots: Default::default() }
    }

    /// What there is of the body in `coding`.
    pub fn availability(&self, coding: ContentCoding) -> Availability {
        match self.slots[coding as usize].outcome.get() {
            None => Availability::Unmade,
            Some(None) => Availability::Refused,
            Some(Some(_)) => Availability::Made,
        }
    }

    /// The body in `coding`, if it was made.
    pub fn made(&self, coding: ContentCoding) -> Option<&Arc<StoredBody>> {
        self.slots[coding as usize].outcome.get()?.as_ref()
    }

    /// Bytes of all that were made.
    pub fn size(&self) -> u64 {
        ContentCoding::ALL.into_iter().filter_map(|coding| self.made(coding)).map(|body| body.length()).sum()
    }

    /// Whether `coding` is now ordered and was not before.
    pub(super) fn order(&self, coding: ContentCoding, now: Instant) -> bool {
        let open_from = &self.slots[coding as usize].open_from;
        let found = open_from.load(Ordering::Relaxed);
        found <= self.milliseconds(now)
            && open_from.compare_exchange(found, ORDERED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The order came to nothing; from `until` on the next one may try.
    pub(super) fn postpone(&self, coding: ContentCoding, until: Instant) {
        self.slots[coding as usize].open_from.store(self.milliseconds(until), Ordering::Relaxed);
    }

    /// The order's outcome; it is never tried again.
    pub(super) fn settle(&self, coding: ContentCoding, outcome: Option<Arc<StoredBody>>) {
        // Ordered once, settled once.
        let _ = self.slots[coding as usize].outcome.set(outcome);
    }

    fn milliseconds(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.began).as_millis();
        u64::try_from(since).map_or(LATEST, |since| since.min(LATEST))
    }
}

/// Later than any time.
const ORDERED: u64 = u64::MAX;

/// The last time that there is.
const LATEST: u64 = ORDERED - 1;
