//! Figures of one site, counted on a request's road: label sets are resolved once, then only atomics are touched.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::Method;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use self::words::Words;
use super::histogram::DurationHistogram;
use super::metrics::Labeled;
use super::sharded::ShardedCounter;

mod families;
mod words;

pub(super) use families::SiteFamilies;

/// Counts the requests of one site. What every request counts is a shard, so that each worker is to have a [share] of its own.
///
/// [share]: SiteMetrics::share
#[derive(Debug)]
pub struct SiteMetrics {
    site: Box<str>,
    families: SiteFamilies,
    outcomes: Words<Box<OutcomeMetrics>>,
    coded_responses: Words<ShardedCounter>,
    codings_dropped: Words<Counter>,
    incomplete: Counter,
    left_behind: Words<Counter>,
    not_stored: Words<Counter>,
    stale_forbidden: Words<Counter>,
    stale_served: Words<ShardedCounter>,
    survivable: Shares,
    unsurvivable: Shares,
}

/// What is counted of one finished request.
#[derive(Clone, Copy, Debug)]
pub struct RequestSample<'a> {
    /// `h1` or `h2`.
    pub protocol: &'static str,
    /// The request method.
    pub method: &'a Method,
    /// The response status.
    pub status: u16,
    /// The first word of our `Cache-Status` member (RFC 9211).
    pub cache: &'static str,
    /// Why the response was served stale, if it was.
    pub stale: Option<&'static str>,
    /// Body bytes handed to the client's connection.
    pub body_bytes: u64,
    /// Whether the whole response was handed to the client's connection.
    pub complete: bool,
    /// From the request's head to the end of the response.
    pub duration: Duration,
    /// From the request's head to the response head.
    pub first_byte: Duration,
}

impl SiteMetrics {
    pub(super) fn new(site: &str, families: SiteFamilies) -> Self {
        Self {
            incomplete: families.incomplete.at([site]),
            site: site.into(),
            families,
            outcomes: Words::default(),
            coded_responses: Words::default(),
            codings_dropped: Words::default(),
            left_behind: Words::default(),
            not_stored: Words::default(),
            stale_forbidden: Words::default(),
            stale_served: Words::default(),
            survivable: Shares::default(),
            unsurvivable: Shares::default(),
        }
    }

    /// The same metrics for one more that counts.
    #[must_use]
    pub fn share(&self) -> Self {
        Self::new(&self.site, self.families.clone())
    }

    /// Counts one finished request.
    pub fn record(&self, sample: &RequestSample<'_>) {
        let new = |cache| Box::new(OutcomeMetrics::new(&self.families, &self.site, cache));
        let outcome = self.outcomes.at(sample.cache, new);
        outcome.requests(&self.families, &self.site, sample).inc();
        outcome.response_bytes.inc_by(sample.body_bytes);
        outcome.duration.observe(sample.duration);
        outcome.first_byte.observe(sample.first_byte);
        if !sample.complete {
            self.incomplete.inc();
        }
        if let Some(reason) = sample.stale {
            self.stale_served.at(reason, |reason| self.families.stale_served.at([&self.site, reason]).shard()).inc();
        }
    }

    /// Counts one response that was left behind by others of the same body, by what became of it.
    pub fn left_behind(&self, outcome: &'static str) {
        self.left_behind.at(outcome, |outcome| self.families.left_behind.at([&self.site, outcome])).inc();
    }

    /// Counts one response that was not stored, by the first reason.
    pub fn not_stored(&self, reason: &'static str) {
        self.not_stored.at(reason, |reason| self.families.not_stored.at([&self.site, reason])).inc();
    }

    /// Counts one response that was stored but must not be served stale, so that it will not survive an outage.
    pub fn stale_forbidden(&self, reason: &'static str) {
        self.stale_forbidden.at(reason, |reason| self.families.stale_forbidden.at([&self.site, reason])).inc();
    }

    /// Counts one answer whose body is in a content coding that this node has made.
    pub fn coded_response(&self, coding: &'static str) {
        self.coded_responses.at(coding, |coding| self.families.coded_responses.at([&self.site, coding]).shard()).inc();
    }

    /// Counts one content coding that was not made because too many were waiting.
    pub fn coding_dropped(&self, coding: &'static str) {
        self.codings_dropped.at(coding, |coding| self.families.codings.at([&self.site, coding, "dropped"])).inc();
    }

    /// Counts one content coding that was tried. Takes a lock for a moment, as [`SiteMetrics::coding_made`] does.
    pub fn coding_tried(&self, coding: &'static str, outcome: &'static str) {
        self.families.codings.at([&self.site, coding, outcome]).inc();
    }

    /// Counts what one content coding made of a body, and how long it took.
    pub fn coding_made(&self, coding: &'static str, bytes_in: u64, bytes_out: u64, duration: Duration) {
        self.families.coding_bytes_in.at([&self.site, coding]).inc_by(bytes_in);
        self.families.coding_bytes_out.at([&self.site, coding]).inc_by(bytes_out);
        self.families.coding_duration.at([&self.site, coding]).observe(duration);
    }

    /// Counts one body that broke, or came too slowly, on origin `from` and was continued on origin `to`, which may be the
    /// same.
    pub fn body_continued(&self, from: &str, to: &str) {
        self.families.bodies_continued.at([&self.site, from, to]).inc();
    }

    /// Counts one try that a budget was charged for.
    pub fn try_in_vain(&self, kind: &'static str) {
        self.families.origin_vain.at([&self.site, kind]).inc();
    }

    /// Shows the shares, from 0 to 1, of what would be answered in an outage, by what they are counted and how long it has
    /// lasted, and of what would not, by what they are counted and why; others are shown no longer.
    pub fn show_survivability(&self, survivable: &[Share], unsurvivable: &[Share]) {
        self.survivable.show(&self.families.survivable, &self.site, survivable);
        self.unsurvivable.show(&self.families.unsurvivable, &self.site, unsurvivable);
    }

    /// The gauges of one origin, the same ones for the same name.
    pub fn origin_gauges(&self, origin: &str) -> OriginGauges {
        let at = |family: &Labeled<Gauge, 2>| family.at([&self.site, origin]);
        OriginGauges { requests: at(&self.families.origin_requests), queued: at(&self.families.origin_queued) }
    }

    /// The counters of one origin, the same ones for the same name.
    pub fn origin(&self, origin: &str) -> OriginMetrics {
        OriginMetrics {
            site: self.site.clone(),
            origin: origin.into(),
            families: self.families.clone(),
            attempts: Words::default(),
            duration: self.families.origin_duration.at([&self.site, origin]),
        }
    }
}

/// Two labels and a share from 0 to 1.
pub type Share = ([&'static str; 2], f64);

/// Shares that come and go; remembers which are shown.
#[derive(Debug, Default)]
struct Shares(Mutex<BTreeSet<[&'static str; 2]>>);

impl Shares {
    fn show(&self, family: &Labeled<Gauge<f64, AtomicU64>, 3>, site: &str, shares: &[Share]) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = std::mem::take(&mut *shown);
        for ([by, label], share) in shares {
            family.at([site, by, label]).set(*share);
            shown.insert([by, label]);
        }
        gone.difference(&shown).for_each(|[by, label]| family.remove([site, by, label]));
    }
}

/// Counts the requests to one origin.
#[derive(Debug)]
pub struct OriginMetrics {
    site: Box<str>,
    origin: Box<str>,
    families: SiteFamilies,
    attempts: Words<Counter>,
    duration: DurationHistogram,
}

impl OriginMetrics {
    /// Counts one attempt; `duration` lasts to the response head or the failure.
    pub fn attempt(&self, outcome: &'static str, duration: Duration) {
        let of = |outcome| self.families.origin_attempts.at([&self.site, &self.origin, outcome]);
        self.attempts.at(outcome, of).inc();
        self.duration.observe(duration);
    }
}

/// What shows the requests of one origin.
#[derive(Clone, Debug)]
pub struct OriginGauges {
    /// Requests under way.
    pub requests: Gauge,
    /// Requests that wait for a place.
    pub queued: Gauge,
}

/// What is counted by outcome. Each worker has its own of each site, so that it takes little while little of it is used.
#[derive(Debug)]
struct OutcomeMetrics {
    cache: &'static str,
    requests: [[OnceLock<Box<ByCode>>; METHODS.len()]; PROTOCOLS.len()],
    response_bytes: ShardedCounter,
    duration: DurationHistogram,
    first_byte: DurationHistogram,
}

impl OutcomeMetrics {
    fn new(families: &SiteFamilies, site: &str, cache: &'static str) -> Self {
        Self {
            cache,
            requests: Default::default(),
            response_bytes: families.response_bytes.at([site, cache]).shard(),
            duration: families.duration.at([site, cache]).shard(),
            first_byte: families.first_byte.at([site, cache]).shard(),
        }
    }

    fn requests(&self, families: &SiteFamilies, site: &str, sample: &RequestSample<'_>) -> &ShardedCounter {
        let protocol = position_or_last(&PROTOCOLS, sample.protocol);
        let method = position_or_last(&METHODS, sample.method.as_str());
        let code = usize::from(sample.status / 100).clamp(1, CODES.len()) - 1;
        let labels = || [site, PROTOCOLS[protocol], METHODS[method], CODES[code], self.cache];
        let by_code = self.requests[protocol][method].get_or_init(Box::default);
        by_code[code].get_or_init(|| families.requests.at(labels()).shard())
    }
}

fn position_or_last(words: &[&str], word: &str) -> usize {
    words.iter().position(|known| *known == word).unwrap_or(words.len() - 1)
}

type ByCode = [OnceLock<ShardedCounter>; CODES.len()];

const PROTOCOLS: [&str; 3] = ["h1", "h2", "other"];
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other"];
const CODES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn a_request_is_counted_under_its_labels() {
        let metrics = Metrics::new();
        let site = metrics.site("shop");
        site.record(&SAMPLE);
        site.record(&RequestSample { stale: Some("origin-down"), complete: false, ..SAMPLE });
        site.share().record(&RequestSample { protocol: "h1", status: 503, cache: "uri-miss", ..SAMPLE });
        check(
            &metrics,
            &[
                r#"holdover_http_requests_total{site="shop",proto="h2",method="GET",code="2xx",cache="hit"} 2"#,
                r#"holdover_http_requests_total{site="shop",proto="h1",method="GET",code="5xx",cache="uri-miss"} 1"#,
                r#"holdover_http_response_bytes_total{site="shop",cache="hit"} 2048"#,
                r#"holdover_http_request_duration_seconds_count{site="shop",cache="hit"} 2"#,
                r#"holdover_http_first_byte_duration_seconds_bucket{le="0.001",site="shop",cache="hit"} 2"#,
                r#"holdover_http_incomplete_responses_total{site="shop"} 1"#,
                r#"holdover_cache_stale_served_total{site="shop",reason="origin-down"} 1"#,
            ],
        );
    }

    #[test]
    fn labels_of_clients_are_bounded() {
        let metrics = Metrics::new();
        let site = metrics.site("shop");
        for name in ["PROPFIND", "BREW"] {
            let method = Method::from_bytes(name.as_bytes()).unwrap_or_default();
            site.record(&RequestSample { method: &method, status: 999, protocol: "h9", ..SAMPLE });
        }
        check(
            &metrics,
            &[r#"holdover_http_requests_total{site="shop",proto="other",method="other",code="5xx",cache="hit"} 2"#],
        );
    }

    #[test]
    fn shares_that_are_over_are_not_shown() {
        let metrics = Metrics::new();
        let site = metrics.site("shop");
        let lost = [(["requests", "no-store"], 0.25), (["requests", "gone"], 0.125)];
        site.show_survivability(&[(["bytes", "1h"], 0.5)], &lost);
        let survivable = r#"holdover_survivable_ratio{site="shop",by="bytes",horizon="1h"} 0.5"#;
        let gone = r#"holdover_unsurvivable_ratio{site="shop",by="requests",reason="gone"} 0.125"#;
        check(&metrics, &[survivable, gone]);
        site.show_survivability(&[], &lost[..1]);
        check(&metrics, &[r#"holdover_unsurvivable_ratio{site="shop",by="requests",reason="no-store"} 0.25"#]);
        let text = metrics.encode();
        assert!(!text.contains(survivable) && !text.contains(gone), "{text}");
    }

    #[test]
    fn a_share_takes_little() {
        let (share, outcome) = (size_of::<SiteMetrics>(), size_of::<OutcomeMetrics>());
        assert!(share <= 1536 && outcome <= 512, "{share} and {outcome} bytes");
    }

    #[test]
    fn a_site_of_the_same_name_is_the_same() {
        let metrics = Metrics::new();
        assert!(Arc::ptr_eq(&metrics.site("shop"), &metrics.site("shop")));
        assert!(!Arc::ptr_eq(&metrics.site("shop"), &metrics.site("blog")));
    }

    fn check(metrics: &Metrics, expected: &[&str]) {
        let text = metrics.encode();
        for line in expected {
            assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
        }
    }

    const SAMPLE: RequestSample<'static> = RequestSample {
        protocol: "h2",
        method: &Method::GET,
        status: 200,
        cache: "hit",
        stale: None,
        body_bytes: 1024,
        complete: true,
        duration: Duration::from_millis(2),
        first_byte: Duration::from_micros(700),
    };
}
