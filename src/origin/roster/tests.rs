//! Stories and seeded simulations of whole outages.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::config::model::{
    Authorization, FailoverPolicy, FirstRemedy, ForwardFields, HostField, PlainHttp, PurgePolicy, ResponsePolicy,
    Scheme, StalePolicy, StatusSet, Timeouts,
};
use crate::origin::outage::OutageMode;
use crate::origin::ranking::{Candidate, Demand, candidates};
use crate::origin::refusal::RefusalPolicy;
use crate::semantics::cache_control::Honored;
use crate::semantics::freshness::FreshnessPolicy;
use crate::semantics::key::KeyPolicy;
use crate::semantics::storable::StorePolicy;
use crate::semantics::transformation::CodingPolicy;

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
            "failed over b>a a is in: 11 probes passed in a row and its hold-down is over",
            "site degraded>normal every origin stands in",
        ]
    );
    assert_eq!(lab.failed_requests, 0);
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
    assert_eq!(lab.candidates(false), []);
    assert_eq!(lab.candidates(true).len(), 2);
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
        lab.run(seconds(60));
        let told = lab.told();
        let switches: Vec<&str> = told
            .iter()
            .filter_map(|line| line.strip_prefix("failed over ")?.split(' ').next()?.split('>').nth(1))
            .collect();
        assert!(switches.is_sorted_by(|earlier, later| earlier > later), "seed {seed}: {switches:?}");
        assert_eq!(lab.roster.view().preferred, Some(0), "seed {seed}");
        assert_eq!(lab.candidates(false)[0].origin, 0, "seed {seed}");
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
    let found = Lookup::Found { addresses, ttl: seconds(60) };
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
    let states: Vec<_> = endpoints.iter().map(|known| (known.address, known.state)).collect();
    assert_eq!(states, [(address(0, 9), HealthState::Healthy)]);
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
    let found = Lookup::Found { addresses: vec![address(0, 1).ip()], ttl: seconds(60) };
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

/// Origins come and go, fail traffic or probes alone, move to other addresses and lose their names; then all is well.
#[test]
fn outages_leave_candidates_and_end() {
    for seed in 0..2_000 {
        outage_leaves_candidates_and_ends(seed);
    }
}

fn outage_leaves_candidates_and_ends(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let sets = [&["a:1:1", "b:2:1"][..], &["a:1:2", "b:2:1"], &["a:1:1", "b:2:1", "c:2:1"], &["a:1:3"]];
    let mut lab = Lab::new(seed, sets[random.usize(0..sets.len())], |site| {
        site.failback.hold_down = seconds(5);
        site.probe.interval_in_transition = seconds(1);
    });
    lab.request_interval = Duration::from_millis(500);
    lab.run(seconds(3));
    for _ in 0..random.u32(1..7) {
        lab.disturb(&mut random);
        lab.run(Duration::from_millis(random.u64(50..4_000)));
    }
    lab.heal();
    // The next lookup, the minimum ejection, a probe; then the hold-down, and good probes in a row.
    let usable_within = seconds(16 + 20 + 3);
    let healed = lab.now;
    while lab.view.origins[0].standing == Standing::Out || !lab.is_at_home(0) {
        lab.step(lab.now + Duration::from_millis(500));
        assert!(lab.now < healed + usable_within, "seed {seed}: not usable again\n{:#?}", lab.told());
    }
    let hold_down = lab.roster.status(lab.now).origins[0].hold_down_left.unwrap_or_default();
    let usable = lab.now;
    let preferred_within = hold_down.max(Duration::from_millis(2_200) * 5) + Duration::from_millis(500);
    while lab.roster.view().preferred != Some(0) {
        lab.step(lab.now + Duration::from_millis(500));
        assert!(lab.now < usable + preferred_within, "seed {seed}: not preferred again\n{:#?}", lab.told());
    }
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

/// Ten minutes in which the first origin changes its mind after 1 s up to `longest` milliseconds; gives the number of
/// switches back to it.
fn flap(seed: u64, longest: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut lab = Lab::new(seed, &["a:1:1", "b:2:1"], |_| {});
    lab.request_interval = Duration::from_millis(250);
    let (mut faulty, mut switches, mut returns) = (false, 0, Vec::new());
    let end = lab.now + seconds(600);
    while lab.now < end {
        faulty = !faulty;
        if faulty {
            lab.break_origin(0, Fault::Dead)
        } else {
            lab.heal()
        }
        let change = lab.now + Duration::from_millis(random.u64(1_000..=longest));
        while lab.now < change {
            lab.step(change);
            for event in lab.events.drain(..) {
                if let Event::FailedOver { to, .. } = event {
                    switches += 1;
                    returns.extend((to.as_deref() == Some("a")).then_some(lab.now));
                }
            }
        }
    }
    assert!(switches <= 20, "seed {seed}: {switches} switches");
    let hasty = returns.windows(2).find(|pair| pair[1] - pair[0] < seconds(30));
    assert_eq!(hasty, None, "seed {seed}");
    assert_eq!(lab.failed_requests, 0, "seed {seed}");
    returns.len()
}

/// A roster, the world it sees, and the shells between them.
struct Lab {
    seed: u64,
    now: Instant,
    random: fastrand::Rng,
    roster: Roster,
    view: PoolView,
    world: World,
    probes: Vec<(Instant, usize, SocketAddr)>,
    next_request: Instant,
    request_interval: Duration,
    events: Vec<Event>,
    failed_requests: u32,
    failed_tries: u32,
}

struct World {
    origins: Vec<Place>,
    faults: BTreeMap<SocketAddr, Fault>,
    ttl: Duration,
}

/// Where an origin is, and what its name server says about that.
struct Place {
    home: Vec<SocketAddr>,
    addresses: Vec<SocketAddr>,
    dns: NameServer,
    resolved: bool,
}

#[derive(Clone, Copy)]
enum NameServer {
    Good,
    Denying,
    Empty,
    Silent,
}

#[derive(Clone, Copy)]
enum Fault {
    Dead,
    TrafficOnly,
    ProbeOnly,
}

impl Lab {
    /// Origins are `name:rank:number of addresses`.
    fn new(seed: u64, origins: &[&str], adjust: impl FnOnce(&mut SiteConfig)) -> Self {
        let now = Clock::new().now().monotonic;
        let mut site = site(origins);
        adjust(&mut site);
        let guard = GuardPolicy { ttl_min: seconds(1), ttl_max: seconds(3_600), refusals: RefusalPolicy::default() };
        let roster = Roster::new(&site, guard, now);
        let place = |(index, text): (usize, &&str)| {
            let number: u8 = text.rsplit(':').next().and_then(|number| number.parse().ok()).expect("a number");
            let home: Vec<_> = (1..=number).map(|host| address(index, host)).collect();
            Place { addresses: home.clone(), home, dns: NameServer::Good, resolved: false }
        };
        let origins = origins.iter().enumerate().map(place).collect();
        Self {
            seed,
            now,
            random: fastrand::Rng::with_seed(seed),
            view: roster.view(),
            roster,
            world: World { origins, faults: BTreeMap::new(), ttl: seconds(5) },
            probes: Vec::new(),
            next_request: now,
            request_interval: Duration::from_millis(50),
            events: Vec::new(),
            failed_requests: 0,
            failed_tries: 0,
        }
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.step(end);
        }
    }

    /// Goes on to whatever happens next, at most until `end`.
    fn step(&mut self, end: Instant) {
        let probe_end = self.probes.iter().map(|(at, ..)| *at).min();
        let next = [self.roster.due(), probe_end, Some(self.next_request)].into_iter().flatten().min();
        self.now = next.map_or(end, |next| next.clamp(self.now, end));
        let now = self.now;
        self.tell_roster(|roster, _, out| roster.tick(now, out));
        for origin in self.roster.lookups_due(now) {
            let lookup = self.world.lookup(origin);
            self.tell_roster(|roster, random, out| roster.on_lookup(origin, lookup, random, now, out));
        }
        for (origin, address) in self.roster.probes_due(&mut self.random, now) {
            self.probes.push((now + Duration::from_millis(self.random.u64(1..30)), origin, address));
        }
        while let Some(index) = self.probes.iter().position(|(at, ..)| *at <= now) {
            let (_, origin, address) = self.probes.swap_remove(index);
            let evidence = self.world.probe(address);
            self.tell_roster(|roster, _, out| roster.on_evidence(origin, address, evidence, now, out));
        }
        if self.next_request <= now {
            self.next_request = now + self.request_interval;
            self.request();
        }
    }

    /// One request, tried as the data plane would.
    fn request(&mut self) {
        let now = self.now;
        let all = self.candidates(true);
        self.check(&all);
        let promised = self.view.origins.iter().any(|origin| self.world.could_answer(origin));
        let tried = self.candidates(false).into_iter().take(3);
        let mut answered = self.view.mode == OutageMode::StaleOnly || self.view.origins.iter().any(unresolved);
        for Candidate { origin, address } in tried {
            let evidence = self.world.request(address);
            answered |= matches!(evidence, Evidence::RequestSucceeded { .. });
            self.failed_tries += u32::from(matches!(evidence, Evidence::RequestFailed(_)));
            self.tell_roster(|roster, _, out| roster.on_evidence(origin, address, evidence, now, out));
            if answered {
                break;
            }
        }
        assert!(answered || !promised, "seed {}: an origin that could have answered was not asked", self.seed);
        self.failed_requests += u32::from(!answered);
    }

    fn check(&self, candidates: &[Candidate]) {
        let seed = self.seed;
        let state = |candidate: &Candidate| {
            let endpoints = &self.view.origins[candidate.origin].endpoints;
            endpoints.iter().find(|known| known.address == candidate.address).map(|known| known.state)
        };
        let resolved = self.world.origins.iter().any(|place| place.resolved);
        assert!(!resolved || !candidates.is_empty(), "seed {seed}: no candidate after a good answer");
        let first_ejected = candidates.iter().position(|candidate| state(candidate) == Some(HealthState::Ejected));
        let last_usable = candidates.iter().rposition(|candidate| state(candidate) != Some(HealthState::Ejected));
        assert!(
            first_ejected.is_none() || last_usable.is_none() || last_usable < first_ejected,
            "seed {seed}: an ejected endpoint goes before a usable one"
        );
        let first = candidates.first().map(|candidate| self.view.origins[candidate.origin].rank);
        let preferred = self.view.preferred.map(|index| self.view.origins[index].rank);
        assert!(last_usable.is_none() || self.view.origins.iter().any(unresolved) || first == preferred, "seed {seed}");
    }

    /// Calls the roster, and publishes its view as a shell would.
    fn tell_roster(&mut self, call: impl FnOnce(&mut Roster, &mut fastrand::Rng, &mut Vec<Event>)) {
        let before = self.events.len();
        call(&mut self.roster, &mut self.random, &mut self.events);
        if self.events.len() > before {
            self.view = self.roster.view();
        }
    }

    fn candidates(&mut self, trickle: bool) -> Vec<Candidate> {
        candidates(&self.view, Demand { safe: true, tries: 3, trickle }, &mut self.random)
    }

    fn is_at_home(&self, origin: usize) -> bool {
        let (endpoints, home) = (&self.view.origins[origin].endpoints, &self.world.origins[origin].home);
        endpoints.len() == home.len() && endpoints.iter().all(|known| home.contains(&known.address))
    }

    fn break_origin(&mut self, origin: usize, fault: Fault) {
        let addresses = self.world.origins[origin].addresses.iter();
        self.world.faults.extend(addresses.map(|address| (*address, fault)));
    }

    /// Everything works, at the addresses of the beginning.
    fn heal(&mut self) {
        self.world.faults.clear();
        for place in &mut self.world.origins {
            place.dns = NameServer::Good;
            place.addresses.clone_from(&place.home);
        }
    }

    fn disturb(&mut self, random: &mut fastrand::Rng) {
        assert_eq!(self.view, self.roster.view(), "seed {}: the view changed without an event", self.seed);
        let index = random.usize(0..self.world.origins.len());
        let place = &mut self.world.origins[index];
        let known = place.addresses[random.usize(0..place.addresses.len())];
        match random.u32(0..12) {
            0 => self.break_origin(index, Fault::Dead),
            1 => self.break_origin(index, Fault::TrafficOnly),
            2 => self.break_origin(index, Fault::ProbeOnly),
            3 => drop(self.world.faults.insert(known, Fault::Dead)),
            4 => drop(self.world.faults.insert(known, Fault::TrafficOnly)),
            5 => drop(self.world.faults.insert(known, Fault::ProbeOnly)),
            6 => place.dns = NameServer::Denying,
            7 => place.dns = NameServer::Empty,
            8 => place.dns = NameServer::Silent,
            9 => {
                self.world.faults.insert(known, Fault::Dead);
                place.addresses = vec![address(index, random.u8(1..9))];
            }
            10 => (0..self.world.origins.len()).for_each(|index| self.break_origin(index, Fault::Dead)),
            _ => self.heal(),
        }
    }

    fn told(&self) -> Vec<String> {
        self.events.iter().map(tell).collect()
    }
}

impl World {
    fn lookup(&mut self, origin: usize) -> Lookup {
        let place = &mut self.origins[origin];
        match place.dns {
            NameServer::Good => {
                place.resolved = true;
                Lookup::Found { addresses: place.addresses.iter().map(SocketAddr::ip).collect(), ttl: self.ttl }
            }
            NameServer::Denying => Lookup::NoSuchName,
            NameServer::Empty => Lookup::Empty,
            NameServer::Silent => Lookup::Failed("timeout".to_owned()),
        }
    }

    fn probe(&self, address: SocketAddr) -> Evidence {
        match self.faults.get(&address) {
            Some(Fault::Dead) => Evidence::ProbeFailed("refused".to_owned()),
            Some(Fault::ProbeOnly) => Evidence::ProbeFailed("status 500".to_owned()),
            Some(Fault::TrafficOnly) | None => Evidence::ProbePassed,
        }
    }

    /// Whether the origin is known to be usable and answers at every address.
    fn could_answer(&self, origin: &OriginView) -> bool {
        let answers = |known: &EndpointView| {
            known.state.usable() && !matches!(self.faults.get(&known.address), Some(Fault::Dead | Fault::TrafficOnly))
        };
        !origin.endpoints.is_empty() && origin.endpoints.iter().all(answers)
    }

    fn request(&self, address: SocketAddr) -> Evidence {
        match self.faults.get(&address) {
            Some(Fault::Dead) => Evidence::RequestFailed("refused".to_owned()),
            Some(Fault::TrafficOnly) => Evidence::RequestFailed("status 500".to_owned()),
            Some(Fault::ProbeOnly) | None => Evidence::RequestSucceeded { latency: Duration::from_millis(9) },
        }
    }
}

fn unresolved(origin: &OriginView) -> bool {
    origin.endpoints.is_empty()
}

/// One line per event, without the site.
fn tell(event: &Event) -> String {
    match event {
        Event::EndpointChanged { origin, from, to, reason, .. }
        | Event::OriginChanged { origin, from, to, reason, .. } => {
            format!("{origin} {from}>{to} {reason}")
        }
        Event::FailedOver { from, to, reason, .. } => {
            let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
            format!("failed over {}>{} {reason}", name(from), name(to))
        }
        Event::OutageModeChanged { from, to, reason, .. } => format!("site {from}>{to} {reason}"),
        Event::AddressesChanged { origin, added, removed, .. } => {
            format!("{origin} addresses +{} -{}", added.len(), removed.len())
        }
        Event::ResolveFailed { origin, reason, kept, .. } => format!("{origin} unresolved {reason}, {kept} kept"),
        other => format!("unexpected {other:?}"),
    }
}

fn address(origin: usize, host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, u8::try_from(origin).expect("few origins"), host], 443))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn site(origins: &[&str]) -> SiteConfig {
    let origin = |text: &&str| {
        let mut words = text.split(':');
        let name = words.next().expect("a name").to_owned();
        OriginConfig {
            host: format!("{name}.example"),
            name,
            scheme: Scheme::Https,
            port: 443,
            srv: None,
            rank: words.next().and_then(|rank| rank.parse().ok()).expect("a rank"),
            weight: 1,
            accepts: Accepts::All,
            host_field: HostField::Client,
            ca_file: None,
        }
    };
    SiteConfig {
        name: "www".to_owned(),
        hosts: vec!["www.example".to_owned()],
        key: KeyPolicy::default(),
        plain_http: PlainHttp::Redirect,
        store: StorePolicy::default(),
        freshness: FreshnessPolicy::default(),
        stale: StalePolicy { wait: seconds(1), revive: seconds(10), first: FirstRemedy::Origin },
        forward_fields: ForwardFields::All,
        authorization: Authorization::Bypass,
        request_directives: Honored::Safe,
        purge: PurgePolicy::default(),
        response: ResponsePolicy { consumed: Vec::new(), x_cache: false },
        compression: CodingPolicy::default(),
        timeouts: Timeouts { connect: seconds(1), first_byte: seconds(3), body_idle: seconds(5), request: seconds(10) },
        failover: FailoverPolicy { tries: 3, statuses: StatusSet(vec![(500, 599)]), consecutive_failures: 3 },
        failback: FailbackPolicy { probes: 5, hold_down: seconds(30) },
        probe: ProbePolicy {
            enabled: true,
            path: "/".to_owned(),
            interval: seconds(2),
            interval_in_transition: Duration::from_millis(500),
            timeout: seconds(1),
            expect: StatusSet(vec![(200, 399)]),
            body: None,
            rise: 2,
            fall: 3,
        },
        origins: origins.iter().map(origin).collect(),
    }
}
