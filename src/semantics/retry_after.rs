//! When to come back, as an origin says it (RFC 9110 §10.2.3).

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

use super::date::http_date;
use super::field;

/// How long an origin that answered like this wants to be left alone, and no longer than [`RETRY_AFTER_MAX`]. It counts with
/// 429 and 503, which say that the origin has too much to do; `received` is wall time.
pub fn retry_after(status: StatusCode, headers: &HeaderMap, received: SystemTime) -> Option<Duration> {
    if !matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        return None;
    }
    // Retry-After = HTTP-date / delay-seconds
    let value = field::only(headers, RETRY_AFTER)?;
    let stated = field::delta_seconds(field::trim(value.as_bytes())).or_else(|| {
        // By the origin's own clock, if it shows it.
        let date = headers.get(DATE).and_then(http_date).unwrap_or(received);
        http_date(value)?.duration_since(date).ok()
    });
    stated.map(|stated| stated.min(RETRY_AFTER_MAX))
}

/// A minute is as much as an origin gets by its own word: some state hours, and recover sooner.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(status: u16, fields: &[(&'static str, &'static str)], expected: Option<u64>) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let received = http_date(&HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT")).expect("a date");
        let status = StatusCode::from_u16(status).expect("three digits");
        let found = retry_after(status, &headers, received);
        assert_eq!(found, expected.map(Duration::from_secs), "{status} {fields:?}");
    }

    #[test]
    fn seconds_count_from_now_on_and_not_beyond_a_minute() {
        check(503, &[("retry-after", "7")], Some(7));
        check(503, &[("retry-after", "0")], Some(0));
        check(503, &[("retry-after", "60")], Some(60));
        check(503, &[("retry-after", "86400")], Some(60));
        check(503, &[("retry-after", "99999999999999999999")], Some(60));
    }

    #[test]
    fn a_date_counts_from_the_origins_own_time() {
        check(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")], Some(10));
        check(503, &[("retry-after", "Sun, 06 Nov 1994 18:49:47 GMT")], Some(60));
        check(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:36 GMT")], None);
        let late = ("date", "Sun, 06 Nov 1994 08:49:17 GMT");
        check(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"), late], Some(30));
        check(503, &[("retry-after", "9"), late], Some(9));
    }

    #[test]
    fn it_counts_where_the_origin_has_too_much_to_do() {
        check(429, &[("retry-after", "7")], Some(7));
        check(500, &[("retry-after", "7")], None);
        check(301, &[("retry-after", "7")], None);
        check(200, &[("retry-after", "7")], None);
    }

    #[test]
    fn what_is_neither_says_nothing() {
        check(503, &[], None);
        check(503, &[("retry-after", "")], None);
        check(503, &[("retry-after", "-1")], None);
        check(503, &[("retry-after", "1.5")], None);
        check(503, &[("retry-after", "soon")], None);
        check(503, &[("retry-after", "7"), ("retry-after", "9")], None);
    }
}
