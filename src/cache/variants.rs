//! The responses stored under one key, of which a request's fields select one (RFC 9111 §4.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::SystemTime;

use http::{HeaderMap, header};

use super::stored::StoredResponse;
use crate::semantics::date::http_date;

/// Stored responses, most recent first; at most [`VARIANTS_MAX`].
#[derive(Debug)]
pub(super) struct Variants {
    variants: Vec<Variant>,
}

#[derive(Debug)]
struct Variant {
    response: Arc<StoredResponse>,
    date: Option<SystemTime>,
    /// How many newcomers it outlives: all it can when it is selected, one less for each that needs room.
    credit: AtomicU8,
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
        let others = before.map_or(&[][..], |before| &before.variants);
        let mut newest = Variant::new(Arc::clone(&response));
        let mut variants = Vec::with_capacity((others.len() + 1).min(VARIANTS_MAX));
        for other in others {
            if other.response.head.nominated == response.head.nominated {
                newest.credit = other.credit();
            } else {
                variants.push(other.clone());
            }
        }
        let room = if variants.len() < VARIANTS_MAX { Room::Found } else { Room::Displaced };
        if room == Room::Displaced {
            displace(&mut variants);
        }
        // Where dates cannot be compared, the order of arrival counts.
        let is_later = |other: &Variant| other.date.zip(newest.date).is_some_and(|(other, newest)| other > newest);
        let place = variants.iter().position(|other| !is_later(other)).unwrap_or(variants.len());
        variants.insert(place, newest);
        (Self { variants }, room)
    }

    /// Those that `keep` keeps, if any.
    pub(super) fn kept(&self, keep: impl Fn(&Arc<StoredResponse>) -> bool) -> Option<Self> {
        let variants: Vec<_> = self.variants.iter().filter(|variant| keep(&variant.response)).cloned().collect();
        (!variants.is_empty()).then_some(Self { variants })
    }

    pub(super) fn responses(&self) -> impl Iterator<Item = &Arc<StoredResponse>> {
        self.variants.iter().map(|variant| &variant.response)
    }

    /// "When more than one suitable response is stored, a cache MUST use the most recent one (as determined by the Date
    /// header field)." (§4) What may be garbage is not suitable while another one is.
    pub(super) fn select(&self, request: &HeaderMap) -> Option<Arc<StoredResponse>> {
        let mut suitable = self.variants.iter().filter(|variant| variant.response.head.nominated.matches(request));
        let is_trusted = |variant: &&Variant| !variant.response.head.stamps.is_suspect();
        let selected = suitable.clone().find(is_trusted).or_else(|| suitable.next())?;
        // Written only where it changes: workers share this line of memory.
        if selected.credit.load(Ordering::Relaxed) != CREDIT_MAX {
            selected.credit.store(CREDIT_MAX, Ordering::Relaxed);
        }
        Some(Arc::clone(&selected.response))
    }

    pub(super) fn size(&self) -> u64 {
        self.responses().map(|response| response.size()).sum()
    }
}

/// Takes out the variant with the least credit, of several the least recent one, and some credit from all others.
fn displace(variants: &mut Vec<Variant>) {
    for variant in &mut *variants {
        let credit = variant.credit.get_mut();
        *credit = credit.saturating_sub(1);
    }
    let least = variants.iter().enumerate().rev().min_by_key(|(_, variant)| variant.credit.load(Ordering::Relaxed));
    if let Some((place, _)) = least {
        variants.remove(place);
    }
}

impl Variant {
    fn new(response: Arc<StoredResponse>) -> Self {
        let date = response.head.fields.get(&header::DATE).and_then(|date| http_date(&date));
        Self { response, date, credit: AtomicU8::new(0) }
    }

    fn credit(&self) -> AtomicU8 {
        AtomicU8::new(self.credit.load(Ordering::Relaxed))
    }
}

impl Clone for Variant {
    fn clone(&self) -> Self {
        Self { response: Arc::clone(&self.response), date: self.date, credit: self.credit() }
    }
}

/// Most variants of one key: a bound on what a client can make us store by varying its fields.
const VARIANTS_MAX: usize = 8;

/// Newcomers that a variant outlives after it was last selected.
const CREDIT_MAX: u8 = u8::MAX;
