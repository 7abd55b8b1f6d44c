//! What the store has for a request, and the way it leads to.

use std::sync::Arc;
use std::time::Instant;

use super::judge::{Found, Origins, Way, judge};
use super::site::Site;
use crate::cache::store::Lookup;
use crate::cache::stored::StoredResponse;
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::cache_status::ForwardReason;

/// A lookup, judged.
#[derive(Debug)]
pub struct Considered {
    /// The response that was found.
    pub stored: Option<Arc<StoredResponse>>,
    /// The way to go.
    pub way: Way,
    /// Why an origin is asked, should the way lead to one.
    pub reason: ForwardReason,
}

/// Judges what was looked up for a request with these directives.
pub fn consider(lookup: Lookup, site: &Site, asked: &RequestDirectives, now: Instant) -> Considered {
    let (stored, reason) = match lookup {
        Lookup::Found(stored) => (Some(stored), ForwardReason::Stale),
        Lookup::NoVariant => (None, ForwardReason::VaryMiss),
        Lookup::Absent => (None, ForwardReason::UriMiss),
    };
    let found = stored.as_deref().map(|stored| Found::of(stored, &site.config.freshness, now));
    let way = judge(found, asked, || Origins::of(&site.pool));
    Considered { stored, way, reason: way.forward_reason(reason) }
}
