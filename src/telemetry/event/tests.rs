//! Rules of events, and the reference page made from them.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::sentence::rounded;
use super::*;

#[test]
fn the_name_is_the_tag_and_unique() {
    let mut names = BTreeSet::new();
    for event in examples() {
        let value = serde_json::to_value(&event).unwrap_or_default();
        assert_eq!(value["event"], event.name());
        assert!(names.insert(event.name()), "{} occurs twice", event.name());
    }
}

#[test]
fn fields_hold_names_and_reasons_but_no_tag() {
    let event =
        Event::FailedOver { site: "shop".to_owned(), from: Some("a".to_owned()), to: None, reason: "x".repeat(5000) };
    let fields = event.fields();
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["from", "reason", "site", "to"]);
    assert_eq!(fields["site"], "shop");
    assert_eq!(fields["to"], Value::Null);
    assert_eq!(fields["reason"].as_str().map(str::len), Some(2048));
    assert!(Event::NodeStopped.fields().is_empty());
}

#[test]
fn what_users_notice_is_an_alert() {
    let failed_over =
        |to: Option<&str>| Event::FailedOver { site: site(), from: None, to: to.map(str::to_owned), reason: reason() };
    let mode = |to| Event::OutageModeChanged { site: site(), from: "degraded", to, reason: reason() };
    let resolve_failed =
        |kept| Event::ResolveFailed { site: site(), origin: site(), host: site(), reason: reason(), kept };
    let certificate = |left| Event::OriginCertificateExpiring {
        site: site(),
        origin: site(),
        address: SocketAddr::from(([203, 0, 113, 7], 443)),
        not_after: not_after(),
        left,
    };
    for (event, severity) in [
        (failed_over(Some("b")), Severity::Notice),
        (failed_over(None), Severity::Alert),
        (mode("recovering"), Severity::Notice),
        (mode("stale-only"), Severity::Alert),
        (resolve_failed(2), Severity::Notice),
        (resolve_failed(0), Severity::Alert),
        (certificate(DAY), Severity::Alert),
        (certificate(2 * DAY), Severity::Notice),
        (Event::DrainFinished { in_flight: 0 }, Severity::Info),
        (Event::DrainFinished { in_flight: 3 }, Severity::Notice),
    ] {
        assert_eq!(event.severity(), severity, "{event:?}");
    }
}

#[test]
fn numbers_agree_with_their_nouns() {
    assert_eq!(Event::AccessLogDropped { lines: 1 }.sentence(), "the access log lost 1 line");
    assert_eq!(Event::AccessLogDropped { lines: 2 }.sentence(), "the access log lost 2 lines");
    let event = Event::ResolveFailed { site: site(), origin: site(), host: site(), reason: reason(), kept: 2 };
    assert!(event.sentence().ends_with("; 2 last good addresses in use"), "{}", event.sentence());
}

#[test]
fn a_shortage_of_memory_names_the_limit_that_is_near() {
    for (cgroup, sentence) in [
        (None, "memory is short by 9 MiB: 351 MiB in RAM of 359 MiB for a bound of 256 MiB; nobody else is let in"),
        (
            Some("/sys/fs/cgroup"),
            "memory is short by 9 MiB: 351 MiB used of 359 MiB, memory.max of cgroup /sys/fs/cgroup; nobody else is let in",
        ),
    ] {
        assert_eq!(memory_short(cgroup).sentence(), sentence);
    }
}

#[test]
fn what_is_left_is_told_in_days_and_at_last_in_hours() {
    for (seconds, told) in [(14 * 86_400, "14 days"), (1_209_599, "14 days"), (86_400, "24 hours"), (1, "1 hour")] {
        assert_eq!(rounded(Duration::from_secs(seconds)), told);
    }
}

#[test]
fn the_reference_page_lists_every_event() {
    let mut page = String::from(PAGE_HEAD);
    for event in examples() {
        let fields = event.fields();
        let fields: Vec<String> = fields.keys().map(|field| format!("`{field}`")).collect();
        let fields = if fields.is_empty() { "–".to_owned() } else { fields.join(", ") };
        let (name, severity, sentence) = (event.name(), event.severity().as_str(), event.sentence());
        assert!(writeln!(page, "| `{name}` | {severity} | {fields} | {sentence} |").is_ok());
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md");
    if std::env::var_os("HOLDOVER_BLESS").is_some() {
        assert!(std::fs::write(path, &page).is_ok(), "cannot write {path}");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/events.md is not what Event says; HOLDOVER_BLESS=1 rewrites it");
}

const PAGE_HEAD: &str = "\
# Events

Every state change is one JSON line in the event log (`log.events`), one count in `holdover_events_total{event}`, and one
line of the timeline that `holdover demo` prints. Each line holds `time` (RFC 3339, UTC), `severity`, `event`, `message`
(the sentence) and the fields below. Names such as `site` and `origin` are those of the configuration.

`info` explains what comes later; `notice` wants a look within the day; `alert` means that users notice, or will soon. An
event whose severity depends on its fields is shown with that of its example.

This page is written by a test from `src/telemetry/event.rs`.

| event | severity | fields | for example |
|---|---|---|---|
";

fn examples() -> Vec<Event> {
    std::iter::successors(Some(first_example()), next_example).collect()
}

/// Each variant yields the example of the next one, so that a variant without an example does not compile.
fn next_example(event: &Event) -> Option<Event> {
    Some(match event {
        Event::AcceptFailed { .. } => Event::AccessLogDropped { lines: 120 },
        Event::AccessLogDropped { .. } => Event::AddressesChanged {
            site: site(),
            origin: "frankfurt".to_owned(),
            host: "origin.example.net".to_owned(),
            added: vec![SocketAddr::from(([203, 0, 113, 7], 443))],
            removed: vec![SocketAddr::from(([203, 0, 113, 5], 443))],
            ttl: Duration::from_secs(30),
        },
        Event::AddressesChanged { .. } => Event::AddressesRefused {
            site: site(),
            origin: "frankfurt".to_owned(),
            host: "origin.example.net".to_owned(),
            refused: "169.254.169.254 (link-local)".to_owned(),
        },
        Event::AddressesRefused { .. } => Event::AddressesRemembered {
            site: site(),
            origin: "frankfurt".to_owned(),
            host: "origin.example.net".to_owned(),
            addresses: vec![SocketAddr::from(([203, 0, 113, 7], 443))],
            age: Duration::from_secs(4_711),
        },
        Event::AddressesRemembered { .. } => Event::CertificateLoaded {
            names: vec!["www.example.org".to_owned(), "example.org".to_owned()],
            source: "/etc/holdover/example.org.pem".to_owned(),
        },
        Event::CertificateLoaded { .. } => Event::DrainFinished { in_flight: 0 },
        Event::DrainFinished { .. } => Event::DrainStarted { reason: "SIGTERM".to_owned() },
        Event::DrainStarted { .. } => Event::EndpointChanged {
            site: site(),
            origin: "frankfurt".to_owned(),
            address: SocketAddr::from(([203, 0, 113, 7], 443)),
            from: "suspect",
            to: "ejected",
            reason: "3 probes failed in a row, the last one with: connection refused".to_owned(),
        },
        Event::EndpointChanged { .. } => Event::FailedOver {
            site: site(),
            from: Some("frankfurt".to_owned()),
            to: Some("paris".to_owned()),
            reason: "frankfurt has no healthy address".to_owned(),
        },
        Event::FailedOver { .. } => Event::LameDuckBegan {
            site: site(),
            origin: "frankfurt".to_owned(),
            address: SocketAddr::from(([203, 0, 113, 7], 443)),
            said: "x-health: drain".to_owned(),
        },
        Event::LameDuckBegan { .. } => Event::LameDuckEnded {
            site: site(),
            origin: "frankfurt".to_owned(),
            address: SocketAddr::from(([203, 0, 113, 7], 443)),
        },
        Event::LameDuckEnded { .. } => {
            Event::Listening { protocol: "https", address: SocketAddr::from(([0, 0, 0, 0], 8443)) }
        }
        Event::Listening { .. } => memory_short(Some("/sys/fs/cgroup")),
        Event::MemoryShort { .. } => Event::MemorySuffices { short: Duration::from_secs(12), refused: 1204 },
        Event::MemorySuffices { .. } => {
            Event::NodeStarted { version: "0.1.0".to_owned(), region: "eu".to_owned(), sites: 2 }
        }
        Event::NodeStarted { .. } => Event::NodeStopped,
        Event::NodeStopped => Event::OrderRemembered { site: site(), origin: "frankfurt".to_owned(), duty: "drained" },
        Event::OrderRemembered { .. } => Event::OriginCertificateExpired {
            site: site(),
            origin: "frankfurt".to_owned(),
            address: SocketAddr::from(([203, 0, 113, 7], 443)),
            not_after: not_after(),
        },
        Event::OriginCertificateExpired { .. } => Event::OriginCertificateExpiring {
            site: site(),
            origin: "frankfurt".to_owned(),
            address: SocketAddr::from(([203, 0, 113, 7], 443)),
            not_after: not_after(),
            left: 14 * DAY,
        },
        Event::OriginCertificateExpiring { .. } => Event::OriginChanged {
            site: site(),
            origin: "frankfurt".to_owned(),
            rank: 1,
            from: "out",
            to: "returning",
            reason: "5 good probes in a row".to_owned(),
        },
        Event::OriginChanged { .. } => Event::OriginOrdered {
            site: site(),
            origin: "frankfurt".to_owned(),
            order: "drain",
            by: "192.0.2.7, on the admin listener".to_owned(),
        },
        Event::OriginOrdered { .. } => {
            Event::OriginRamped { site: site(), origin: "frankfurt".to_owned(), percent: 10 }
        }
        Event::OriginRamped { .. } => {
            Event::OutageModeChanged { site: site(), from: "degraded", to: "stale-only", reason: reason() }
        }
        Event::OutageModeChanged { .. } => Event::Purged {
            sequence: 7,
            mode: "soft",
            selectors: vec!["tag shoes".to_owned(), "host www.example.org".to_owned()],
            responses: 1204,
            by: "admin".to_owned(),
        },
        Event::Purged { .. } => Event::RequestPanicked { site: site(), message: "index out of bounds".to_owned() },
        Event::RequestPanicked { .. } => Event::ResolveFailed {
            site: site(),
            origin: "frankfurt".to_owned(),
            host: "origin.example.net".to_owned(),
            reason: "SERVFAIL".to_owned(),
            kept: 1,
        },
        Event::ResolveFailed { .. } => Event::ResponsesTakenBack {
            site: site(),
            origin: "frankfurt".to_owned(),
            address: SocketAddr::from(([203, 0, 113, 7], 443)),
            responses: 1204,
            since: Duration::from_secs(2),
            reason: "status 500".to_owned(),
        },
        Event::ResponsesTakenBack { .. } => Event::StateIgnored {
            what: "/var/lib/holdover/origins.json".to_owned(),
            reason: "it is of version 2, and this program reads version 1".to_owned(),
        },
        Event::StateIgnored { .. } => Event::StateNotSaved {
            path: "/var/lib/holdover/origins.json".into(),
            reason: "Read-only file system (os error 30)".to_owned(),
        },
        Event::StateNotSaved { .. } => return None,
    })
}

fn first_example() -> Event {
    Event::AcceptFailed { address: SocketAddr::from(([0, 0, 0, 0], 8443)), reason: "too many open files".to_owned() }
}

fn memory_short(cgroup: Option<&str>) -> Event {
    Event::MemoryShort {
        cgroup: cgroup.map(PathBuf::from),
        limit_file: cgroup.map(|_| "memory.max"),
        used_bytes: 351 << 20,
        limit_bytes: 359 << 20,
        missing_bytes: 9 << 20,
        resident_bytes: if cgroup.is_some() { 312 << 20 } else { 351 << 20 },
        bound_bytes: 256 << 20,
    }
}

fn site() -> String {
    "shop".to_owned()
}

fn not_after() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn reason() -> String {
    "no origin answers its probes".to_owned()
}
