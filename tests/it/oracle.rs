//! Our reading of RFC 9111 against another one, `http-cache-semantics`, on random exchanges.
//!
//! That library reads Cache-Control by splitting at commas and knows one line of a field, so the exchanges stay within what
//! both can read: lower-case directives, each at most once, unquoted, and one line of any other field. Where the two differ
//! all the same, the difference has a name here, with the sentence of the RFC that decides it, and has to occur.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use holdover::semantics::cache_control::{Honored, RequestDirectives, ResponseDirectives, TARGETS};
use holdover::semantics::date::{format_http_date, http_date};
use holdover::semantics::freshness::{FreshnessPolicy, Lifetime, Negative, Reuse, assess, lifetime};
use holdover::semantics::storable::{StorePolicy, storable};
use holdover::semantics::validator::freshen;
use holdover::semantics::vary::{Nominated, vary_fields};
use http::header::{
    ACCEPT_ENCODING, AGE, AUTHORIZATION, CACHE_CONTROL, DATE, ETAG, EXPIRES, HeaderMap, HeaderName, HeaderValue,
    LAST_MODIFIED, PRAGMA, VARY,
};
use http::{Method, Request, Response, StatusCode};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};

#[test]
fn storing_agrees_with_the_other_reading() {
    differ_only_as_named(
        &["another-method", "errors-need-a-lifetime", "must-understand", "status-not-known", "vary-any"],
        |rng| {
            let exchange = Exchange::random(rng);
            let (ours, theirs) = (exchange.is_storable(), exchange.oracle().is_storable());
            (ours != theirs).then(|| (exchange.why_stored_or_not(ours), format!("{exchange:?}: we store: {ours}")))
        },
    );
}

#[test]
fn freshness_and_age_agree_with_the_other_reading() {
    differ_only_as_named(&["apparent-age", "date-in-the-future", "pragma", "proxy-revalidate"], |rng| {
        let mut exchange = Exchange::random(rng);
        exchange.method = Method::GET;
        let oracle = exchange.oracle();
        if !exchange.is_storable() || !oracle.is_storable() {
            return None;
        }
        let resident = Duration::from_secs(rng.u64(..10_000));
        let lifetime = exchange.lifetime();
        let time_to_live = match assess(&lifetime, resident, None, &policy()) {
            Reuse::Fresh { ttl } => ttl,
            _ => Duration::ZERO,
        };
        let ours = (time_to_live, lifetime.current_age(resident));
        let theirs = (oracle.time_to_live(received() + resident), oracle.age(received() + resident));
        (ours != theirs).then(|| (exchange.why_fresh_or_old(), format!("{exchange:?}: {ours:?} against {theirs:?}")))
    });
}

#[test]
fn what_requests_ask_for_agrees_with_the_other_reading() {
    differ_only_as_named(&["prohibited"], |rng| {
        let mut exchange = Exchange::random(rng);
        exchange.method = Method::GET;
        exchange.response.remove(VARY);
        let oracle = exchange.oracle();
        if !exchange.is_storable() || !oracle.is_storable() || exchange.why_fresh_or_old().is_some() {
            return None;
        }
        // Half a second, so that no age is exactly what a request names: the library takes "no more than" for "less than".
        let resident = Duration::from_secs(rng.u64(..10_000)) + Duration::from_millis(500);
        let mut request = HeaderMap::new();
        request.insert(CACHE_CONTROL, random_wish(rng));
        let asked = RequestDirectives::from_headers(&request, Honored::All);
        let lifetime = exchange.lifetime();
        let age = lifetime.current_age(resident);
        let ours = match assess(&lifetime, resident, None, &policy()) {
            Reuse::Fresh { ttl } => asked.accept_fresh(age, ttl),
            Reuse::StaleWhileRevalidate { past } | Reuse::StaleIfError { past } => asked.accept_stale(age, past),
            Reuse::LastRemedy { .. } | Reuse::Unusable { .. } => false,
        };
        let answer = oracle.before_request(&with_headers(&Method::GET, &request), received() + resident);
        let theirs = answer.satisfies_without_revalidation();
        // "A cache MUST NOT generate a stale response if it is prohibited by an explicit in-protocol directive (e.g., by a
        // no-cache response directive, a must-revalidate response directive, or an applicable s-maxage or proxy-revalidate
        // response directive" (§4.2.4). The library knows must-revalidate.
        let name = (!ours && lifetime.prohibition.is_some()).then_some("prohibited");
        (ours != theirs).then(|| (name, format!("{exchange:?}, then {request:?} after {resident:?}: we reuse: {ours}")))
    });
}

#[test]
fn variants_agree_with_the_other_reading() {
    differ_only_as_named(&["normalized"], |rng| {
        let mut exchange = Exchange::random(rng);
        exchange.method = Method::GET;
        let nominated = vary_fields(&exchange.response).ok()?;
        let other = random_request(rng);
        let ours = Nominated::of(&nominated, &exchange.request).matches(&other);
        let theirs = match exchange.oracle().before_request(&with_headers(&Method::GET, &other), received()) {
            BeforeRequest::Fresh(_) => true,
            BeforeRequest::Stale { matches, .. } => matches,
        };
        // "normalizing both header field values in a way that is known to have identical semantics, according to the
        // header field's specification" (§4.1)
        let name = (ours && nominated.iter().any(|name| name.as_str().starts_with("accept"))).then_some("normalized");
        (ours != theirs).then(|| (name, format!("{exchange:?}, then {other:?}: we match: {ours}")))
    });
}

#[test]
fn freshening_agrees_with_the_other_reading() {
    differ_only_as_named(&["no-validator", "weak-is-not-strong"], |rng| {
        let mut exchange = Exchange::random(rng);
        exchange.method = Method::GET;
        let (stored, not_modified) = (random_validators(rng), random_validators(rng));
        exchange.response = stored.clone();
        let ours = freshen(&stored, &not_modified).is_some();
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        *answer.headers_mut() = not_modified.clone();
        let request = with_headers(&Method::GET, &exchange.request);
        let after = exchange.oracle().after_response(&request, &answer, received());
        let theirs = matches!(after, AfterResponse::NotModified(..));
        let name = if ours && !not_modified.contains_key(ETAG) && !not_modified.contains_key(LAST_MODIFIED) {
            // §4.3.4 has no case for it. The request carried the validators of one stored response, so that the 304 can
            // mean no other.
            Some("no-validator")
        } else if !ours && stored.get(ETAG).is_some_and(|tag| tag.as_bytes().starts_with(b"W/")) {
            // "If the new response contains one or more strong validators […], then each of those strong validators
            // identifies a selected representation for update. All the stored responses in the initial set with one of
            // those same strong validators are identified for update." (§4.3.4)
            Some("weak-is-not-strong")
        } else {
            None
        };
        (ours != theirs).then(|| (name, format!("{stored:?}, then {not_modified:?}: we freshen: {ours}")))
    });
}

/// Tries many exchanges; each difference has one of these names, and each name occurs.
fn differ_only_as_named(
    names: &[&'static str],
    mut difference: impl FnMut(&mut Rng) -> Option<(Option<&'static str>, String)>,
) {
    let mut rng = Rng::with_seed(SEED);
    let mut seen = BTreeSet::new();
    for _ in 0..EXCHANGES {
        if let Some((name, description)) = difference(&mut rng) {
            seen.insert(name.unwrap_or_else(|| panic!("{description}")));
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), names);
}

/// A request and the response to it, received without delay at [`received`].
#[derive(Debug)]
struct Exchange {
    method: Method,
    request: HeaderMap,
    status: StatusCode,
    response: HeaderMap,
}

impl Exchange {
    fn random(rng: &mut Rng) -> Self {
        let methods = [Method::GET, Method::GET, Method::GET, Method::HEAD, Method::POST, Method::PUT];
        Self {
            method: pick(rng, &methods),
            request: random_request(rng),
            status: StatusCode::from_u16(pick(rng, &STATUSES)).unwrap(),
            response: random_response(rng),
        }
    }

    fn directives(&self) -> ResponseDirectives {
        ResponseDirectives::from_headers(&self.response, &TARGETS)
    }

    fn is_storable(&self) -> bool {
        let policy = StorePolicy::default();
        storable(&self.method, &self.request, self.status, &self.response, &self.directives(), &policy).is_ok()
    }

    fn lifetime(&self) -> Lifetime {
        let (received, negative) = (received(), Negative::default());
        lifetime(self.status, &self.response, &self.directives(), received, received, &policy(), &negative)
    }

    fn oracle(&self) -> CachePolicy {
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.response.clone();
        let options = CacheOptions { shared: true, cache_heuristic: 0.1, ..CacheOptions::default() };
        CachePolicy::new_options(&with_headers(&self.method, &self.request), &response, received(), options)
    }

    /// The name of the difference, if there may be one.
    fn why_stored_or_not(&self, ours: bool) -> Option<&'static str> {
        let directives = self.directives();
        if !ours && matches!(self.method, Method::HEAD | Method::POST) {
            // "A cache […] MAY" store more than the responses to GET (§2: "most commonly, caches only store GET"); we do
            // not.
            return Some("another-method");
        }
        if !ours && self.status.is_server_error() {
            // A choice of ours: without a stated lifetime an error outlives its cause.
            return Some("errors-need-a-lifetime");
        }
        if !ours && vary_fields(&self.response).is_err() {
            // "A stored response with a Vary header field value containing a member "*" always fails to match." (§4.1):
            // there is no use in storing it.
            return Some("vary-any");
        }
        if ours && directives.no_store && directives.must_understand {
            // "the cache SHOULD ignore the no-store directive if it understands and implements the status code's caching
            // requirements" (§5.2.2.3)
            return Some("must-understand");
        }
        if ours && !ORACLE_UNDERSTANDS.contains(&self.status.as_u16()) {
            // The status code has to be understood only "if the response status code is 206 or 304, or the
            // must-understand cache directive […] is present" (§3); RFC 7234 asked it of all.
            return Some("status-not-known");
        }
        None
    }

    fn why_fresh_or_old(&self) -> Option<&'static str> {
        let directives = self.directives();
        let date = self.response.get(DATE).and_then(http_date);
        if directives.proxy_revalidate {
            // "once the response has become stale, a shared cache MUST NOT reuse that response" (§5.2.2.8); until then it
            // may.
            return Some("proxy-revalidate");
        }
        if self.response.contains_key(PRAGMA) && !directives.present {
            // "This document therefore deprecates Pragma […] its meaning in a response was never specified." (§5.4)
            return Some("pragma");
        }
        if date.is_some_and(|date| date < received()) {
            // "apparent_age = max(0, response_time - date_value);" (§4.2.3)
            return Some("apparent-age");
        }
        let is_heuristic = directives.max_age.or(directives.s_maxage).is_none() && !self.response.contains_key(EXPIRES);
        if is_heuristic && date.is_some_and(|date| date > received()) {
            // "no more than some fraction of the interval since that time" (§4.2.2), which a clock that is fast must not
            // stretch.
            return Some("date-in-the-future");
        }
        None
    }
}

fn random_request(rng: &mut Rng) -> HeaderMap {
    let mut request = HeaderMap::new();
    if rng.u8(..8) == 0 {
        request.insert(AUTHORIZATION, HeaderValue::from_static("Basic Zm9v"));
    }
    for (name, values) in SELECTING {
        if rng.bool() {
            request.insert(name, HeaderValue::from_static(pick(rng, &values)));
        }
    }
    request
}

fn random_response(rng: &mut Rng) -> HeaderMap {
    let mut response = HeaderMap::new();
    let mut directives: Vec<String> = FLAGS.iter().filter(|_| rng.u8(..9) == 0).map(|&flag| flag.to_owned()).collect();
    for name in ["max-age", "s-maxage"] {
        if rng.u8(..3) == 0 {
            directives.push(format!("{name}={}", rng.u32(..5000)));
        }
    }
    rng.shuffle(&mut directives);
    for line in directives.chunks(rng.usize(1..4)) {
        response.append(CACHE_CONTROL, HeaderValue::try_from(line.join(", ")).unwrap());
    }
    for (name, chance) in [(EXPIRES, 3), (DATE, 2), (LAST_MODIFIED, 2)] {
        if rng.u8(..chance) == 0 {
            response.insert(name, random_date(rng));
        }
    }
    if rng.u8(..10) == 0 {
        response.insert(EXPIRES, HeaderValue::from_static("0"));
    }
    if rng.u8(..4) == 0 {
        response.insert(AGE, HeaderValue::from(rng.u32(..4000)));
    }
    if rng.u8(..20) == 0 {
        response.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    }
    if rng.bool() {
        response.insert(VARY, HeaderValue::from_static(pick(rng, &VARIES)));
    }
    response
}

/// What a request asks of the cache.
fn random_wish(rng: &mut Rng) -> HeaderValue {
    let mut directives = Vec::new();
    for name in ["max-age", "min-fresh", "max-stale"] {
        if rng.bool() {
            directives.push(format!("{name}={}", rng.u32(..10_000)));
        }
    }
    if directives.is_empty() {
        directives.push(pick(rng, &["no-cache", "max-stale", "unknown"]).to_owned());
    }
    HeaderValue::try_from(directives.join(", ")).unwrap()
}

fn random_validators(rng: &mut Rng) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if rng.bool() {
        headers.insert(ETAG, HeaderValue::from_static(pick(rng, &["\"a\"", "\"b\"", "W/\"a\"", "W/\"b\""])));
    }
    if rng.bool() {
        let modified = received() - Duration::from_secs(rng.u64(..2) * 60);
        headers.insert(LAST_MODIFIED, format_http_date(modified));
    }
    headers
}

/// A whole number of seconds around [`received`].
fn random_date(rng: &mut Rng) -> HeaderValue {
    format_http_date(received() - Duration::from_secs(5000) + Duration::from_secs(rng.u64(..10_000)))
}

fn with_headers(method: &Method, headers: &HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method.clone();
    *request.headers_mut() = headers.clone();
    request
}

fn pick<T: Clone>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())].clone()
}

/// When every response is received: 1 January 2026.
fn received() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

/// The library knows no bound of heuristic freshness.
fn policy() -> FreshnessPolicy {
    FreshnessPolicy { heuristic_max: Duration::MAX, ..FreshnessPolicy::default() }
}

/// The same exchanges every time.
const SEED: u64 = 9111;

/// Enough for every combination of three fields to occur.
const EXCHANGES: usize = 20_000;

const STATUSES: [u16; 16] = [200, 200, 200, 200, 203, 204, 206, 299, 300, 301, 302, 404, 410, 500, 501, 503];

const FLAGS: [&str; 8] = [
    "must-revalidate",
    "must-understand",
    "no-cache",
    "no-store",
    "private",
    "proxy-revalidate",
    "public",
    "unknown=7",
];

const VARIES: [&str; 6] = ["foo", "foo, bar", "accept-language", "accept-encoding, foo", "*", "bar, *"];

/// Request fields that responses vary by, with the values they take; every one of them is in its normal form.
const SELECTING: [(HeaderName, [&str; 3]); 4] = [
    (HeaderName::from_static("foo"), ["1", "2", "1, 2"]),
    (HeaderName::from_static("bar"), ["a", "A", "b"]),
    (HeaderName::from_static("accept-language"), ["de", "en", "de, en"]),
    (ACCEPT_ENCODING, ["gzip", "gzip;q=0", "identity"]),
];

/// The statuses that the library stores.
const ORACLE_UNDERSTANDS: [u16; 14] = [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];
