//! What a request holds of the endpoint it is under way at: a place at the origin, and a share of the endpoint's load.

use std::time::{Duration, Instant};

use super::capacity::Permit;
use super::load::InFlight;
use super::ranking::Candidate;
use crate::origin::pool::Pool;

/// Held from the start of an attempt until the body of the response has ended, and given back when it is dropped.
#[derive(Debug)]
pub struct Claim {
    _permit: Permit,
    /// `None` for an address that has gone meanwhile.
    in_flight: Option<InFlight>,
}

impl Claim {
    /// A claim where there is a free place.
    pub fn try_new(pool: &Pool, candidate: Candidate) -> Option<Self> {
        let permit = pool.origins.get(candidate.origin)?.capacity.try_enter()?;
        Some(Self::of(permit, pool, candidate))
    }

    /// A claim, waited for at most so long; `None` when the origin is too busy for it.
    pub async fn new(pool: &Pool, candidate: Candidate, wait: Duration) -> Option<Self> {
        let permit = pool.origins.get(candidate.origin)?.capacity.enter(wait).await?;
        Some(Self::of(permit, pool, candidate))
    }

    fn of(permit: Permit, pool: &Pool, candidate: Candidate) -> Self {
        let view = pool.view();
        let endpoint = view.endpoint(candidate.origin, candidate.address);
        Self { _permit: permit, in_flight: endpoint.map(|endpoint| InFlight::new(endpoint.load.clone())) }
    }

    /// Takes the time that the response head took, or that was waited for it in vain.
    pub fn measured(&self, latency: Duration, now: Instant) {
        if let Some(in_flight) = &self.in_flight {
            in_flight.measured(latency, now);
        }
    }
}
