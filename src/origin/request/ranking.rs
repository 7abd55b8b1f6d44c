//! The order in which the endpoints of a site are tried for one request.
//!
//! The preferred origin and its equals lead; the others come by standing, then by rank, then by weighted chance; what an
//! operator has ordered goes before all of that. Tries
//! spread over origins first, because what breaks one address of a data center tends to break the next one too. Only
//! tries that every usable origin can spare are spent at home: with three tries and two origins the order is first, first
//! again (at another healthy address), second.
//!
//! Among equals, origins or addresses, chance draws two, and the first of them is taken unless the other costs notably less
//! (power of two choices). An even crowd thus spreads by weight, a slow or busy one is spared, and nobody is flooded for
//! having been the fastest a moment ago.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::config::model::Accepts;

use crate::origin::health::duty::Duty;
use crate::origin::health::endpoint::HealthState;
use crate::origin::health::failback::Standing;
use crate::origin::view::{EndpointView, OriginView, PoolView};

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
/// origin that an operator forces. Lame ducks come after all others of their duty that are usable.
pub fn candidates(view: &PoolView, demand: Demand, now: Instant, random: &mut fastrand::Rng) -> Vec<Candidate> {
    let queue = |origin: &OriginView, random: &mut fastrand::Rng| Queue {
        origin: origin.index,
        duty: origin.duty,
        endpoints: in_order(origin, demand.safe, now, random),
    };
    let ordered = order(view, demand, now, random);
    let mut queues: Vec<Queue> = ordered.into_iter().map(|origin| queue(origin, random)).collect();
    let mut candidates = Vec::new();
    // What is drained waits until nothing else is left.
    for queues in queues.chunk_by_mut(|one, other| one.duty == other.duty) {
        take_usable(queues, demand.tries, &mut candidates);
    }
    take_in_turn(&mut queues, |_| true, &mut candidates);
    candidates
}

fn take_usable(queues: &mut [Queue], tries: usize, candidates: &mut Vec<Candidate>) {
    let usable = queues.iter().filter(|queue| queue.next().is_some_and(Choice::is_willing)).count();
    let mut spare = tries.saturating_sub(usable);
    for queue in &mut *queues {
        candidates.extend(queue.take_if(Choice::is_willing));
        while spare > 0 && queue.next().is_some_and(Choice::is_sound) {
            candidates.extend(queue.take_if(Choice::is_sound));
            spare -= 1;
        }
    }
    take_in_turn(queues, Choice::is_willing, candidates);
    take_in_turn(queues, |choice| choice.state.usable(), candidates);
}

/// The slow origin that this request is to try first, if it is time for that: what it takes is gone for others.
pub fn trial(view: &PoolView, now: Instant) -> Option<usize> {
    let is_slow = |origin: &&OriginView| (origin.duty, origin.standing) == (Duty::Auto, Standing::Slow);
    view.origins.iter().filter(is_slow).find(|origin| origin.trials.take(now)).map(|origin| origin.index)
}

/// Why an endpoint is asked; those of a lesser kind are asked when the others have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Calling {
    /// An operator forces its origin.
    Ordered,
    /// It may get requests and wants them, and no operator wants it spared.
    Willing,
    /// There is none of the others.
    Makeshift,
}

/// Why an endpoint is asked.
pub fn calling(view: &PoolView, candidate: Candidate) -> Calling {
    let Some(origin) = view.origins.get(candidate.origin) else { return Calling::Makeshift };
    let endpoint = view.endpoint(candidate.origin, candidate.address);
    match origin.duty {
        Duty::Forced => Calling::Ordered,
        Duty::Auto if endpoint.is_some_and(|endpoint| choice(origin, endpoint).is_willing()) => Calling::Willing,
        Duty::Auto | Duty::Drained | Duty::Disabled => Calling::Makeshift,
    }
}

/// The endpoint that would be asked next if the first origin failed, where one is willing.
pub fn standby(view: &PoolView, now: Instant, random: &mut fastrand::Rng) -> Option<Candidate> {
    let candidates = candidates(view, Demand { safe: true, tries: 1, trial: None, bucket: 0 }, now, random);
    let next = *candidates.iter().find(|next| next.origin != candidates[0].origin)?;
    (calling(view, next) != Calling::Makeshift).then_some(next)
}

/// By what an operator wants, then those that lead, then the others by standing and rank; equals in a random order in which
/// a place is won in proportion to weight.
fn order<'a>(view: &'a PoolView, demand: Demand, now: Instant, random: &mut fastrand::Rng) -> Vec<&'a OriginView> {
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
            let winner = place + draw(&equals[place..], now, random);
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

fn draw(origins: &[&OriginView], now: Instant, random: &mut fastrand::Rng) -> usize {
    if origins.len() < 2 {
        return 0;
    }
    let first = draw_by_weight(origins, None, random);
    let second = draw_by_weight(origins, Some(first), random);
    let costs_less = notably_less(origin_cost(origins[second], now), origin_cost(origins[first], now));
    if costs_less { second } else { first }
}

/// An origin other than `taken`, in proportion to weight.
fn draw_by_weight(origins: &[&OriginView], taken: Option<usize>, random: &mut fastrand::Rng) -> usize {
    let weights = || {
        let others = origins.iter().enumerate().filter(move |(index, _)| Some(*index) != taken);
        others.map(|(index, origin)| (index, u64::from(origin.weight.max(1))))
    };
    let mut ticket = random.u64(0..weights().map(|(_, weight)| weight).sum::<u64>().max(1));
    for (index, weight) in weights() {
        if ticket < weight {
            return index;
        }
        ticket -= weight;
    }
    0
}

/// The latency of its fastest endpoint, times the requests that each unit of its weight bears, one more included.
fn origin_cost(origin: &OriginView, now: Instant) -> f64 {
    let usable = || origin.endpoints.iter().filter(|endpoint| state(origin, endpoint).usable());
    let fastest = usable().map(|endpoint| endpoint.load.latency(now)).min().unwrap_or_default();
    let in_flight: u32 = usable().map(|endpoint| endpoint.load.in_flight()).sum();
    cost(fastest, in_flight, origin.weight)
}

fn cost(latency: Duration, in_flight: u32, weight: u32) -> f64 {
    latency.as_secs_f64() * (1.0 + f64::from(in_flight) / f64::from(weight.max(1)))
}

fn notably_less(cost: f64, than: f64) -> bool {
    cost * NOTABLY < than
}

/// The best endpoint last, so that taking one is a `pop`.
fn in_order(origin: &OriginView, safe: bool, now: Instant, random: &mut fastrand::Rng) -> Vec<Choice> {
    if let [only] = &*origin.endpoints {
        return vec![choice(origin, only)];
    }
    let mut lots: Vec<_> = origin.endpoints.iter().map(|endpoint| (lot(endpoint, random), endpoint)).collect();
    lots.sort_by(|(lot, _), (other, _)| other.total_cmp(lot));
    let mut endpoints: Vec<&EndpointView> = lots.into_iter().map(|(_, endpoint)| endpoint).collect();
    // Without probes only a request can prove an endpoint; a safe one that fails is simply tried again.
    let trial = safe && random.u32(0..TRIAL_ODDS) == 0;
    let on_probation = endpoints.iter().find(|endpoint| endpoint.state == HealthState::Probation);
    let tried = on_probation.map(|endpoint| endpoint.address).filter(|_| trial);
    let is_proven = |endpoint: &&EndpointView| matches!(endpoint.state, HealthState::Healthy | HealthState::Suspect);
    // What is unproven does not go before what is proven, whatever its priority (RFC 2782).
    let proven = origin.endpoints.iter().filter(is_proven).map(|endpoint| endpoint.priority).max().unwrap_or(0);
    let place = |endpoint: &&EndpointView| match choice(origin, endpoint) {
        Choice { state: HealthState::Ejected, .. } => (4, endpoint.priority, 0),
        Choice { lame_duck: true, .. } => (3, endpoint.priority, 0),
        Choice { state: HealthState::Probation, address, .. } if Some(address) == tried => (0, 0, 0),
        Choice { state: HealthState::Healthy, .. } => (1, endpoint.priority, 0),
        Choice { state: HealthState::Suspect, .. } => (1, endpoint.priority, 1),
        Choice { state: HealthState::Probation, .. } => (1, endpoint.priority.max(proven), 1),
    };
    endpoints.sort_by_key(place);
    let mut before = None;
    for equals in endpoints.chunk_by_mut(|a, b| place(a) == place(b)) {
        spare_the_busy(equals, now);
        before = alternate_families(before, equals);
    }
    endpoints.iter().rev().map(|endpoint| choice(origin, endpoint)).collect()
}

/// A number that is the greatest of several with a probability in proportion to weight; a weight of 0 seldom wins.
fn lot(endpoint: &EndpointView, random: &mut fastrand::Rng) -> f64 {
    let weight = if endpoint.weight == 0 { WEIGHT_OF_NONE } else { f64::from(endpoint.weight) };
    random.f64().ln() / weight
}

/// Of each two neighbors in a random order, the one that costs notably less comes first.
fn spare_the_busy(endpoints: &mut [&EndpointView], now: Instant) {
    let cost = |endpoint: &EndpointView| cost(endpoint.load.latency(now), endpoint.load.in_flight(), 1);
    for place in 1..endpoints.len() {
        if notably_less(cost(endpoints[place]), cost(endpoints[place - 1])) {
            endpoints.swap(place - 1, place);
        }
    }
}

/// An endpoint as a request sees it.
#[derive(Clone, Copy)]
struct Choice {
    address: SocketAddr,
    state: HealthState,
    lame_duck: bool,
}

impl Choice {
    /// Whether it may get requests and wants them.
    fn is_willing(&self) -> bool {
        self.state.usable() && !self.lame_duck
    }

    /// Whether a second try of the same origin is well spent on it.
    fn is_sound(&self) -> bool {
        self.state == HealthState::Healthy && !self.lame_duck
    }
}

fn choice(origin: &OriginView, endpoint: &EndpointView) -> Choice {
    let lame_duck = endpoint.lame_duck && origin.duty != Duty::Forced;
    Choice { address: endpoint.address, state: state(origin, endpoint), lame_duck }
}

/// Whoever forces an origin knows better than its probes.
fn state(origin: &OriginView, endpoint: &EndpointView) -> HealthState {
    match endpoint.state {
        HealthState::Ejected if origin.duty == Duty::Forced => HealthState::Suspect,
        state => state,
    }
}

/// RFC 8305 §4: a family that leads nowhere costs one dial, not one for each of its addresses. `before` is whether the
/// endpoint before these is one of IPv6; so is the result of the last of them.
fn alternate_families(mut before: Option<bool>, endpoints: &mut [&EndpointView]) -> Option<bool> {
    for place in 0..endpoints.len() {
        let is_other = |endpoint: &&EndpointView| before.is_some_and(|before| endpoint.address.is_ipv6() != before);
        if let Some(other) = endpoints[place..].iter().position(is_other) {
            endpoints[place..=place + other].rotate_right(1);
        }
        before = Some(endpoints[place].address.is_ipv6());
    }
    before
}

struct Queue {
    origin: usize,
    duty: Duty,
    endpoints: Vec<Choice>,
}

impl Queue {
    fn next(&self) -> Option<&Choice> {
        self.endpoints.last()
    }

    fn take_if(&mut self, wanted: impl Fn(&Choice) -> bool) -> Option<Candidate> {
        let choice = self.endpoints.pop_if(|choice| wanted(choice))?;
        Some(Candidate { origin: self.origin, address: choice.address })
    }
}

/// One of each origin, then the next of each, until none is wanted.
fn take_in_turn(queues: &mut [Queue], wanted: fn(&Choice) -> bool, candidates: &mut Vec<Candidate>) {
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

/// How much more the dearer of two has to cost to be passed over. Less is noise: latencies of equals always differ a
/// little, and weights would count for nothing.
const NOTABLY: f64 = 1.5;

#[cfg(test)]
mod tests;
