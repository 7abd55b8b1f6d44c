//! One forward request under way: whom it may still ask, and what it met so far.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::claim::Claim;
use super::connect::ConnectError;
use super::fetch::Forward;
use super::health::Evidence;
use super::latency::next_mark;
use super::pool::Pool;
use super::ranking::{Candidate, Demand, bucket, candidates, hash, trial};
use super::retry::{Attempt, FailureKind};

/// The state of a request over its attempts.
pub(super) struct Run {
    pub(super) pool: Arc<Pool>,
    pub(super) forward: Forward,
    /// Those not tried yet, best first, and behind them those whose dials lost a race.
    pub(super) candidates: VecDeque<Candidate>,
    /// Endpoints tried; one that was only dialed counts.
    pub(super) tries: usize,
    has_body: bool,
    /// What the last attempt held, for another one at the same endpoint.
    pub(super) claim: Option<Claim>,
    /// Failures that count against their endpoints only if another one answers this request.
    pub(super) suspicions: Vec<(Candidate, String)>,
}

impl Run {
    pub(super) fn new(pool: &Arc<Pool>, forward: Forward, now: Instant) -> Self {
        let (view, has_body) = (pool.view(), forward.body.is_some());
        let may_be_slow = forward.method.is_safe() && !has_body;
        let demand = Demand {
            safe: forward.method.is_safe(),
            tries: forward.tries,
            trial: if may_be_slow { trial(&view, now) } else { None },
            bucket: bucket(forward.path_and_query()),
        };
        let mut candidates = VecDeque::from(candidates(&view, demand, now, &mut fastrand::Rng::new()));
        if forward.wary {
            let is_failing = |candidate: &Candidate| pool.terms.is_failing(candidate.origin, candidate.address);
            candidates.make_contiguous().sort_by_key(is_failing);
        }
        if let Some(place) = candidates.iter().position(|candidate| Some(*candidate) == forward.last_resort) {
            candidates.extend(forward.last_resort);
            candidates.remove(place);
        }
        Self { pool: Arc::clone(pool), forward, candidates, tries: 0, has_body, claim: None, suspicions: Vec::new() }
    }

    /// A body that was sent is gone, whatever the method: such a request is never repeated.
    pub(super) fn attempt(&self, sent: bool) -> Attempt {
        Attempt {
            tries: self.tries,
            candidates_left: self.candidates.len(),
            sent,
            safe: self.forward.method.is_safe() && !self.has_body,
        }
    }

    /// When to tell for the first time that it waits; never for one with a body, which takes its own time.
    pub(super) fn first_mark(&self) -> Option<Duration> {
        if self.has_body { None } else { next_mark(Duration::ZERO, &self.pool.config.latency) }
    }

    /// Tells the steward that it waits for a response head of this endpoint.
    pub(super) fn tell_waiting(&self, candidate: Candidate, waited: Duration) {
        let evidence = Evidence::RequestWaiting { waited, target: hash(self.forward.path_and_query()) };
        self.pool.report(candidate.origin, candidate.address, evidence);
    }

    /// The tries that the time left is shared by: this one, and those that may follow.
    pub(super) fn tries_left(&self) -> usize {
        (self.candidates.len() + 1).min((self.forward.tries + 1).saturating_sub(self.tries))
    }

    /// Candidates that may be dialed beside those of this attempt: without waiting for a place.
    pub(super) fn rivals_left(&self) -> usize {
        let has_room =
            |rival: &&Candidate| self.pool.origins.get(rival.origin).is_some_and(|origin| origin.capacity.has_room());
        self.candidates.iter().filter(has_room).count().min(self.forward.tries.saturating_sub(self.tries))
    }

    /// The best of these.
    pub(super) fn next_rival(&mut self) -> Option<(Candidate, Claim)> {
        let claims = self.candidates.iter().enumerate();
        let mut claims = claims.filter_map(|(place, rival)| Some((place, Claim::try_new(&self.pool, *rival)?)));
        let (place, claim) = claims.next()?;
        let rival = self.candidates.remove(place)?;
        self.tries += 1;
        Some((rival, claim))
    }

    pub(super) fn attempts(&self) -> u32 {
        u32::try_from(self.tries).unwrap_or(u32::MAX)
    }
}

/// Why one attempt gave no response.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", kind.as_str())]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) cause: String,
    /// Whether any byte of the request may have reached the origin.
    pub(super) sent: bool,
}

impl Failure {
    pub(super) fn unsent(kind: FailureKind) -> Self {
        Self { kind, cause: "nothing was sent".into(), sent: false }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self { kind: error.kind, cause: error.cause, sent: false }
    }
}
