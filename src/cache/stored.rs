//! A stored response (RFC 9111 §1): head, complete body, and what reuse needs to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode, Version};

use super::chunks::StoredBody;
use super::codings::Codings;
use super::content::StoredContent;
use super::ledger::Reservation;
use super::stamps::{Purged, Stamps};
use super::texts::Texts;
use crate::semantics::field_lines::FieldLines;
use crate::semantics::freshness::{FreshnessPolicy, Lifetime, PackedDuration, PackedLifetime, Reuse, assess};
use crate::semantics::key::CacheKey;
use crate::semantics::presence::is_plain;
use crate::semantics::vary::Nominated;

/// The head of a response, as it has arrived.
#[derive(Debug)]
pub struct Arrival {
    /// What it is stored under.
    pub key: CacheKey,
    /// The protocol version it came with, or the response that validated it last.
    pub version: Version,
    /// Final status.
    pub status: StatusCode,
    /// End-to-end fields, `Age` left out.
    pub fields: HeaderMap,
    /// Freshness as the origin stated it.
    pub lifetime: Lifetime,
    /// When the head arrived.
    pub received: Instant,
    /// The request fields that selected this response.
    pub nominated: Nominated,
    /// The origin it came from.
    pub origin: Arc<str>,
    /// What it is purged by.
    pub stamps: Stamps,
    /// Whether this node may give it a content coding.
    pub codable: bool,
}

impl Arrival {
    /// A 200 without fields that answers every request for `key`, and is fresh for a day.
    pub fn plain(key: &CacheKey, stamps: Stamps, received: Instant) -> Self {
        let lifetime = Lifetime {
            freshness: Duration::from_secs(24 * 60 * 60),
            initial_age: Duration::ZERO,
            stale_while_revalidate: None,
            stale_if_error: None,
            prohibition: None,
        };
        Self {
            key: key.clone(),
            version: Version::HTTP_11,
            status: StatusCode::OK,
            fields: HeaderMap::new(),
            lifetime,
            received,
            nominated: Nominated::of(&[], &HeaderMap::new()),
            origin: Arc::from("primary"),
            stamps,
            codable: false,
        }
    }
}

/// The head of a response and the facts about its arrival, in few bytes.
#[derive(Clone, Debug)]
pub struct StoredHead {
    /// The protocol version it came with, or the response that validated it last.
    pub version: Version,
    /// Final status.
    pub status: StatusCode,
    /// Whether this node may give it a content coding.
    pub codable: bool,
    lifetime: PackedLifetime,
    /// When it arrived, in nanoseconds after the epoch of its stamps.
    received: u64,
    texts: Texts,
    /// The origin it came from.
    pub origin: Arc<str>,
    /// What it is purged by.
    pub stamps: Stamps,
}

impl StoredHead {
    /// What is kept of `arrival`.
    pub fn of(arrival: Arrival) -> Self {
        let received = arrival.stamps.since_epoch(arrival.received).as_nanos();
        Self {
            version: arrival.version,
            status: arrival.status,
            codable: arrival.codable,
            lifetime: arrival.lifetime.into(),
            received: u64::try_from(received).unwrap_or(u64::MAX),
            texts: Texts::of(&arrival.key, &arrival.nominated, &arrival.fields),
            origin: arrival.origin,
            stamps: arrival.stamps,
        }
    }

    /// The same under other stamps of the same fill.
    #[must_use]
    pub fn restamped(&self, stamps: Stamps) -> Self {
        Self { stamps, ..self.clone() }
    }

    /// The text of the key that it is stored under.
    pub fn key(&self) -> &str {
        self.texts.key()
    }

    /// Whether that is `key`.
    pub(super) fn has_key(&self, key: &str) -> bool {
        self.texts.has_key(key)
    }

    /// End-to-end fields, `Age` left out.
    pub fn fields(&self) -> FieldLines<'_> {
        self.texts.fields()
    }

    /// The request fields that selected this response.
    pub fn nominated(&self) -> Nominated<&[u8]> {
        self.texts.nominated()
    }

    /// Freshness as the origin stated it, to the precision of a [`PackedDuration`].
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime.get()
    }

    /// When the head arrived.
    pub fn received(&self) -> Instant {
        self.stamps.after_epoch(Duration::from_nanos(self.received))
    }

    /// Time spent in this cache.
    pub fn resident(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.received())
    }

    /// Current age (RFC 9111 §4.2.3).
    pub fn age(&self, now: Instant) -> Duration {
        self.lifetime.current_age(self.resident(now))
    }

    /// How it may be used, purges included.
    pub fn reuse(&self, now: Instant, policy: &FreshnessPolicy) -> Reuse {
        let assess = |made_stale| assess(&self.lifetime(), self.resident(now), made_stale, policy);
        match self.stamps.purged(now) {
            Purged::Gone => Reuse::Unusable { past: Duration::ZERO },
            Purged::No => assess(None),
            Purged::Stale { past } => assess(Some(past)),
            Purged::Suspect { past } => assess(Some(past)).of_a_suspect(),
        }
    }

    /// What this head occupies beyond its body, in bytes, index and bookkeeping included.
    pub fn cost(&self) -> u64 {
        let codings = if self.codable { CODINGS_BYTES + self.key().len() } else { 0 };
        (self.texts.size() + self.stamps.size() + codings + ENTRY_BYTES) as u64
    }
}

/// A response that was proven complete and may answer later requests.
#[derive(Debug)]
pub struct StoredResponse {
    /// Key, status, fields, lifetime.
    pub head: StoredHead,
    body: Body,
    /// Until when a failed revalidation lets this response count as good again: a [`PackedDuration`] after its arrival.
    revived_until: AtomicU32,
    /// How many newcomers under its key it outlives: all it can when it is selected, one less for each that needs room.
    pub(super) credit: AtomicU8,
    /// Whether its fields are those of a [plain](is_plain) response.
    pub plain: bool,
    /// Pays for the head, and for a body that lies within.
    reservation: Reservation,
}

#[derive(Debug)]
enum Body {
    /// Shared with the responses that this one was freshened from.
    Shared(Box<Shared>),
    /// A small one that has no codings.
    Within(Box<[u8]>),
}

#[derive(Clone, Debug)]
struct Shared {
    /// It pays for itself.
    body: Arc<StoredBody>,
    /// The body in content codings, when this node may make them.
    codings: Option<Arc<Codings>>,
}

impl StoredResponse {
    /// Joins a head with its complete body; `reservation`, from the ledger that the body's is from, pays for the head.
    pub fn new(head: StoredHead, body: StoredBody, mut reservation: Reservation) -> Self {
        let body = if head.codable { Err(body) } else { body.into_small() };
        let body = match body {
            Ok((bytes, paid)) => {
                reservation.join(paid);
                Body::Within(bytes)
            }
            Err(body) => {
                // Little beside the body, and so not worth a refusal where there is no room.
                let _is_paid = head.codable || reservation.grow(SHARED_BYTES as u64);
                Body::Shared(Box::new(Shared::of(&head, Arc::new(body))))
            }
        };
        Self::with(head, body, reservation)
    }

    fn with(head: StoredHead, body: Body, reservation: Reservation) -> Self {
        let never = AtomicU32::new(PackedDuration::of(Duration::ZERO).to_bits());
        let plain = is_plain(head.fields().names());
        Self { head, body, revived_until: never, credit: AtomicU8::new(0), plain, reservation }
    }

    /// The same body under a new head, which `reservation` pays for as [`StoredResponse::cost_under`] says; codings that were
    /// made of it stay.
    #[must_use]
    pub fn freshened(&self, head: StoredHead, reservation: Reservation) -> Self {
        let body = match &self.body {
            Body::Within(bytes) => Body::Within(bytes.clone()),
            Body::Shared(shared) if shared.codings.is_some() == head.codable => Body::Shared(shared.clone()),
            Body::Shared(shared) => Body::Shared(Box::new(Shared::of(&head, Arc::clone(&shared.body)))),
        };
        Self::with(head, body, reservation)
    }

    /// What this response would have to reserve under a new head.
    pub fn cost_under(&self, head: &StoredHead) -> u64 {
        let beside = match &self.body {
            // What is codable pays for that in its head.
            Body::Shared(_) if head.codable => 0,
            Body::Shared(_) => SHARED_BYTES,
            Body::Within(bytes) => bytes.len(),
        };
        head.cost() + beside as u64
    }

    /// The whole body.
    pub fn content(self: &Arc<Self>) -> StoredContent {
        match &self.body {
            Body::Shared(shared) => StoredContent::Shared(Arc::clone(&shared.body)),
            Body::Within(_) => StoredContent::Within(Arc::clone(self)),
        }
    }

    /// Length of the body in bytes.
    pub fn length(&self) -> u64 {
        match &self.body {
            Body::Shared(shared) => shared.body.length(),
            Body::Within(bytes) => bytes.len() as u64,
        }
    }

    /// The body, if it lies within.
    pub(super) fn within(&self) -> &[u8] {
        match &self.body {
            Body::Shared(_) => &[],
            Body::Within(bytes) => bytes,
        }
    }

    /// The body in content codings, when this node may make them; shared as the body is.
    pub fn codings(&self) -> Option<&Arc<Codings>> {
        match &self.body {
            Body::Shared(shared) => shared.codings.as_ref(),
            Body::Within(_) => None,
        }
    }

    /// Bytes held: body, codings, head and bookkeeping.
    pub fn size(&self) -> u64 {
        let beside = match &self.body {
            Body::Shared(shared) => shared.body.length() + shared.codings.as_ref().map_or(0, |codings| codings.size()),
            Body::Within(_) => 0,
        };
        beside + self.reservation.bytes()
    }

    /// Counts as good again until `until`, because no origin could be asked.
    pub fn revive(&self, until: Instant) {
        let until = PackedDuration::of(self.head.resident(until));
        self.revived_until.store(until.to_bits(), Ordering::Relaxed);
    }

    /// Whether a failed revalidation was so recent that no origin should be asked again.
    pub fn revived(&self, now: Instant) -> bool {
        let until = PackedDuration::from_bits(self.revived_until.load(Ordering::Relaxed)).get();
        !until.is_zero() && self.head.resident(now) < until
    }
}

impl Shared {
    fn of(head: &StoredHead, body: Arc<StoredBody>) -> Self {
        let codings = || Arc::new(Codings::new(head.key(), Arc::clone(&body), head.received()));
        Self { codings: head.codable.then(codings), body }
    }
}

/// What is known of the content codings of one body, without the codings, and what makes that body one for several.
const CODINGS_BYTES: usize = 144 + SHARED_BYTES;

/// What makes a body one for several responses.
const SHARED_BYTES: usize = 112;

/// The response itself, 192, its part of the engine, 330, and what the allocator adds to these and to its other allocations,
/// rounded up; `cargo bench --bench stored` compares the sum with the memory of the process.
const ENTRY_BYTES: usize = 592;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_takes_no_more_than_is_counted_for_it() {
        // With the two counts of an Arc. Eight bytes more are 32 for an allocator.
        assert!(size_of::<StoredResponse>() + 2 * size_of::<usize>() <= 192);
    }
}
