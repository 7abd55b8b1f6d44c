//! Rules of metric names, what events do to gauges, and the reference page.

use std::fmt::Write;
use std::time::Duration;

use http::Method;

use super::*;
use crate::telemetry::site_metrics::RequestSample;

#[test]
fn names_follow_the_conventions_of_prometheus() {
    for Description { name, kind, help, labels } in Metrics::new().describe() {
        assert!(name.starts_with("holdover_") || name.starts_with("process_"), "{name}");
        assert_eq!(*kind == "counter", name.ends_with("_total"), "{name}: `_total` is for counters");
        assert_eq!(*kind == "histogram", name.ends_with("_duration_seconds"), "{name}");
        assert!(!help.is_empty() && !help.ends_with('.'), "{name}: the encoder adds the final stop");
        assert!(!labels.contains(&"le"), "{name}");
    }
}

#[test]
fn every_metric_that_is_exposed_is_described() {
    let metrics = used();
    let text = metrics.encode();
    let mut described: Vec<(&str, &str)> = metrics
        .describe()
        .iter()
        .map(|description| (description.name.trim_end_matches("_total"), description.kind))
        .collect();
    described.sort_unstable();
    let mut exposed: Vec<(&str, &str)> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    exposed.sort_unstable();
    assert_eq!(exposed, described);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn events_move_the_gauges_they_tell_of() {
    let metrics = Metrics::new();
    let [first, second] = [7, 8].map(|last| SocketAddr::from(([203, 0, 113, last], 443)));
    for address in [first, second] {
        metrics.set_origin_up("shop", "a", address, true);
    }
    metrics.set_origin_active("shop", "a", true);
    metrics.set_origin_active("shop", "b", false);
    metrics.set_outage_mode("shop", "normal");
    let (site, reason) = ("shop".to_owned(), "refused".to_owned());
    for event in [
        Event::EndpointChanged {
            site: site.clone(),
            origin: "a".to_owned(),
            address: first,
            from: "suspect",
            to: "ejected",
            reason: reason.clone(),
        },
        Event::AddressesChanged {
            site: site.clone(),
            origin: "a".to_owned(),
            host: "a.example.org".to_owned(),
            added: vec![],
            removed: vec![second],
            ttl: Duration::from_secs(30),
        },
        Event::FailedOver {
            site: site.clone(),
            from: Some("a".to_owned()),
            to: Some("b".to_owned()),
            reason: reason.clone(),
        },
        Event::FailedOver { site: site.clone(), from: Some("b".to_owned()), to: None, reason: reason.clone() },
        Event::OutageModeChanged { site, from: "normal", to: "stale-only", reason },
    ] {
        metrics.observe(&event);
    }
    check(
        &metrics,
        &[
            r#"holdover_origin_up{site="shop",origin="a",address="203.0.113.7:443"} 0"#,
            r#"holdover_origin_active{site="shop",origin="a"} 0"#,
            r#"holdover_origin_active{site="shop",origin="b"} 0"#,
            r#"holdover_origin_failovers_total{site="shop",from="a",to="b"} 1"#,
            r#"holdover_origin_failovers_total{site="shop",from="b",to="none"} 1"#,
            r#"holdover_outage_mode{site="shop",mode="normal"} 0"#,
            r#"holdover_outage_mode{site="shop",mode="stale-only"} 1"#,
            r#"holdover_events_total{event="failed-over"} 2"#,
        ],
    );
    assert!(!metrics.encode().contains("203.0.113.8"), "an address gone from DNS is gone from the metrics");
}

#[test]
fn a_cgroup_is_shown_while_it_has_a_limit() {
    let metrics = Metrics::new();
    let cgroup = Path::new("/sys/fs/cgroup");
    metrics.set_cgroup_memory(cgroup, Some(Usage { used_bytes: 350, limit_bytes: 358 }));
    check(
        &metrics,
        &[
            r#"holdover_memory_cgroup_bytes{cgroup="/sys/fs/cgroup"} 350"#,
            r#"holdover_memory_cgroup_limit_bytes{cgroup="/sys/fs/cgroup"} 358"#,
        ],
    );
    metrics.set_cgroup_memory(cgroup, None);
    assert!(!metrics.encode().contains("_bytes{cgroup="));
}

#[test]
fn the_process_is_measured_at_each_scrape() {
    let text = Metrics::new().encode();
    assert!(text.contains("process_resident_memory_bytes "), "{text}");
    assert!(text.contains("holdover_build_info{version=\""), "{text}");
}

#[test]
fn the_reference_page_lists_every_metric() {
    let mut page = String::from(PAGE_HEAD);
    let metrics = Metrics::new();
    let mut descriptions: Vec<&Description> = metrics.describe().iter().collect();
    descriptions.sort_by_key(|description| description.name);
    for Description { name, kind, labels, help } in descriptions {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        assert!(writeln!(page, "| `{name}` | {kind} | {labels} | {help} |").is_ok());
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    if std::env::var_os("HOLDOVER_BLESS").is_some() {
        assert!(std::fs::write(path, &page).is_ok(), "cannot write {path}");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/metrics.md is not what Metrics declares; HOLDOVER_BLESS=1 rewrites it");
}

fn check(metrics: &Metrics, expected: &[&str]) {
    let text = metrics.encode();
    for line in expected {
        assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
    }
}

/// Metrics of which each has been used once, since those with labels are shown from then on.
fn used() -> Metrics {
    let metrics = Metrics::new();
    metrics.set_cgroup_memory(Path::new("/sys/fs/cgroup"), Some(Usage { used_bytes: 1, limit_bytes: 2 }));
    metrics.set_dns_answered("shop", "a", 1_800_000_000);
    metrics.dns_refreshed("shop", "a", "changed");
    metrics.set_origin_certificate_end("shop", "a", Some(UNIX_EPOCH));
    metrics.set_origin_up("shop", "a", SocketAddr::from(([203, 0, 113, 7], 443)), true);
    metrics.set_outage_mode("shop", "normal");
    metrics.observe(&Event::FailedOver {
        site: "shop".to_owned(),
        from: None,
        to: Some("a".to_owned()),
        reason: "found".to_owned(),
    });
    let selectors = vec!["tag shoes".to_owned()];
    metrics.observe(&Event::Purged { sequence: 1, mode: "hard", selectors, responses: 2, by: "admin".to_owned() });
    let site = metrics.site("shop");
    site.left_behind("continued");
    site.not_stored("private");
    site.show_survivability(&[(["requests", "now"], 0.75)], &[(["requests", "private"], 0.25)]);
    site.stale_forbidden("must-revalidate");
    site.body_continued("a", "b");
    site.try_in_vain("retry");
    site.coded_response("br");
    site.coding_tried("br", "made");
    site.coding_made("br", 1000, 300, Duration::from_millis(1));
    site.origin_gauges("a").requests.inc();
    site.origin("a").attempt("ok", Duration::from_millis(5));
    site.record(&RequestSample {
        protocol: "h2",
        method: &Method::GET,
        status: 200,
        cache: "hit",
        stale: Some("origin-down"),
        body_bytes: 1,
        complete: false,
        duration: Duration::from_millis(1),
        first_byte: Duration::from_millis(1),
    });
    metrics
}

const PAGE_HEAD: &str = "\
# Metrics

`/metrics` on the admin listener answers in OpenMetrics text, which Prometheus and its kin read. Times are in seconds,
sizes in bytes. A metric with labels appears when it is first used. `cache` is the first word of our `Cache-Status` member
(RFC 9211): `hit`, or why the request was forwarded (`uri-miss`, `vary-miss`, `stale`, `bypass`, `method`, ...), or
`refused` for a request that was answered before the cache was asked. `code` is the class of the status (`2xx`), `proto` is
`h1` or `h2`.

This page is written by a test from `src/telemetry/metrics.rs` and `src/telemetry/site_metrics/families.rs`.

| metric | type | labels | meaning |
|---|---|---|---|
";
