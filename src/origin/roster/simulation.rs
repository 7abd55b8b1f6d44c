//! Seeded schedules of everything that can happen to a site's origins, and what must be true of each.
//!
//! While it goes on: no unusable endpoint goes before a usable one, there is always somebody to ask once a name has
//! resolved, what an operator orders is obeyed, and requests do not go to and fro. Afterwards: the first origin is usable
//! and preferred again within a stated time, and has all of its URLs back; and nothing is left of any fault.

use std::time::Duration;

use super::lab::{Fault, Lab, NameServer, Switch, address, seconds};
use super::*;
use crate::config::model::FailbackMode;
use crate::origin::health::endpoint::HealthState;
use crate::origin::health::latency::TRIALS;
use crate::origin::health::outage::OutageMode;
use crate::origin::view::EndpointView;

#[test]
fn whatever_happens_somebody_is_asked_and_it_ends() {
    if let Some(seed) = wish(SEED).and_then(|seed| seed.parse().ok()) {
        return schedule(seed);
    }
    let schedules = if wish("HOLDOVER_TEST_ALL").as_deref() == Some("1") { SCHEDULES } else { SCHEDULES_IN_PASSING };
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || (first..schedules).step_by(threads as usize).for_each(told));
        }
    });
}

#[test]
fn an_origin_that_flaps_every_few_seconds_causes_at_most_one_switch_in_thirty() {
    let returns: usize = (0..10).map(|seed| flap(seed, 7_000)).sum();
    assert!(returns <= 10, "{returns} returns, though it is hardly ever good for long enough");
}

#[test]
fn an_origin_that_flaps_more_slowly_is_held_down_ever_longer() {
    let returns: usize = (0..10).map(|seed| flap(seed, 40_000)).sum();
    assert!((10..=40).contains(&returns), "{returns} returns in 10 times 10 minutes");
}

/// Runs a schedule, and says how to run it again should it fail.
#[expect(clippy::print_stderr, reason = "whoever reads the failure wants to see it once more")]
fn told(seed: u64) {
    if let Err(panic) = std::panic::catch_unwind(|| schedule(seed)) {
        eprintln!("to replay it: {SEED}={seed} cargo test --lib roster::simulation::whatever");
        std::panic::resume_unwind(panic);
    }
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says which and how many")]
fn wish(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

fn schedule(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let is_manual = random.u32(0..8) == 0;
    let mut lab = Lab::new(seed, SETS[random.usize(0..SETS.len())], |site| {
        site.failback.hold_down = seconds(5);
        site.failback.dwell = DWELL;
        site.failback.ramp = seconds(6);
        site.failback.mode = if is_manual { FailbackMode::Manual } else { FailbackMode::Auto };
        site.probe.interval_in_transition = seconds(1);
    });
    lab.roster.policies.guard.ttl_max = TTL_MAX;
    lab.world.ttl = TTLS[random.usize(0..TTLS.len())];
    lab.request_interval = Duration::from_millis(random.u64(300..600));
    begin(&mut lab, &mut random);
    lab.run(seconds(3));
    for _ in 0..random.u32(1..7) {
        disturb(&mut lab, &mut random);
        lab.run(Duration::from_millis(random.u64(50..4_000)));
    }
    check_switches(&lab);
    recover(&mut lab, is_manual);
}

/// A start from what an earlier run remembers, or one while DNS is dead, or both, or neither.
fn begin(lab: &mut Lab, random: &mut fastrand::Rng) {
    for index in 0..lab.world.origins.len() {
        let home = lab.world.origins[index].home.clone();
        match random.u32(0..8) {
            0 => lab.remember(index, &home),
            1 => lab.remember(index, &[address(index, 9)]),
            _ => {}
        }
        if random.u32(0..8) == 0 {
            lab.world.origins[index].dns = NameServer::Silent;
        }
    }
    lab.world.faults.extend((0..lab.world.origins.len()).map(|index| (address(index, 9), Fault::Dead)));
}

/// One thing that happens.
fn disturb(lab: &mut Lab, random: &mut fastrand::Rng) {
    assert_eq!(lab.view, lab.roster.view(), "seed {}: the view changed without an event", lab.seed);
    let index = random.usize(0..lab.world.origins.len());
    let place = &mut lab.world.origins[index];
    let known = place.addresses[random.usize(0..place.addresses.len())];
    let order = Order::ALL[random.usize(0..Order::ALL.len())];
    match random.u32(0..22) {
        0 => lab.break_origin(index, Fault::Dead),
        1 => lab.break_origin(index, Fault::TrafficOnly),
        2 => lab.break_origin(index, Fault::ProbeOnly),
        3 => lab.break_origin(index, Fault::Slow),
        4 => drop(lab.world.faults.insert(known, Fault::Dead)),
        5 => drop(lab.world.faults.insert(known, Fault::TrafficOnly)),
        6 => drop(lab.world.faults.insert(known, Fault::ProbeOnly)),
        7 => place.dns = NameServer::Denying,
        8 => place.dns = NameServer::Empty,
        9 => place.dns = NameServer::Silent,
        10 => {
            lab.world.faults.insert(known, Fault::Dead);
            place.addresses = vec![address(index, random.u8(1..9))];
        }
        11 => (0..lab.world.origins.len()).for_each(|index| lab.break_origin(index, Fault::Dead)),
        12 => (0..lab.world.origins.len()).for_each(|index| lab.break_origin(index, Fault::Slow)),
        13 | 14 => lab.order(index, order),
        15 => lab.break_origin(index, Fault::LameDuck),
        16 => drop(lab.world.faults.insert(known, Fault::LameDuck)),
        17 => drop(lab.world.faults.remove(&known)),
        18 => place.dns = NameServer::Partial,
        19 => {
            lab.order(index, Order::Force);
            lab.break_origin(index, Fault::Dead);
        }
        20 => (0..lab.world.origins.len()).for_each(|index| lab.break_origin(index, Fault::LameDuck)),
        _ => lab.heal(),
    }
}

/// Nobody is left without need sooner than after the dwell time, unless an operator wants it so.
fn check_switches(lab: &Lab) {
    if lab.orders > 0 {
        return;
    }
    // One that was going away has its requests back at once, though not twice within that time.
    let is_any_lame = lab.events.iter().any(|event| matches!(event, Event::LameDuckBegan { .. }));
    for (place, later) in lab.switches.iter().enumerate().filter(|(_, switch)| switch.voluntary) {
        let mut before = lab.switches[..place].iter().rev().filter(|before| !is_any_lame || before.to == later.to);
        let is_hasty = |earlier: &&Switch| later.at - earlier.at < DWELL;
        assert!(!before.any(|earlier| is_hasty(&earlier)), "seed {}: {:?}", lab.seed, lab.switches);
    }
}

/// Faults stop and orders are taken back: within a stated time everything is as it was.
fn recover(lab: &mut Lab, is_manual: bool) {
    lab.heal();
    lab.request_interval = seconds(1);
    // Probes in flight may yet take out an origin that no order would have been for.
    lab.run(seconds(1));
    for origin in 0..lab.world.origins.len() {
        if is_manual || lab.view.origins[origin].duty != Duty::Auto {
            lab.order(origin, Order::Enable);
        }
    }
    // The next lookup, the minimum ejection, a probe.
    let usable_within = TTL_MAX + seconds(20 + 3);
    let is_usable = |lab: &Lab| {
        (0..lab.view.origins.len())
            .all(|origin| lab.view.origins[origin].standing != Standing::Out && lab.is_at_home(origin))
    };
    until(lab, usable_within, "not usable again", is_usable);
    // Good probes in a row, the hold-down and the dwell time; the ramp; for a slow one, quick answers to a trickle.
    let held = lab.roster.status(lab.now).origins.iter().filter_map(|origin| origin.hold_down_left).max();
    let slow = if lab.slow_requests > 0 { TRIALS.longest + seconds(2) } else { Duration::ZERO };
    let back_within = held.unwrap_or_default().max(DWELL).max(Duration::from_millis(2_200) * 5) + slow + seconds(6 + 1);
    let is_back = |lab: &Lab| {
        let origin = &lab.view.origins[0];
        (lab.view.preferred, origin.standing, origin.share) == (Some(0), Standing::In, 100)
    };
    until(lab, back_within, "not preferred for all of its URLs", is_back);
    let is_over = |lab: &Lab| matches!(lab.view.mode, OutageMode::Normal | OutageMode::Degraded);
    until(lab, seconds(6), "still recovering", is_over);
    // Its other addresses, and those of the others, may be in the middle of an ejection.
    until(lab, back_within + seconds(20 + 3), "something is stuck", is_well);
}

/// Whether nothing is left of any fault: the others stand in as well, and nothing is suspected of anything.
fn is_well(lab: &Lab) -> bool {
    let is_well = |endpoint: &EndpointView| endpoint.state == HealthState::Healthy && !endpoint.lame_duck;
    let mut origins = lab.view.origins.iter();
    lab.view.mode == OutageMode::Normal
        && origins.all(|origin| {
            (origin.duty, origin.standing, origin.share) == (Duty::Auto, Standing::In, 100)
                && origin.endpoints.iter().all(is_well)
        })
}

fn until(lab: &mut Lab, within: Duration, complaint: &str, is_so: impl Fn(&Lab) -> bool) {
    let end = lab.now + within;
    while !is_so(lab) {
        lab.step(lab.now + seconds(1));
        assert!(lab.now <= end, "seed {}: {complaint} after {within:?}\n{:#?}", lab.seed, lab.told());
    }
}

/// Ten minutes in which the first origin changes its mind after 1 s up to `longest` milliseconds; gives the number of
/// switches back to it.
fn flap(seed: u64, longest: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut lab = Lab::new(seed, &["a:1:1", "b:2:1"], |_| {});
    lab.request_interval = Duration::from_millis(250);
    let mut faulty = false;
    let end = lab.now + seconds(600);
    while lab.now < end {
        faulty = !faulty;
        if faulty {
            lab.break_origin(0, Fault::Dead)
        } else {
            lab.heal()
        }
        lab.run(Duration::from_millis(random.u64(1_000..=longest)));
    }
    assert!(lab.switches.len() <= 20, "seed {seed}: {} switches", lab.switches.len());
    let returns: Vec<Instant> =
        lab.switches.iter().filter(|switch| switch.to == Some(0)).map(|switch| switch.at).collect();
    let hasty = returns.windows(2).find(|pair| pair[1] - pair[0] < seconds(30));
    assert_eq!(hasty, None, "seed {seed}");
    assert_eq!(lab.failed_requests, 0, "seed {seed}");
    returns.len()
}

/// The sets of origins: see [`Lab::new`].
const SETS: [&[&str]; 6] = [
    &["a:1:1", "b:2:1"],
    &["a:1:2", "b:2:1"],
    &["a:1:2:srv", "b:2:1"],
    &["a:1:1", "b:2:1", "c:2:1"],
    &["a:1:3"],
    &["a:1:3:srv"],
];

/// What name servers say; what is made of it is at least 1 s and at most [`TTL_MAX`].
const TTLS: [Duration; 4] = [Duration::ZERO, seconds(5), seconds(5), seconds(u32::MAX as u64)];

const TTL_MAX: Duration = seconds(20);

const DWELL: Duration = seconds(5);

const SCHEDULES: u64 = 100_000;

/// A few seconds' worth.
const SCHEDULES_IN_PASSING: u64 = 5_000;

const SEED: &str = "HOLDOVER_SEED";
