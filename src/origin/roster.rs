//! One site's whole state: its origins, their addresses and health, and what follows for the site.
//!
//! Everything that a shell learns comes in here, and everything that it is to do or to show comes out. The same calls in
//! the same order give the same state, so that years of outages can be simulated in seconds. The view changes only
//! when an event is put out: a shell publishes it then, and at no other time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::clock::Now;
use crate::config::model::{Accepts, FailbackPolicy, OriginConfig, ProbePolicy, SiteConfig};
use crate::telemetry::event::Event;

use super::answers::{Answers, GuardPolicy, Lookup};
use super::failback::{Failback, Footing, Standing};
use super::health::{Evidence, Health, HealthPolicy, HealthState, Transition};
use super::memory::{Memory, Recollection, Remembered};
use super::outage::{Outage, Strength};
use super::place::Place;
use super::schedule::{Pace, ProbeSchedule};
use super::status::{EndpointStatus, Entered, OriginStatus, RosterStatus};
use super::view::{EndpointView, OriginView, PoolView};

/// The state of one site's origins.
#[derive(Clone, Debug)]
pub struct Roster {
    site: String,
    policies: Policies,
    origins: Vec<Origin>,
    outage: Outage,
    preferred: Option<usize>,
    /// The latest time that has been reckoned with.
    reckoned: Instant,
}

#[derive(Clone, Debug)]
struct Policies {
    health: HealthPolicy,
    probe: ProbePolicy,
    failback: FailbackPolicy,
    guard: GuardPolicy,
}

impl Roster {
    /// A site at start: every origin stands in, and nothing is proven.
    pub fn new(site: &SiteConfig, guard: GuardPolicy, now: Instant) -> Self {
        let policies = Policies {
            health: HealthPolicy::of(site),
            probe: site.probe.clone(),
            failback: site.failback.clone(),
            guard,
        };
        let origins: Vec<Origin> = site.origins.iter().map(|origin| Origin::new(origin, now)).collect();
        let preferred = (0..origins.len()).min_by_key(|index| (origins[*index].rank, *index));
        Self { site: site.name.clone(), policies, origins, outage: Outage::new(now), preferred, reckoned: now }
    }

    /// Takes over what an earlier run of the node knew of the origins' addresses.
    pub fn remember(&mut self, memory: &Memory, now: Now, out: &mut Vec<Event>) {
        for origin in &mut self.origins {
            origin.remember(memory, &self.policies.guard, now, &self.site, out);
        }
    }

    /// What is worth remembering of an origin's addresses: the last answer, when it was good.
    pub fn remembered(&self, origin: usize, now: Now) -> Option<Remembered> {
        let origin = self.origins.get(origin)?;
        let age = origin.answers.age(now.monotonic).filter(|_| origin.answers.failure().is_none())?;
        Some(Remembered::new(&origin.host, origin.answers.places(), now.wall - age))
    }

    /// Takes evidence about one endpoint; about an address that is no longer in use it is ignored.
    pub fn on_evidence(
        &mut self,
        origin: usize,
        address: SocketAddr,
        evidence: Evidence,
        now: Instant,
        out: &mut Vec<Event>,
    ) {
        let Some(origin) = self.origins.get_mut(origin) else { return };
        if let Some((address, transition)) = origin.on_evidence(address, evidence, &self.policies, now) {
            out.push(endpoint_changed(&self.site, &origin.name, address, transition));
        }
        self.tick(now, out);
    }

    /// Takes the outcome of a lookup.
    pub fn on_lookup(
        &mut self,
        origin: usize,
        lookup: Lookup,
        random: &mut fastrand::Rng,
        now: Instant,
        out: &mut Vec<Event>,
    ) {
        let Some(origin) = self.origins.get_mut(origin) else { return };
        origin.on_lookup(lookup, &self.policies, random.f64(), now, &self.site, out);
        self.tick(now, out);
    }

    /// Lets time pass; see [`Roster::due`].
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Event>) {
        self.reckoned = self.reckoned.max(now);
        for origin in &mut self.origins {
            for endpoint in &mut origin.endpoints {
                if let Some(transition) = endpoint.health.tick(&self.policies.health, now) {
                    out.push(endpoint_changed(&self.site, &origin.name, endpoint.address, transition));
                }
            }
            origin.stand(&self.policies, now, &self.site, out);
        }
        self.prefer(out);
        self.judge(now, out);
    }

    /// When to call [`Roster::tick`], [`Roster::probes_due`] and [`Roster::lookups_due`] next; a time past means at once,
    /// `None` that nothing happens by itself.
    pub fn due(&self) -> Option<Instant> {
        let endpoints = || self.origins.iter().flat_map(|origin| &origin.endpoints);
        let healths = endpoints().filter_map(|endpoint| endpoint.health.due(&self.policies.health));
        let standings = self.origins.iter().filter_map(|origin| origin.failback.due());
        // What time alone could change up to the last tick, it has changed.
        let changes = healths.chain(standings).chain(self.outage.due()).filter(|due| *due > self.reckoned);
        let lookups = self.origins.iter().filter_map(|origin| origin.answers.due());
        let dark = self.dark();
        let probed = endpoints().filter(|_| self.policies.probe.enabled);
        let probes = probed.map(|endpoint| endpoint.probe_due(dark, &self.policies.probe));
        changes.chain(lookups).chain(probes).min()
    }

    /// The endpoints to probe: each is taken to be in flight until evidence of a probe comes, or it is evidently lost.
    pub fn probes_due(&mut self, random: &mut fastrand::Rng, now: Instant) -> Vec<(usize, SocketAddr)> {
        let mut due = Vec::new();
        if !self.policies.probe.enabled {
            return due;
        }
        let dark = self.dark();
        for (index, origin) in self.origins.iter_mut().enumerate() {
            for endpoint in &mut origin.endpoints {
                if endpoint.probe_due(dark, &self.policies.probe) <= now {
                    endpoint.schedule.begin(random.f64(), now);
                    due.push((index, endpoint.address));
                }
            }
        }
        due
    }

    /// The origins to look up: each is taken to be in flight until its outcome comes, or it is evidently lost.
    pub fn lookups_due(&mut self, now: Instant) -> Vec<usize> {
        let mut due = Vec::new();
        for (index, origin) in self.origins.iter_mut().enumerate() {
            if origin.answers.due().is_some_and(|at| at <= now) {
                origin.answers.begin(now);
                due.push(index);
            }
        }
        due
    }

    /// The picture for the data plane.
    pub fn view(&self) -> PoolView {
        let origins = self.origins.iter().enumerate().map(|(index, origin)| origin.view(index)).collect();
        PoolView { mode: self.outage.mode(), preferred: self.preferred, origins }
    }

    /// The picture for people.
    pub fn status(&self, now: Instant) -> RosterStatus {
        RosterStatus {
            site: self.site.clone(),
            mode: entered(self.outage.mode(), self.outage.since(), self.outage.reason(), now),
            preferred: self.preferred.map(|index| Arc::clone(&self.origins[index].name)),
            origins: self.origins.iter().map(|origin| origin.status(now)).collect(),
        }
    }

    /// Whether there is no usable endpoint at all.
    fn dark(&self) -> bool {
        !self.origins.iter().any(Origin::usable)
    }

    fn prefer(&mut self, out: &mut Vec<Event>) {
        let best = self.best();
        if best == self.preferred {
            return;
        }
        let from = std::mem::replace(&mut self.preferred, best);
        let name = |index: usize| self.origins[index].name.to_string();
        // Either the old one failed, or the new one came back.
        let cause = from.filter(|from| !self.origins[*from].usable()).or(best);
        out.push(Event::FailedOver {
            site: self.site.clone(),
            from: from.map(name),
            to: best.map(name),
            reason: cause.map(|index| self.origins[index].account()).unwrap_or_default(),
        });
    }

    /// The origin that requests go to first: the one they go to already, until it is unusable or a better one stands in.
    /// Where all of them failed, the first to have its hold-down over would otherwise take over from a better one.
    fn best(&self) -> Option<usize> {
        let usable = self.origins.iter().enumerate().filter(|(_, origin)| origin.usable());
        let (challenger, best) = usable.min_by_key(|(index, origin)| (origin.merit(), *index))?;
        let kept = self.preferred.filter(|current| self.origins[*current].usable());
        let taken_over = |current: &usize| {
            let current = &self.origins[*current];
            best.rank < current.rank && best.failback.standing() == Standing::In
        };
        Some(kept.filter(|current| !taken_over(current)).unwrap_or(challenger))
    }

    fn judge(&mut self, now: Instant, out: &mut Vec<Event>) {
        let stands_in = |origin: &Origin| origin.failback.standing() == Standing::In;
        let best_rank = self.origins.iter().map(|origin| origin.rank).min();
        let strength = Strength {
            usable: self.origins.iter().filter(|origin| origin.usable()).count(),
            best_in: self.origins.iter().filter(|origin| Some(origin.rank) == best_rank).all(stands_in),
            all_in: self.origins.iter().all(stands_in),
        };
        if let Some(change) = self.outage.on(strength, now) {
            out.push(Event::OutageModeChanged {
                site: self.site.clone(),
                from: change.from.as_str(),
                to: change.to.as_str(),
                reason: change.reason.to_owned(),
            });
        }
    }
}

#[derive(Clone, Debug)]
struct Origin {
    name: Arc<str>,
    host: String,
    rank: u32,
    weight: u32,
    accepts: Accepts,
    answers: Answers,
    failback: Failback,
    endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug)]
struct Endpoint {
    address: SocketAddr,
    health: Health,
    schedule: ProbeSchedule,
}

impl Origin {
    fn new(config: &OriginConfig, now: Instant) -> Self {
        let name = config.srv.as_ref().unwrap_or(&config.host);
        let answers = Answers::new(name, config.srv.is_none().then_some(config.port), now);
        let endpoints = answers.places().iter().map(|place| Endpoint::new(place.address, now)).collect();
        Self {
            name: config.name.as_str().into(),
            host: name.clone(),
            rank: config.rank,
            weight: config.weight,
            accepts: config.accepts,
            answers,
            failback: Failback::new(now),
            endpoints,
        }
    }

    fn remember(&mut self, memory: &Memory, guard: &GuardPolicy, now: Now, site: &str, out: &mut Vec<Event>) {
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
        self.endpoints =
            self.answers.places().iter().map(|place| Endpoint::new(place.address, now.monotonic)).collect();
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

    fn on_evidence(
        &mut self,
        address: SocketAddr,
        evidence: Evidence,
        policies: &Policies,
        now: Instant,
    ) -> Option<(SocketAddr, Transition)> {
        let endpoint = self.endpoints.iter_mut().find(|endpoint| endpoint.address == address)?;
        if matches!(evidence, Evidence::ProbePassed | Evidence::ProbeFailed(_)) {
            endpoint.schedule.end();
        }
        let fails_again = endpoint.health.state() == HealthState::Suspect
            && matches!(evidence, Evidence::ProbeFailed(_) | Evidence::RequestFailed(_));
        let transition = endpoint.health.on(evidence, &policies.health, now);
        if fails_again || transition.as_ref().is_some_and(|change| change.to == HealthState::Ejected) {
            // The name may have moved.
            self.answers.hasten(now);
        }
        Some((address, transition?))
    }

    fn on_lookup(
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
        self.endpoints.extend(change.added.iter().map(|address| Endpoint::new(*address, now)));
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

    fn stand(&mut self, policies: &Policies, now: Instant, site: &str, out: &mut Vec<Event>) {
        let ground = if self.usable() { String::new() } else { self.why_unusable() };
        let footing = if self.usable() {
            Footing::Usable { good_probes: self.good_probes(policies) }
        } else {
            Footing::Unusable { reason: &ground }
        };
        while let Some(change) = self.failback.on(footing, &policies.failback, now) {
            out.push(Event::OriginChanged {
                site: site.to_owned(),
                origin: self.name.to_string(),
                rank: self.rank,
                from: change.from.as_str(),
                to: change.to.as_str(),
                reason: change.reason,
            });
        }
    }

    /// Whether any endpoint may get traffic. An origin whose first lookup is under way gets the benefit of the doubt.
    fn usable(&self) -> bool {
        self.answers.pending() || self.endpoints.iter().any(|endpoint| endpoint.health.usable())
    }

    fn why_unusable(&self) -> String {
        match self.endpoints.iter().max_by_key(|endpoint| endpoint.health.since()) {
            Some(last) => format!("{} was ejected: {}", last.address, last.health.reason()),
            None => format!("it has no address: {}", self.answers.failure().unwrap_or("not resolved")),
        }
    }

    fn good_probes(&self, policies: &Policies) -> u32 {
        let usable = self.endpoints.iter().filter(|endpoint| endpoint.health.usable());
        let longest = usable.map(|endpoint| endpoint.health.tally().good_probes).max().unwrap_or(0);
        if policies.probe.enabled { longest } else { u32::MAX }
    }

    /// Origins of better merit sort first.
    fn merit(&self) -> (Standing, u32) {
        (self.failback.standing(), self.rank)
    }

    fn account(&self) -> String {
        format!("{} is {}: {}", self.name, self.failback.standing().as_str(), self.failback.reason())
    }

    fn view(&self, index: usize) -> OriginView {
        let endpoint = |endpoint: &Endpoint| {
            let Place { address, priority, weight } = self.answers.place(endpoint.address);
            EndpointView { address, state: endpoint.health.state(), priority, weight }
        };
        OriginView {
            name: Arc::clone(&self.name),
            index,
            rank: self.rank,
            weight: self.weight,
            accepts: self.accepts,
            standing: self.failback.standing(),
            endpoints: self.endpoints.iter().map(endpoint).collect(),
        }
    }

    fn status(&self, now: Instant) -> OriginStatus {
        let failback = &self.failback;
        OriginStatus {
            name: Arc::clone(&self.name),
            host: self.host.clone(),
            rank: self.rank,
            weight: self.weight,
            accepts: self.accepts,
            standing: entered(failback.standing(), failback.since(), failback.reason(), now),
            hold_down_left: failback.hold_down_left(now),
            answer_age: self.answers.age(now),
            answer_remembered: self.answers.is_remembered(),
            next_lookup: self.answers.due().map(|at| at.saturating_duration_since(now)),
            lookup_failure: self.answers.failure().map(str::to_owned),
            endpoints: self
                .endpoints
                .iter()
                .map(|endpoint| endpoint.status(self.answers.place(endpoint.address), now))
                .collect(),
        }
    }
}

impl Endpoint {
    fn new(address: SocketAddr, now: Instant) -> Self {
        Self { address, health: Health::new(now), schedule: ProbeSchedule::new(now) }
    }

    fn probe_due(&self, dark: bool, policy: &ProbePolicy) -> Instant {
        self.schedule.due(Pace::of(self.health.state(), dark), policy)
    }

    fn status(&self, place: Place, now: Instant) -> EndpointStatus {
        let health = &self.health;
        EndpointStatus {
            place,
            health: entered(health.state(), health.since(), health.reason(), now),
            tally: health.tally().clone(),
            last_probe_age: health.tally().last_probe_at.map(|at| now.saturating_duration_since(at)),
        }
    }
}

fn endpoint_changed(site: &str, origin: &str, address: SocketAddr, transition: Transition) -> Event {
    Event::EndpointChanged {
        site: site.to_owned(),
        origin: origin.to_owned(),
        address,
        from: transition.from.as_str(),
        to: transition.to.as_str(),
        reason: transition.reason,
    }
}

fn entered<S>(state: S, since: Instant, reason: &str, now: Instant) -> Entered<S> {
    Entered { state, age: now.saturating_duration_since(since), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
