//! What a response to a client bears that its origin did not send, and what it bears no more.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

use super::site::Site;
use super::worker::Worker;
use crate::clock::Clock;
use crate::semantics::cache_status::CacheStatusMember;
use crate::semantics::date::format_http_date;

/// Takes from a response of `site` what is for caches alone.
pub fn consume(headers: &mut HeaderMap, site: &Site) {
    for name in &site.config.response.consumed {
        headers.remove(name);
    }
}

/// Dates a response that has no date.
pub fn date(headers: &mut HeaderMap, clock: &Clock) {
    if !headers.contains_key(header::DATE) {
        headers.insert(header::DATE, format_http_date(clock.now().wall));
    }
}

/// Adds what the cache says of a response of `site`, if it is for one, that came from its origin by `version`; with the `key`
/// that it was asked by, where the client may know it.
pub fn mark(
    headers: &mut HeaderMap,
    worker: &Worker,
    site: Option<&Site>,
    member: &CacheStatusMember,
    version: Version,
    key: Option<&str>,
) {
    // RFC 9211 §2: caches closer to the client append their member after the others.
    headers.append(CACHE_STATUS, member.render(&worker.shared.cache_name, key));
    worker.signature.append_via(headers, version);
    if site.is_some_and(|site| site.config.response.x_cache) {
        headers.insert(X_CACHE, HeaderValue::from_static(member.x_cache()));
    }
}

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
