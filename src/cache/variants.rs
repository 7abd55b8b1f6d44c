//! The responses stored under one key, of which a request's fields select one (RFC 9111 §4.1).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use http::{HeaderMap, header};

use super::engine::Keyed;
use super::stored::StoredResponse;
use crate::semantics::date::http_date;

/// Stored responses, most recent first; at most [`VARIANTS_MAX`].
#[derive(Clone, Debug)]
pub(super) enum Variants {
    /// Nearly always there is one, which needs no list.
    One(Arc<StoredResponse>),
    /// In a list of its own, so that what the engine copies is small.
    Several(Arc<Box<[Arc<StoredResponse>]>>),
}

impl Keyed for Variants {
    fn has_key(&self, key: &str) -> bool {
        self.responses().first().is_some_and(|response| response.head.has_key(key))
    }
}

/// What became of the others when a response was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// One had to go.
    Displaced,
    /// There was room.
    Found,
}

impl Variants {
    /// Those of `before` and a new one, in place of the one with the same nominated fields.
    ///
    /// Whoever can choose the fields of requests can make any number of variants. Newcomers that nobody selects again are
    /// the first to make room for the next ones, and do not displace variants in use.
    pub(super) fn with(before: Option<&Self>, response: Arc<StoredResponse>) -> (Self, Room) {
        let others = before.map_or(&[][..], Self::responses);
        let mut variants = Vec::with_capacity((others.len() + 1).min(VARIANTS_MAX));
        for other in others {
            if other.head.nominated() == response.head.nominated() {
                response.credit.store(other.credit.load(Ordering::Relaxed), Ordering::Relaxed);
            } else {
                variants.push(Arc::clone(other));
            }
        }
        let room = if variants.len() < VARIANTS_MAX { Room::Found } else { Room::Displaced };
        if room == Room::Displaced {
            displace(&mut variants);
        }
        // Where dates cannot be compared, the order of arrival counts.
        let newest = if variants.is_empty() { None } else { date(&response) };
        let is_later = |other| date(other).zip(newest).is_some_and(|(other, newest)| other > newest);
        let place = variants.iter().position(|other| !is_later(other)).unwrap_or(variants.len());
        variants.insert(place, response);
        (Self::of(variants), room)
    }

    fn of(mut responses: Vec<Arc<StoredResponse>>) -> Self {
        match responses.pop() {
            Some(only) if responses.is_empty() => Self::One(only),
            last => Self::Several(Arc::new(responses.into_iter().chain(last).collect())),
        }
    }

    /// Those that `keep` keeps, if any.
    pub(super) fn kept(&self, keep: impl Fn(&Arc<StoredResponse>) -> bool) -> Option<Self> {
        let responses: Vec<_> = self.responses().iter().filter(|response| keep(response)).cloned().collect();
        (!responses.is_empty()).then(|| Self::of(responses))
    }

    /// The text of the key that all of them have.
    pub(super) fn key(&self) -> &str {
        self.responses().first().map_or("", |response| response.head.key())
    }

    pub(super) fn responses(&self) -> &[Arc<StoredResponse>] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Several(responses) => responses,
        }
    }

    /// "When more than one suitable response is stored, a cache MUST use the most recent one (as determined by the Date
    /// header field)." (§4) What may be garbage is not suitable while another one is.
    pub(super) fn select(self, request: &HeaderMap) -> Option<Arc<StoredResponse>> {
        let is_suitable = |response: &Arc<StoredResponse>| response.head.nominated().matches(request);
        let is_trusted = |response: &&Arc<StoredResponse>| !response.head.stamps.is_suspect();
        let selected = match self {
            Self::One(only) => Some(only).filter(is_suitable),
            Self::Several(responses) => {
                let mut suitable = responses.iter().filter(|response| is_suitable(response));
                suitable.clone().find(is_trusted).or_else(|| suitable.next()).cloned()
            }
        }?;
        // Written only where it changes: workers share this line of memory.
        if selected.credit.load(Ordering::Relaxed) != CREDIT_MAX {
            selected.credit.store(CREDIT_MAX, Ordering::Relaxed);
        }
        Some(selected)
    }

    pub(super) fn size(&self) -> u64 {
        self.responses().iter().map(|response| response.size()).sum()
    }
}

/// Takes out the variant with the least credit, of several the least recent one, and some credit from all others.
fn displace(variants: &mut Vec<Arc<StoredResponse>>) {
    let credit = |variant: &Arc<StoredResponse>| variant.credit.load(Ordering::Relaxed);
    for variant in &*variants {
        variant.credit.store(credit(variant).saturating_sub(1), Ordering::Relaxed);
    }
    let least = variants.iter().enumerate().rev().min_by_key(|(_, variant)| credit(variant));
    if let Some((place, _)) = least {
        variants.remove(place);
    }
}

fn date(response: &StoredResponse) -> Option<SystemTime> {
    response.head.fields().get(&header::DATE).and_then(|date| http_date(&date))
}

/// Most variants of one key: a bound on what a client can make us store by varying its fields.
const VARIANTS_MAX: usize = 8;

/// Newcomers that a variant outlives after it was last selected.
const CREDIT_MAX: u8 = u8::MAX;
