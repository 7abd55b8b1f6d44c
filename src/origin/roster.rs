//! One site's whole state: its origins, their addresses and health, and what follows for the site.
//!
//! Everything that a shell learns comes in here, and everything that it is to do or to show comes out. The same calls in
//! the same order give the same state, so that years of outages can be simulated in seconds. The view changes only
//! when an event is put out: a shell publishes it then, and at no other time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::clock::Now;
use crate::config::model::{FailbackPolicy, LatencyPolicy, ProbePolicy, SiteConfig};
use crate::telemetry::event::Event;

use self::origin::{Endpoint, Origin};
use super::dns::answers::{GuardPolicy, Lookup};
use super::dns::memory::{Memory, Remembered};
use super::health::duty::{Duty, Order};
use super::health::endpoint::{Evidence, HealthPolicy, Transition};
use super::health::failback::{self, Standing};
use super::health::latency::Rival;
use super::health::outage::{Outage, Strength};
use super::health::validity::Validity;
use super::status::{Entered, Happening, RosterStatus};
use super::view::PoolView;

mod origin;

/// The state of one site's origins.
#[derive(Clone, Debug)]
pub struct Roster {
    site: String,
    policies: Policies,
    origins: Vec<Origin>,
    outage: Outage,
    preferred: Option<usize>,
    /// When requests began to go to the preferred origin first.
    preferred_since: Instant,
    /// What happened lately, the latest last.
    history: VecDeque<(Instant, Event)>,
    /// The latest time that has been reckoned with.
    reckoned: Instant,
}

#[derive(Clone, Debug)]
struct Policies {
    health: HealthPolicy,
    probe: ProbePolicy,
    failback: FailbackPolicy,
    latency: LatencyPolicy,
    guard: GuardPolicy,
}

impl Roster {
    /// A site at start: every origin stands in, and nothing is proven.
    pub fn new(site: &SiteConfig, guard: GuardPolicy, now: Instant) -> Self {
        let policies = Policies {
            health: HealthPolicy::of(site),
            probe: site.probe.clone(),
            failback: site.failback.clone(),
            latency: site.latency.clone(),
            guard,
        };
        let mut order: Vec<usize> = (0..site.origins.len()).collect();
        order.sort_by_key(|index| site.origins[*index].rank);
        let place = |index| order.iter().position(|other| *other == index).unwrap_or(index);
        let origin = |(index, origin)| Origin::new(origin, place(index), now);
        let origins: Vec<Origin> = site.origins.iter().enumerate().map(origin).collect();
        let preferred = order.first().copied();
        Self {
            site: site.name.clone(),
            policies,
            origins,
            outage: Outage::new(now),
            preferred,
            preferred_since: now,
            history: VecDeque::new(),
            reckoned: now,
        }
    }

    /// Takes over what an earlier run of the node knew of the origins' addresses, and was ordered of them.
    pub fn remember(&mut self, memory: &Memory, now: Now, out: &mut Vec<Event>) {
        for origin in &mut self.origins {
            origin.remember(memory, &self.policies.guard, now, &self.site, out);
        }
        let (told, mut is_forced) = (out.len(), false);
        for origin in &mut self.origins {
            origin.resume(memory, is_forced, &self.site, out);
            is_forced |= origin.duty == Duty::Forced;
        }
        if self.duties().any(|(_, duty)| duty != Duty::Auto) {
            // No origin was asked before, so that this one goes first is no failover.
            self.preferred = self.best(now.monotonic);
            self.go_on(told, now.monotonic, out);
        }
    }

    /// What an operator wants of each origin, by its name.
    pub fn duties(&self) -> impl Iterator<Item = (&str, Duty)> {
        self.origins.iter().map(|origin| (&*origin.name, origin.duty))
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
        let (told, rival) = (out.len(), self.rival(origin));
        let Some(origin) = self.origins.get_mut(origin) else { return };
        let findings = origin.on_evidence(address, evidence, rival, &self.policies, now);
        out.extend(findings.lame_duck.map(|change| change.told(&self.site, &origin.name, address)));
        out.extend(findings.transition.map(|change| endpoint_changed(&self.site, &origin.name, address, change)));
        self.go_on(told, now, out);
    }

    /// Takes the certificate that an address showed to a probe; `examine` is asked about one that is new, and once a day.
    /// About an address that is no longer in use it is ignored.
    pub fn on_certificate(
        &mut self,
        origin: usize,
        address: SocketAddr,
        certificate: &[u8],
        examine: impl FnOnce() -> Validity,
        now: Now,
        out: &mut Vec<Event>,
    ) {
        let told = out.len();
        let Some(origin) = self.origins.get_mut(origin) else { return };
        if origin.endpoints.iter().any(|endpoint| endpoint.address == address) {
            origin.expiry.on_shown(address, certificate, examine, now);
            self.go_on(told, now.monotonic, out);
        }
    }

    /// When the first of the certificates that an origin's addresses show expires.
    pub fn first_certificate_end(&self, origin: usize) -> Option<SystemTime> {
        self.origins.get(origin)?.expiry.first()
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
        let told = out.len();
        let Some(origin) = self.origins.get_mut(origin) else { return };
        origin.on_lookup(lookup, &self.policies, random.f64(), now, &self.site, out);
        self.go_on(told, now, out);
    }

    /// Takes an operator's order for one origin; `by` is who gave it.
    pub fn on_order(&mut self, origin: usize, order: Order, by: &str, now: Instant, out: &mut Vec<Event>) {
        let told = out.len();
        if order == Order::Force {
            let others = self.origins.iter_mut().enumerate().filter(|(index, _)| *index != origin);
            others.filter(|(_, other)| other.duty == Duty::Forced).for_each(|(_, other)| other.duty = Duty::Auto);
        }
        let Some(origin) = self.origins.get_mut(origin) else { return };
        origin.obey(order, now);
        out.push(Event::OriginOrdered {
            site: self.site.clone(),
            origin: origin.name.to_string(),
            order: order.as_str(),
            by: by.to_owned(),
        });
        self.go_on(told, now, out);
    }

    /// Lets time pass; see [`Roster::due`].
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Event>) {
        self.go_on(out.len(), now, out);
    }

    /// When to call [`Roster::tick`], [`Roster::probes_due`] and [`Roster::lookups_due`] next; a time past means at once,
    /// `None` that nothing happens by itself.
    pub fn due(&self) -> Option<Instant> {
        let healths = self.probed().filter_map(|endpoint| endpoint.health.due(&self.policies.health));
        let standings = self.origins.iter().filter_map(|origin| origin.failback.due(&self.policies.failback));
        let settled = Some(self.preferred_since + self.policies.failback.dwell);
        let rested = self.origins.iter().map(|origin| origin.rested);
        let certificates =
            self.origins.iter().filter(|origin| is_watched(origin)).filter_map(|origin| origin.expiry.due());
        // What time alone could change up to the last tick, it has changed.
        let changes = healths.chain(standings).chain(settled).chain(rested).chain(self.outage.due());
        let changes = changes.chain(certificates);
        let changes = changes.filter(|due| *due > self.reckoned);
        let lookups = self.origins.iter().filter_map(|origin| origin.answers.due());
        let dark_since = self.dark_since();
        let probed = self.probed().filter(|_| self.policies.probe.enabled);
        let probes = probed.map(|endpoint| endpoint.probe_due(dark_since, &self.policies.probe));
        changes.chain(lookups).chain(probes).min()
    }

    /// The endpoints to probe: each is taken to be in flight until evidence of a probe comes, or it is evidently lost.
    pub fn probes_due(&mut self, random: &mut fastrand::Rng, now: Instant) -> Vec<(usize, SocketAddr)> {
        let mut due = Vec::new();
        if !self.policies.probe.enabled {
            return due;
        }
        let dark_since = self.dark_since();
        for (index, origin) in self.origins.iter_mut().enumerate().filter(|(_, origin)| is_watched(origin)) {
            for endpoint in &mut origin.endpoints {
                if endpoint.probe_due(dark_since, &self.policies.probe) <= now {
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
        let happening = |(at, event): &(Instant, Event)| Happening {
            age: now.saturating_duration_since(*at),
            event: event.clone(),
        };
        RosterStatus {
            site: self.site.clone(),
            mode: Entered::since(self.outage.mode(), self.outage.since(), self.outage.reason(), now),
            preferred: self.preferred.map(|index| Arc::clone(&self.origins[index].name)),
            origins: self.origins.iter().map(|origin| origin.status(now)).collect(),
            history: self.history.iter().rev().map(happening).collect(),
        }
    }

    /// The index of an origin.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.origins.iter().position(|origin| &*origin.name == name)
    }

    /// Draws the conclusions of what has come in; events from `told` on are those of this call.
    fn go_on(&mut self, told: usize, now: Instant, out: &mut Vec<Event>) {
        self.reckoned = self.reckoned.max(now);
        for index in 0..self.origins.len() {
            let (rival, role) = (self.rival(index), self.role(index));
            let origin = &mut self.origins[index];
            for endpoint in &mut origin.endpoints {
                if let Some(transition) = endpoint.health.tick(&self.policies.health, now) {
                    out.push(endpoint_changed(&self.site, &origin.name, endpoint.address, transition));
                }
            }
            origin.latency.compare(rival, now);
            origin.stand(&self.policies, role, now, &self.site, out);
            if is_watched(origin) {
                origin.warn(now, &self.site, out);
            }
        }
        self.prefer(now, out);
        self.judge(now, out);
        self.history.extend(out[told..].iter().map(|event| (now, event.clone())));
        let surplus = self.history.len().saturating_sub(HISTORY_MAX);
        self.history.drain(..surplus);
    }

    /// Since when there has been no usable endpoint at all.
    fn dark_since(&self) -> Option<Instant> {
        (!self.origins.iter().any(Origin::usable)).then(|| self.outage.since())
    }

    fn probed(&self) -> impl Iterator<Item = &Endpoint> {
        self.origins.iter().filter(|origin| is_watched(origin)).flat_map(|origin| &origin.endpoints)
    }

    /// The time of the origin that would be asked without this one.
    fn rival(&self, index: usize) -> Rival {
        let others = self.origins.iter().enumerate().filter(|(other, origin)| *other != index && origin.usable());
        let quick = others.filter(|(_, origin)| origin.stands_in());
        let next = quick.min_by_key(|(other, origin)| (origin.merit(), *other));
        next.map_or(Rival::Absent, |(_, origin)| origin.latency.as_rival())
    }

    /// One that takes requests over from a usable origin does so no sooner than after the dwell time.
    fn role(&self, index: usize) -> failback::Role {
        let leads = self.preferred == Some(index);
        let substitute = self.preferred.filter(|current| !leads && self.origins[*current].usable());
        let takes_over = substitute.is_some_and(|current| self.origins[index].rank < self.origins[current].rank);
        let dwell = if takes_over { self.policies.failback.dwell } else { Duration::ZERO };
        failback::Role { leads, settled: self.preferred_since + dwell }
    }

    fn prefer(&mut self, now: Instant, out: &mut Vec<Event>) {
        let best = self.best(now);
        if best == self.preferred {
            return;
        }
        let from = std::mem::replace(&mut self.preferred, best);
        self.preferred_since = now;
        if let Some(index) = best {
            self.origins[index].rested = now + self.policies.failback.dwell;
        }
        let name = |index: usize| self.origins[index].name.to_string();
        // Either the old one failed, is slow, drained or going away, or the new one came back.
        let left = |from: &usize| {
            let from = &self.origins[*from];
            !from.usable() || !from.stands_in() || from.lame_duck().is_some()
        };
        let cause = from.filter(left).or(best);
        out.push(Event::FailedOver {
            site: self.site.clone(),
            from: from.map(name),
            to: best.map(name),
            reason: cause.map(|index| self.origins[index].account()).unwrap_or_default(),
        });
    }

    /// The origin that requests go to first: the one they go to already, until it is unusable or a better one stands in.
    /// Where all of them failed, the first to have its hold-down over would otherwise take over from a better one.
    /// One that was going away and no longer is takes over at once, though not time and again.
    fn best(&self, now: Instant) -> Option<usize> {
        let is_willing = |origin: &Origin| origin.usable() && origin.lame_duck().is_none();
        // What an operator wants goes before what an origin says of itself.
        let is_spared = |lame: &Origin| self.origins.iter().any(|other| is_willing(other) && other.duty <= lame.duty);
        let eligible = |origin: &Origin| is_willing(origin) || origin.usable() && !is_spared(origin);
        let candidates = self.origins.iter().enumerate().filter(|(_, origin)| eligible(origin));
        let (challenger, best) = candidates.min_by_key(|(index, origin)| (origin.merit(), *index))?;
        let kept = self.preferred.filter(|current| eligible(&self.origins[*current]));
        let taken_over = |current: &usize| {
            let current = &self.origins[*current];
            let is_quicker = current.failback.standing() == Standing::Slow;
            best.duty < current.duty
                || (best.failback.standing() == Standing::In
                    && best.duty == current.duty
                    && (best.rank < current.rank && now >= best.rested || is_quicker))
        };
        Some(kept.filter(|current| !taken_over(current)).unwrap_or(challenger))
    }

    fn judge(&mut self, now: Instant, out: &mut Vec<Event>) {
        let best_rank = self.origins.iter().map(|origin| origin.rank).min();
        let strength = Strength {
            usable: self.origins.iter().filter(|origin| origin.usable()).count(),
            best_in: self.origins.iter().filter(|origin| Some(origin.rank) == best_rank).all(Origin::stands_in),
            all_in: self.origins.iter().all(Origin::stands_in),
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

/// An origin that is not to be used is left in peace.
fn is_watched(origin: &Origin) -> bool {
    origin.duty != Duty::Disabled
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

/// Events kept for the status page: a night of trouble.
const HISTORY_MAX: usize = 64;

#[cfg(test)]
mod lab;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
