//! Sequences of lookups and the addresses they leave.

use std::net::Ipv4Addr;

use super::*;
use crate::clock::Clock;

/// One step: seconds since the last one, the lookup, and the last octets of the addresses in use after it.
type Step<'a> = (u64, Lookup, &'a [u8]);

/// `alive` are the last octets of addresses that pass their probes.
#[track_caller]
fn check(alive: &[u8], steps: &[Step<'_>]) {
    let mut now = Clock::new().now().monotonic;
    let mut answers = Answers::new("origin.example", Some(PORT), now);
    for (seconds, lookup, expected) in steps {
        now += Duration::from_secs(*seconds);
        let before = answers.places().to_vec();
        let alive = |candidate: SocketAddr| alive.iter().any(|octet| address(*octet) == candidate.ip());
        let change = answers.on(lookup.clone(), alive, &POLICY, 1.0, now);
        let expected: Vec<Place> = expected.iter().copied().map(place).collect();
        assert_eq!(answers.places(), expected, "{lookup:?} in {steps:?}");
        assert_eq!(change.added, missing_from(&before, &expected));
        assert_eq!(change.removed, missing_from(&expected, &before));
        let good = matches!(lookup, Lookup::Found { addresses, .. } if addresses.iter().any(|a| !a.is_unspecified()));
        assert_eq!(change.failure.is_none(), good, "{lookup:?}");
    }
}

#[track_caller]
fn check_interval(lookups: &[Lookup], random: f64, expected_milliseconds: u64) {
    let now = Clock::new().now().monotonic;
    let mut answers = Answers::new("origin.example", Some(PORT), now);
    assert_eq!(answers.due(), Some(now), "a name is looked up at once");
    for lookup in lookups {
        answers.on(lookup.clone(), |_| true, &POLICY, random, now);
    }
    assert_eq!(answers.due(), Some(now + Duration::from_millis(expected_milliseconds)), "{lookups:?}");
}

#[test]
fn a_good_answer_replaces_the_last_one() {
    check(&[], &[(0, found(&[2, 1, 2]), &[1, 2]), (1, found(&[3, 2]), &[2, 3]), (1, found(&[4]), &[4])]);
}

#[test]
fn addresses_of_a_family_whose_lookup_failed_are_kept() {
    let now = Clock::new().now().monotonic;
    let v6 = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
    let mut answers = Answers::new("origin.example", Some(PORT), now);
    let mut addresses_after = |addresses: &[IpAddr], whole| {
        let lookup = Lookup::Found { addresses: addresses.to_vec(), ttl: Duration::from_secs(60), whole };
        answers.on(lookup, |_| false, &POLICY, 1.0, now);
        answers.places().iter().map(|place| place.address.ip()).collect::<Vec<_>>()
    };
    assert_eq!(addresses_after(&[address(1), v6(1)], true), [address(1), v6(1)]);
    assert_eq!(addresses_after(&[address(2)], false), [v6(1), address(2)]);
    assert_eq!(addresses_after(&[v6(2)], false), [address(2), v6(2)]);
    assert_eq!(addresses_after(&[address(2)], true), [address(2)], "a family that has no addresses has none");
}

#[test]
fn the_last_good_answer_outlives_failures_and_empty_answers() {
    check(
        &[],
        &[
            (0, found(&[1, 2]), &[1, 2]),
            (1, failed(), &[1, 2]),
            (1, Lookup::Empty, &[1, 2]),
            (9_999, Lookup::Empty, &[1, 2]),
            (999_999, failed(), &[1, 2]),
            (1, found(&[]), &[1, 2]),
            (1, found(&[0]), &[1, 2]),
        ],
    );
}

#[test]
fn a_name_that_never_resolved_has_no_addresses() {
    check(&[], &[(0, failed(), &[]), (1, Lookup::NoSuchName, &[]), (60, Lookup::Empty, &[]), (1, found(&[1]), &[1])]);
}

#[test]
fn denial_counts_after_three_times_and_thirty_seconds() {
    let start = (0, found(&[1, 2]), &[1, 2][..]);
    check(&[2], &[start.clone(), denied(0, &[1, 2]), denied(1, &[1, 2]), denied(2, &[1, 2])]);
    check(&[2], &[start.clone(), denied(0, &[1, 2]), denied(40, &[1, 2]), denied(1, &[2])]);
    check(&[2], &[start.clone(), denied(0, &[1, 2]), denied(15, &[1, 2]), denied(15, &[2])]);
    check(&[2], &[start, denied(0, &[1, 2]), denied(20, &[1, 2]), (1, found(&[1, 2]), &[1, 2]), denied(20, &[1, 2])]);
}

#[test]
fn denial_removes_neither_living_addresses_nor_the_last_ones() {
    let start = (0, found(&[1, 2]), &[1, 2][..]);
    check(&[1, 2], &[start.clone(), denied(30, &[1, 2]), denied(30, &[1, 2]), denied(30, &[1, 2])]);
    check(&[], &[start, denied(30, &[1, 2]), denied(30, &[1, 2]), denied(30, &[1, 2])]);
}

#[test]
fn at_most_sixteen_addresses_and_those_in_use_stay() {
    let many: Vec<u8> = (1..=60).collect();
    let first: Vec<u8> = (1..=16).collect();
    check(&[], &[(0, found(&many), &first), (1, found(&many.iter().rev().copied().collect::<Vec<_>>()), &first)]);
    let kept: Vec<u8> = [50, 60].into_iter().chain(1..=14).collect();
    check(&[], &[(0, found(&[60, 50]), &[50, 60]), (1, found(&many), &kept)]);
}

#[test]
fn the_ttl_is_clamped_and_jittered() {
    let found =
        |seconds| [Lookup::Found { addresses: vec![address(1)], ttl: Duration::from_secs(seconds), whole: true }];
    check_interval(&found(60), 1.0, 60_000);
    check_interval(&found(60), 0.0, 48_000);
    check_interval(&found(0), 1.0, 5_000);
    check_interval(&found(u64::from(u32::MAX)), 1.0, 3_600_000);
}

#[test]
fn failures_are_retried_ever_later_up_to_thirty_seconds() {
    for (times, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (60, 30)] {
        check_interval(&vec![failed(); times], 1.0, seconds * 1_000);
    }
    check_interval(&[failed(), failed(), found(&[1]), failed()], 1.0, 1_000);
}

#[test]
fn an_ip_literal_needs_no_dns() {
    let now = Clock::new().now().monotonic;
    for literal in ["192.0.2.1", "2001:db8::1"] {
        let mut answers = Answers::new(literal, Some(PORT), now);
        answers.hasten(now);
        let ip = literal.parse::<IpAddr>().expect("a literal");
        assert_eq!(answers.places(), [Place::plain(SocketAddr::new(ip, PORT))]);
        assert_eq!(answers.due(), None);
        assert!(!answers.pending());
    }
}

#[test]
fn one_lookup_at_a_time_unless_it_is_lost() {
    let now = Clock::new().now().monotonic;
    let mut answers = Answers::new("origin.example", Some(PORT), now);
    assert!(answers.pending());
    answers.begin(now);
    answers.hasten(now);
    assert_eq!(answers.due(), Some(now + LOST));
}

#[test]
fn trouble_brings_the_next_lookup_forward_within_bounds() {
    let now = Clock::new().now().monotonic;
    let mut answers = Answers::new("origin.example", Some(PORT), now);
    answers.on(found(&[1]), |_| true, &POLICY, 1.0, now);
    answers.hasten(now + Duration::from_secs(1));
    assert_eq!(answers.due(), Some(now + HASTE));
    answers.on(found(&[1]), |_| true, &POLICY, 1.0, now);
    answers.hasten(now + Duration::from_secs(7));
    assert_eq!(answers.due(), Some(now + Duration::from_secs(7)));
}

#[test]
fn refused_addresses_are_told_of_once_and_alone_are_a_failure() {
    let now = Clock::new().now().monotonic;
    let mut answers = Answers::new("origin.example", Some(PORT), now);
    let mut on = |octets: &[u8]| {
        let change = answers.on(found(octets), |_| true, &POLICY, 1.0, now);
        (change.refused, change.failure, answers.places().len())
    };
    let zero = "0.0.0.0 (unspecified)";
    assert_eq!(on(&[1, 0]), (Some(zero.to_owned()), None, 1));
    assert_eq!(on(&[1, 0]), (None, None, 1), "the same again is no news");
    assert_eq!(on(&[0]), (None, Some(format!("no address of the answer is used: {zero}")), 1));
    assert_eq!(on(&[1]), (None, None, 1));
    assert_eq!(on(&[1, 0]), (Some(zero.to_owned()), None, 1));
    assert_eq!(on(&[]), (None, Some("the answer has no address".to_owned()), 1));
}

#[test]
fn many_refused_addresses_are_not_all_named() {
    let now = Clock::new().now().monotonic;
    let mut answers = Answers::new("origin.example", Some(PORT), now);
    let addresses = (1..=60).map(|octet| IpAddr::from([127, 0, 0, octet])).chain([address(1)]).collect();
    let lookup = Lookup::Found { addresses, ttl: Duration::from_secs(60), whole: true };
    let refused = answers.on(lookup, |_| true, &POLICY, 1.0, now).refused.unwrap_or_default();
    assert!(refused.starts_with("127.0.0.1 (loopback), ") && refused.ends_with(", and 56 more"), "{refused}");
    assert_eq!(answers.places(), [place(1)]);
}

/// A lookup, the places after it, and whether some that stayed have another order.
type ServiceStep<'a> = (Lookup, &'a [(u8, u16, u32)], bool);

#[track_caller]
fn check_services(alive: &[u8], steps: &[ServiceStep<'_>]) {
    let mut now = Clock::new().now().monotonic;
    let mut answers = Answers::new("_https._tcp.example", None, now);
    for (lookup, expected, reordered) in steps {
        now += Duration::from_secs(30);
        let alive = |candidate: SocketAddr| alive.iter().any(|octet| address(*octet) == candidate.ip());
        let change = answers.on(lookup.clone(), alive, &POLICY, 1.0, now);
        let expected: Vec<Place> = expected.iter().copied().map(service).collect();
        assert_eq!((answers.places(), change.reordered), (&*expected, *reordered), "{lookup:?}");
    }
}

#[test]
fn services_come_with_ports_priorities_and_weights() {
    check_services(
        &[],
        &[
            (located(&[(2, 10, 5), (1, 0, 5), (3, 0, 7)], true), &[(1, 0, 5), (3, 0, 7), (2, 10, 5)], false),
            (located(&[(2, 10, 5), (1, 0, 5), (3, 0, 9)], true), &[(1, 0, 5), (3, 0, 9), (2, 10, 5)], true),
            (located(&[(2, 0, 5), (4, 10, 5)], true), &[(2, 0, 5), (4, 10, 5)], true),
            (located(&[], true), &[(2, 0, 5), (4, 10, 5)], false),
        ],
    );
}

#[test]
fn a_target_that_could_not_be_looked_up_takes_no_address_away() {
    check_services(
        &[],
        &[
            (located(&[(1, 0, 5), (2, 10, 5)], true), &[(1, 0, 5), (2, 10, 5)], false),
            (located(&[(1, 3, 6)], false), &[(1, 3, 6), (2, 10, 5)], true),
            (located(&[(1, 3, 6)], true), &[(1, 3, 6)], false),
        ],
    );
}

#[test]
fn a_service_not_offered_is_a_denial() {
    let steady = &[(1, 0, 5), (2, 0, 5)][..];
    check_services(
        &[2],
        &[
            (located(steady, true), steady, false),
            (Lookup::NotOffered, steady, false),
            (Lookup::NotOffered, steady, false),
            (Lookup::NotOffered, &[(2, 0, 5)], false),
            (Lookup::NotOffered, &[(2, 0, 5)], false),
        ],
    );
}

#[test]
fn services_of_the_lowest_priorities_are_kept_of_many() {
    let many: Vec<_> = (1..=60).map(|octet| (octet, u16::from(100 - octet), 1)).collect();
    let kept: Vec<_> = (45..=60).rev().map(|octet| (octet, u16::from(100 - octet), 1)).collect();
    check_services(&[], &[(located(&many, true), &kept, false)]);
}

#[test]
fn what_is_remembered_of_a_name_has_the_port_of_the_configuration() {
    let now = Clock::new().now().monotonic;
    let mut name = Answers::new("origin.example", Some(8443), now);
    name.remember(vec![service((1, 7, 7))], Duration::ZERO, &POLICY, now);
    assert_eq!(name.places(), [Place::plain(SocketAddr::new(address(1), 8443))]);
    let mut services = Answers::new("_https._tcp.example", None, now);
    services.remember(vec![service((1, 7, 7))], Duration::ZERO, &POLICY, now);
    assert_eq!(services.places(), [service((1, 7, 7))]);
}

#[test]
fn what_is_remembered_is_a_good_answer_of_its_age_until_the_next_one() {
    let now = Clock::new().now().monotonic;
    let (hour, minute) = (Duration::from_secs(3_600), Duration::from_secs(60));
    let mut answers = Answers::new("origin.example", Some(PORT), now);
    answers.remember(vec![place(1), place(2)], hour, &POLICY, now);
    assert_eq!(answers.due(), Some(now), "the name is looked up at once all the same");
    assert_eq!((answers.pending(), answers.is_remembered()), (false, true));
    let change = answers.on(failed(), |_| false, &POLICY, 1.0, now + minute);
    assert_eq!((change.added, change.removed), (Vec::new(), Vec::new()));
    assert_eq!(answers.places(), [place(1), place(2)]);
    assert_eq!((answers.age(now + minute), answers.is_remembered()), (Some(hour + minute), true));
    answers.remember(vec![place(9)], hour, &POLICY, now);
    assert_eq!(answers.places(), [place(1), place(2)], "what is known is known better");
    let change = answers.on(found(&[2, 3]), |_| true, &POLICY, 1.0, now + minute);
    assert_eq!((change.added, change.removed), (vec![place(3).address], vec![place(1).address]));
    assert_eq!((answers.age(now + 2 * minute), answers.is_remembered()), (Some(minute), false));
}

#[test]
fn nothing_usable_and_nothing_for_a_literal_is_remembered() {
    let now = Clock::new().now().monotonic;
    let mut answers = Answers::new("origin.example", Some(PORT), now);
    answers.remember(vec![place(0)], Duration::ZERO, &POLICY, now);
    assert!(answers.pending() && answers.age(now).is_none());
    let mut literal = Answers::new("192.0.2.1", Some(PORT), now);
    literal.remember(vec![place(2)], Duration::ZERO, &POLICY, now);
    assert_eq!(literal.places(), [place(1)]);
}

fn found(octets: &[u8]) -> Lookup {
    let addresses = octets.iter().copied().map(address).collect();
    Lookup::Found { addresses, ttl: Duration::from_secs(60), whole: true }
}

fn denied(seconds: u64, kept: &[u8]) -> Step<'_> {
    (seconds, Lookup::NoSuchName, kept)
}

fn failed() -> Lookup {
    Lookup::Failed("timeout".to_owned())
}

/// 0 stands for the unspecified address.
fn address(octet: u8) -> IpAddr {
    if octet == 0 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv4Addr::new(192, 0, 2, octet).into() }
}

fn place(octet: u8) -> Place {
    Place::plain(SocketAddr::new(address(octet), PORT))
}

fn located(services: &[(u8, u16, u32)], whole: bool) -> Lookup {
    let places = services.iter().copied().map(service).collect();
    Lookup::Located { places, ttl: Duration::from_secs(60), whole }
}

/// Last octet, priority, weight.
fn service((octet, priority, weight): (u8, u16, u32)) -> Place {
    Place { address: SocketAddr::new(address(octet), PORT), priority, weight }
}

const PORT: u16 = 443;

const POLICY: GuardPolicy = GuardPolicy {
    ttl_min: Duration::from_secs(5),
    ttl_max: Duration::from_secs(3_600),
    refusals: RefusalPolicy { allow: Vec::new(), listening: Vec::new() },
};
