//! One forward request under way: whom it may still ask, and what it met so far.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::claim::Claim;
use super::connect::ConnectError;
use super::fetch::Forward;
use super::ranking::{Calling, Candidate, Demand, bucket, calling, candidates, hash, trial};
use super::retry::{Attempt, FailureKind};
use crate::origin::health::duty::Duty;
use crate::origin::health::endpoint::Evidence;
use crate::origin::health::latency::next_mark;
use crate::origin::pool::Pool;
use crate::origin::view::PoolView;

/// The state of a request over its attempts.
pub(super) struct Run {
    pub(super) pool: Arc<Pool>,
    pub(super) forward: Forward,
    /// The origins as they were when it began.
    view: Arc<PoolView>,
    /// Those not tried yet, best first; those whose dials lost a race are among them again.
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
        let mut candidates = candidates(&view, demand, now, &mut fastrand::Rng::new());
        let pool = Arc::clone(pool);
        let (claim, suspicions) = (None, Vec::new());
        let mut run = Self { pool, forward, view, candidates: VecDeque::new(), tries: 0, has_body, claim, suspicions };
        if run.forward.wary {
            candidates.sort_by_key(|candidate| run.is_distrusted(*candidate));
        }
        let last_resort = candidates.iter().position(|candidate| Some(*candidate) == run.forward.last_resort);
        let last_resort = last_resort.map(|place| candidates.remove(place));
        run.candidates = candidates.into();
        if let Some(last_resort) = last_resort {
            run.put_back(last_resort);
        }
        run
    }

    /// Whether its last probe failed, where that counts. Whoever forces an origin knows better than its probes.
    fn is_distrusted(&self, candidate: Candidate) -> bool {
        let is_forced = || self.view.origins.get(candidate.origin).is_some_and(|origin| origin.duty == Duty::Forced);
        self.forward.wary && self.pool.terms.is_failing(candidate.origin, candidate.address) && !is_forced()
    }

    /// Why it is asked: one of a lesser kind is not dialed while a better one may yet connect.
    pub(super) fn calling(&self, candidate: Candidate) -> Calling {
        let is_last = self.is_distrusted(candidate) || Some(candidate) == self.forward.last_resort;
        if is_last { Calling::Makeshift } else { calling(&self.view, candidate) }
    }

    /// Makes it a candidate again, behind those that are not asked for want of others, and before these if it has been none
    /// of them.
    fn put_back(&mut self, candidate: Candidate) {
        let makeshift = self.candidates.iter().position(|other| self.calling(*other) == Calling::Makeshift);
        let is_good = calling(&self.view, candidate) != Calling::Makeshift && !self.is_distrusted(candidate);
        self.candidates.insert(makeshift.filter(|_| is_good).unwrap_or(self.candidates.len()), candidate);
    }

    /// Makes those candidates again whose dials have come to nothing yet: `slow` ones behind others, and those that were
    /// dialed `later` than the winner as if they had not been.
    pub(super) fn put_back_dialed(
        &mut self,
        slow: impl Iterator<Item = Candidate>,
        later: impl DoubleEndedIterator<Item = Candidate>,
    ) {
        slow.for_each(|candidate| self.put_back(candidate));
        for candidate in later.rev() {
            self.candidates.push_front(candidate);
            self.tries -= 1;
        }
    }

    /// A body that was sent is gone, whatever the method: such a request is never repeated.
    pub(super) fn is_repeatable(&self) -> bool {
        self.forward.method.is_safe() && !self.has_body
    }

    pub(super) fn attempt(&self, sent: bool) -> Attempt {
        Attempt { tries: self.tries, candidates_left: self.candidates.len(), sent, safe: self.is_repeatable() }
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

    /// Candidates of no lesser kind that may be dialed beside those of this attempt: without waiting for a place.
    pub(super) fn rivals_left(&self, least: Calling) -> usize {
        let has_room =
            |rival: &&Candidate| self.pool.origins.get(rival.origin).is_some_and(|origin| origin.capacity.has_room());
        let rivals = self.candidates.iter().filter(|rival| self.calling(**rival) <= least);
        rivals.filter(has_room).count().min(self.forward.tries.saturating_sub(self.tries))
    }

    /// The best of these.
    pub(super) fn next_rival(&mut self, least: Calling) -> Option<(Candidate, Claim)> {
        let rivals = self.candidates.iter().enumerate().filter(|(_, rival)| self.calling(**rival) <= least);
        let mut claims = rivals.filter_map(|(place, rival)| Some((place, Claim::try_new(&self.pool, *rival)?)));
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
