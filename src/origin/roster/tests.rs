//! Stories of whole outages.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::lab::{Fault, Lab, NameServer, address, seconds, tell};
use super::*;
use crate::clock::Clock;
use crate::config::model::FailbackMode;
use crate::origin::health::endpoint::HealthState;
use crate::origin::health::outage::OutageMode;

#[test]
fn a_dead_first_origin_is_left_with_reasons_in_order() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |_| {});
    lab.run(seconds(5));
    lab.events.clear();
    lab.break_origin(0, Fault::Dead);
    lab.run(seconds(3));
    assert_eq!(
        lab.told(),
        [
            "a healthy>suspect request failed: refused",
            "a suspect>ejected 3 requests failed in a row, the last: refused",
            "a in>out 10.0.0.1:443 was ejected: 3 requests failed in a row, the last: refused",
            "failed over a>b a is out: 10.0.0.1:443 was ejected: 3 requests failed in a row, the last: refused",
            "site normal>degraded a preferred origin does not stand in",
        ]
    );
    assert_eq!(lab.failed_requests, 0);
}

#[test]
fn the_first_origin_comes_back_by_itself() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |_| {});
    lab.run(seconds(5));
    lab.break_origin(0, Fault::Dead);
    lab.run(seconds(10));
    lab.heal();
    lab.events.clear();
    lab.run(seconds(25));
    assert_eq!(
        lab.told(),
        [
            "a ejected>probation 1 probe passed in a row",
            "a out>returning an endpoint is usable",
            "a probation>healthy 2 probes passed in a row",
            "a returning>in 11 probes passed in a row and its hold-down is over",
            "a takes 1 %",
            "failed over b>a a is in: 11 probes passed in a row and its hold-down is over",
            "site degraded>normal every origin stands in",
        ]
    );
    assert_eq!(lab.failed_requests, 0);
}

#[test]
fn an_origin_that_was_slow_before_it_failed_comes_back_by_its_probes_alone() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |_| {});
    lab.run(seconds(5));
    lab.break_origin(0, Fault::Slow);
    lab.run(seconds(2));
    assert!(lab.told().iter().any(|told| told.starts_with("a in>slow")), "{:?}", lab.told());
    lab.break_origin(0, Fault::Dead);
    lab.run(seconds(30));
    lab.heal();
    lab.events.clear();
    lab.run(seconds(25));
    let told = lab.told();
    assert!(told.iter().any(|told| told.starts_with("failed over b>a a is in: ")), "{told:?}");
    assert!(!told.iter().any(|told| told.contains("slow")), "{told:?}");
}

#[test]
fn with_every_origin_gone_the_site_serves_stale_and_finds_the_recovery() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |_| {});
    lab.run(seconds(5));
    lab.break_origin(0, Fault::Dead);
    lab.break_origin(1, Fault::Dead);
    lab.run(seconds(20));
    assert_eq!(lab.roster.view().mode, OutageMode::StaleOnly);
    assert_eq!(lab.roster.view().preferred, None);
    assert_eq!(lab.candidates(None).len(), 2, "a trickle has somebody to ask");
    lab.heal();
    lab.run(seconds(1));
    assert_eq!(lab.roster.view().mode, OutageMode::Recovering, "probes hurry in the dark");
    lab.run(seconds(5));
    assert_eq!(lab.roster.view().mode, OutageMode::Degraded);
    lab.run(seconds(30));
    assert_eq!(lab.roster.view().mode, OutageMode::Normal);
}

#[test]
fn after_an_outage_of_all_the_preference_only_climbs() {
    for seed in 1..=50 {
        let mut lab = Lab::new(seed, &["a:1:1", "b:2:1", "c:3:1"], |_| {});
        lab.run(seconds(5));
        for (origin, time) in [(0, 4), (1, 4), (2, 60)] {
            lab.break_origin(origin, Fault::Dead);
            lab.run(seconds(time));
        }
        lab.events.clear();
        lab.heal();
        lab.run(seconds(150));
        let told = lab.told();
        let switches: Vec<&str> = told
            .iter()
            .filter_map(|line| line.strip_prefix("failed over ")?.split(' ').next()?.split('>').nth(1))
            .collect();
        assert!(switches.is_sorted_by(|earlier, later| earlier > later), "seed {seed}: {switches:?}");
        assert_eq!(lab.roster.view().preferred, Some(0), "seed {seed}");
        assert_eq!(lab.candidates(None)[0].origin, 0, "seed {seed}");
    }
}

#[test]
fn a_name_that_does_not_resolve_at_start_is_an_unusable_origin() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |_| {});
    lab.world.origins[0].dns = NameServer::Silent;
    assert_eq!(lab.roster.view().mode, OutageMode::Normal, "nothing is known against it yet");
    lab.run(seconds(2));
    let view = lab.roster.view();
    assert_eq!((view.mode, view.preferred), (OutageMode::Degraded, Some(1)));
    assert_eq!(view.origins[0].standing, Standing::Out);
    lab.heal();
    lab.run(seconds(40));
    let view = lab.roster.view();
    assert_eq!((view.mode, view.preferred), (OutageMode::Normal, Some(0)));
}

#[test]
fn a_silent_name_server_changes_nothing_and_is_told_once() {
    let mut lab = Lab::new(1, &["a:1:2"], |_| {});
    lab.run(seconds(5));
    let before = lab.roster.view();
    lab.events.clear();
    lab.world.origins[0].dns = NameServer::Silent;
    lab.run(seconds(900));
    assert_eq!(lab.roster.view(), before);
    assert_eq!(lab.told(), ["a unresolved timeout, 2 kept"]);
}

#[test]
fn health_survives_re_resolution_and_new_addresses_are_on_probation() {
    let mut lab = Lab::new(1, &["a:1:2"], |_| {});
    lab.run(seconds(5));
    let now = lab.now;
    let addresses = vec![address(0, 2).ip(), address(0, 3).ip()];
    let mut out = Vec::new();
    let found = Lookup::Found { addresses, ttl: seconds(60), whole: true };
    lab.roster.on_lookup(0, found, &mut lab.random, now, &mut out);
    let states: Vec<_> =
        lab.roster.view().origins[0].endpoints.iter().map(|known| (known.address, known.state)).collect();
    assert_eq!(states, [(address(0, 2), HealthState::Healthy), (address(0, 3), HealthState::Probation)]);
    lab.roster.on_evidence(0, address(0, 1), Evidence::ProbePassed, now, &mut out);
    assert_eq!(out.iter().map(tell).collect::<Vec<_>>(), ["a addresses +1 -1"], "the old address is forgotten");
}

#[test]
fn an_address_that_dies_brings_the_next_lookup_forward() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |_| {});
    lab.world.ttl = seconds(600);
    lab.run(seconds(10));
    lab.world.origins[0].addresses = vec![address(0, 9)];
    lab.world.faults.insert(address(0, 1), Fault::Dead);
    lab.run(seconds(6));
    let endpoints = lab.roster.view().origins[0].endpoints.clone();
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| (endpoint.address, endpoint.state)).collect();
    assert_eq!(endpoints, [(address(0, 9), HealthState::Healthy)]);
}

#[test]
fn an_address_that_only_fails_again_does_so_too() {
    let mut lab = Lab::new(1, &["a:1:1"], |site| {
        site.probe.enabled = false;
        site.failover.consecutive_failures = 99;
    });
    lab.world.ttl = seconds(600);
    lab.run(seconds(10));
    let fail = |lab: &mut Lab| {
        let failure = Evidence::RequestFailed("refused".to_owned());
        lab.roster.on_evidence(0, address(0, 1), failure, lab.now, &mut Vec::new());
        lab.roster.lookups_due(lab.now)
    };
    assert!(fail(&mut lab).is_empty(), "one failure is an accident");
    assert_eq!(fail(&mut lab), [0], "the name may have moved");
}

#[test]
fn one_probe_is_in_flight_at_a_time_unless_it_is_lost() {
    let mut lab = Lab::new(1, &["a:1:1"], |_| {});
    let mut out = Vec::new();
    let start = lab.now;
    let found = Lookup::Found { addresses: vec![address(0, 1).ip()], ttl: seconds(60), whole: true };
    assert_eq!(lab.roster.lookups_due(start), [0]);
    assert!(lab.roster.lookups_due(start).is_empty());
    lab.roster.on_lookup(0, found, &mut lab.random, start, &mut out);
    assert_eq!(lab.roster.probes_due(&mut lab.random, start), [(0, address(0, 1))]);
    assert_eq!(lab.roster.probes_due(&mut lab.random, start + Duration::from_millis(2_900)), []);
    assert_eq!(lab.roster.due(), Some(start + seconds(3)));
    assert_eq!(lab.roster.probes_due(&mut lab.random, start + seconds(3)), [(0, address(0, 1))]);
}

#[test]
fn without_probes_traffic_and_time_do() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |site| site.probe.enabled = false);
    lab.run(seconds(2));
    lab.break_origin(0, Fault::Dead);
    lab.run(seconds(12));
    assert_eq!(lab.roster.view().preferred, Some(1));
    lab.heal();
    lab.run(seconds(60));
    assert_eq!(lab.roster.view().preferred, Some(0));
    assert_eq!(lab.failed_requests, 0);
}

#[test]
fn an_origin_that_only_fails_traffic_costs_few_requests() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |_| {});
    lab.run(seconds(5));
    lab.break_origin(0, Fault::TrafficOnly);
    lab.run(seconds(25));
    assert_eq!((lab.failed_tries, lab.failed_requests), (3, 0));
    lab.run(seconds(600));
    assert!(lab.failed_tries <= 8, "{} wasted tries", lab.failed_tries);
    assert_eq!(lab.failed_requests, 0);
}

#[test]
fn probes_that_fail_alone_take_the_origin_out() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |_| {});
    lab.run(seconds(5));
    lab.break_origin(0, Fault::ProbeOnly);
    lab.run(seconds(10));
    assert_eq!(lab.roster.view().preferred, Some(1));
}

#[test]
fn an_origin_that_keeps_changing_its_mind_about_going_away_causes_few_switches() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |_| {});
    lab.run(seconds(5));
    for _ in 0..60 {
        lab.break_origin(0, Fault::LameDuck);
        lab.run(seconds(5));
        lab.heal();
        lab.run(seconds(5));
    }
    let returns = lab.switches.iter().filter(|switch| switch.to == Some(0)).count();
    assert!((10..=20).contains(&returns), "{returns} returns in ten minutes");
    lab.run(seconds(31));
    assert_eq!((lab.view.preferred, lab.failed_requests), (Some(0), 0));
}

#[test]
fn an_operator_has_an_origin_back_at_once_that_keeps_going_away() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |_| {});
    lab.run(seconds(5));
    lab.break_origin(0, Fault::LameDuck);
    lab.run(seconds(5));
    lab.heal();
    lab.run(seconds(5));
    assert_eq!(lab.view.preferred, Some(0), "the first time at once");
    lab.break_origin(0, Fault::LameDuck);
    lab.run(seconds(5));
    lab.heal();
    lab.run(seconds(5));
    assert_eq!(lab.view.preferred, Some(1), "and not the second time");
    lab.order(0, Order::Enable);
    assert_eq!(lab.view.preferred, Some(0));
}

#[test]
fn the_only_origin_is_used_again_though_it_says_that_it_is_going_away() {
    let mut lab = Lab::new(1, &["a:1:1"], |_| {});
    lab.run(seconds(5));
    lab.break_origin(0, Fault::Dead);
    lab.run(seconds(20));
    assert_eq!(lab.view.mode, OutageMode::StaleOnly);
    lab.break_origin(0, Fault::LameDuck);
    lab.run(seconds(10));
    assert_eq!((lab.view.mode, lab.view.preferred), (OutageMode::Degraded, Some(0)));
}

#[test]
fn without_probes_an_origin_that_never_answered_comes_back_without_an_operator() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |site| {
        site.failback.mode = FailbackMode::Manual;
        site.probe.enabled = false;
    });
    lab.break_origin(0, Fault::Dead);
    lab.run(seconds(10));
    assert_eq!(lab.view.preferred, Some(1));
    lab.heal();
    lab.run(seconds(120));
    assert_eq!(lab.view.preferred, Some(0));
}

#[test]
fn the_status_says_what_why_and_since_when() {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |_| {});
    lab.run(seconds(5));
    lab.break_origin(0, Fault::ProbeOnly);
    lab.run(seconds(10));
    let status = lab.roster.status(lab.now);
    assert_eq!((status.mode.state, status.preferred.as_deref()), (OutageMode::Degraded, Some("b")));
    let [origin, _] = &status.origins[..] else { panic!("two origins") };
    assert_eq!(origin.standing.state, Standing::Out);
    assert!(origin.standing.reason.contains("3 probes failed in a row, the last: status 500"), "{origin:?}");
    assert!(origin.hold_down_left.is_some_and(|left| left < seconds(30)));
    assert!(origin.answer_age.is_some_and(|age| age <= seconds(15)) && origin.next_lookup.is_some());
    let endpoint = &origin.endpoints[0];
    assert_eq!(endpoint.health.state, HealthState::Ejected);
    assert_eq!(endpoint.health.age, origin.standing.age);
    assert_eq!(endpoint.tally.probe_failure.as_deref(), Some("status 500"));
    assert!(endpoint.last_probe_age.is_some_and(|age| age < seconds(3)) && endpoint.tally.latency.is_some());
}

#[test]
fn orders_of_an_earlier_run_hold_and_what_makes_no_sense_is_left_out_with_a_reason() {
    check_resumed(&[("a", "drained")], &["a is drained"], Some(1));
    check_resumed(&[("a", "disabled"), ("b", "disabled")], &["a is disabled", "b is disabled"], None);
    check_resumed(&[("b", "forced")], &["b is forced"], Some(1));
    check_resumed(&[("b", "drained")], &["b is drained"], Some(0));
    let second = "www: the order about origin b left out: another origin of the site is forced";
    check_resumed(&[("a", "forced"), ("b", "forced")], &["a is forced", second], Some(0));
    let unknown = "www: the order about origin a left out: it says \"burned\", which nobody can order";
    check_resumed(&[("a", "burned")], &[unknown], Some(0));
    check_resumed(&[("c", "drained")], &[], Some(0));
}

/// What a site of `a` and `b` tells of these saved orders, and the origin that it prefers from the start.
#[track_caller]
fn check_resumed(orders: &[(&str, &str)], told: &[&str], preferred: Option<usize>) {
    let mut lab = Lab::new(1, &["a:1:1", "b:2:1"], |_| {});
    let orders: BTreeMap<_, _> = orders.iter().map(|(name, duty)| (name, json!({ "duty": duty }))).collect();
    let text = json!({ "version": 1, "sites": { "www": orders } }).to_string();
    let memory = Memory::decode(text.as_bytes()).expect("a memory");
    let mut events = Vec::new();
    lab.roster.remember(&memory, Clock::new().now(), &mut events);
    let tell = |event: &Event| match event {
        Event::OrderRemembered { origin, duty, .. } => Some(format!("{origin} is {duty}")),
        Event::StateIgnored { what, reason } => Some(format!("{what} left out: {reason}")),
        Event::FailedOver { .. } => Some("a failover before the start".to_owned()),
        _ => None,
    };
    assert_eq!(events.iter().filter_map(tell).collect::<Vec<_>>(), told);
    assert_eq!(lab.roster.view().preferred, preferred, "{told:?}");
}
