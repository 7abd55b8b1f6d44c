//! Addresses of one origin: what to believe of DNS answers, and when to ask again.
//!
//! A name server that is down, wrong or empty must not take a site down with it. The last good answer is kept for as
//! long as nothing better comes. A denial (NXDOMAIN) has to be repeated before it counts, and even then removes only
//! addresses that do not answer, and never the last ones.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::place::Place;
use super::refusal::RefusalPolicy;
use crate::config::model::Config;

/// How a lookup ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// With addresses.
    Found {
        /// In any order, repetitions allowed.
        addresses: Vec<IpAddr>,
        /// The least over the chain of answers.
        ttl: Duration,
        /// Whether both address families could be looked up; if not, there are none of one of them.
        whole: bool,
    },
    /// With places of their own ports, as SRV records give them.
    Located {
        /// In any order, repetitions allowed.
        places: Vec<Place>,
        /// The least over records and targets.
        ttl: Duration,
        /// Whether every target could be looked up.
        whole: bool,
    },
    /// The name does not exist (NXDOMAIN).
    NoSuchName,
    /// The name exists and has no addresses.
    Empty,
    /// The service is decidedly not available (RFC 2782, a target of ".").
    NotOffered,
    /// No answer, and why.
    Failed(String),
}

/// What is used of answers, and how long before they are asked for again.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardPolicy {
    /// No sooner than this.
    pub ttl_min: Duration,
    /// No later than this.
    pub ttl_max: Duration,
    /// Which addresses are not used.
    pub refusals: RefusalPolicy,
}

impl GuardPolicy {
    /// That of a node.
    pub fn of(config: &Config) -> Self {
        let dns = &config.dns;
        Self { ttl_min: dns.ttl_min, ttl_max: dns.ttl_max, refusals: RefusalPolicy::of(config) }
    }
}

/// What a lookup changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Addresses that are new.
    pub added: Vec<SocketAddr>,
    /// Addresses that are gone.
    pub removed: Vec<SocketAddr>,
    /// Whether addresses that stay have another priority or weight.
    pub reordered: bool,
    /// How long the outcome is good for: the clamped TTL, or the delay after a failure.
    pub interval: Duration,
    /// When to ask again: at 80 to 100 % of `interval`.
    pub next: Instant,
    /// Why the lookup gave nothing, when it did not.
    pub failure: Option<String>,
    /// Addresses of the answer that are not used, and why: once, for as long as it goes on.
    pub refused: Option<String>,
}

/// The addresses of one origin.
#[derive(Clone, Debug)]
pub struct Answers {
    name: String,
    /// `None` when answers have ports of their own.
    port: Option<u16>,
    places: Vec<Place>,
    /// `None` for an IP literal, which is never looked up.
    timer: Option<Timer>,
    answered: Option<Answered>,
    failure: Option<String>,
    failures: u32,
    denial: Option<Denial>,
    refused: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    /// When the last lookup began, or ended if it has.
    asked: Instant,
    in_flight: bool,
    next: Instant,
}

/// The last good answer.
#[derive(Clone, Copy, Debug)]
struct Answered {
    at: Instant,
    /// How old it was then: above zero when an earlier run of the node got it.
    age: Duration,
    remembered: bool,
}

/// Denials, of the name or of the service, since the last one that was not.
#[derive(Clone, Copy, Debug)]
struct Denial {
    first: Instant,
    times: u32,
}

impl Answers {
    /// A name is to be looked up at once; an IP literal (without brackets) is its own answer. Without a `port` the name is
    /// that of SRV records.
    pub fn new(name: &str, port: Option<u16>, now: Instant) -> Self {
        let literal = name.parse().ok().zip(port).map(|(ip, port)| Place::plain(SocketAddr::new(ip, port)));
        let timer = Timer { asked: now, in_flight: false, next: now };
        Self {
            name: name.to_owned(),
            port,
            places: literal.into_iter().collect(),
            timer: literal.is_none().then_some(timer),
            answered: None,
            failure: None,
            failures: 0,
            denial: None,
            refused: None,
        }
    }

    /// Takes over what an earlier run of the node knew, and how long ago it was told so. A lookup is due all the same.
    pub fn remember(&mut self, places: Vec<Place>, age: Duration, policy: &GuardPolicy, now: Instant) {
        if self.timer.is_some() && self.places.is_empty() {
            let of_port = |place: Place| match self.port {
                Some(port) => Place::plain(SocketAddr::new(place.address.ip(), port)),
                None => place,
            };
            let (usable, _) = self.sorted_out(places.into_iter().map(of_port).collect(), policy);
            let Ok(places) = chosen(&[], usable) else { return };
            self.places = places;
            self.answered = Some(Answered { at: now, age, remembered: true });
        }
    }

    /// A lookup begins; until it ends, or is evidently lost, none is due.
    pub fn begin(&mut self, now: Instant) {
        if let Some(timer) = &mut self.timer {
            *timer = Timer { asked: now, in_flight: true, next: now + LOST };
        }
    }

    /// A lookup has ended. `alive` tells which addresses still work; `random` in 0..1 spreads the next lookup over the
    /// last fifth of its interval.
    pub fn on(
        &mut self,
        lookup: Lookup,
        alive: impl Fn(SocketAddr) -> bool,
        policy: &GuardPolicy,
        random: f64,
        now: Instant,
    ) -> Change {
        let denied = self.denied(&lookup, now);
        let mut news = None;
        let outcome = match lookup {
            Lookup::Found { addresses, ttl, whole } => {
                let port = self.port.unwrap_or_default();
                let mut places: Vec<_> =
                    addresses.into_iter().map(|ip| Place::plain(SocketAddr::new(ip, port))).collect();
                if !whole {
                    // The family that is missing may only not have been found.
                    let is_v4 = places.iter().any(|place| place.address.is_ipv4());
                    places.extend(self.places.iter().filter(|kept| kept.address.is_ipv4() != is_v4));
                }
                self.judged(places, policy, &mut news).map(|places| (places, ttl))
            }
            Lookup::Located { mut places, ttl, whole } => {
                if !whole {
                    // What is missing may only not have been found.
                    places.extend(&self.places);
                }
                self.judged(places, policy, &mut news).map(|places| (places, ttl))
            }
            Lookup::NoSuchName => Err("no such name".to_owned()),
            Lookup::NotOffered => Err("the service is decidedly not available".to_owned()),
            Lookup::Empty => Err("the name has no addresses".to_owned()),
            Lookup::Failed(reason) => Err(reason),
        };
        let (places, interval) = match outcome {
            Ok((places, ttl)) => {
                self.answered = Some(Answered { at: now, age: Duration::ZERO, remembered: false });
                self.failure = None;
                self.failures = 0;
                (places, ttl.min(policy.ttl_max).max(policy.ttl_min))
            }
            Err(reason) => {
                let delay = RETRY_MIN * 2_u32.saturating_pow(self.failures.min(8));
                self.failure = Some(reason);
                self.failures = self.failures.saturating_add(1);
                (self.kept(denied, alive), delay.min(RETRY_MAX))
            }
        };
        let next = now + interval.mul_f64(0.8 + 0.2 * random.clamp(0.0, 1.0));
        if let Some(timer) = &mut self.timer {
            *timer = Timer { asked: now, in_flight: false, next };
        }
        let before = std::mem::replace(&mut self.places, places);
        Change {
            added: missing_from(&before, &self.places),
            removed: missing_from(&self.places, &before),
            reordered: self.places.iter().any(|place| {
                let known = before.iter().find(|known| known.address == place.address);
                known.is_some_and(|known| known != place)
            }),
            interval,
            next,
            failure: self.failure.clone(),
            refused: news,
        }
    }

    /// Brings the next lookup forward, because an address stopped working; at most one every five seconds.
    pub fn hasten(&mut self, now: Instant) {
        if let Some(timer) = self.timer.as_mut().filter(|timer| !timer.in_flight) {
            timer.next = timer.next.min(now.max(timer.asked + HASTE));
        }
    }

    /// The addresses in use, at most 16.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The place of an address in use.
    pub fn place(&self, address: SocketAddr) -> Place {
        let known = self.places.iter().find(|place| place.address == address);
        known.copied().unwrap_or(Place::plain(address))
    }

    /// When to ask (again); `None` for an IP literal.
    pub fn due(&self) -> Option<Instant> {
        self.timer.map(|timer| timer.next)
    }

    /// How old the last good answer is; `None` before the first, and for an IP literal.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.answered.map(|answered| answered.age + now.saturating_duration_since(answered.at))
    }

    /// Whether the last good answer is that of an earlier run of the node.
    pub fn is_remembered(&self) -> bool {
        self.answered.is_some_and(|answered| answered.remembered)
    }

    /// Why the last lookup gave nothing, when it did not.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whether nothing is known yet, because the first lookup has not ended.
    pub fn pending(&self) -> bool {
        self.places.is_empty() && self.failure.is_none()
    }

    /// The addresses to use of those found; `news` are the refused ones.
    fn judged(
        &mut self,
        found: Vec<Place>,
        policy: &GuardPolicy,
        news: &mut Option<String>,
    ) -> Result<Vec<Place>, String> {
        let (usable, refused) = self.sorted_out(found, policy);
        let chosen = match (chosen(&self.places, usable), &refused) {
            (Err(_), Some(refused)) => Err(format!("no address of the answer is used: {refused}")),
            (chosen, _) => chosen,
        };
        *news = refused.clone().filter(|refused| chosen.is_ok() && self.refused.as_ref() != Some(refused));
        self.refused = refused;
        chosen
    }

    /// The addresses that may be used; and in words those that may not, and why.
    fn sorted_out(&self, found: Vec<Place>, policy: &GuardPolicy) -> (Vec<Place>, Option<String>) {
        let (mut usable, mut refused) = (Vec::new(), Vec::new());
        for place in found {
            match policy.refusals.refusal(&self.name, place.address) {
                None => usable.push(place),
                Some(refusal) => refused.push(format!("{} ({})", place.address.ip(), refusal.as_str())),
            }
        }
        refused.sort_unstable();
        refused.dedup();
        let count = refused.len();
        refused.truncate(REFUSED_NAMED);
        if count > refused.len() {
            refused.push(format!("and {} more", count - refused.len()));
        }
        (usable, (count > 0).then(|| refused.join(", ")))
    }

    /// Whether the name has by now been denied often and long enough to believe it.
    fn denied(&mut self, lookup: &Lookup, now: Instant) -> bool {
        match lookup {
            Lookup::NoSuchName | Lookup::NotOffered => {
                let denial = self.denial.get_or_insert(Denial { first: now, times: 0 });
                denial.times = denial.times.saturating_add(1);
                denial.times >= DENIALS_MIN && now >= denial.first + DENIAL_TIME_MIN
            }
            Lookup::Found { .. } | Lookup::Located { .. } => {
                self.denial = None;
                false
            }
            Lookup::Empty | Lookup::Failed(_) => false,
        }
    }

    /// What stays in use without a good answer: everything, or what is alive once the name has been denied; never
    /// nothing, since a dead address may come back and no address cannot.
    fn kept(&self, denied: bool, alive: impl Fn(SocketAddr) -> bool) -> Vec<Place> {
        let living: Vec<_> = self.places.iter().copied().filter(|place| !denied || alive(place.address)).collect();
        if living.is_empty() { self.places.clone() } else { living }
    }
}

/// The addresses to use of those found: the ones in use first, so that a long answer in changing order stays the same.
fn chosen(current: &[Place], mut found: Vec<Place>) -> Result<Vec<Place>, String> {
    // A stable order, so that the first mention of an address counts: what is new goes before what is kept.
    found.sort_by_key(|place| place.address);
    found.dedup_by_key(|place| place.address);
    let in_use = |place: &Place| current.iter().any(|known| known.address == place.address);
    let (mut chosen, new): (Vec<Place>, Vec<Place>) = found.into_iter().partition(in_use);
    chosen.extend(new);
    chosen.sort_by_key(|place| place.priority);
    chosen.truncate(ADDRESSES_MAX);
    if chosen.is_empty() { Err("the answer has no address".to_owned()) } else { Ok(chosen) }
}

fn missing_from(reference: &[Place], places: &[Place]) -> Vec<SocketAddr> {
    let is_there = |address: &SocketAddr| reference.iter().any(|known| known.address == *address);
    places.iter().map(|place| place.address).filter(|address| !is_there(address)).collect()
}

/// More addresses of one origin than this only cost probes.
const ADDRESSES_MAX: usize = 16;
/// After the first failed lookup; doubles with each further one.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Least time between lookups that are brought forward.
const HASTE: Duration = Duration::from_secs(5);
/// More refused addresses than these are counted and not named.
const REFUSED_NAMED: usize = 4;
const DENIALS_MIN: u32 = 3;
const DENIAL_TIME_MIN: Duration = Duration::from_secs(30);
/// A lookup that has not ended by now never will; its own deadline is far shorter.
const LOST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
