//! One forward request over attempts. Which endpoint comes next and what a failure means is for `ranking.rs` and
//! `retry.rs` to say; this asks them and does it.

use std::collections::VecDeque;
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
use super::connect::{ConnectError, Dial, RequestBody, connect};
use super::idle::{IdleConnections, Place};
use super::incoming::{Framing, framing};
use super::interim::{INTERIM_MAX, Interim};
use super::pool::{Origin, Pool};
use super::ranking::{Candidate, Demand, bucket, candidates};
use super::retry::{Attempt, FailureKind, NextStep, WORTHWHILE, next_step, split_deadline};
use super::upload::{Progress, counted};
use crate::clock::{Clock, Now};

/// Asks origins on behalf of one worker.
pub struct Fetcher {
    dial: Arc<dyn Dial>,
    connections: IdleConnections,
    clock: Clock,
    tasks: TaskTracker,
}

impl Fetcher {
    /// A fetcher without connections; those it makes run on `tasks`.
    pub fn new(dial: Arc<dyn Dial>, clock: Clock, tasks: TaskTracker) -> Self {
        Self { dial, connections: IdleConnections::default(), clock, tasks }
    }

    /// Closes connections that were idle for too long.
    pub fn sweep(&self) {
        self.connections.sweep(self.clock.now().monotonic);
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
        let mut run = Run::new(pool, forward);
        let mut outcome = Err(FetchError { kind: FailureKind::NoCandidate, status: None, attempts: 0 });
        let mut fresh = false;
        let mut next = run.candidates.pop_front();
        while let Some(candidate) = next {
            run.tries += usize::from(!fresh);
            let (failure, sent) = match self.attempt(&mut run, candidate, fresh).await {
                Ok(attempted) => {
                    let fetched = self.fetched(&run, candidate, started, attempted);
                    if !fetched.failed {
                        return Ok(fetched);
                    }
                    let status = fetched.status.as_u16();
                    outcome = Ok(fetched);
                    (FailureKind::Status(status), true)
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
            (next, fresh) = match next_step(failure, &attempt, run.forward.tries, run.forward.deadline, now) {
                NextStep::RetryFresh => (Some(candidate), true),
                NextStep::NextCandidate => (run.candidates.pop_front(), false),
                NextStep::GiveUp => (None, false),
            };
        }
        outcome
    }

    /// One request to one endpoint, and its account: evidence, metrics.
    async fn attempt(&self, run: &mut Run, candidate: Candidate, fresh: bool) -> Result<Attempted, Failure> {
        let began = self.clock.now();
        let pool = Arc::clone(&run.pool);
        let Some(origin) = pool.origins.get(candidate.origin) else {
            return Err(Failure::unsent(FailureKind::Connect));
        };
        let result = self.exchange(run, origin, candidate, fresh, began).await;
        let took = self.clock.now().monotonic.saturating_duration_since(began.monotonic);
        let failure = match &result {
            Ok(attempted) => pool.config.failover.statuses.contains(attempted.response.status()).then(|| {
                let status = attempted.response.status().as_u16();
                (FailureKind::Status(status), format!("status {status}"))
            }),
            Err(failure) => Some((failure.kind, failure.to_string())),
        };
        pool.metrics.origin_attempt(&origin.name, failure.as_ref().map_or("ok", |(kind, _)| kind.as_str()), took);
        match failure {
            // The success itself counts when the body is whole.
            None => run.suspicions.drain(..).for_each(|(suspect, cause)| pool.blame(suspect, cause)),
            Some((kind, cause)) if kind.is_unreachable() || !pool.config.probe.enabled => {
                if kind.is_evidence() {
                    pool.blame(candidate, cause);
                }
            }
            Some((kind, cause)) if kind.is_evidence() => run.suspicions.push((candidate, cause)),
            Some(_) => {}
        }
        result
    }

    async fn exchange(
        &self,
        run: &mut Run,
        origin: &Origin,
        candidate: Candidate,
        fresh: bool,
        began: Now,
    ) -> Result<Attempted, Failure> {
        let timeouts = &run.pool.config.timeouts;
        let tries_left = run.tries_left();
        let place = Place { site: Arc::clone(&run.pool.site), origin: candidate.origin, address: candidate.address };
        // A request that must not be repeated does not go over a connection that the origin may just be closing.
        let may_reuse = !fresh && run.forward.method.is_safe();
        let idle = if may_reuse { self.connections.take(&place, began.monotonic) } else { None };
        let reused = idle.is_some();
        let wait = split_deadline(run.forward.deadline, timeouts.connect, tries_left, began.monotonic);
        let mut sender = match idle {
            Some(sender) => sender,
            None => connect(&*self.dial, origin, candidate.address, wait, &self.tasks).await?,
        };
        if !matches!(timeout(wait, sender.ready()).await, Ok(Ok(()))) {
            return Err(Failure::unsent(FailureKind::ClosedUnanswered { reused }));
        }
        let requested = self.clock.now();
        let wait = split_deadline(run.forward.deadline, timeouts.first_byte, tries_left, requested.monotonic);
        let progress = Progress::default();
        let request = run.forward.request(origin, progress.clone());
        let response = self.send(&mut sender, request, reused, wait, progress, &mut run.forward.body).await?;
        let received = self.clock.now();
        let framing = framing(&run.forward.method, &run.forward.headers, response.status(), response.headers())
            .map_err(|cause| Failure { kind: FailureKind::Malformed, cause: cause.into(), sent: true })?;
        Ok(Attempted { response, framing, sender, place, requested, received })
    }

    /// Waits for the final head: `wait` long, counted anew whenever the request's body has moved. Interim responses do not
    /// prolong it.
    async fn send(
        &self,
        sender: &mut SendRequest<RequestBody>,
        mut request: Request<RequestBody>,
        reused: bool,
        wait: Duration,
        progress: Progress,
        body: &mut Option<RequestBody>,
    ) -> Result<Response<Incoming>, Failure> {
        let interim = Interim::default();
        interim.count(&mut request);
        let mut answer = std::pin::pin!(sender.try_send_request(request));
        loop {
            let frames = progress.frames();
            let until = self.clock.now().monotonic + wait;
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
                    *body = unsent.map(Request::into_body);
                    let kind = if progress.broke_off() {
                        FailureKind::Upload
                    } else if error.error().is_parse() {
                        FailureKind::Malformed
                    } else {
                        FailureKind::ClosedUnanswered { reused }
                    };
                    Failure { kind, cause: error.into_error().to_string(), sent }
                }),
                () = sleep_until(until.into()) => {
                    if progress.frames() == frames {
                        let cause = format!("no response head within {wait:?}");
                        return Err(Failure { kind: FailureKind::FirstByteTimeout, cause, sent: true });
                    }
                }
            }
        }
    }

    fn fetched(self: &Arc<Self>, run: &Run, candidate: Candidate, started: Now, attempted: Attempted) -> Fetched {
        let Attempted { response, framing, sender, place, requested, received } = attempted;
        let latency = received.monotonic.saturating_duration_since(requested.monotonic);
        let (head, incoming) = response.into_parts();
        let failed = run.pool.config.failover.statuses.contains(head.status);
        let origin = run.pool.origins.get(candidate.origin).map_or_else(|| Arc::from(""), |o| Arc::clone(&o.name));
        let template = run.forward.template();
        let source = Source { place, sender, incoming, skip: 0, latency: (!failed).then_some(latency) };
        let body = OriginBody::new(self, &run.pool, source, framing, &head, template);
        Fetched {
            version: head.version,
            status: head.status,
            headers: head.headers,
            framing,
            body,
            failed,
            origin,
            address: candidate.address,
            attempts: run.attempts(),
            started,
            requested,
            received,
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&self, place: Place, sender: SendRequest<RequestBody>) {
        self.connections.put(place, sender, self.clock.now().monotonic);
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now().monotonic
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Fetcher").field("connections", &self.connections).finish_non_exhaustive()
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
}

impl Forward {
    /// The request itself, with the body, which comes back if nothing of it could be sent.
    fn request(&mut self, origin: &Origin, progress: Progress) -> Request<RequestBody> {
        let mut request = Request::new(counted(self.body.take(), progress));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(header::HOST, origin.host_field(&self.authority));
        request
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
    /// Whether its status counts as a failure, and no origin had anything better.
    pub failed: bool,
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
    /// A failure status as the failure it is.
    pub fn into_failure(self) -> FetchError {
        FetchError {
            kind: FailureKind::Status(self.status.as_u16()),
            status: Some(self.status),
            attempts: self.attempts,
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

/// A forward request under way.
struct Run {
    pool: Arc<Pool>,
    forward: Forward,
    candidates: VecDeque<Candidate>,
    tries: usize,
    has_body: bool,
    /// Failures that count against their endpoints only if another one answers this request.
    suspicions: Vec<(Candidate, String)>,
}

impl Run {
    fn new(pool: &Arc<Pool>, forward: Forward) -> Self {
        let demand = Demand {
            safe: forward.method.is_safe(),
            tries: forward.tries,
            trial: None,
            bucket: bucket(forward.target.path_and_query().map_or("/", |target| target.as_str())),
        };
        let mut candidates = VecDeque::from(candidates(&pool.view(), demand, &mut fastrand::Rng::new()));
        if let Some(place) = candidates.iter().position(|candidate| Some(*candidate) == forward.last_resort) {
            candidates.extend(forward.last_resort);
            candidates.remove(place);
        }
        let has_body = forward.body.is_some();
        Self { pool: Arc::clone(pool), forward, candidates, tries: 0, has_body, suspicions: Vec::new() }
    }

    /// A body that was sent is gone, whatever the method: such a request is never repeated.
    fn attempt(&self, sent: bool) -> Attempt {
        Attempt {
            tries: self.tries,
            candidates_left: self.candidates.len(),
            sent,
            safe: self.forward.method.is_safe() && !self.has_body,
        }
    }

    fn tries_left(&self) -> usize {
        (self.candidates.len() + 1).min((self.forward.tries + 1).saturating_sub(self.tries))
    }

    fn attempts(&self) -> u32 {
        u32::try_from(self.tries).unwrap_or(u32::MAX)
    }
}

/// A response head and the connection it came over.
struct Attempted {
    response: Response<Incoming>,
    framing: Framing,
    sender: SendRequest<RequestBody>,
    place: Place,
    requested: Now,
    received: Now,
}

/// Why one attempt gave no response.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", kind.as_str())]
struct Failure {
    kind: FailureKind,
    cause: String,
    /// Whether any byte of the request may have reached the origin.
    sent: bool,
}

impl Failure {
    fn unsent(kind: FailureKind) -> Self {
        Self { kind, cause: "nothing was sent".into(), sent: false }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self { kind: error.kind, cause: error.cause, sent: false }
    }
}
