//! Who is warned of what, and how often.

use super::*;
use crate::clock::Clock;

/// Warnings of a certificate with this lifetime that is seen first with `left` days left, by the hours left.
#[track_caller]
fn check(lifetime_days: Option<u64>, left_days: u64, expected: &[u64]) {
    let start = Clock::new().now();
    let mut expiry = Expiry::default();
    expiry.on_shown(address(1), b"a", || validity(lifetime_days, left_days * 24, start), start);
    let mut told = hours(expiry.tick(start.monotonic));
    for _ in 0..20 {
        let Some(due) = expiry.due() else { break };
        told.extend(hours(expiry.tick(due)));
    }
    assert_eq!(told, expected, "{left_days} days left of {lifetime_days:?}");
}

#[test]
fn long_lived_certificates_are_warned_of_by_days() {
    check(Some(397), 300, &[30 * 24, 14 * 24, 7 * 24, 24, 0]);
    check(None, 300, &[30 * 24, 14 * 24, 7 * 24, 24, 0]);
    check(Some(397), 10, &[10 * 24, 7 * 24, 24, 0]);
}

#[test]
fn what_is_found_late_is_told_once() {
    check(Some(397), 30, &[30 * 24, 14 * 24, 7 * 24, 24, 0]);
    check(Some(397), 1, &[24, 0]);
    check(Some(397), 0, &[0]);
}

#[test]
fn short_lived_certificates_are_warned_of_by_parts_of_their_lifetime() {
    check(Some(90), 90, &[540, 14 * 24, 7 * 24, 24, 0]);
    check(Some(47), 47, &[282, 188, 112, 24, 0]);
    check(Some(6), 6, &[36, 24, 14, 4, 0]);
}

#[test]
fn whoever_renews_with_a_third_left_hears_nothing() {
    for days in [1, 6, 30, 47, 90, 397] {
        let start = Clock::new().now();
        let mut expiry = Expiry::default();
        expiry.on_shown(address(1), b"a", || validity(Some(days), days * 8, start), start);
        assert_eq!(expiry.tick(start.monotonic), [], "{days} days");
    }
}

#[test]
fn a_certificate_of_many_addresses_is_told_of_once() {
    let start = Clock::new().now();
    let mut expiry = Expiry::default();
    for host in 1..=16 {
        expiry.on_shown(address(host), b"a", || validity(Some(90), 24, start), start);
    }
    assert_eq!(hours(expiry.tick(start.monotonic)), [24]);
    expiry.forget(&[address(1)]);
    expiry.on_shown(address(1), b"a", || unreachable!("it is known"), start);
    assert_eq!(expiry.tick(start.monotonic), []);
}

#[test]
fn a_renewed_certificate_is_another_and_the_old_one_is_no_more_spoken_of() {
    let start = Clock::new().now();
    let mut expiry = Expiry::default();
    expiry.on_shown(address(1), b"old", || validity(Some(90), 240, start), start);
    assert_eq!(hours(expiry.tick(start.monotonic)), [240]);
    expiry.on_shown(address(1), b"new", || validity(Some(90), 90 * 24, start), start);
    let month_later = start.monotonic + 30 * DAY;
    assert_eq!(expiry.tick(month_later), []);
    assert_eq!(expiry.of(address(1), month_later).map(|(_, left)| left), Some(60 * DAY));
    // One address of two has been forgotten by whoever renews.
    expiry.on_shown(address(2), b"old", || unreachable!("it is known"), start);
    assert_eq!(expiry.first(), Some(start.wall + 10 * DAY));
    assert_eq!(hours(expiry.tick(month_later)), [0]);
}

#[test]
fn a_certificate_is_examined_when_it_is_new_and_once_a_day() {
    let start = Clock::new().now();
    let mut expiry = Expiry::default();
    let mut examined = 0;
    for hour in 0..49 {
        let now = later(start, hour);
        let examine = || {
            examined += 1;
            validity(Some(90), 90 * 24, start)
        };
        expiry.on_shown(address(1), b"a", examine, now);
    }
    assert_eq!(examined, 3);
}

#[test]
fn the_same_leaf_with_a_chain_that_ends_earlier_is_told_of_anew() {
    let start = Clock::new().now();
    let mut expiry = Expiry::default();
    expiry.on_shown(address(1), b"a", || validity(Some(397), 600, start), start);
    assert_eq!(hours(expiry.tick(start.monotonic)), [600]);
    let now = later(start, 24);
    expiry.on_shown(address(1), b"a", || validity(Some(397), 500, now), now);
    assert_eq!(hours(expiry.tick(now.monotonic)), [500]);
}

#[test]
fn an_end_that_is_not_known_is_not_spoken_of() {
    let start = Clock::new().now();
    let mut expiry = Expiry::default();
    expiry.on_shown(address(1), b"a", Validity::default, start);
    assert_eq!(expiry.tick(start.monotonic), []);
    assert_eq!((expiry.due(), expiry.first(), expiry.of(address(1), start.monotonic)), (None, None, None));
}

#[test]
fn only_so_many_certificates_are_known() {
    let start = Clock::new().now();
    let mut expiry = Expiry::default();
    for number in 0..100_u8 {
        expiry.on_shown(address(number % 16), &[number], || validity(Some(90), 24, start), start);
        assert!(expiry.known.len() <= KNOWN_MAX);
    }
    for number in 84..100_u8 {
        assert!(expiry.of(address(number % 16), start.monotonic).is_some());
    }
}

fn validity(lifetime_days: Option<u64>, left_hours: u64, now: Now) -> Validity {
    let end = now.wall + Duration::from_secs(left_hours * 3_600);
    let begin = lifetime_days.map(|days| end - Duration::from_secs(days * 86_400));
    Validity { not_before: begin, not_after: Some(end) }
}

fn later(now: Now, hours: u64) -> Now {
    let passed = Duration::from_secs(hours * 3_600);
    Now { monotonic: now.monotonic + passed, wall: now.wall + passed }
}

fn hours(warnings: Vec<Warning>) -> Vec<u64> {
    warnings.into_iter().map(|warning| warning.left.as_secs() / 3_600).collect()
}

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 443))
}
