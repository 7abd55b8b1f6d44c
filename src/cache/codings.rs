//! A stored body in the content codings that were made of it, each of them once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::chunks::StoredBody;
use crate::semantics::content_coding::{Availability, ContentCoding};
use crate::semantics::key::CacheKey;

/// The codings of one body, shared by the responses that share the body. Reading takes no lock.
#[derive(Debug)]
pub struct Codings {
    /// Where the body is stored.
    pub(super) key: CacheKey,
    /// The body without a coding.
    pub(super) body: Arc<StoredBody>,
    /// By coding, as [`ContentCoding`] declares them.
    slots: [Slot; ContentCoding::ALL.len()],
}

#[derive(Debug, Default)]
struct Slot {
    /// Somebody has asked for it, and nobody else needs to.
    ordered: AtomicBool,
    /// Empty until it was tried; then the body, or nothing when it is of no use.
    outcome: OnceLock<Option<Arc<StoredBody>>>,
}

impl Codings {
    /// None yet, of `body` stored under `key`.
    pub fn new(key: CacheKey, body: Arc<StoredBody>) -> Self {
        Self { key, body, slots: Default::default() }
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
    pub(super) fn order(&self, coding: ContentCoding) -> bool {
        let ordered = &self.slots[coding as usize].ordered;
        !ordered.load(Ordering::Relaxed) && !ordered.swap(true, Ordering::Relaxed)
    }

    /// The order came to nothing; the next one may try.
    pub(super) fn cancel(&self, coding: ContentCoding) {
        self.slots[coding as usize].ordered.store(false, Ordering::Relaxed);
    }

    /// The order's outcome; it is never tried again.
    pub(super) fn settle(&self, coding: ContentCoding, outcome: Option<Arc<StoredBody>>) {
        // Ordered once, settled once.
        let _ = self.slots[coding as usize].outcome.set(outcome);
    }
}
