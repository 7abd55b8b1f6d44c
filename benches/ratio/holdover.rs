//! The real store, and what the road of a miss does with it.

use std::sync::Arc;
use std::time::Instant;

use holdover::cache::chunks::GrowingBody;
use holdover::cache::store::{Lookup, Store, StoreCounters};
use holdover::cache::stored::{Arrival, StoredHead, StoredResponse};
use holdover::clock::Clock;
use holdover::semantics::key::{CacheKey, cache_key};
use holdover::semantics::target::Target;
use http::HeaderMap;

use super::policy::{Policy, Request};

/// A store whose responses have empty bodies: their heads reserve, and weigh, what the bodies would take.
pub(crate) struct Holdover {
    store: Store,
    object_bytes_max: u64,
    now: Instant,
    /// Responses that the ledger had no room for.
    pub(crate) refused: u64,
}

impl Holdover {
    pub(crate) fn new(bound_bytes: u64) -> Self {
        let now = Clock::new().now().monotonic;
        let store = Store::new(bound_bytes, StoreCounters::default(), now);
        Self { store, object_bytes_max: bound_bytes / OBJECT_SHARE, now, refused: 0 }
    }

    /// What a response takes beside its body, in bytes.
    pub(crate) fn overhead() -> u64 {
        let shelf = Self::new(1 << 20);
        let path = path(0);
        shelf.head(&path).cost()
    }

    fn head(&self, path: &str) -> StoredHead {
        StoredHead::of(Arrival::plain(&key(path), self.store.fence(HOST, path).stamps_with(&[], &[]), self.now))
    }
}

impl Policy for Holdover {
    fn request(&mut self, Request { id, bytes }: Request) -> bool {
        let path = path(id);
        let key = key(&path);
        if matches!(self.store.lookup(&key, &HeaderMap::new()), Lookup::Found(_)) {
            return true;
        }
        if u64::from(bytes) <= self.object_bytes_max {
            let Some(paid) = self.store.reserve(u64::from(bytes)) else {
                self.refused += 1;
                return false;
            };
            let nothing = self.store.reserve(0).and_then(|paid| GrowingBody::default().seal(paid).ok());
            let body = nothing.expect("nothing always fits");
            self.store.store(Arc::new(StoredResponse::new(self.head(&path), body, paid)));
        }
        false
    }
}

fn path(id: u32) -> String {
    format!("/assets/{id:07}.js")
}

fn key(path: &str) -> CacheKey {
    cache_key(&Target::new("https", HOST, None, path))
}

const HOST: &str = "www.test";

/// The usual bound on one body, as part of the memory.
const OBJECT_SHARE: u64 = 64;
