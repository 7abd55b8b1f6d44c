//! One request on its way to one endpoint, from a connection to a response head that was looked at.
//!
//! It owns all that it needs, so that several of them can be under way for one request of a client's.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::{sleep_until, timeout};

use super::connect::RequestBody;
use super::examine::{Asked, Examined, examine};
use super::incoming::{Framing, framing};
use super::links::Link;
use super::load::Load;
use super::question::Question;
use super::ranking::Candidate;
use super::retry::{FailureKind, split_deadline};
use super::run::Failure;
use super::upload::{Progress, watched};
use super::wire::INTERIM_MAX;
use crate::clock::{Clock, Now};
use crate::origin::causes::with_causes;
use crate::origin::health::latency::next_mark;
use crate::origin::pool::{Origin, Pool};

/// What a flight begins with.
pub(super) struct Departure {
    pub(super) pool: Arc<Pool>,
    pub(super) question: Arc<Question>,
    pub(super) body: Option<RequestBody>,
    pub(super) deadline: Instant,
    /// The tries that the time left is shared by.
    pub(super) tries_left: usize,
    pub(super) clock: Clock,
}

/// How a flight ended.
pub(super) struct Landing {
    pub(super) candidate: Candidate,
    pub(super) result: Result<Attempted, Failure>,
    /// A request body of which nothing was sent.
    pub(super) unsent: Option<RequestBody>,
    /// Whether there was a connection; if not, whoever dialed has told the steward.
    pub(super) reached: bool,
}

/// A response head and the connection it came over.
pub(super) struct Attempted {
    pub(super) link: Link,
    pub(super) answered: Answered,
}

/// A response head and its circumstances.
pub(super) struct Answered {
    pub(super) response: Response<Incoming>,
    pub(super) examined: Examined,
    pub(super) framing: Framing,
    /// The term in which the head came.
    pub(super) term: Option<u64>,
    /// How long the head took, once the request was sent.
    pub(super) latency: Duration,
    pub(super) requested: Now,
    pub(super) received: Now,
}

impl Landing {
    /// No connection came about.
    pub(super) fn unreached(candidate: Candidate, failure: Failure, unsent: Option<RequestBody>) -> Self {
        Self { candidate, result: Err(failure), unsent, reached: false }
    }

    /// Whether it may have cost an origin anything.
    pub(super) fn was_sent(&self) -> bool {
        self.result.as_ref().map_or_else(|failure| failure.sent, |_| true)
    }
}

impl Departure {
    /// Asks over `link`, and keeps the account of it: metrics, and the load of the endpoint.
    pub(super) async fn fly(mut self, mut link: Link) -> Landing {
        let (candidate, began, pool) = (link.candidate, link.began, Arc::clone(&self.pool));
        let Some(origin) = pool.origins.get(candidate.origin) else {
            return Landing::unreached(candidate, Failure::unsent(FailureKind::Connect), self.body);
        };
        let result = self.exchange(origin, &mut link).await;
        let now = self.now();
        let took = now.saturating_duration_since(began.monotonic);
        let failed = match &result {
            Ok(answered) => answered.examined.failure.as_ref().map(|(kind, _)| *kind),
            Err(failure) => Some(failure.kind),
        };
        origin.metrics.attempt(failed.map_or("ok", FailureKind::as_str), took);
        let result = match result {
            Ok(answered) => {
                origin.tail.measured(answered.latency);
                Ok(Attempted { link, answered })
            }
            Err(failure) => {
                if failure.kind == FailureKind::FirstByteTimeout {
                    link.claim.measured(took, now);
                    origin.tail.measured(took);
                }
                Err(Failure { claim: Some(link.claim), ..failure })
            }
        };
        Landing { candidate, result, unsent: self.body, reached: true }
    }

    async fn exchange(&mut self, origin: &Origin, link: &mut Link) -> Result<Answered, Failure> {
        let (pool, question) = (Arc::clone(&self.pool), Arc::clone(&self.question));
        let timeouts = &pool.config.timeouts;
        let reused = link.reused;
        if !link.sender.is_ready() {
            let wait = split_deadline(self.deadline, timeouts.connect, self.tries_left, self.now());
            if !matches!(timeout(wait, link.sender.ready()).await, Ok(Ok(()))) {
                return Err(Failure::unsent(FailureKind::ClosedUnanswered { reused }));
            }
        }
        let requested = self.clock.now();
        let wait = split_deadline(self.deadline, timeouts.first_byte, self.tries_left, requested.monotonic);
        let progress = Progress::new(self.body.is_some(), &self.clock, requested.monotonic);
        let request = question.request(watched(self.body.take(), progress.clone()), origin);
        let answer = pin!(link.sender.try_send_request(request));
        let mut response = self.answer(link, answer, requested.monotonic, wait, &progress).await?;
        let received = self.clock.now();
        let latency = received.monotonic.saturating_duration_since(progress.moved_at());
        // Of the head; what is read from here on may come in others.
        let term = pool.terms.current(link.candidate.origin, link.candidate.address);
        let framing = framing(&question.method, &question.headers, response.status(), response.headers())
            .map_err(|cause| Failure::sent(FailureKind::Malformed, cause))?;
        if is_surplus(link, framing).await {
            return Err(Failure::sent(FailureKind::Surplus, "more came than the head announced"));
        }
        let patience = split_deadline(self.deadline, timeouts.body_idle, self.tries_left, received.monotonic);
        let asked = Asked {
            method: &question.method,
            path: question.target.path(),
            headers: &question.headers,
            continues: question.continues.as_ref(),
        };
        let examined = examine(&pool.config, asked, &mut response, framing, patience)
            .await
            .map_err(|cause| Failure::sent(FailureKind::Unexpected, cause))?;
        Ok(Answered { response, examined, framing, term, latency, requested, received })
    }

    /// Waits for the final head of a request that was `sent`: `wait` long, counted anew whenever the request's body has
    /// moved. Interim responses do not prolong it. A request without a body tells the steward how long it has waited at some
    /// marks.
    async fn answer(
        &mut self,
        link: &Link,
        mut answer: Pin<&mut impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>>,
        sent: Instant,
        wait: Duration,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failure> {
        let (reused, candidate) = (link.reused, link.candidate);
        // One with a body takes its own time.
        let next = |waited| (!self.question.has_body).then(|| next_mark(waited, &self.pool.config.latency)).flatten();
        let mut mark = next(Duration::ZERO);
        let (mut frames, mut until) = (progress.frames(), sent + wait);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(|mut error| {
                    if link.sender.has_too_many_interims() {
                        let cause = format!("more than {INTERIM_MAX} interim responses");
                        return Failure::sent(FailureKind::Malformed, cause);
                    }
                    let unsent = error.take_message();
                    let sent = unsent.is_none();
                    self.body = unsent.map(Request::into_body);
                    let kind = if progress.broke_off() {
                        FailureKind::Upload
                    } else if error.error().is_parse() {
                        FailureKind::Malformed
                    } else {
                        FailureKind::ClosedUnanswered { reused }
                    };
                    Failure { sent, ..Failure::sent(kind, with_causes(&error.into_error())) }
                }),
                waited = passed(sent, mark) => {
                    self.pool.tell_waiting(candidate, waited, self.question.hash());
                    mark = next(waited);
                }
                () = sleep_until(until.into()) => {
                    if progress.frames() == frames {
                        let (kind, missing) = match progress.awaits_client() {
                            true => (FailureKind::Upload, "more of the request's body"),
                            false => (FailureKind::FirstByteTimeout, "response head"),
                        };
                        return Err(Failure::sent(kind, format!("no {missing} within {wait:?}")));
                    }
                    (frames, until) = (progress.frames(), self.now() + wait);
                }
            }
        }
    }

    fn now(&self) -> Instant {
        self.clock.monotonic()
    }
}

/// Whether it is known of a response before its body is read that more came than it announced.
async fn is_surplus(link: &mut Link, framing: Framing) -> bool {
    match framing {
        Framing::Bodiless | Framing::Length(0) => link.sender.ends_with_surplus(framing).await,
        Framing::Chunked | Framing::Close | Framing::Length(_) => link.sender.has_surplus(framing),
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

/// A request under way, as whoever waits for it sees it. Dropped, it is given up, and its connection closed.
pub(super) struct Flight {
    pub(super) candidate: Candidate,
    /// When the request could be sent or, if nobody had reached the endpoint yet, when it was turned to.
    pub(super) began: Instant,
    pub(super) errand: Errand,
    /// `None` for an address that has gone meanwhile.
    pub(super) load: Option<Arc<Load>>,
    pool: Arc<Pool>,
    has_landed: bool,
    landing: Pin<Box<dyn Future<Output = Landing> + Send>>,
}

/// Why an endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Nobody was before.
    First,
    /// Another one takes longer than usual.
    Hedge,
    /// Another one has failed after the request was sent.
    Retry,
}

impl Errand {
    /// The word for metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Hedge => "hedge",
            Self::Retry => "retry",
        }
    }

    /// Takes that a try of this kind was in vain.
    pub(super) fn was_in_vain(self, pool: &Pool) {
        match self {
            Self::First => return,
            // It was charged when it was made.
            Self::Hedge => {}
            Self::Retry => pool.retries.charge(),
        }
        pool.metrics.try_in_vain(self.as_str());
    }
}

impl Flight {
    pub(super) fn new(
        pool: &Arc<Pool>,
        candidate: Candidate,
        began: Instant,
        errand: Errand,
        landing: impl Future<Output = Landing> + Send + 'static,
    ) -> Self {
        let load = pool.view().endpoint(candidate.origin, candidate.address).map(|endpoint| endpoint.load.clone());
        Self { candidate, began, errand, load, pool: Arc::clone(pool), has_landed: false, landing: Box::pin(landing) }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // Also when its client has left.
        if !self.has_landed && self.errand == Errand::Hedge {
            self.errand.was_in_vain(&self.pool);
        }
    }
}

/// The flights of one request, in the order in which they began.
#[derive(Default)]
pub(super) struct Flights(pub(super) Vec<Flight>);

impl Flights {
    /// Who owes an answer.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        self.0.iter().map(|flight| flight.candidate).collect()
    }

    /// Waits for the first that lands; for ever when there is none.
    pub(super) async fn next(&mut self) -> (Flight, Landing) {
        poll_fn(|context| {
            for place in 0..self.0.len() {
                if let Poll::Ready(landing) = self.0[place].landing.as_mut().poll(context) {
                    self.0[place].has_landed = true;
                    return Poll::Ready((self.0.remove(place), landing));
                }
            }
            Poll::Pending
        })
        .await
    }
}
