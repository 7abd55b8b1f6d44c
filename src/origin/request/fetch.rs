//! One forward request over attempts. Which endpoint comes next and what a failure means is for `ranking.rs` and
//! `retry.rs` to say; this asks them and does it, over connections that `links.rs` provides.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, header};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::time::{sleep_until, timeout};
use tokio_util::task::TaskTracker;

use super::body::{OriginBody, Source};
use super::connect::{Dial, RequestBody};
use super::examine::{Asked, Examined, examine};
use super::idle::{Destination, idle_time};
use super::incoming::{Framing, framing};
use super::interim::{INTERIM_MAX, Interim};
use super::links::{Link, Links};
use super::ranking::Candidate;
use super::retry::{FailureKind, NextStep, WORTHWHILE, next_step, split_deadline};
use super::run::{Failure, Run};
use super::upload::{Progress, watched};
use crate::clock::{Clock, Now};
use crate::origin::causes::with_causes;
use crate::origin::health::latency::next_mark;
use crate::origin::health::outage::OutageMode;
use crate::origin::pool::{Origin, Pool};

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

    /// Asks the site's origins, best first, until one gives a usable response or the request's means are spent.
    ///
    /// A response with a failure status is returned, marked as failed, when there is nothing better.
    ///
    /// # Errors
    /// The last failure, when there was no response at all.
    pub async fn fetch(self: &Arc<Self>, pool: &Arc<Pool>, forward: Forward) -> Result<Fetched, FetchError> {
        let started = self.clock.now();
        if forward.deadline.saturating_duration_since(started.monotonic) < WORTHWHILE {
            return Err(FetchError { kind: FailureKind::Deadline, status: None, attempts: 0 });
        }
        let run = Run::new(pool, forward, started.monotonic);
        let outcome = self.try_in_order(run, started).await;
        if pool.mode() == OutageMode::StaleOnly {
            pool.dark.went(outcome.as_ref().is_ok_and(|fetched| !fetched.failed), self.now());
        }
        outcome
    }

    async fn try_in_order(self: &Arc<Self>, mut run: Run, started: Now) -> Result<Fetched, FetchError> {
        let mut outcome = Err(FetchError { kind: FailureKind::NoCandidate, status: None, attempts: 0 });
        let mut next = run.candidates.pop_front().map(|candidate| (candidate, false));
        while let Some((candidate, fresh)) = next {
            let (asked, result) = match self.links.reach(&mut run, candidate, fresh).await {
                Ok(link) => (link.candidate, self.attempt(&mut run, link).await),
                Err(failure) => (candidate, Err(failure)),
            };
            let (failure, sent) = match result {
                Ok(attempted) => {
                    let mut fetched = self.fetched(&run, started, attempted);
                    if !fetched.failed {
                        return Ok(fetched);
                    }
                    // It is kept in case of nothing better, and must not keep this very request waiting for its place.
                    fetched.body.give_up_claim();
                    let kind = fetched.failure_kind();
                    outcome = Ok(fetched);
                    (kind, true)
                }
                Err(failure) => {
                    if outcome.is_err() {
                        outcome = Err(FetchError { kind: failure.kind, status: None, attempts: run.attempts() });
                    }
                    (failure.kind, failure.sent)
                }
            };
            let attempt = run.attempt(sent);
            let now = self.clock.now().monotonic;
            next = match next_step(failure, &attempt, run.forward.tries, run.forward.deadline, now) {
                NextStep::RetryFresh => Some((asked, true)),
                NextStep::NextCandidate => run.candidates.pop_front().map(|candidate| (candidate, false)),
                NextStep::GiveUp => None,
            };
        }
        outcome
    }

    /// One request over one connection, and its account: evidence, metrics.
    async fn attempt(&self, run: &mut Run, mut link: Link) -> Result<Attempted, Failure> {
        let (candidate, began) = (link.candidate, link.began);
        let pool = Arc::clone(&run.pool);
        let Some(origin) = pool.origins.get(candidate.origin) else {
            return Err(Failure::unsent(FailureKind::Connect));
        };
        let result = self.exchange(run, origin, &mut link).await;
        let now = self.now();
        let took = now.saturating_duration_since(began.monotonic);
        let failure = match &result {
            Ok(answered) => answered.examined.failure.clone(),
            Err(failure) => Some((failure.kind, failure.to_string())),
        };
        pool.metrics.origin_attempt(&origin.name, failure.as_ref().map_or("ok", |(kind, _)| kind.as_str()), took);
        match failure {
            // That others refuse what one fails at says nothing: a copy of a site has not all that its original has.
            None if result.as_ref().is_ok_and(|answered| answered.response.status().is_client_error()) => {}
            // The success itself counts when the body is whole.
            None => run.suspicions.drain(..).for_each(|(suspect, cause)| pool.blame(suspect, cause)),
            Some((kind, _)) if !kind.is_evidence() => {}
            Some((_, cause)) if !pool.config.probe.enabled => pool.blame(candidate, cause),
            // It may be the fault of one URL, which a visitor could ask for until no endpoint were left; it counts once
            // another endpoint has answered the same request.
            Some((_, cause)) => run.suspicions.push((candidate, cause)),
        }
        match result {
            Ok(answered) => Ok(Attempted { link, answered }),
            Err(failure) => {
                if failure.kind == FailureKind::FirstByteTimeout {
                    link.claim.measured(took, now);
                }
                run.claim = Some(link.claim);
                Err(failure)
            }
        }
    }

    async fn exchange(&self, run: &mut Run, origin: &Origin, link: &mut Link) -> Result<Answered, Failure> {
        let pool = Arc::clone(&run.pool);
        let timeouts = &pool.config.timeouts;
        let tries_left = run.tries_left();
        let reused = link.reused;
        let wait = split_deadline(run.forward.deadline, timeouts.connect, tries_left, self.now());
        if !matches!(timeout(wait, link.sender.ready()).await, Ok(Ok(()))) {
            return Err(Failure::unsent(FailureKind::ClosedUnanswered { reused }));
        }
        let requested = self.clock.now();
        let wait = split_deadline(run.forward.deadline, timeouts.first_byte, tries_left, requested.monotonic);
        let progress = Progress::new(self.clock.clone());
        let request = run.forward.request(origin, progress.clone());
        let mut response = self.send(run, link, request, wait, &progress).await?;
        let received = self.clock.now();
        let latency = received.monotonic.saturating_duration_since(progress.moved_at());
        // Of the head; what is read from here on may come in others.
        let term = pool.terms.current(link.candidate.origin, link.candidate.address);
        let framing = framing(&run.forward.method, &run.forward.headers, response.status(), response.headers())
            .map_err(|cause| Failure { kind: FailureKind::Malformed, cause: cause.into(), sent: true })?;
        let patience = split_deadline(run.forward.deadline, timeouts.body_idle, tries_left, received.monotonic);
        let Forward { method, target, headers, .. } = &run.forward;
        let asked = Asked { method, path: target.path(), headers };
        let examined = examine(&pool.config, asked, &mut response, framing, patience)
            .await
            .map_err(|cause| Failure { kind: FailureKind::Unexpected, cause: cause.into(), sent: true })?;
        Ok(Answered { response, examined, framing, term, latency, requested, received })
    }

    /// Waits for the final head: `wait` long, counted anew whenever the request's body has moved. Interim responses do not
    /// prolong it. A request without a body tells the steward how long it has waited at some marks.
    async fn send(
        &self,
        run: &mut Run,
        link: &mut Link,
        mut request: Request<RequestBody>,
        wait: Duration,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failure> {
        let interim = Interim::default();
        interim.count(&mut request);
        let sent = self.now();
        let (reused, candidate) = (link.reused, link.candidate);
        let mut mark = run.first_mark();
        let mut answer = std::pin::pin!(link.sender.try_send_request(request));
        let (mut frames, mut until) = (progress.frames(), sent + wait);
        loop {
            tokio::select! {
                // In this order, so that the same bytes are judged alike whatever pieces they come in.
                biased;
                () = interim.exceeded() => {
                    let cause = format!("more than {INTERIM_MAX} interim responses");
                    return Err(Failure { kind: FailureKind::Malformed, cause, sent: true });
                }
                answer = &mut answer => return answer.map_err(|mut error| {
                    let unsent = error.take_message();
                    let sent = unsent.is_none();
                    run.forward.body = unsent.map(Request::into_body);
                    let kind = if progress.broke_off() {
                        FailureKind::Upload
                    } else if error.error().is_parse() {
                        FailureKind::Malformed
                    } else {
                        FailureKind::ClosedUnanswered { reused }
                    };
                    Failure { kind, cause: with_causes(&error.into_error()), sent }
                }),
                waited = passed(sent, mark) => {
                    run.tell_waiting(candidate, waited);
                    mark = next_mark(waited, &run.pool.config.latency);
                }
                () = sleep_until(until.into()) => {
                    if progress.frames() == frames {
                        let (kind, missing) = match progress.awaits_client() {
                            true => (FailureKind::Upload, "more of the request's body"),
                            false => (FailureKind::FirstByteTimeout, "response head"),
                        };
                        return Err(Failure { kind, cause: format!("no {missing} within {wait:?}"), sent: true });
                    }
                    (frames, until) = (progress.frames(), self.now() + wait);
                }
            }
        }
    }

    fn fetched(self: &Arc<Self>, run: &Run, started: Now, attempted: Attempted) -> Fetched {
        let Attempted { link, answered } = attempted;
        let Answered { response, examined, framing, term, latency, requested, received } = answered;
        let Link { candidate, sender, claim, .. } = link;
        let (head, incoming) = response.into_parts();
        let failed = examined.failure.is_some();
        let unexpected = examined.failure.is_some_and(|(kind, _)| kind == FailureKind::Unexpected);
        if !failed {
            // Errors come fast, and must not attract the others.
            claim.measured(latency, received.monotonic);
        }
        let origin = run.pool.origins.get(candidate.origin).map_or_else(|| Arc::from(""), |o| Arc::clone(&o.name));
        let template = run.forward.template();
        let (place, latency) = (Destination::of(&run.pool, candidate), (!failed).then_some(latency));
        let idle_time = idle_time(&head.headers, run.pool.config.timeouts.idle);
        let (claim, ahead) = (Some(claim), examined.ahead);
        let source = Source { place, sender, claim, term, ahead, incoming, idle_time, skip: 0, latency };
        let body = OriginBody::new(self, &run.pool, source, framing, &head, template);
        Fetched {
            version: head.version,
            status: head.status,
            headers: head.headers,
            framing,
            body,
            failed,
            unexpected,
            origin,
            address: candidate.address,
            attempts: run.attempts(),
            started,
            requested,
            received,
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&self, place: Destination, sender: SendRequest<RequestBody>, idle_time: Duration) {
        self.links.keep(place, sender, idle_time);
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now().monotonic
    }
}

/// Waits until `mark` has passed since `sent`, and gives it; for ever without one.
async fn passed(sent: Instant, mark: Option<Duration>) -> Duration {
    match mark {
        Some(mark) => {
            sleep_until((sent + mark).into()).await;
            mark
        }
        None => std::future::pending().await,
    }
}

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
    /// Whether endpoints whose last probe failed are tried only after the others, usable or not.
    pub wary: bool,
}

impl Forward {
    /// The request itself, with the body, which comes back if nothing of it could be sent.
    fn request(&mut self, origin: &Origin, progress: Progress) -> Request<RequestBody> {
        let mut request = Request::new(watched(self.body.take(), progress));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(header::HOST, origin.host_field(&self.authority));
        request
    }

    /// The target as text.
    pub(super) fn path_and_query(&self) -> &str {
        self.target.path_and_query().map_or("/", |target| target.as_str())
    }

    /// The same request without its body, to continue a response that breaks off.
    pub(super) fn template(&self) -> Self {
        Self {
            method: self.method.clone(),
            target: self.target.clone(),
            authority: self.authority.clone(),
            headers: self.headers.clone(),
            body: None,
            tries: self.tries,
            deadline: self.deadline,
            last_resort: self.last_resort,
            wary: self.wary,
        }
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
        if self.unexpected { FailureKind::Unexpected } else { FailureKind::Status(self.status.as_u16()) }
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

/// A response head and the connection it came over.
struct Attempted {
    link: Link,
    answered: Answered,
}

/// A response head and its circumstances.
struct Answered {
    response: Response<Incoming>,
    examined: Examined,
    framing: Framing,
    /// The term in which the head came.
    term: Option<u64>,
    /// How long the head took, once the request was sent.
    latency: Duration,
    requested: Now,
    received: Now,
}
