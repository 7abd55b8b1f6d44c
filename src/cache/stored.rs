//! A stored response (RFC 9111 §1): head, complete body, and what reuse needs to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{StatusCode, Version};

use super::chunks::StoredBody;
use super::codings::Codings;
use super::ledger::Reservation;
use super::stamps::{Purged, Stamps};
use crate::semantics::field_lines::FieldLines;
use crate::semantics::freshness::{FreshnessPolicy, Lifetime, Reuse, assess};
use crate::semantics::key::CacheKey;
use crate::semantics::vary::Nominated;

/// The head of a response and the facts about its arrival.
#[derive(Clone, Debug)]
pub struct StoredHead {
    /// The protocol version it came with, or the response that validated it last.
    pub version: Version,
    /// Final status.
    pub status: StatusCode,
    /// End-to-end fields, `Age` left out.
    pub fields: FieldLines,
    /// Freshness as the origin stated it.
    pub lifetime: Lifetime,
    /// When the head arrived.
    pub received: Instant,
    /// The request fields that selected this response.
    pub nominated: Nominated,
    /// The origin it came from.
    pub origin: Arc<str>,
    /// What it is purged by.
    pub stamps: Arc<Stamps>,
    /// Whether this node may give it a content coding.
    pub codable: bool,
}

impl StoredHead {
    /// Time spent in this cache.
    pub fn resident(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.received)
    }

    /// Current age (RFC 9111 §4.2.3).
    pub fn age(&self, now: Instant) -> Duration {
        self.lifetime.current_age(self.resident(now))
    }

    /// How it may be used, purges included.
    pub fn reuse(&self, now: Instant, policy: &FreshnessPolicy) -> Reuse {
        let assess = |made_stale| assess(&self.lifetime, self.resident(now), made_stale, policy);
        match self.stamps.purged(now) {
            Purged::Gone => Reuse::Unusable { past: Duration::ZERO },
            Purged::No => assess(None),
            Purged::Stale { past } => assess(Some(past)),
            Purged::Suspect { past } => assess(Some(past)).of_a_suspect(),
        }
    }

    /// What this head occupies beyond its body, in bytes, index and bookkeeping included.
    pub fn cost(&self, key_bytes: usize) -> u64 {
        let codings = if self.codable { CODINGS_BYTES } else { 0 };
        (self.fields.size() + key_bytes + self.nominated.size() + self.stamps.size() + codings + ENTRY_BYTES) as u64
    }
}

/// A response that was proven complete and may answer later requests.
#[derive(Debug)]
pub struct StoredResponse {
    key: CacheKey,
    /// Status, fields, lifetime.
    pub head: StoredHead,
    /// The whole body; shared with the responses this one was freshened from.
    pub body: Arc<StoredBody>,
    /// The body in content codings, when this node may make them; shared as the body is.
    pub codings: Option<Arc<Codings>>,
    /// Until when a failed revalidation lets this response count as good again, in milliseconds after `head.received`.
    revived_until: AtomicU64,
    /// How many newcomers under its key it outlives: all it can when it is selected, one less for each that needs room.
    pub(super) credit: AtomicU8,
    /// Pays for the head; the body pays for itself.
    reservation: Reservation,
}

impl StoredResponse {
    /// Joins a head with its complete body, to be stored under `key`; `reservation` pays for the head.
    pub fn new(key: &CacheKey, head: StoredHead, body: Arc<StoredBody>, reservation: Reservation) -> Self {
        let codings = head.codable.then(|| Arc::new(Codings::new(key.clone(), Arc::clone(&body), head.received)));
        Self {
            key: key.clone(),
            head,
            body,
            codings,
            revived_until: AtomicU64::new(0),
            credit: AtomicU8::new(0),
            reservation,
        }
    }

    /// The text of the key that it is stored under.
    pub fn key(&self) -> &str {
        self.key.as_str()
    }

    /// The same body under a new head, which `reservation` pays for; codings that were made of it stay.
    #[must_use]
    pub fn freshened(&self, head: StoredHead, reservation: Reservation) -> Self {
        let mut freshened = Self::new(&self.key, head, Arc::clone(&self.body), reservation);
        if let (Some(codings), Some(made)) = (&mut freshened.codings, &self.codings) {
            *codings = Arc::clone(made);
        }
        freshened
    }

    /// Bytes held: body, codings, head and bookkeeping.
    pub fn size(&self) -> u64 {
        let codings = self.codings.as_ref().map_or(0, |codings| codings.size());
        self.body.length() + codings + self.reservation.bytes()
    }

    /// Counts as good again until `until`, because no origin could be asked.
    pub fn revive(&self, until: Instant) {
        let until = until.saturating_duration_since(self.head.received).as_millis();
        self.revived_until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether a failed revalidation was so recent that no origin should be asked again.
    pub fn revived(&self, now: Instant) -> bool {
        self.head.resident(now).as_millis() < u128::from(self.revived_until.load(Ordering::Relaxed))
    }
}

/// What is known of the content codings of one body, without the codings.
const CODINGS_BYTES: usize = 144;

/// The response itself, 240, what holds its body, 64, its part of the engine, 340, and what the allocator adds to these and
/// to its other allocations, rounded up; `cargo bench --bench stored` compares the sum with the memory of the process.
const ENTRY_BYTES: usize = 784;
