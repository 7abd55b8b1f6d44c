//! The order in which the endpoints of a site are tried for one request.
//!
//! The preferred origin and its equals lead; the others come by standing, then by rank, then by weighted chance. Tries
//! spread over origins first, because what breaks one address of a data center tends to break the next one too. Only
//! tries that every usable origin can spare are spent at home: with three tries and two origins the order is first, first
//! again (at another healthy address), second.

use std::cmp::Reverse;
use std::net::SocketAddr;

use crate::config::model::Accepts;

use super::health::HealthState;
use super::outage::OutageMode;
use super::view::{EndpointView, OriginView, PoolView};

/// One endpoint to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Index of the origin in the view.
    pub origin: usize,
    /// Where to connect.
    pub address: SocketAddr,
}

/// What decides about candidates besides the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Whether the method is safe (RFC 9110 §9.2.1); a read-only origin gets no other.
    pub safe: bool,
    /// Most endpoints that the request will try; at least 1.
    pub tries: usize,
    /// Whether ejected endpoints may be tried though no other is left. Meant for a trickle of requests, not for each.
    pub trickle: bool,
}

/// All endpoints that may be tried, best first; at most one mention each. Ejected ones come last, and not at all in
/// stale-only mode unless the demand is a trickle.
pub fn candidates(view: &PoolView, demand: Demand, random: &mut fastrand::Rng) -> Vec<Candidate> {
    let mut queues: Vec<Queue> = order(view, demand.safe, random)
        .into_iter()
        .map(|origin| Queue { origin: origin.index, endpoints: in_order(origin, demand.safe, random) })
        .collect();
    let usable = queues.iter().filter(|queue| queue.next_state() != Some(HealthState::Ejected)).count();
    let mut spare = demand.tries.saturating_sub(usable);
    let mut candidates = Vec::new();
    for queue in &mut queues {
        candidates.extend(queue.take_if(HealthState::usable));
        while spare > 0 && queue.next_state() == Some(HealthState::Healthy) {
            candidates.extend(queue.take_if(HealthState::usable));
            spare -= 1;
        }
    }
    take_in_turn(&mut queues, HealthState::usable, &mut candidates);
    if demand.trickle || view.mode != OutageMode::StaleOnly {
        take_in_turn(&mut queues, |_| true, &mut candidates);
    }
    candidates
}

/// Those that lead, then the others by standing and rank; equals in a random order in which a place is won in proportion to weight.
fn order<'a>(view: &'a PoolView, safe: bool, random: &mut fastrand::Rng) -> Vec<&'a OriginView> {
    let mut origins: Vec<&OriginView> =
        view.origins.iter().filter(|origin| safe || origin.accepts == Accepts::All).collect();
    let place = |origin: &OriginView| (!leads(view, origin), origin.standing, origin.rank);
    origins.sort_by_key(|origin| place(origin));
    for equals in origins.chunk_by_mut(|a, b| place(a) == place(b)) {
        for place in 0..equals.len() {
            let winner = place + draw(&equals[place..], random);
            equals.swap(place, winner);
        }
    }
    origins
}

/// Whether requests go to this origin first: it is the preferred one, or shares the load with it.
fn leads(view: &PoolView, origin: &OriginView) -> bool {
    let preferred = view.preferred.and_then(|index| view.origins.get(index));
    preferred.is_some_and(|preferred| origin.rank == preferred.rank && origin.standing <= preferred.standing)
}

fn draw(origins: &[&OriginView], random: &mut fastrand::Rng) -> usize {
    let total: u64 = origins.iter().map(|origin| u64::from(origin.weight.max(1))).sum();
    let mut ticket = if origins.len() > 1 { random.u64(0..total) } else { 0 };
    for (index, origin) in origins.iter().enumerate() {
        let weight = u64::from(origin.weight.max(1));
        if ticket < weight {
            return index;
        }
        ticket -= weight;
    }
    0
}

/// The best endpoint last, so that taking one is a `pop`.
fn in_order(origin: &OriginView, safe: bool, random: &mut fastrand::Rng) -> Vec<(HealthState, SocketAddr)> {
    let mut endpoints: Vec<_> = origin.endpoints.iter().map(|endpoint| (endpoint, lot(endpoint, random))).collect();
    endpoints.sort_by(|(_, lot), (_, other)| lot.total_cmp(other));
    // Without probes only a request can prove an endpoint; a safe one that fails is simply tried again.
    let trial = safe && random.u32(0..TRIAL_ODDS) == 0;
    let is_proven = |endpoint: &&EndpointView| matches!(endpoint.state, HealthState::Healthy | HealthState::Suspect);
    // What is unproven does not go before what is proven, whatever its priority (RFC 2782).
    let proven = origin.endpoints.iter().filter(is_proven).map(|endpoint| endpoint.priority).max().unwrap_or(0);
    endpoints.sort_by_key(|(endpoint, _)| {
        let priority = endpoint.priority;
        match endpoint.state {
            HealthState::Probation if trial => (2, Reverse(0), 0),
            HealthState::Healthy => (1, Reverse(priority), 1),
            HealthState::Suspect => (1, Reverse(priority), 0),
            HealthState::Probation => (1, Reverse(priority.max(proven)), 0),
            HealthState::Ejected => (0, Reverse(priority), 0),
        }
    });
    endpoints.into_iter().map(|(endpoint, _)| (endpoint.state, endpoint.address)).collect()
}

/// A number that is the greatest of several with a probability in proportion to weight; a weight of 0 seldom wins.
fn lot(endpoint: &EndpointView, random: &mut fastrand::Rng) -> f64 {
    let weight = if endpoint.weight == 0 { WEIGHT_OF_NONE } else { f64::from(endpoint.weight) };
    random.f64().ln() / weight
}

struct Queue {
    origin: usize,
    endpoints: Vec<(HealthState, SocketAddr)>,
}

impl Queue {
    fn next_state(&self) -> Option<HealthState> {
        self.endpoints.last().map(|(state, _)| *state)
    }

    fn take_if(&mut self, wanted: impl Fn(HealthState) -> bool) -> Option<Candidate> {
        let (_, address) = self.endpoints.pop_if(|(state, _)| wanted(*state))?;
        Some(Candidate { origin: self.origin, address })
    }
}

/// One of each origin, then the next of each, until none is wanted.
fn take_in_turn(queues: &mut [Queue], wanted: fn(HealthState) -> bool, candidates: &mut Vec<Candidate>) {
    loop {
        let before = candidates.len();
        candidates.extend(queues.iter_mut().filter_map(|queue| queue.take_if(wanted)));
        if candidates.len() == before {
            return;
        }
    }
}

/// "A very small chance of being selected" (RFC 2782), next to the 16 that a weight of 1 is here.
const WEIGHT_OF_NONE: f64 = 0.1;

/// One safe request in this many tries an endpoint on probation before the healthy ones of its origin.
const TRIAL_ODDS: u32 = 16;

#[cfg(test)]
mod tests;
