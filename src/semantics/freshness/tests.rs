//! Rules of §4.2 and RFC 5861 as tables.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;

use super::{FreshnessPolicy, Lifetime, Negative, Prohibition, Reuse, assess, lifetime};
use crate::semantics::cache_control::{ResponseDirectives, TARGETS};
use crate::semantics::field::fields;

const CC: &str = "cache-control";
const DAY: u64 = 24 * 60 * 60;
const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const HOUR_AGO: &str = "Sun, 06 Nov 1994 07:49:37 GMT";
const HOUR_AHEAD: &str = "Sun, 06 Nov 1994 09:49:37 GMT";
const YEAR_AGO: &str = "Sat, 06 Nov 1993 08:49:37 GMT";

#[test]
fn freshness_lifetime_is_the_first_match() {
    check_freshness("s-maxage over max-age and Expires", 200, &[(CC, "max-age=1, s-maxage=2"), ("expires", NOW)], 2);
    check_freshness("max-age over Expires", 200, &[(CC, "max-age=1"), ("expires", HOUR_AHEAD)], 1);
    check_freshness("Expires minus Date", 200, &[("expires", HOUR_AHEAD), ("date", HOUR_AGO)], 7200);
    check_freshness("Expires minus the time of receipt without Date", 200, &[("expires", HOUR_AHEAD)], 3600);
    check_freshness("an invalid Date is none", 200, &[("expires", HOUR_AHEAD), ("date", "yesterday")], 3600);
    check_freshness("a Date in the future still counts", 200, &[("expires", HOUR_AHEAD), ("date", HOUR_AHEAD)], 0);
    check_freshness("Expires in the past", 200, &[("expires", HOUR_AGO), ("date", NOW)], 0);
    check_freshness("the first of two Expires", 200, &[("expires", HOUR_AHEAD), ("expires", NOW)], 3600);
    check_freshness(
        "a targeted field voids Expires",
        200,
        &[("cdn-cache-control", "none"), ("expires", HOUR_AHEAD)],
        0,
    );
    check_freshness("no-cache makes max-age inoperative", 200, &[(CC, "max-age=60, no-cache")], 0);
    check_freshness("overflow is 2^31", 200, &[(CC, "max-age=99999999999999999999")], 1 << 31);
    check_freshness("explicit freshness counts for every status", 503, &[(CC, "max-age=60")], 60);
}

#[test]
fn invalid_expires_is_already_expired() {
    for invalid in
        ["0", "-1", "", "never", "Sun, 06 Nov 2094 08:49:37 UTC", "Sun, 6 Nov 2094 08:49:37 GMT", "4102444800"]
    {
        check_freshness(invalid, 200, &[("expires", invalid), ("last-modified", YEAR_AGO)], 0);
    }
}

#[test]
fn heuristic_freshness_for_heuristically_cacheable_statuses_with_last_modified() {
    check_freshness("nothing at all", 200, &[], 0);
    check_freshness("10 % of an hour", 200, &[("last-modified", HOUR_AGO)], 360);
    check_freshness("10 % of an hour, by Date", 200, &[("last-modified", HOUR_AGO), ("date", HOUR_AHEAD)], 360);
    check_freshness("10 % of a year, capped", 200, &[("last-modified", YEAR_AGO)], DAY);
    check_freshness("modified in the future", 200, &[("last-modified", HOUR_AHEAD)], 0);
    check_freshness("modified at an invalid date", 200, &[("last-modified", "1993")], 0);
    check_freshness(
        "MUST NOT use heuristics with explicit expiration",
        200,
        &[("last-modified", YEAR_AGO), (CC, "max-age=0")],
        0,
    );
    for status in [203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        check_freshness("heuristically cacheable", status, &[("last-modified", HOUR_AGO)], 360);
    }
    for status in [201, 202, 302, 303, 307, 400, 401, 403, 418, 429, 500, 502, 503, 504] {
        check_freshness("not heuristically cacheable", status, &[("last-modified", HOUR_AGO)], 0);
    }
    check_freshness("marked as explicitly cacheable", 302, &[("last-modified", HOUR_AGO), (CC, "public")], 360);
}

#[test]
fn negative_lifetimes_are_for_errors_that_say_nothing() {
    let negative = Negative(vec![(StatusCode::NOT_FOUND, Duration::from_secs(10))]);
    for (status, lines, expected) in [
        (404, &[][..], 10),
        (404, &[(CC, "public, must-revalidate")], 10),
        (404, &[("last-modified", HOUR_AGO)], 360),
        (404, &[("last-modified", NOW)], 10),
        (404, &[(CC, "max-age=0")], 0),
        (404, &[(CC, "max-age=60")], 60),
        (404, &[("expires", "0")], 0),
        (404, &[(CC, "no-cache")], 0),
        (410, &[], 0),
        (200, &[], 0),
    ] {
        let (status, headers) = (StatusCode::from_u16(status).unwrap(), fields(lines));
        let directives = ResponseDirectives::from_headers(&headers, &TARGETS);
        let lifetime = lifetime(status, &headers, &directives, now(), now(), &FreshnessPolicy::default(), &negative);
        assert_eq!(lifetime.freshness, Duration::from_secs(expected), "{status} {lines:?}");
    }
}

#[test]
fn corrected_initial_age() {
    check_age("no Date, no Age", &[], 0, 0);
    check_age("apparent_age", &[("date", HOUR_AGO)], 0, 3600);
    check_age("if the result is negative, the result is replaced by zero", &[("date", HOUR_AHEAD)], 0, 0);
    check_age("an invalid Date is none", &[("date", "x")], 0, 0);
    check_age("Age", &[("date", NOW), ("age", "30")], 0, 30);
    check_age("corrected_age_value = age_value + response_delay", &[("date", NOW), ("age", "30")], 5, 35);
    check_age("the larger of both", &[("date", HOUR_AGO), ("age", "30")], 5, 3600);
    check_age("the first member of a list", &[("age", "30, 40")], 0, 30);
    check_age("the first line", &[("age", "30"), ("age", "40")], 0, 30);
    for invalid in ["-1", "1.5", "x", "", "30s", "x, 30", "\"30\"", "+30"] {
        check_age("a cache SHOULD ignore an invalid Age", &[("age", invalid)], 0, 0);
    }
    check_age("overflow is 2^31", &[("age", "99999999999999999999")], 1, (1 << 31) + 1);
}

#[test]
fn a_clock_that_stepped_back_gives_no_negative_age() {
    let later = now() + Duration::from_secs(60);
    let policy = FreshnessPolicy::default();
    let lifetime = lifetime(
        StatusCode::OK,
        &fields(&[]),
        &ResponseDirectives::default(),
        later,
        now(),
        &policy,
        &Negative::default(),
    );
    assert_eq!(lifetime.initial_age, Duration::ZERO);
}

#[test]
fn a_date_of_this_second_makes_no_apparent_age() {
    let received = now() + Duration::from_millis(900);
    let (headers, policy) = (fields(&[("date", NOW)]), FreshnessPolicy::default());
    let lifetime = lifetime(
        StatusCode::OK,
        &headers,
        &ResponseDirectives::default(),
        received,
        received,
        &policy,
        &Negative::default(),
    );
    assert_eq!(lifetime.initial_age, Duration::ZERO);
}

#[test]
fn serving_stale() {
    let default = FreshnessPolicy::default();
    let fresh = |seconds| Reuse::Fresh { ttl: Duration::from_secs(seconds) };
    let revalidate = |seconds| Reuse::StaleWhileRevalidate { past: Duration::from_secs(seconds) };
    let outage = |seconds| Reuse::StaleIfError { past: Duration::from_secs(seconds) };
    let unusable = |seconds| Reuse::Unusable { past: Duration::from_secs(seconds) };

    check_reuse("fresh", "max-age=60", 59, &default, fresh(1));
    check_reuse("fresh = freshness_lifetime > current_age", "max-age=60", 60, &default, revalidate(0));
    check_reuse("the policy's window", "max-age=60", 119, &default, revalidate(59));
    check_reuse("past the policy's window", "max-age=60", 120, &default, outage(60));
    check_reuse("until stale_max", "max-age=60", 59 + DAY, &default, outage(DAY - 1));
    check_reuse("stale_max is never reached", "max-age=60", 60 + DAY, &default, unusable(DAY));
    check_reuse("the origin's window", "max-age=60, stale-while-revalidate=5", 64, &default, revalidate(4));
    check_reuse("past the origin's window", "max-age=60, stale-while-revalidate=5", 65, &default, outage(5));
    check_reuse("an origin that wants none", "max-age=60, stale-while-revalidate=0", 60, &default, outage(0));
    check_reuse("never beyond stale_max", "max-age=0, stale-while-revalidate=999999", DAY, &default, unusable(DAY));
    check_reuse("stale-if-error", "max-age=60, stale-if-error=90", 149, &default, outage(89));
    check_reuse("past stale-if-error", "max-age=60, stale-if-error=90", 150, &default, unusable(90));
    check_reuse("invalid stale-if-error", "max-age=60, stale-if-error=x", 120, &default, unusable(60));
    check_reuse("no freshness, no policy window", "", 0, &default, outage(0));
    check_reuse("no freshness, but kept for an outage", "max-age=0", DAY - 1, &default, outage(DAY - 1));
    check_reuse("no freshness, but permitted", "max-age=0, stale-while-revalidate=9", 8, &default, revalidate(8));

    for prohibiting in ["max-age=60, must-revalidate", "max-age=60, proxy-revalidate", "s-maxage=60"] {
        check_reuse("fresh despite a prohibition", prohibiting, 59, &default, fresh(1));
        check_reuse("MUST NOT generate a stale response", prohibiting, 60, &default, unusable(0));
        let stated = format!("{prohibiting}, stale-if-error=600");
        check_reuse("the most restrictive directive is honored", &stated, 60, &default, unusable(0));
    }
    check_reuse("no-cache is never fresh", "max-age=60, no-cache", 0, &default, unusable(0));
}

#[test]
fn an_operator_overrides_prohibitions() {
    let despite = |stale_despite: &[Prohibition]| FreshnessPolicy {
        stale_despite: stale_despite.to_vec(),
        ..FreshnessPolicy::default()
    };
    let outage = |seconds| Reuse::StaleIfError { past: Duration::from_secs(seconds) };
    let revalidate = |seconds| Reuse::StaleWhileRevalidate { past: Duration::from_secs(seconds) };
    let unusable = |seconds| Reuse::Unusable { past: Duration::from_secs(seconds) };
    let shared = despite(&[Prohibition::SharedMaxAge]);
    let cached = despite(&[Prohibition::NoCache]);

    check_reuse("s-maxage overridden", "s-maxage=60", 61, &shared, revalidate(1));
    check_reuse("s-maxage overridden, others not", "s-maxage=60, must-revalidate", 61, &shared, unusable(1));
    check_reuse("no-cache overridden is for outages only", "max-age=60, no-cache", 1, &cached, outage(1));
    check_reuse("no-cache overridden, others not", "no-cache, must-revalidate", 1, &cached, unusable(1));
    let both = despite(&[Prohibition::NoCache, Prohibition::MustRevalidate]);
    check_reuse("both overridden", "max-age=60, no-cache, must-revalidate", 1, &both, outage(1));
    check_reuse("both overridden, a third not", "no-cache, must-revalidate, s-maxage=9", 1, &both, unusable(1));
}

fn check_freshness(case: &str, status: u16, lines: &[(&'static str, &str)], expected: u64) {
    let freshness = lifetime_of(status, lines, 0, &FreshnessPolicy::default()).freshness;
    assert_eq!(freshness, Duration::from_secs(expected), "{case}: {status} {lines:?}");
}

fn check_age(case: &str, lines: &[(&'static str, &str)], response_delay: u64, expected: u64) {
    let age = lifetime_of(200, lines, response_delay, &FreshnessPolicy::default()).initial_age;
    assert_eq!(age, Duration::from_secs(expected), "{case}: {lines:?}");
}

fn check_reuse(case: &str, cache_control: &str, resident: u64, policy: &FreshnessPolicy, expected: Reuse) {
    let lifetime = lifetime_of(200, &[(CC, cache_control)], 0, policy);
    let reuse = assess(&lifetime, Duration::from_secs(resident), None, policy);
    assert_eq!(reuse, expected, "{case}: {cache_control:?} after {resident} s");
}

fn lifetime_of(status: u16, lines: &[(&'static str, &str)], response_delay: u64, policy: &FreshnessPolicy) -> Lifetime {
    let headers = fields(lines);
    let status = StatusCode::from_u16(status).expect("a table holds valid statuses");
    let directives = ResponseDirectives::from_headers(&headers, &TARGETS);
    lifetime(
        status,
        &headers,
        &directives,
        now() - Duration::from_secs(response_delay),
        now(),
        policy,
        &Negative::default(),
    )
}

/// [`NOW`].
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(784_111_777)
}
