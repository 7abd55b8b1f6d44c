//! A roster, the world it sees, and the shells between them, in virtual time.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::clock::Clock;
use crate::config::model::{
    Accepts, Authorization, FailbackMode, FailoverPolicy, FirstRemedy, ForwardFields, HostField, OriginConfig,
    PlainHttp, ProbeExpectation, PurgePolicy, ResponsePolicy, Scheme, StalePolicy, StatusSet, Timeouts,
};
use crate::origin::dns::place::Place as Where;
use crate::origin::dns::refusal::RefusalPolicy;
use crate::origin::health::endpoint::HealthState;
use crate::origin::health::latency::next_mark;
use crate::origin::health::outage::OutageMode;
use crate::origin::request::ranking::{Candidate, Demand, candidates, trial};
use crate::origin::view::{EndpointView, OriginView};
use crate::semantics::cache_control::Honored;
use crate::semantics::freshness::FreshnessPolicy;
use crate::semantics::key::KeyPolicy;
use crate::semantics::storable::StorePolicy;
use crate::semantics::transformation::CodingPolicy;

pub(super) struct Lab {
    pub(super) seed: u64,
    pub(super) now: Instant,
    pub(super) random: fastrand::Rng,
    pub(super) roster: Roster,
    pub(super) view: PoolView,
    pub(super) world: World,
    /// Evidence on its way: when it arrives, about which endpoint.
    arriving: Vec<(Instant, usize, SocketAddr, Evidence)>,
    next_request: Instant,
    pub(super) request_interval: Duration,
    requests: u64,
    pub(super) events: Vec<Event>,
    pub(super) switches: Vec<Switch>,
    pub(super) orders: u32,
    pub(super) failed_requests: u32,
    pub(super) failed_tries: u32,
    pub(super) slow_requests: u32,
}

/// Requests go to another origin first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switch {
    pub(super) at: Instant,
    pub(super) to: Option<usize>,
    /// Whether the origin left was usable, and quick.
    pub(super) voluntary: bool,
}

pub(super) struct World {
    pub(super) origins: Vec<Place>,
    pub(super) faults: BTreeMap<SocketAddr, Fault>,
    pub(super) ttl: Duration,
}

/// Where an origin is, and what its name server says about that.
pub(super) struct Place {
    pub(super) home: Vec<SocketAddr>,
    pub(super) addresses: Vec<SocketAddr>,
    is_service: bool,
    pub(super) dns: NameServer,
    resolved: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum NameServer {
    Good,
    /// It gives the first address, and fails for the others.
    Partial,
    Denying,
    Empty,
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Dead,
    TrafficOnly,
    ProbeOnly,
    Slow,
    /// It works, and says that it is going away.
    LameDuck,
}

impl Lab {
    /// Origins are `name:rank:number of addresses`, with `:srv` after it for one whose addresses come from SRV records of
    /// different priorities.
    pub(super) fn new(seed: u64, origins: &[&str], adjust: impl FnOnce(&mut SiteConfig)) -> Self {
        let now = Clock::new().now().monotonic;
        let mut site = site(origins);
        adjust(&mut site);
        let guard = GuardPolicy { ttl_min: seconds(1), ttl_max: seconds(3_600), refusals: RefusalPolicy::default() };
        let roster = Roster::new(&site, guard, now);
        let place = |(index, text): (usize, &&str)| {
            let number: u8 = text.split(':').nth(2).and_then(|number| number.parse().ok()).expect("a number");
            let home: Vec<_> = (1..=number).map(|host| address(index, host)).collect();
            let is_service = text.ends_with(":srv");
            Place { addresses: home.clone(), home, is_service, dns: NameServer::Good, resolved: false }
        };
        Self {
            seed,
            now,
            random: fastrand::Rng::with_seed(seed),
            view: roster.view(),
            roster,
            world: World {
                origins: origins.iter().enumerate().map(place).collect(),
                faults: BTreeMap::new(),
                ttl: seconds(5),
            },
            arriving: Vec::new(),
            next_request: now,
            request_interval: Duration::from_millis(50),
            requests: 0,
            events: Vec::new(),
            switches: Vec::new(),
            orders: 0,
            failed_requests: 0,
            failed_tries: 0,
            slow_requests: 0,
        }
    }

    /// What an earlier run of the node has seen an origin at, right or wrong by now.
    pub(super) fn remember(&mut self, origin: usize, addresses: &[SocketAddr]) {
        let now = Now { monotonic: self.now, wall: UNIX_EPOCH + seconds(2_000_000_000) };
        let places: Vec<_> = addresses.iter().copied().map(Where::plain).collect();
        let known = &self.roster.origins[origin];
        let mut memory = Memory::default();
        memory.note("www", &known.name, Remembered::new(&known.host, &places, now.wall - seconds(3_600)));
        self.tell_roster(|roster, _, out| roster.remember(&memory, now, out));
    }

    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.step(end);
        }
    }

    /// Goes on to whatever happens next, at most until `end`.
    pub(super) fn step(&mut self, end: Instant) {
        let arrival = self.arriving.iter().map(|(at, ..)| *at).min();
        let next = [self.roster.due(), arrival, Some(self.next_request)].into_iter().flatten().min();
        self.now = next.map_or(end, |next| next.clamp(self.now, end));
        let now = self.now;
        self.tell_roster(|roster, _, out| roster.tick(now, out));
        for origin in self.roster.lookups_due(now) {
            let lookup = self.world.lookup(origin);
            self.tell_roster(|roster, random, out| roster.on_lookup(origin, lookup, random, now, out));
        }
        for (origin, address) in self.roster.probes_due(&mut self.random, now) {
            assert!(
                self.view.origins[origin].duty != Duty::Disabled,
                "seed {}: a disabled origin is probed",
                self.seed
            );
            let evidence = self.world.probe(address);
            self.arriving.push((now + Duration::from_millis(self.random.u64(1..30)), origin, address, evidence));
        }
        while let Some(index) = self.arriving.iter().position(|(at, ..)| *at <= now) {
            let (_, origin, address, evidence) = self.arriving.swap_remove(index);
            self.tell_roster(|roster, _, out| roster.on_evidence(origin, address, evidence, now, out));
        }
        if self.next_request <= now {
            self.next_request = now + self.request_interval;
            self.request();
        }
    }

    /// An operator's order.
    pub(super) fn order(&mut self, origin: usize, order: Order) {
        let now = self.now;
        self.orders += 1;
        self.tell_roster(|roster, _, out| roster.on_order(origin, order, "a test", now, out));
    }

    /// One request, tried as the data plane would.
    fn request(&mut self) {
        let now = self.now;
        self.requests += 1;
        let candidates = self.candidates(trial(&self.view, self.now));
        self.check(&candidates);
        let promised = self.view.origins.iter().any(|origin| self.world.could_answer(origin));
        let dark = self.view.mode == OutageMode::StaleOnly;
        let mut answered = dark || self.view.origins.iter().any(unresolved);
        for Candidate { origin, address } in candidates.into_iter().take(if dark { 0 } else { 3 }) {
            match self.world.request(address) {
                Ok(latency) => {
                    answered = true;
                    self.slow_requests += u32::from(latency > Duration::from_millis(500));
                    self.wait_for_head(origin, address, latency);
                    break;
                }
                Err(reason) => {
                    self.failed_tries += 1;
                    let evidence = Evidence::RequestFailed(reason.to_owned());
                    self.tell_roster(|roster, _, out| roster.on_evidence(origin, address, evidence, now, out));
                }
            }
        }
        assert!(answered || !promised, "seed {}: an origin that could have answered was not asked", self.seed);
        self.failed_requests += u32::from(!answered);
    }

    /// What a request reports while it waits, and what it reports in the end.
    fn wait_for_head(&mut self, origin: usize, address: SocketAddr, latency: Duration) {
        let (now, target) = (self.now, self.requests);
        let mut waited = Duration::ZERO;
        while let Some(mark) = next_mark(waited, &self.roster.policies.latency).filter(|mark| *mark < latency) {
            self.arriving.push((now + mark, origin, address, Evidence::RequestWaiting { waited: mark, target }));
            waited = mark;
        }
        self.arriving.push((now + latency, origin, address, Evidence::RequestSucceeded { latency }));
    }

    fn check(&self, candidates: &[Candidate]) {
        let seed = self.seed;
        let origin = |candidate: &Candidate| &self.view.origins[candidate.origin];
        let is_ejected = |candidate: &Candidate| {
            let endpoint = origin(candidate).endpoints.iter().find(|known| known.address == candidate.address);
            let is_ejected = endpoint.is_some_and(|known| known.state == HealthState::Ejected);
            is_ejected && origin(candidate).duty != Duty::Forced
        };
        let enabled = self.world.origins.iter().zip(&self.view.origins);
        let resolved = enabled.filter(|(_, view)| view.duty != Duty::Disabled).any(|(place, _)| place.resolved);
        assert!(!resolved || !candidates.is_empty(), "seed {seed}: no candidate after a good answer");
        let first_ejected = candidates.iter().position(is_ejected);
        let last_usable = candidates.iter().rposition(|candidate| !is_ejected(candidate));
        assert!(
            first_ejected.is_none() || last_usable.is_none() || last_usable < first_ejected,
            "seed {seed}: an ejected endpoint goes before a usable one"
        );
        let usable = candidates.iter().filter(|candidate| !is_ejected(candidate));
        assert!(usable.clone().map(|usable| origin(usable).duty).is_sorted(), "seed {seed}: an order is not followed");
        let is_lame = |candidate: &Candidate| {
            let endpoint = origin(candidate).endpoints.iter().find(|known| known.address == candidate.address);
            origin(candidate).duty != Duty::Forced && endpoint.is_some_and(|known| known.lame_duck)
        };
        let by_wish = usable.map(|usable| (origin(usable).duty, is_lame(usable)));
        assert!(by_wish.is_sorted(), "seed {seed}: a lame duck goes before others");
        let is_usable = self.roster.origins.iter().any(Origin::usable);
        assert_eq!(self.view.preferred.is_some(), is_usable, "seed {seed}: none preferred, or one that is unusable");
        assert!(candidates.iter().all(|candidate| origin(candidate).duty != Duty::Disabled), "seed {seed}: disabled");
    }

    /// Calls the roster, and publishes its view as a shell would.
    fn tell_roster(&mut self, call: impl FnOnce(&mut Roster, &mut fastrand::Rng, &mut Vec<Event>)) {
        let before = self.events.len();
        call(&mut self.roster, &mut self.random, &mut self.events);
        if self.events.len() > before {
            let left = std::mem::replace(&mut self.view, self.roster.view());
            self.note_switch(left.preferred);
        }
    }

    fn note_switch(&mut self, left: Option<usize>) {
        let to = self.view.preferred;
        if to != left {
            let wanted = left.map(|index| &self.roster.origins[index]);
            let stays = |origin: &Origin| {
                origin.usable() && origin.failback.standing() == Standing::In && origin.lame_duck().is_none()
            };
            let voluntary = wanted.is_some_and(stays);
            self.switches.push(Switch { at: self.now, to, voluntary });
        }
    }

    pub(super) fn candidates(&mut self, trial: Option<usize>) -> Vec<Candidate> {
        let demand = Demand { safe: true, tries: 3, trial, bucket: self.random.u8(0..100) };
        candidates(&self.view, demand, self.now, &mut self.random)
    }

    /// Whether an origin is at the addresses of the beginning, and uses all of its own.
    pub(super) fn is_at_home(&self, origin: usize) -> bool {
        let (endpoints, home) = (&self.view.origins[origin].endpoints, &self.world.origins[origin].home);
        endpoints.len() == home.len() && endpoints.iter().all(|known| home.contains(&known.address))
    }

    pub(super) fn break_origin(&mut self, origin: usize, fault: Fault) {
        let addresses = self.world.origins[origin].addresses.iter();
        self.world.faults.extend(addresses.map(|address| (*address, fault)));
    }

    /// Everything works, at the addresses of the beginning.
    pub(super) fn heal(&mut self) {
        self.world.faults.clear();
        for place in &mut self.world.origins {
            place.dns = NameServer::Good;
            place.addresses.clone_from(&place.home);
        }
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.events.iter().map(tell).collect()
    }
}

impl World {
    fn lookup(&mut self, origin: usize) -> Lookup {
        let place = &mut self.origins[origin];
        match place.dns {
            NameServer::Good | NameServer::Partial => {
                place.resolved = true;
                let whole = matches!(place.dns, NameServer::Good);
                let told = place.addresses.iter().take(if whole { usize::MAX } else { 1 });
                if place.is_service {
                    let service =
                        |(priority, address): (u16, &SocketAddr)| Where { priority, ..Where::plain(*address) };
                    return Lookup::Located { places: (0..).zip(told).map(service).collect(), ttl: self.ttl, whole };
                }
                Lookup::Found { addresses: told.map(SocketAddr::ip).collect(), ttl: self.ttl, whole }
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
            Some(Fault::LameDuck) => Evidence::LameDuck("x-health: drain".to_owned()),
            Some(Fault::TrafficOnly | Fault::Slow) | None => Evidence::ProbePassed,
        }
    }

    /// Whether the origin is known to be usable and answers at every address.
    fn could_answer(&self, origin: &OriginView) -> bool {
        let answers = |known: &EndpointView| {
            known.state.usable() && !matches!(self.faults.get(&known.address), Some(Fault::Dead | Fault::TrafficOnly))
        };
        origin.duty != Duty::Disabled && !origin.endpoints.is_empty() && origin.endpoints.iter().all(answers)
    }

    /// The time to the head of a response, or why there is none.
    fn request(&self, address: SocketAddr) -> Result<Duration, &'static str> {
        match self.faults.get(&address) {
            Some(Fault::Dead) => Err("refused"),
            Some(Fault::TrafficOnly) => Err("status 500"),
            Some(Fault::Slow) => Ok(Duration::from_millis(1_500)),
            Some(Fault::ProbeOnly | Fault::LameDuck) | None => Ok(Duration::from_millis(9)),
        }
    }
}

fn unresolved(origin: &OriginView) -> bool {
    origin.endpoints.is_empty()
}

/// One line per event, without the site.
pub(super) fn tell(event: &Event) -> String {
    match event {
        Event::EndpointChanged { origin, from, to, reason, .. }
        | Event::OriginChanged { origin, from, to, reason, .. } => {
            format!("{origin} {from}>{to} {reason}")
        }
        Event::OriginOrdered { origin, order, .. } => format!("{order} {origin}"),
        Event::OriginRamped { origin, percent, .. } => format!("{origin} takes {percent} %"),
        Event::FailedOver { from, to, reason, .. } => {
            let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
            format!("failed over {}>{} {reason}", name(from), name(to))
        }
        Event::OutageModeChanged { from, to, reason, .. } => format!("site {from}>{to} {reason}"),
        Event::AddressesChanged { origin, added, removed, .. } => {
            format!("{origin} addresses +{} -{}", added.len(), removed.len())
        }
        Event::ResolveFailed { origin, reason, kept, .. } => format!("{origin} unresolved {reason}, {kept} kept"),
        Event::LameDuckBegan { origin, said, .. } => format!("{origin} says {said}"),
        Event::LameDuckEnded { origin, .. } => format!("{origin} stays"),
        Event::AddressesRemembered { origin, addresses, .. } => format!("{origin} remembered +{}", addresses.len()),
        other => format!("unexpected {other:?}"),
    }
}

pub(super) fn address(origin: usize, host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, u8::try_from(origin).expect("few origins"), host], 443))
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn site(origins: &[&str]) -> SiteConfig {
    let origin = |text: &&str| {
        let mut words = text.split(':');
        let name = words.next().expect("a name").to_owned();
        OriginConfig {
            host: format!("{name}.example"),
            srv: text.ends_with(":srv").then(|| format!("_https._tcp.{name}.example")),
            name,
            scheme: Scheme::Https,
            port: 443,
            rank: words.next().and_then(|rank| rank.parse().ok()).expect("a rank"),
            weight: 1,
            accepts: Accepts::All,
            requests_max: 256,
            queue_max: 256,
            host_field: HostField::Client,
            ca_file: None,
            client_certificate: None,
        }
    };
    SiteConfig {
        name: "www".to_owned(),
        hosts: vec!["www.example".to_owned()],
        key: KeyPolicy::default(),
        plain_http: PlainHttp::Redirect,
        error_page: None,
        store: StorePolicy::default(),
        freshness: FreshnessPolicy::default(),
        stale: StalePolicy { wait: seconds(1), revive: seconds(10), first: FirstRemedy::Origin },
        forward_fields: ForwardFields::All,
        authorization: Authorization::Bypass,
        request_directives: Honored::Safe,
        purge: PurgePolicy::default(),
        response: ResponsePolicy { consumed: Vec::new(), x_cache: false },
        compression: CodingPolicy::default(),
        timeouts: Timeouts {
            connect: seconds(1),
            first_byte: seconds(3),
            body_idle: seconds(5),
            body_rate_min: 1024,
            body_rate_window: seconds(5),
            idle: seconds(15),
            request: seconds(10),
        },
        failover: FailoverPolicy {
            tries: 3,
            statuses: StatusSet(vec![(500, 599)]),
            hold: Duration::ZERO,
            no_fallback: true,
            consecutive_failures: 3,
            warm: 1,
            retry_budget: 5,
            hedge_budget: 2,
        },
        expectations: Vec::new(),
        failback: FailbackPolicy {
            mode: FailbackMode::Auto,
            probes: 5,
            hold_down: seconds(30),
            dwell: seconds(30),
            ramp: seconds(30),
        },
        latency: LatencyPolicy { demote: true, budget: None, factor: 5 },
        probe: ProbePolicy {
            enabled: true,
            path: "/".to_owned(),
            interval: seconds(2),
            interval_in_transition: Duration::from_millis(500),
            interval_down: seconds(10),
            timeout: seconds(1),
            expect: ProbeExpectation::default(),
            lame_duck: Vec::new(),
            rise: 2,
            fall: 3,
        },
        origins: origins.iter().map(origin).collect(),
    }
}
