//! RFC 9111 on the road: what every hit asks of time, and what every response from an origin is asked before it is stored.

use std::hint::black_box;
use std::time::{Duration, UNIX_EPOCH};

use criterion::Criterion;
use holdover::semantics::cache_control::{Honored, RequestDirectives, ResponseDirectives, TARGETS};
use holdover::semantics::freshness::{FreshnessPolicy, Lifetime, Negative, Reuse, assess, lifetime};
use holdover::semantics::storable::{StorePolicy, storable};
use http::header::{ACCEPT, CACHE_CONTROL, DATE, ETAG, LAST_MODIFIED, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    assessments(&mut criterion);
    directives(&mut criterion);
    lifetimes(&mut criterion);
    storing(&mut criterion);
    criterion.final_summary();
}

/// How a stored response may be used: every hit.
fn assessments(criterion: &mut Criterion) {
    let (lifetime, policy) = (stated(60), FreshnessPolicy::default());
    for (name, resident, expected) in [
        ("fresh", 10, Reuse::Fresh { ttl: Duration::from_secs(50) }),
        ("stale, revalidated behind", 70, Reuse::StaleWhileRevalidate { past: Duration::from_secs(10) }),
        ("stale, for an outage", 600, Reuse::StaleIfError { past: Duration::from_secs(540) }),
    ] {
        let resident = Duration::from_secs(resident);
        criterion.bench_function(&format!("assess/{name}"), |bencher| {
            bencher.iter(|| {
                let reuse = assess(black_box(&lifetime), black_box(resident), None, &policy);
                assert_eq!(reuse, expected);
            });
        });
    }
}

/// The fields that say so, of a request and of a response.
fn directives(criterion: &mut Criterion) {
    let plain = head(&[(CACHE_CONTROL, "public, max-age=86400")]);
    let long =
        head(&[(CACHE_CONTROL, "public, max-age=60, s-maxage=600, stale-while-revalidate=30, stale-if-error=86400")]);
    let targeted = head(&[
        (HeaderName::from_static("cdn-cache-control"), "max-age=600, stale-if-error=86400"),
        (CACHE_CONTROL, "no-store"),
    ]);
    for (name, headers) in [("nothing", &HeaderMap::new()), ("plain", &plain), ("long", &long), ("targeted", &targeted)]
    {
        criterion.bench_function(&format!("response directives/{name}"), |bencher| {
            bencher.iter(|| ResponseDirectives::from_headers(black_box(headers), &TARGETS));
        });
    }
    let reload = head(&[(CACHE_CONTROL, "max-age=0")]);
    for (name, headers) in [("nothing", &HeaderMap::new()), ("reload", &reload)] {
        criterion.bench_function(&format!("request directives/{name}"), |bencher| {
            bencher.iter(|| RequestDirectives::from_headers(black_box(headers), Honored::All));
        });
    }
}

/// How long a response is fresh: every response that is stored.
fn lifetimes(criterion: &mut Criterion) {
    let (policy, negative) = (FreshnessPolicy::default(), Negative::default());
    let received = UNIX_EPOCH + Duration::from_secs(784_111_777);
    for (name, fields) in [
        ("stated", [(CACHE_CONTROL, "public, max-age=86400"), (DATE, "Sun, 06 Nov 1994 08:49:37 GMT")]),
        ("heuristic", [(LAST_MODIFIED, "Sat, 06 Nov 1993 08:49:37 GMT"), (DATE, "Sun, 06 Nov 1994 08:49:37 GMT")]),
    ] {
        let headers = head(&fields);
        let directives = ResponseDirectives::from_headers(&headers, &TARGETS);
        criterion.bench_function(&format!("lifetime/{name}"), |bencher| {
            bencher.iter(|| {
                let headers = black_box(&headers);
                lifetime(StatusCode::OK, headers, &directives, received, received, &policy, &negative)
            });
        });
    }
}

/// Whether a response may be stored: every miss.
fn storing(criterion: &mut Criterion) {
    let policy = StorePolicy::default();
    let request = head(&[(ACCEPT, "text/html")]);
    for (name, fields, expected) in [
        ("yes", [(CACHE_CONTROL, "public, max-age=86400"), (VARY, "accept-encoding"), (ETAG, "\"1\"")], true),
        ("private", [(CACHE_CONTROL, "private, max-age=86400"), (VARY, "accept-encoding"), (ETAG, "\"1\"")], false),
    ] {
        let headers = head(&fields);
        let directives = ResponseDirectives::from_headers(&headers, &TARGETS);
        criterion.bench_function(&format!("storable/{name}"), |bencher| {
            bencher.iter(|| {
                let (method, headers) = (&Method::GET, black_box(&headers));
                let verdict = storable(method, &request, StatusCode::OK, headers, &directives, &policy);
                assert_eq!(verdict.is_ok(), expected);
            });
        });
    }
}

fn stated(seconds: u64) -> Lifetime {
    Lifetime {
        freshness: Duration::from_secs(seconds),
        initial_age: Duration::ZERO,
        stale_while_revalidate: None,
        stale_if_error: None,
        prohibition: None,
    }
}

fn head(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}
