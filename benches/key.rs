//! The gate and the cache key: what every request pays before anything is looked up.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use holdover::semantics::key::{KeyPolicy, cache_key};
use holdover::semantics::query::{ParameterPattern, QueryPolicy};
use holdover::semantics::target::target;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri, Version};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    key(&mut criterion, "canonical path", "/assets/app.9f8e7d.js", Version::HTTP_11);
    key(&mut criterion, "path and query", "/search/results?q=edge+cache&page=2&sort=newest", Version::HTTP_11);
    key(&mut criterion, "path that needs normalizing", "/a/./b/../caf%c3%a9/%7Euser/index.html", Version::HTTP_11);
    key(&mut criterion, "HTTP/2 pseudo-fields", "https://www.test/assets/app.9f8e7d.js", Version::HTTP_2);
    policy(
        &mut criterion,
        "query sorted and reduced",
        "/search?utm_source=x&q=edge+cache&page=2&utm_medium=y&order=new",
    );
    refusal(&mut criterion, "hidden dot segment", "/assets/%2e%2e/secret");
    criterion.final_summary();
}

/// From the request's head to its key.
fn key(criterion: &mut Criterion, name: &str, written: &'static str, version: Version) {
    let uri = Uri::from_static(written);
    let headers = headers(version);
    criterion.bench_function(&format!("key/{name}"), |bencher| {
        bencher.iter(|| {
            let target =
                target("https", black_box(&uri), black_box(&headers), version).expect("the target is acceptable");
            cache_key(&target)
        });
    });
}

/// The same for a site that sorts parameters and drops some.
fn policy(criterion: &mut Criterion, name: &str, written: &'static str) {
    let uri = Uri::from_static(written);
    let headers = headers(Version::HTTP_11);
    let drop = ["utm_*", "fbclid", "gclid"].into_iter().filter_map(ParameterPattern::parse).collect();
    let policy = KeyPolicy { query: QueryPolicy { keep: None, drop, sort: true }, ..KeyPolicy::default() };
    criterion.bench_function(&format!("key/{name}"), |bencher| {
        bencher.iter(|| {
            let target = target("https", black_box(&uri), black_box(&headers), Version::HTTP_11);
            let mut target = target.expect("the target is acceptable");
            policy.reduce(&mut target);
            policy.key(&target, &headers)
        });
    });
}

/// From the request's head to its refusal, which must not be dearer than a key.
fn refusal(criterion: &mut Criterion, name: &str, written: &'static str) {
    let uri = Uri::from_static(written);
    let headers = headers(Version::HTTP_11);
    criterion.bench_function(&format!("refusal/{name}"), |bencher| {
        bencher.iter(|| {
            target("https", black_box(&uri), black_box(&headers), Version::HTTP_11).expect_err("it is refused")
        });
    });
}

/// HTTP/2 has the host in `:authority`.
fn headers(version: Version) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if version == Version::HTTP_11 {
        headers.insert(HOST, HeaderValue::from_static("www.test"));
    }
    headers
}
