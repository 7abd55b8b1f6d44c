//! The order in which the endpoints of a site are tried for one request.
//!
//! The preferred origin and its equals lead; the others come by standing, then by rank, then by weighted chance; what an
//! operator has ordered goes before all of that. Tries
//! spread over origins first, because what breaks one address of a data center tends to break the next one too. Only
//! tries that every usable origin can spare are spent at home: with three tries and two origins the order is first, first
//! again (at another healthy address), second.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use crate::config::model::Accepts;

use super::duty::Duty;
use super::failback::Standing;
use super::health::HealthState;
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
    /// A slow origin that this request is to try first, to find out whether it is quick again.
    pub trial: Option<usize>,
    /// The hundredth of all URLs that the request's belongs to: see [`bucket`].
    pub bucket: u8,
}

/// The hundredth of all URLs that `target` belongs to, the same one on every node: 0 to 99. An origin that takes its keys
/// back in steps gets the lower ones first.
pub fn bucket(target: &str) -> u8 {
    (hash(target) % 100) as u8
}

/// The same number for the same text on every node.
pub fn hash(target: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    hasher.finish()
}

/// All endpoints that may be tried, best first; at most one mention each. Ejected ones come last, but for those of an
/// origin that an operator forces.
pub fn candidates(view: &PoolView, demand: Demand, random: &mut fastrand::Rng) -> Vec<Candidate> {
    let queue = |origin: &OriginView, random: &mut fastrand::Rng| Queue {
        origin: origin.index,
        duty: origin.duty,
        endpoints: in_order(origin, demand.safe, random),
    };
    let mut queues: Vec<Queue> = order(view, demand, random).into_iter().map(|origin| queue(origin, random)).collect();
    let mut candidates = Vec::new();
    // What is drained waits until nothing else is left.
    for queues in queues.chunk_by_mut(|one, other| one.duty == other.duty) {
        take_usable(queues, demand.tries, &mut candidates);
    }
    take_in_turn(&mut queues, |_| true, &mut candidates);
    candidates
}

fn take_usable(queues: &mut [Queue], tries: usize, candidates: &mut Vec<Candidate>) {
    let usable = queues.iter().filter(|queue| queue.next_state().is_some_and(HealthState::usable)).count();
    let mut spare = tries.saturating_sub(usable);
    for queue in &mut *queues {
        candidates.extend(queue.take_if(HealthState::usable));
        while spare > 0 && queue.next_state() == Some(HealthState::Healthy) {
            candidates.extend(queue.take_if(HealthState::usable));
            spare -= 1;
        }
    }
    take_in_turn(queues, HealthState::usable, candidates);
}

/// By what an operator wants, then those that lead, then the others by standing and rank; equals in a random order in which
/// a place is won in proportion to weight.
fn order<'a>(view: &'a PoolView, demand: Demand, random: &mut fastrand::Rng) -> Vec<&'a OriginView> {
    let may_be_asked =
        |origin: &&OriginView| origin.duty != Duty::Disabled && (demand.safe || origin.accepts == Accepts::All);
    let mut origins: Vec<&OriginView> = view.origins.iter().filter(may_be_asked).collect();
    let place = |origin: &OriginView| {
        let is_on_trial = demand.trial == Some(origin.index);
        (origin.duty, !is_on_trial, !leads(view, origin, demand), standing(origin, demand), origin.rank)
    };
    origins.sort_by_key(|origin| place(origin));
    for equals in origins.chunk_by_mut(|a, b| place(a) == place(b)) {
        for place in 0..equals.len() {
            let winner = place + draw(&equals[place..], random);
            equals.swap(place, winner);
        }
    }
    origins
}

/// Whether requests like this one go to this origin first: it is the preferred one, or shares the load with it.
fn leads(view: &PoolView, origin: &OriginView, demand: Demand) -> bool {
    let preferred = view.preferred.and_then(|index| view.origins.get(index));
    preferred.is_some_and(|preferred| {
        (origin.duty, origin.rank) == (preferred.duty, preferred.rank) && standing(origin, demand) <= preferred.standing
    })
}

/// For URLs beyond its share, an origin has not returned yet.
fn standing(origin: &OriginView, demand: Demand) -> Standing {
    match origin.standing {
        Standing::In if demand.bucket >= origin.share => Standing::Returning,
        standing => standing,
    }
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
    let mut endpoints: Vec<_> =
        origin.endpoints.iter().map(|endpoint| (state(origin, endpoint), endpoint.address)).collect();
    random.shuffle(&mut endpoints);
    // Without probes only a request can prove an endpoint; a safe one that fails is simply tried again.
    let trial = safe && random.u32(0..TRIAL_ODDS) == 0;
    let on_probation = endpoints.iter().find(|(state, _)| *state == HealthState::Probation);
    let tried = on_probation.map(|(_, address)| *address).filter(|_| trial);
    let place = |(state, address): &(HealthState, SocketAddr)| match state {
        HealthState::Probation if Some(*address) == tried => 0,
        HealthState::Healthy => 1,
        HealthState::Probation | HealthState::Suspect => 2,
        HealthState::Ejected => 3,
    };
    endpoints.sort_by_key(place);
    endpoints.chunk_by_mut(|a, b| place(a) == place(b)).for_each(alternate_families);
    endpoints.reverse();
    endpoints
}

/// Whoever forces an origin knows better than its probes.
fn state(origin: &OriginView, endpoint: &EndpointView) -> HealthState {
    match endpoint.state {
        HealthState::Ejected if origin.duty == Duty::Forced => HealthState::Suspect,
        state => state,
    }
}

/// RFC 8305 §4: a family that leads nowhere costs one dial, not one for each of its addresses.
fn alternate_families(endpoints: &mut [(HealthState, SocketAddr)]) {
    for place in 1..endpoints.len() {
        let previous = endpoints[place - 1].1.is_ipv6();
        let other = endpoints[place..].iter().position(|(_, address)| address.is_ipv6() != previous);
        if let Some(other) = other {
            endpoints[place..=place + other].rotate_right(1);
        }
    }
}

struct Queue {
    origin: usize,
    duty: Duty,
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

/// One safe request in this many tries an endpoint on probation before the healthy ones of its origin.
const TRIAL_ODDS: u32 = 16;

#[cfg(test)]
mod tests;
