//! When the certificates that an origin shows expire, and what is to be said of it beforehand.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use super::validity::Validity;
use crate::clock::Now;

/// The certificates of one origin's addresses.
#[derive(Clone, Debug, Default)]
pub struct Expiry {
    /// The one that was new last is the last. Those that no address shows any more are kept for what was said of them.
    known: Vec<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    /// The leaf, in DER.
    certificate: Box<[u8]>,
    /// The addresses that showed it last.
    shown_by: BTreeSet<SocketAddr>,
    validity: Validity,
    /// When it ends, as far as was known when it was examined.
    end: Option<Instant>,
    examined: Instant,
    /// What was said of it last.
    said: Option<Stage>,
}

/// How near the end of a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Month,
    Fortnight,
    Week,
    Day,
    Expired,
}

/// A certificate that has come nearer to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// One of the addresses that show it.
    pub address: SocketAddr,
    /// When it ends.
    pub not_after: SystemTime,
    /// Until then; zero when it has expired.
    pub left: Duration,
}

impl Expiry {
    /// Takes note of the certificate that an address showed; `examine` is asked about one that is new, and once a day.
    pub fn on_shown(&mut self, address: SocketAddr, certificate: &[u8], examine: impl FnOnce() -> Validity, now: Now) {
        for known in self.known.iter_mut().filter(|known| *known.certificate != *certificate) {
            known.shown_by.remove(&address);
        }
        match self.known.iter_mut().find(|known| *known.certificate == *certificate) {
            Some(known) => {
                known.shown_by.insert(address);
                if now.monotonic.saturating_duration_since(known.examined) >= EXAMINED_EVERY {
                    known.examine(examine(), now);
                }
            }
            None => {
                self.make_room();
                self.known.push(Known::new(address, certificate, examine(), now));
            }
        }
    }

    /// Addresses that are no longer the origin's show nothing.
    pub fn forget(&mut self, addresses: &[SocketAddr]) {
        self.known.iter_mut().for_each(|known| known.shown_by.retain(|address| !addresses.contains(address)));
    }

    /// What is to be said of certificates in use; each thing once.
    pub fn tick(&mut self, now: Instant) -> Vec<Warning> {
        self.known.iter_mut().filter_map(|known| known.tick(now)).collect()
    }

    /// When there will be something to say.
    pub fn due(&self) -> Option<Instant> {
        self.known.iter().filter(|known| !known.shown_by.is_empty()).filter_map(Known::due).min()
    }

    /// When the certificate that an address showed last expires, and how long that is from `now`; zero when it has.
    pub fn of(&self, address: SocketAddr, now: Instant) -> Option<(SystemTime, Duration)> {
        let known = self.known.iter().find(|known| known.shown_by.contains(&address))?;
        Some((known.validity.not_after?, known.end?.saturating_duration_since(now)))
    }

    /// When the first of the certificates in use expires.
    pub fn first(&self) -> Option<SystemTime> {
        self.known.iter().filter(|known| !known.shown_by.is_empty()).filter_map(|known| known.validity.not_after).min()
    }

    fn make_room(&mut self) {
        if self.known.len() >= KNOWN_MAX {
            let oldest = self.known.iter().position(|known| known.shown_by.is_empty()).unwrap_or(0);
            self.known.remove(oldest);
        }
    }
}

impl Known {
    fn new(address: SocketAddr, certificate: &[u8], validity: Validity, now: Now) -> Self {
        let mut known = Self {
            certificate: certificate.into(),
            shown_by: BTreeSet::from([address]),
            validity: Validity::default(),
            end: None,
            examined: now.monotonic,
            said: None,
        };
        known.examine(validity, now);
        known
    }

    fn examine(&mut self, validity: Validity, now: Now) {
        if self.validity.not_after != validity.not_after {
            // The same leaf with another chain.
            self.said = None;
        }
        let left = validity.not_after.and_then(|end| end.duration_since(now.wall).ok());
        self.end = validity.not_after.and_then(|_| now.monotonic.checked_add(left.unwrap_or_default()));
        self.validity = validity;
        self.examined = now.monotonic;
    }

    fn tick(&mut self, now: Instant) -> Option<Warning> {
        let (address, not_after) = (*self.shown_by.first()?, self.validity.not_after?);
        let left = self.end?.saturating_duration_since(now);
        let reached = Stage::reached(left, self.validity.lifetime())?;
        if self.said >= Some(reached) {
            return None;
        }
        self.said = Some(reached);
        Some(Warning { address, not_after, left })
    }

    fn due(&self) -> Option<Instant> {
        let next = Stage::ALL.into_iter().find(|stage| Some(*stage) > self.said)?;
        self.end?.checked_sub(next.before_end(self.validity.lifetime()))
    }
}

impl Stage {
    const ALL: [Self; 5] = [Self::Month, Self::Fortnight, Self::Week, Self::Day, Self::Expired];

    /// The last one that is reached with so much left.
    fn reached(left: Duration, lifetime: Option<Duration>) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|stage| left <= stage.before_end(lifetime))
    }

    /// How long before the end it begins. A certificate of a few weeks is renewed when it has less left than a longer one
    /// gets its first warning with, so each stage is a part of the lifetime at most. A third is left at the usual renewal:
    /// whoever is that punctual hears nothing.
    fn before_end(self, lifetime: Option<Duration>) -> Duration {
        let (days, part) = match self {
            Self::Month => (30, 4),
            Self::Fortnight => (14, 6),
            Self::Week => (7, 10),
            Self::Day => (1, 30),
            Self::Expired => return Duration::ZERO,
        };
        lifetime.map_or(DAY * days, |lifetime| (DAY * days).min(lifetime / part))
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An intermediate certificate may change while the leaf stays.
const EXAMINED_EVERY: Duration = DAY;

/// Two for each of an origin's addresses.
const KNOWN_MAX: usize = 32;

#[cfg(test)]
mod tests;
