//! One forward request under way: whom it may still ask, and what it met so far.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, header};

use super::claim::Claim;
use super::connect::{ConnectError, RequestBody};
use super::fetch::Forward;
use super::flight::{Departure, Errand, Flight, Flights, Landing};
use super::hedge::{Hedge, Waiting, hedge};
use super::question::Question;
use super::ranking::{Calling, Candidate, Demand, bucket, calling, candidates, trial};
use super::retry::{Attempt, FailureKind};
use super::splice::Incomplete;
use crate::clock::Clock;
use crate::origin::health::duty::Duty;
use crate::origin::health::outage::OutageMode;
use crate::origin::pool::Pool;
use crate::origin::view::PoolView;

/// The state of a request over its attempts.
pub(super) struct Run {
    pub(super) pool: Arc<Pool>,
    pub(super) question: Arc<Question>,
    /// Not sent yet.
    pub(super) body: Option<RequestBody>,
    /// Most endpoints tried.
    pub(super) tries_max: usize,
    /// When there must be a response head.
    pub(super) deadline: Instant,
    last_resort: Option<Candidate>,
    wary: bool,
    awaited: bool,
    /// The origins as they were when it began.
    view: Arc<PoolView>,
    /// Those not tried yet, best first; those whose dials lost a race are among them again.
    pub(super) candidates: VecDeque<Candidate>,
    /// Those of whose connections an idle one ended unanswered: only a new one will do.
    unheard: Vec<Candidate>,
    /// Endpoints tried; one that was only dialed counts.
    pub(super) tries: usize,
    /// Whether any attempt may have reached an origin.
    was_sent: bool,
    /// What the last attempt held, if the next one is at the same endpoint.
    pub(super) claim: Option<Claim>,
    /// Failures that count against their endpoints only if another one answers this request.
    suspicions: Vec<(Candidate, String)>,
}

impl Run {
    pub(super) fn new(pool: &Arc<Pool>, forward: Forward, now: Instant) -> Self {
        let Forward {
            method,
            target,
            authority,
            mut headers,
            body,
            tries,
            deadline,
            last_resort,
            excluded,
            continues,
            wary,
            awaited,
        } = forward;
        // A place for what each origin wants to hear, so that no copy has to grow for it.
        headers.insert(header::HOST, HeaderValue::from_static(""));
        let question = Arc::new(Question { has_body: body.is_some(), method, target, authority, headers, continues });
        let view = pool.view();
        let demand = Demand {
            safe: question.method.is_safe(),
            tries,
            trial: if question.is_repeatable() { trial(&view, now) } else { None },
            bucket: bucket(question.path_and_query()),
        };
        let mut candidates = candidates(&view, demand, now, &mut fastrand::Rng::new());
        let mut run = Self {
            pool: Arc::clone(pool),
            question,
            body,
            tries_max: tries,
            deadline,
            last_resort,
            wary,
            awaited,
            view,
            candidates: VecDeque::new(),
            unheard: Vec::new(),
            tries: 0,
            was_sent: false,
            claim: None,
            suspicions: Vec::new(),
        };
        candidates.retain(|candidate| Some(*candidate) != excluded);
        if wary {
            candidates.sort_by_key(|candidate| run.is_distrusted(*candidate));
        }
        let last_resort = candidates.iter().position(|candidate| Some(*candidate) == last_resort);
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
        self.wary && self.pool.terms.is_failing(candidate.origin, candidate.address) && !is_forced()
    }

    /// Why it is asked: one of a lesser kind is not dialed while a better one may yet connect.
    pub(super) fn calling(&self, candidate: Candidate) -> Calling {
        let is_last = self.is_distrusted(candidate) || Some(candidate) == self.last_resort;
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

    /// Makes it a candidate again, before all others, over a new connection: the one that ended says nothing of it.
    pub(super) fn put_back_unheard(&mut self, candidate: Candidate) {
        self.unheard.push(candidate);
        self.candidates.push_front(candidate);
        self.tries -= 1;
    }

    /// Whether only a new connection to it will do.
    pub(super) fn is_unheard(&self, candidate: Candidate) -> bool {
        self.unheard.contains(&candidate)
    }

    pub(super) fn attempt(&self, sent: bool) -> Attempt {
        let (tries, candidates_left) = (self.tries, self.candidates.len());
        Attempt { tries, candidates_left, sent, safe: self.question.is_repeatable() }
    }

    /// What the next attempt begins with.
    pub(super) fn departure(&mut self, clock: &Clock) -> Departure {
        Departure {
            pool: Arc::clone(&self.pool),
            question: Arc::clone(&self.question),
            body: self.body.take(),
            deadline: self.deadline,
            tries_left: self.tries_left(),
            clock: clock.clone(),
        }
    }

    /// Why the next attempt is made.
    pub(super) fn errand(&self) -> Errand {
        if self.was_sent { Errand::Retry } else { Errand::First }
    }

    /// Whether a failed attempt may be followed by another one, as far as the site's budget goes.
    pub(super) fn may_retry(&self, now: Instant) -> bool {
        !self.was_sent || self.pool.retries.allows(now)
    }

    /// Takes what one attempt has come to.
    pub(super) fn landed(&mut self, errand: Errand, landing: &mut Landing) {
        self.body = landing.unsent.take();
        self.was_sent |= landing.was_sent();
        let failure = match &landing.result {
            Ok(attempted) => attempted.answered.examined.failure.clone(),
            Err(failure) => Some((failure.kind, failure.to_string())),
        };
        let Some((kind, cause)) = failure else {
            self.succeeded(errand, landing);
            return;
        };
        if landing.was_sent() {
            errand.was_in_vain(&self.pool);
        }
        match kind.is_evidence() && landing.reached {
            false => {}
            // It may be the fault of one URL, which a visitor could ask for until no endpoint were left; it counts once
            // another endpoint has answered the same request.
            true if self.pool.config.probe.enabled => self.suspicions.push((landing.candidate, cause)),
            true => self.pool.blame(landing.candidate, cause),
        }
    }

    fn succeeded(&mut self, errand: Errand, landing: &Landing) {
        match errand {
            Errand::First => {}
            Errand::Hedge => self.pool.hedges.clear(),
            Errand::Retry => self.pool.retries.clear(),
        }
        let status = landing.result.as_ref().ok().map(|attempted| attempted.answered.response.status());
        // That others refuse what one fails at says nothing: a copy of a site has not all that its original has. The
        // success itself counts when the body is whole.
        if !status.is_some_and(|status| status.is_client_error()) {
            self.suspicions.drain(..).for_each(|(suspect, cause)| self.pool.blame(suspect, cause));
        }
    }

    /// The tries that the time left is shared by: this one, and those that may follow.
    pub(super) fn tries_left(&self) -> usize {
        (self.candidates.len() + 1).min((self.tries_max + 1).saturating_sub(self.tries))
    }

    /// Candidates of no lesser kind that may be dialed beside those of this attempt: without waiting for a place.
    pub(super) fn rivals_left(&self, least: Calling) -> usize {
        let has_room =
            |rival: &&Candidate| self.pool.origins.get(rival.origin).is_some_and(|origin| origin.capacity.has_room());
        let rivals = self.candidates.iter().filter(|rival| self.calling(**rival) <= least);
        rivals.filter(has_room).count().min(self.tries_max.saturating_sub(self.tries))
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

    /// Whether another endpoint is to be asked beside those that owe an answer.
    pub(super) fn hedge(&self, flights: &Flights, now: Instant) -> Hedge {
        let last = flights.0.last().map(|flight| (flight, self.pool.origins.get(flight.candidate.origin)));
        let Some((last, Some(origin))) = last else { return Hedge::Never };
        let usual = |flight: &Flight| {
            let origin = self.pool.origins.get(flight.candidate.origin);
            flight.began + origin.map_or(Duration::ZERO, |origin| origin.tail.longest_usual())
        };
        let waiting = Waiting {
            awaited: self.awaited,
            repeatable: self.question.is_repeatable(),
            has_means: self.tries < self.tries_max && !self.candidates.is_empty(),
            asked: flights.0.len(),
            since: last.began,
            longest_usual: origin.tail.longest_usual(),
            usual_until: flights.0.iter().map(usual).max().unwrap_or(now),
            deadline: self.deadline,
            forsaken: flights.0.iter().all(|flight| self.has_forsaken(flight.candidate)),
            down: self.has_gone_down(flights),
        };
        hedge(&waiting, now)
    }

    /// Takes that another endpoint, asked at `asked`, has answered before `flight` came to anything.
    pub(super) fn outrun(&self, flight: &Flight, asked: Instant, now: Instant) {
        let Some(origin) = self.pool.origins.get(flight.candidate.origin) else { return };
        let waited = now.saturating_duration_since(flight.began);
        origin.metrics.attempt(OUTRUN, waited);
        match flight.errand {
            Errand::First => {}
            Errand::Hedge => return,
            Errand::Retry => flight.errand.was_in_vain(&self.pool),
        }
        if flight.began >= asked {
            // It had less time than the winner.
            return;
        }
        origin.tail.measured(waited);
        if let Some(load) = &flight.load {
            load.measured(waited, now);
        }
    }

    /// What a response that breaks off is continued with.
    pub(super) fn template(&self) -> Template {
        Template { question: Arc::clone(&self.question), tries: self.tries_max, wary: self.wary }
    }

    /// Whether every origin has gone down since it began, and nobody who owes it an answer is asked all the same.
    fn has_gone_down(&self, flights: &Flights) -> bool {
        let view = self.pool.view();
        let is_out = |flight: &Flight| calling(&view, flight.candidate) == Calling::Makeshift;
        self.view.mode != OutageMode::StaleOnly && self.pool.is_down() && flights.0.iter().all(is_out)
    }

    /// Whether it would not be asked if the request came now, though it was willing when it was.
    pub(super) fn has_forsaken(&self, candidate: Candidate) -> bool {
        self.calling(candidate) < Calling::Makeshift && calling(&self.pool.view(), candidate) == Calling::Makeshift
    }

    /// Whom to ask beside those that owe an answer: the best of those that are willing still and have a place, of another
    /// origin if there is one.
    pub(super) fn next_hedge(&mut self, asked: &[Candidate]) -> Option<(Candidate, Claim)> {
        if self.tries >= self.tries_max {
            return None;
        }
        let view = self.pool.view();
        let is_willing = |candidate: Candidate| {
            self.calling(candidate) < Calling::Makeshift && calling(&view, candidate) < Calling::Makeshift
        };
        let mut willing: Vec<_> =
            self.candidates.iter().enumerate().filter(|(_, candidate)| is_willing(**candidate)).collect();
        willing.sort_by_key(|(_, candidate)| asked.iter().any(|asked| asked.origin == candidate.origin));
        let mut claims =
            willing.into_iter().filter_map(|(place, candidate)| Some((place, Claim::try_new(&self.pool, *candidate)?)));
        let (place, claim) = claims.next()?;
        let candidate = self.candidates.remove(place)?;
        self.tries += 1;
        Some((candidate, claim))
    }

    pub(super) fn attempts(&self) -> u32 {
        u32::try_from(self.tries).unwrap_or(u32::MAX)
    }
}

/// A request that was answered, for the rest of its response.
#[derive(Debug)]
pub(super) struct Template {
    question: Arc<Question>,
    tries: usize,
    wary: bool,
}

impl Template {
    /// The method of the request.
    pub(super) fn method(&self) -> &Method {
        &self.question.method
    }

    /// The request for the rest of `incomplete`, to be answered before `deadline`.
    pub(super) fn rest(&self, incomplete: Incomplete, deadline: Instant) -> Forward {
        let Question { method, target, authority, headers, .. } = &*self.question;
        let whole = Forward {
            method: method.clone(),
            target: target.clone(),
            authority: authority.clone(),
            headers: headers.clone(),
            body: None,
            tries: self.tries,
            deadline,
            last_resort: None,
            excluded: None,
            continues: None,
            wary: self.wary,
            // Whoever reads the body waits for its rest, whoever wanted its beginning.
            awaited: true,
        };
        whole.for_the_rest_of(incomplete)
    }
}

/// The outcome of an attempt that was given up because another endpoint answered first.
const OUTRUN: &str = "outrun";

/// Why one attempt gave no response.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", kind.as_str())]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) cause: String,
    /// Whether any byte of the request may have reached the origin.
    pub(super) sent: bool,
    /// What it held of the endpoint.
    pub(super) claim: Option<Claim>,
}

impl Failure {
    pub(super) fn sent(kind: FailureKind, cause: impl Into<String>) -> Self {
        Self { kind, cause: cause.into(), sent: true, claim: None }
    }

    pub(super) fn unsent(kind: FailureKind) -> Self {
        Self { kind, cause: "nothing was sent".into(), sent: false, claim: None }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self { kind: error.kind, cause: error.cause, sent: false, claim: None }
    }
}
