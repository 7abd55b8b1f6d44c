//! One origin of a roster: its addresses, what is known of each, and what it amounts to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::Policies;
use crate::clock::Now;
use crate::config::model::{Accepts, OriginConfig, ProbePolicy};
use crate::origin::dns::answers::{Answers, GuardPolicy, Lookup};
use crate::origin::dns::memory::{Memory, Recollection};
use crate::origin::dns::place::Place;
use crate::origin::health::duty::{Duty, Order};
use crate::origin::health::endpoint::{Evidence, Health, HealthState, LameDuck, Transition};
use crate::origin::health::expiry::{Expiry, Warning};
use crate::origin::health::failback::{self, Failback, Footing, Standing, Step};
use crate::origin::health::latency::{Latency, Observation, Reading, Rival, TRIALS};
use crate::origin::health::schedule::{ProbeSchedule, Situation};
use crate::origin::health::trickle::Trickle;
use crate::origin::request::load::Load;
use crate::origin::status::{EndpointStatus, Entered, OriginStatus};
use crate::origin::view::{EndpointView, OriginView};
use crate::telemetry::event::Event;

#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) name: Arc<str>,
    pub(super) host: String,
    pub(super) rank: u32,
    weight: u32,
    accepts: Accepts,
    /// Number of origins that are tried before this one when all is well.
    place_in_line: usize,
    pub(super) answers: Answers,
    pub(super) failback: Failback,
    pub(super) duty: Duty,
    /// When it may take requests over again, since it did so last.
    pub(super) rested: Instant,
    pub(super) latency: Latency,
    /// Requests that find out whether it is still slow.
    trials: Arc<Trickle>,
    pub(super) expiry: Expiry,
    pub(super) endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) health: Health,
    pub(super) schedule: ProbeSchedule,
    load: Arc<Load>,
}

/// What a piece of evidence changed about an endpoint.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) lame_duck: Option<LameDuckChange>,
    pub(super) transition: Option<Transition>,
}

pub(super) enum LameDuckChange {
    Began { said: String },
    Ended,
}

impl LameDuckChange {
    pub(super) fn told(self, site: &str, origin: &str, address: SocketAddr) -> Event {
        let (site, origin) = (site.to_owned(), origin.to_owned());
        match self {
            Self::Began { said } => Event::LameDuckBegan { site, origin, address, said },
            Self::Ended => Event::LameDuckEnded { site, origin, address },
        }
    }
}

impl Origin {
    pub(super) fn new(config: &OriginConfig, place_in_line: usize, now: Instant) -> Self {
        let name = config.srv.as_ref().unwrap_or(&config.host);
        let answers = Answers::new(name, config.srv.is_none().then_some(config.port), now);
        let addresses: Vec<_> = answers.places().iter().map(|place| place.address).collect();
        let endpoints = new_endpoints(&addresses, place_in_line, now).collect();
        Self {
            name: config.name.as_str().into(),
            host: name.clone(),
            rank: config.rank,
            weight: config.weight,
            accepts: config.accepts,
            place_in_line,
            answers,
            failback: Failback::new(now),
            duty: Duty::Auto,
            rested: now,
            latency: Latency::default(),
            trials: Arc::new(Trickle::new(TRIALS, now)),
            expiry: Expiry::default(),
            endpoints,
        }
    }

    /// Takes over what an earlier run of the node knew of its addresses.
    pub(super) fn remember(
        &mut self,
        memory: &Memory,
        guard: &GuardPolicy,
        now: Now,
        site: &str,
        out: &mut Vec<Event>,
    ) {
        let (places, age) = match memory.recall(site, &self.name, &self.host, now.wall) {
            Recollection::Nothing => return,
            Recollection::Unusable(reason) => {
                let what = format!("{site}: the addresses of origin {}", self.name);
                out.push(Event::StateIgnored { what, reason });
                return;
            }
            Recollection::Answer { places, age } => (places, age),
        };
        self.answers.remember(places, age, guard, now.monotonic);
        let addresses: Vec<_> = self.answers.places().iter().map(|place| place.address).collect();
        self.endpoints = new_endpoints(&addresses, self.place_in_line, now.monotonic).collect();
        if self.endpoints.is_empty() {
            return;
        }
        out.push(Event::AddressesRemembered {
            site: site.to_owned(),
            origin: self.name.to_string(),
            host: self.host.clone(),
            addresses: self.endpoints.iter().map(|endpoint| endpoint.address).collect(),
            age,
        });
    }

    /// Takes over what an operator had ordered of it; at most one origin of a site `is_forced`.
    pub(super) fn resume(&mut self, memory: &Memory, is_forced: bool, site: &str, out: &mut Vec<Event>) {
        let duty = match memory.duty(site, &self.name) {
            Ok(Duty::Auto) => return,
            Ok(Duty::Forced) if is_forced => Err("another origin of the site is forced".to_owned()),
            found => found,
        };
        out.push(match duty {
            Ok(duty) => {
                self.duty = duty;
                Event::OrderRemembered { site: site.to_owned(), origin: self.name.to_string(), duty: duty.as_str() }
            }
            Err(reason) => {
                Event::StateIgnored { what: format!("{site}: the order about origin {}", self.name), reason }
            }
        });
    }

    pub(super) fn on_evidence(
        &mut self,
        address: SocketAddr,
        evidence: Evidence,
        rival: Rival,
        policies: &Policies,
        now: Instant,
    ) -> Findings {
        let Some(endpoint) = self.endpoints.iter_mut().find(|endpoint| endpoint.address == address) else {
            return Findings::default();
        };
        let observation = match &evidence {
            Evidence::ProbePassed | Evidence::ProbeFailed(_) | Evidence::ProbeUndone | Evidence::LameDuck(_) => {
                endpoint.schedule.end();
                None
            }
            Evidence::RequestSucceeded { latency } => Some(Observation::Head(*latency)),
            Evidence::RequestWaiting { waited, target } => {
                Some(Observation::Waiting { waited: *waited, target: *target })
            }
            Evidence::RequestFailed(_) => None,
        };
        if let Some(observation) = observation {
            let reading = self.latency.on(observation, rival, &policies.latency, now);
            if reading != Reading::Unclear {
                self.trials.went(reading == Reading::Quick, now);
            }
        }
        let was_lame_duck = endpoint.health.lame_duck().is_some();
        let fails_again = endpoint.health.state() == HealthState::Suspect
            && matches!(evidence, Evidence::ProbeFailed(_) | Evidence::RequestFailed(_));
        let transition = endpoint.health.on(evidence, &policies.health, now);
        if fails_again || transition.as_ref().is_some_and(|change| change.to == HealthState::Ejected) {
            // The name may have moved.
            self.answers.hasten(now);
        }
        let lame_duck = match endpoint.health.lame_duck() {
            Some(LameDuck { said, .. }) if !was_lame_duck => Some(LameDuckChange::Began { said: said.clone() }),
            None if was_lame_duck => Some(LameDuckChange::Ended),
            Some(_) | None => None,
        };
        if !self.endpoints.iter().any(|endpoint| endpoint.health.usable()) {
            // What made it slow has made it fail, and probes will say when that is over.
            self.latency.acquit();
        }
        Findings { lame_duck, transition }
    }

    pub(super) fn on_lookup(
        &mut self,
        lookup: Lookup,
        policies: &Policies,
        random: f64,
        now: Instant,
        site: &str,
        out: &mut Vec<Event>,
    ) {
        let known_failure = self.answers.failure().map(str::to_owned);
        let endpoints = &self.endpoints;
        let alive = |address| endpoints.iter().any(|known| known.address == address && known.health.usable());
        let change = self.answers.on(lookup, alive, &policies.guard, random, now);
        self.endpoints.retain(|endpoint| !change.removed.contains(&endpoint.address));
        self.endpoints.extend(new_endpoints(&change.added, self.place_in_line, now));
        self.expiry.forget(&change.removed);
        if let Some(refused) = change.refused {
            out.push(Event::AddressesRefused {
                site: site.to_owned(),
                origin: self.name.to_string(),
                host: self.host.clone(),
                refused,
            });
        }
        // The same failure again is no news.
        if let Some(reason) = change.failure.filter(|reason| known_failure.as_ref() != Some(reason)) {
            out.push(Event::ResolveFailed {
                site: site.to_owned(),
                origin: self.name.to_string(),
                host: self.host.clone(),
                reason,
                kept: self.answers.places().len(),
            });
        }
        if !change.added.is_empty() || !change.removed.is_empty() || change.reordered {
            out.push(Event::AddressesChanged {
                site: site.to_owned(),
                origin: self.name.to_string(),
                host: self.host.clone(),
                added: change.added,
                removed: change.removed,
                ttl: change.interval,
            });
        }
    }

    /// Does as an operator says.
    pub(super) fn obey(&mut self, order: Order, now: Instant) {
        let duty = match order {
            Order::Disable => Duty::Disabled,
            Order::Drain => Duty::Drained,
            Order::Enable => Duty::Auto,
            Order::Failback => self.duty,
            Order::Force => Duty::Forced,
        };
        let before = std::mem::replace(&mut self.duty, duty);
        self.rested = now;
        if before == Duty::Disabled && duty != Duty::Disabled {
            // It was not probed meanwhile, so nothing is known of it.
            self.endpoints.iter_mut().for_each(|endpoint| *endpoint = Endpoint::new(endpoint.address, 0, now));
        }
        if matches!(order, Order::Enable | Order::Failback) {
            self.failback.recall();
        }
    }

    /// Warns of certificates that come near their end.
    pub(super) fn warn(&mut self, now: Instant, site: &str, out: &mut Vec<Event>) {
        for Warning { address, not_after, left } in self.expiry.tick(now) {
            let (site, origin) = (site.to_owned(), self.name.to_string());
            out.push(if left.is_zero() {
                Event::OriginCertificateExpired { site, origin, address, not_after }
            } else {
                Event::OriginCertificateExpiring { site, origin, address, not_after, left }
            });
        }
    }

    /// Goes as far as its endpoints let it.
    pub(super) fn stand(
        &mut self,
        policies: &Policies,
        role: failback::Role,
        now: Instant,
        site: &str,
        out: &mut Vec<Event>,
    ) {
        let is_sound = self.sound();
        if !is_sound && self.failback.standing() == Standing::Out {
            return;
        }
        let ground = if is_sound { String::new() } else { self.why_unusable() };
        let footing = if is_sound {
            Footing::Usable { good_probes: self.good_probes(policies), slow: self.latency.slow() }
        } else {
            Footing::Unusable { reason: &ground }
        };
        while let Some(step) = self.failback.on(footing, &policies.failback, role, now) {
            let (site, origin) = (site.to_owned(), self.name.to_string());
            out.push(match step {
                Step::Standing { from, to, reason } => {
                    if to == Standing::Slow {
                        self.trials.reset(now);
                    }
                    let (from, to) = (from.as_str(), to.as_str());
                    Event::OriginChanged { site, origin, rank: self.rank, from, to, reason }
                }
                Step::Share { percent } => Event::OriginRamped { site, origin, percent },
            });
        }
    }

    /// Whether requests may go to it.
    pub(super) fn usable(&self) -> bool {
        match self.duty {
            Duty::Forced => self.answers.pending() || !self.endpoints.is_empty(),
            Duty::Auto | Duty::Drained | Duty::Disabled => self.sound(),
        }
    }

    /// Whether any endpoint may get traffic. An origin whose first lookup is under way gets the benefit of the doubt.
    fn sound(&self) -> bool {
        let is_known_to_work = || self.endpoints.iter().any(|endpoint| endpoint.health.usable());
        self.duty != Duty::Disabled && (self.answers.pending() || is_known_to_work())
    }

    /// An endpoint that is going away, when every usable one is. Whoever forces an origin knows better.
    pub(super) fn lame_duck(&self) -> Option<&Endpoint> {
        let usable = self.endpoints.iter().filter(|endpoint| endpoint.health.usable());
        let going = usable.map(|endpoint| endpoint.health.lame_duck().is_some().then_some(endpoint));
        going.reduce(Option::and).flatten().filter(|_| self.duty != Duty::Forced)
    }

    fn why_unusable(&self) -> String {
        if self.duty == Duty::Disabled {
            return "disabled by an operator".to_owned();
        }
        match self.endpoints.iter().max_by_key(|endpoint| endpoint.health.since()) {
            Some(last) => format!("{} was ejected: {}", last.address, last.health.reason()),
            None => format!("it has no address: {}", self.answers.failure().unwrap_or("not resolved")),
        }
    }

    fn good_probes(&self, policies: &Policies) -> u32 {
        let usable = self.endpoints.iter().filter(|endpoint| endpoint.health.usable());
        let longest = usable.map(|endpoint| endpoint.health.tally().good_probes).max().unwrap_or(0);
        let has_answered = || self.endpoints.iter().any(|endpoint| endpoint.health.state() == HealthState::Healthy);
        match self.failback.standing() {
            _ if policies.probe.enabled => longest,
            // It may have stood in from the start and has yet to prove itself.
            Standing::In if !has_answered() => 0,
            _ => u32::MAX,
        }
    }

    /// Whether it is where its rank would have it.
    pub(super) fn stands_in(&self) -> bool {
        self.failback.standing() == Standing::In && matches!(self.duty, Duty::Auto | Duty::Forced)
    }

    /// Origins of better merit sort first.
    pub(super) fn merit(&self) -> (Duty, Standing, u32) {
        (self.duty, self.failback.standing(), self.rank)
    }

    pub(super) fn account(&self) -> String {
        let lame_duck = self.lame_duck().and_then(|endpoint| Some((endpoint.address, endpoint.health.lame_duck()?)));
        match (self.duty, lame_duck) {
            (Duty::Auto, Some((address, LameDuck { said, .. }))) => {
                format!("{} is going away: {address} says {said}", self.name)
            }
            (Duty::Auto, None) => {
                format!("{} is {}: {}", self.name, self.failback.standing().as_str(), self.failback.reason())
            }
            (duty, _) => format!("{} is {} by an operator", self.name, duty.as_str()),
        }
    }

    pub(super) fn view(&self, index: usize) -> OriginView {
        let endpoint = |endpoint: &Endpoint| endpoint.view(self.answers.place(endpoint.address));
        OriginView {
            name: Arc::clone(&self.name),
            index,
            rank: self.rank,
            weight: self.weight,
            accepts: self.accepts,
            duty: self.duty,
            standing: self.failback.standing(),
            share: self.failback.share(),
            trials: Arc::clone(&self.trials),
            endpoints: self.endpoints.iter().map(endpoint).collect(),
        }
    }

    pub(super) fn status(&self, now: Instant) -> OriginStatus {
        let failback = &self.failback;
        OriginStatus {
            name: Arc::clone(&self.name),
            host: self.host.clone(),
            rank: self.rank,
            weight: self.weight,
            accepts: self.accepts,
            duty: self.duty,
            standing: Entered::since(failback.standing(), failback.since(), failback.reason(), now),
            share: failback.share(),
            hold_down_left: failback.hold_down_left(now),
            answer_age: self.answers.age(now),
            answer_remembered: self.answers.is_remembered(),
            next_lookup: self.answers.due().map(|at| at.saturating_duration_since(now)),
            lookup_failure: self.answers.failure().map(str::to_owned),
            endpoints: self
                .endpoints
                .iter()
                .map(|endpoint| endpoint.status(self.answers.place(endpoint.address), &self.expiry, now))
                .collect(),
        }
    }
}

/// New endpoints of the origin with this place in line; the first probes of later ones begin later.
fn new_endpoints(addresses: &[SocketAddr], place_in_line: usize, now: Instant) -> impl Iterator<Item = Endpoint> {
    addresses.iter().enumerate().map(move |(index, address)| Endpoint::new(*address, place_in_line + index, now))
}

impl Endpoint {
    fn new(address: SocketAddr, place_in_line: usize, now: Instant) -> Self {
        let (health, schedule) = (Health::new(now), ProbeSchedule::new(place_in_line, now));
        Self { address, health, schedule, load: Arc::new(Load::new(now)) }
    }

    pub(super) fn probe_due(&self, dark_since: Option<Instant>, policy: &ProbePolicy) -> Instant {
        let situation = Situation { state: self.health.state(), since: self.health.since(), dark_since };
        self.schedule.due(&situation, policy)
    }

    fn view(&self, place: Place) -> EndpointView {
        let health = &self.health;
        EndpointView {
            address: self.address,
            state: health.state(),
            lame_duck: health.lame_duck().is_some(),
            priority: place.priority,
            weight: place.weight,
            load: Arc::clone(&self.load),
        }
    }

    fn status(&self, place: Place, expiry: &Expiry, now: Instant) -> EndpointStatus {
        let health = &self.health;
        EndpointStatus {
            place,
            health: Entered::since(health.state(), health.since(), health.reason(), now),
            tally: health.tally().clone(),
            lame_duck: health.lame_duck().map(|lame_duck| Entered::since((), lame_duck.since, &lame_duck.said, now)),
            last_probe_age: health.tally().last_probe_at.map(|at| now.saturating_duration_since(at)),
            certificate_end: expiry.of(self.address, now),
        }
    }
}
