//! One forward request over attempts. Which endpoint comes next and what a failure means is for `ranking.rs` and
//! `retry.rs` to say; this asks them and does it, over connections that `links.rs` provides.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, StatusCode, Uri, Version};
use tokio::time::{sleep_until, timeout_at};
use tokio_util::task::TaskTracker;

use super::body::OriginBody;
use super::connect::{Dial, RequestBody};
use super::flight::{Answered, Attempted, Errand, Flight, Flights, Landing};
use super::hedge::Hedge;
use super::idle::{Destination, idle_time};
use super::incoming::Framing;
use super::links::{Link, Links};
use super::ranking::Candidate;
use super::retry::{FailureKind, NextStep, WORTHWHILE, next_step};
use super::run::{Failure, Run};
use super::source::Source;
use super::splice::{Incomplete, accept, resume_fields};
use super::wire::Wire;
use crate::clock::{Clock, Now};
use crate::origin::health::outage::OutageMode;
use crate::origin::pool::Pool;
use crate::semantics::forwarding;

/// Asks origins on behalf of one worker.
pub struct Fetcher {
    links: Arc<Links>,
    clock: Clock,
}

impl Fetcher {
    /// A fetcher without connections; those it makes run on `tasks`.
    pub fn new(dial: Arc<dyn Dial>, clock: Clock, tasks: TaskTracker) -> Self {
        Self { links: Arc::new(Links::new(dial, clock.clone(), tasks)), clock }
    }

    /// Closes idle connections that have no use any more, and opens those that the next failover of these pools will
    /// need; for a loop that calls it every [`TEND_INTERVAL`](super::idle::TEND_INTERVAL).
    pub fn tend<'a>(&self, pools: impl Iterator<Item = &'a Arc<Pool>>) {
        self.links.tend(&pools.map(|pool| (pool, pool.view())).collect::<Vec<_>>());
    }

    /// Asks the site's origins, best first, until one gives a usable response or the request's means are spent. One that
    /// takes longer than usual, or is out of use meanwhile, is not waited for alone: see `hedge.rs`.
    ///
    /// A response with a failure status is returned, marked as failed, when there is nothing better.
    ///
    /// # Errors
    /// The last failure, when there was no response at all.
    pub fn fetch(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        forward: Forward,
    ) -> impl Future<Output = Result<Box<Fetched>, FetchError>> {
        let started = self.clock.now();
        let has_time = forward.deadline.saturating_duration_since(started.monotonic) >= WORTHWHILE;
        // Now, so that the future has no room for what the run is made of.
        let mut run = has_time.then(|| Run::new(pool, forward, started.monotonic));
        async move {
            let Some(run) = &mut run else {
                return Err(FetchError { kind: FailureKind::Deadline, status: None, attempts: 0 });
            };
            let outcome = self.try_in_order(run, started).await;
            if pool.mode() == OutageMode::StaleOnly {
                pool.dark.went(outcome.as_ref().is_ok_and(|fetched| !fetched.failed), self.now());
            }
            outcome
        }
    }

    /// The rest of a body of which somebody has a part, from whoever has just this one; `forward` is the request that the
    /// whole was asked for with. `None` when nobody has it.
    pub async fn rest(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        forward: Forward,
        incomplete: Incomplete,
    ) -> Option<OriginBody> {
        let deadline = self.now() + pool.config.timeouts.request;
        let rest = Forward { deadline, ..forward }.for_the_rest_of(incomplete.clone());
        let fetched = self.fetch(pool, rest).await.ok().filter(|fetched| !fetched.failed)?;
        let splice = accept(&incomplete, fetched.status, &fetched.headers).ok()?;
        fetched.body.spliced(splice)
    }

    async fn try_in_order(self: &Arc<Self>, run: &mut Run, started: Now) -> Result<Box<Fetched>, FetchError> {
        run.pool.retries.earn();
        run.pool.hedges.earn();
        let mut outcome = Err(FetchError { kind: FailureKind::NoCandidate, status: None, attempts: 0 });
        let mut next = run.candidates.pop_front();
        let mut flights = Flights::default();
        while next.is_some() || !flights.0.is_empty() {
            let errand = run.errand();
            let (errand, mut landing) = match next.take() {
                Some(candidate) => match self.links.reach(run, candidate).await {
                    Ok(link) => {
                        let (candidate, landing) = (link.candidate, run.departure(&self.clock).fly(link));
                        flights.0.push(Flight::new(&run.pool, candidate, self.now(), errand, landing));
                        self.next_landing(run, &mut flights).await
                    }
                    Err(failure) => (errand, Landing::unreached(candidate, failure, run.body.take())),
                },
                None => self.next_landing(run, &mut flights).await,
            };
            run.landed(errand, &mut landing);
            let asked = landing.candidate;
            let (failure, sent, claim) = match landing.result {
                Ok(attempted) => {
                    let mut fetched = self.fetched(run, started, attempted);
                    if !fetched.failed {
                        self.give_up(run, fetched.requested.monotonic, flights);
                        return Ok(fetched);
                    }
                    if fetched.last_word {
                        return Ok(fetched);
                    }
                    // It is kept in case of nothing better, and must not keep this very request waiting for its place.
                    fetched.body.give_up_claim();
                    let kind = fetched.failure_kind();
                    outcome = Ok(fetched);
                    (kind, true, None)
                }
                Err(failure) => {
                    if outcome.is_err() {
                        outcome = Err(FetchError { kind: failure.kind, status: None, attempts: run.attempts() });
                    }
                    (failure.kind, failure.sent, failure.claim)
                }
            };
            let now = self.now();
            let step = next_step(failure, &run.attempt(sent), run.tries_max, run.deadline, now);
            if step == NextStep::RetryFresh {
                run.put_back_unheard(asked);
            }
            next = match step {
                // Whoever owes an answer may give it.
                _ if !flights.0.is_empty() => None,
                NextStep::RetryFresh => {
                    run.claim = claim;
                    run.candidates.pop_front()
                }
                NextStep::NextCandidate if run.may_retry(now) => run.candidates.pop_front(),
                NextStep::NextCandidate | NextStep::GiveUp => None,
            };
        }
        outcome
    }

    /// The next of the flights that lands; meanwhile others join them when that is due.
    async fn next_landing(self: &Arc<Self>, run: &mut Run, flights: &mut Flights) -> (Errand, Landing) {
        let pool = Arc::clone(&run.pool);
        // When nobody can be asked, or too many have been, that may be different in a moment.
        let mut not_before = self.now();
        loop {
            let published = pool.published();
            let hedge = run.hedge(flights, self.now());
            tokio::select! {
                biased;
                (flight, landing) = flights.next() => return (flight.errand, landing),
                errand = due(hedge, not_before) => match errand {
                    Some(errand) => match self.hedge(run, flights, errand) {
                        Some(flight) => flights.0.push(flight),
                        None => not_before = self.now() + HEDGE_PAUSE,
                    },
                    None => return nobody_waits(run, flights),
                },
                () = published => not_before = self.now(),
            }
        }
    }

    /// Asks one more endpoint, if there is one and the budget allows it.
    fn hedge(self: &Arc<Self>, run: &mut Run, flights: &Flights, errand: Errand) -> Option<Flight> {
        let (now, pool) = (self.now(), Arc::clone(&run.pool));
        if errand == Errand::Hedge && !pool.hedges.allows(now) {
            return None;
        }
        let (candidate, claim) = run.next_hedge(&flights.candidates())?;
        if errand == Errand::Hedge {
            pool.hedges.charge();
        }
        let fresh = run.is_unheard(candidate);
        let (links, departure) = (Arc::clone(&self.links), run.departure(&self.clock));
        let landing = async move {
            let reaching = links.reach_only(&departure.pool, candidate, claim, fresh);
            let late = || Err(Failure::unsent(FailureKind::Deadline));
            match timeout_at(departure.deadline.into(), reaching).await.unwrap_or_else(|_| late()) {
                Ok(link) => departure.fly(link).await,
                Err(failure) => Landing::unreached(candidate, failure, departure.body),
            }
        };
        Some(Flight::new(&pool, candidate, now, errand, landing))
    }

    /// Another endpoint, asked at that time, has answered before these.
    fn give_up(&self, run: &Run, asked: Instant, flights: Flights) {
        let now = self.now();
        for flight in flights.0 {
            run.outrun(&flight, asked, now);
        }
    }

    fn fetched(self: &Arc<Self>, run: &Run, started: Now, attempted: Attempted) -> Box<Fetched> {
        let Attempted { link, answered } = attempted;
        let Answered { response, examined, framing, term, latency, requested, received } = answered;
        let Link { candidate, sender, claim, .. } = link;
        let (head, incoming) = response.into_parts();
        let failure = examined.failure.map(|(kind, _)| kind);
        let failed = failure.is_some();
        if !failed {
            // Errors come fast, and must not attract the others.
            claim.measured(latency, received.monotonic);
        }
        let origin = run.pool.origins.get(candidate.origin).map_or_else(|| Arc::from(""), |o| Arc::clone(&o.name));
        let template = run.template();
        let (place, latency) = (Destination::of(&run.pool, candidate), (!failed).then_some(latency));
        let idle_time = idle_time(&head.headers, run.pool.config.timeouts.idle);
        let (claim, ahead) = (Some(claim), examined.ahead);
        let (skip, silence) = (0, Duration::ZERO);
        let source = Source { place, sender, framing, claim, term, ahead, incoming, idle_time, skip, latency, silence };
        let body = OriginBody::new(self, &run.pool, source, &head, template);
        Box::new(Fetched {
            version: head.version,
            status: head.status,
            headers: head.headers,
            framing,
            body,
            failed,
            unexpected: failure == Some(FailureKind::Unexpected),
            last_word: failure == Some(FailureKind::LastWord),
            origin,
            address: candidate.address,
            attempts: run.attempts(),
            started,
            requested,
            received,
        })
    }

    /// Keeps a connection whose response has just ended, for the next request.
    pub(super) fn keep(&self, place: Destination, sender: Wire, idle_time: Duration) {
        self.links.keep(place, sender, idle_time);
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.monotonic()
    }
}

/// Waits until another endpoint is to be asked, and tells as what; `None` when nobody is to be waited for any more.
async fn due(hedge: Hedge, not_before: Instant) -> Option<Errand> {
    let (time, errand) = match hedge {
        Hedge::At(time) => (time.max(not_before), Some(Errand::Hedge)),
        Hedge::GiveUpAt(time) => (time, None),
        Hedge::Now => (not_before, Some(Errand::Retry)),
        Hedge::Never => std::future::pending().await,
    };
    sleep_until(time.into()).await;
    errand
}

/// Gives up all flights, and whoever could be asked: every origin is down.
fn nobody_waits(run: &mut Run, flights: &mut Flights) -> (Errand, Landing) {
    let candidate = flights.0.remove(0).candidate;
    flights.0.clear();
    run.candidates.clear();
    (Errand::First, Landing::unreached(candidate, Failure::unsent(FailureKind::NoCandidate), None))
}

/// Until another endpoint is thought of again after there was none, or the budget was spent.
const HEDGE_PAUSE: Duration = Duration::from_millis(50);

impl fmt::Debug for Fetcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Fetcher").field("links", &self.links).finish_non_exhaustive()
    }
}

/// A request to the origins of a site.
#[derive(Debug)]
pub struct Forward {
    /// The method.
    pub method: Method,
    /// The target in origin form, canonical.
    pub target: Uri,
    /// What the client called the site, for origins that want to hear it.
    pub authority: Box<str>,
    /// All fields but `Host`.
    pub headers: HeaderMap,
    /// The body, if there is one.
    pub body: Option<RequestBody>,
    /// Most endpoints tried.
    pub tries: usize,
    /// When there must be a response head.
    pub deadline: Instant,
    /// An endpoint to try only after all others.
    pub last_resort: Option<Candidate>,
    /// An endpoint not to try at all.
    pub excluded: Option<Candidate>,
    /// What it asks the rest of; a response that is not that counts as a failure, for which nobody is to blame.
    pub continues: Option<Incomplete>,
    /// Whether endpoints whose last probe failed are tried only after the others, usable or not.
    pub wary: bool,
    /// Whether somebody waits for the answer. If not, no other endpoint is asked to have it sooner.
    pub awaited: bool,
}

impl Forward {
    /// The request for what `incomplete` lacks.
    pub(super) fn for_the_rest_of(mut self, incomplete: Incomplete) -> Self {
        // Those of the request itself; this one has its own.
        forwarding::remove_conditions_and_range(&mut self.headers);
        self.headers.extend(resume_fields(&incomplete));
        Self { continues: Some(incomplete), ..self }
    }
}

/// A response of an origin.
#[derive(Debug)]
pub struct Fetched {
    /// The protocol version it came with.
    pub version: Version,
    /// Its status.
    pub status: StatusCode,
    /// Its fields, hop-by-hop ones included.
    pub headers: HeaderMap,
    /// How the end of its body is known.
    pub framing: Framing,
    /// Its body.
    pub body: OriginBody,
    /// Whether it counts as a failure, and no origin had anything better.
    pub failed: bool,
    /// Whether that is so because it is not what the site expects for its path.
    pub unexpected: bool,
    /// Whether it failed, and its origin wants nothing else in its place.
    pub last_word: bool,
    /// The origin.
    pub origin: Arc<str>,
    /// The address.
    pub address: SocketAddr,
    /// Endpoints tried.
    pub attempts: u32,
    /// When the first attempt began.
    pub started: Now,
    /// When this request was sent.
    pub requested: Now,
    /// When the head had arrived.
    pub received: Now,
}

impl Fetched {
    /// A failed response as the failure it is.
    pub fn into_failure(self) -> FetchError {
        FetchError { kind: self.failure_kind(), status: Some(self.status), attempts: self.attempts }
    }

    fn failure_kind(&self) -> FailureKind {
        match self {
            Self { unexpected: true, .. } => FailureKind::Unexpected,
            Self { last_word: true, .. } => FailureKind::LastWord,
            Self { status, .. } => FailureKind::Status(status.as_u16()),
        }
    }
}

/// No usable response from any origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchError {
    /// What the last attempt met.
    pub kind: FailureKind,
    /// The failure status, if there was one.
    pub status: Option<StatusCode>,
    /// Endpoints tried.
    pub attempts: u32,
}
