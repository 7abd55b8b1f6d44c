//! The body of an origin's response, continued elsewhere when it breaks off.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::response::Parts;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::claim::Claim;
use super::fetch::{Fetcher, Forward};
use super::idle::Destination;
use super::incoming::Framing;
use super::ranking::Candidate;
use super::retry::FailureKind;
use super::splice::{Incomplete, Splice, accept, resume_fields};
use super::wire::Wire;
use crate::origin::health::endpoint::Evidence;
use crate::origin::pool::Pool;
use crate::semantics::forwarding;

/// Yields the bytes of one representation, each once and in order, whatever origins they come from.
pub struct OriginBody {
    fetcher: Arc<Fetcher>,
    pool: Arc<Pool>,
    /// `None` once the body has ended.
    source: Option<Source>,
    /// The head that the whole body belongs to.
    headers: HeaderMap,
    /// What to ask again when it breaks off; `None` when only the whole will do.
    template: Option<Forward>,
    /// Whether the connection may carry another request; one whose request had a body may still be sending it.
    reusable: bool,
    received: u64,
    total: Option<u64>,
    continuations_left: u32,
    /// The term in which the head of what comes from `source` came.
    term: Option<u64>,
    /// All terms so far; at most three for each head.
    terms: Vec<u64>,
    suspicions: Vec<(Candidate, FailureKind)>,
}

/// The connection that the bytes come over at the moment.
pub(super) struct Source {
    pub(super) place: Destination,
    pub(super) sender: Wire,
    pub(super) framing: Framing,
    /// What is held of the endpoint while the body lasts.
    pub(super) claim: Option<Claim>,
    /// The term in which its head came.
    pub(super) term: Option<u64>,
    /// What of it was read before its head was believed.
    pub(super) ahead: VecDeque<Bytes>,
    pub(super) incoming: Incoming,
    /// How long the connection may be idle after it.
    pub(super) idle_time: Duration,
    /// Bytes that were delivered before and come once more.
    pub(super) skip: u64,
    /// How long the head took, of a response that counts as a success once it is whole.
    pub(super) latency: Option<Duration>,
}

/// The body cannot be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenOff(pub FailureKind);

impl OriginBody {
    pub(super) fn new(
        fetcher: &Arc<Fetcher>,
        pool: &Arc<Pool>,
        source: Source,
        head: &Parts,
        mut template: Forward,
    ) -> Self {
        let framing = source.framing;
        let total = match framing {
            Framing::Bodiless => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::Close => None,
        };
        // RFC 9110 §14.2: ranges are of the representation that a GET selects; a cut is only noticed where the end is
        // known.
        let repeatable = template.method == Method::GET && head.status == StatusCode::OK && framing != Framing::Close;
        // Those of the request that is continued; a continuation has its own.
        forwarding::remove_conditions_and_range(&mut template.headers);
        let term = source.term;
        let mut body = Self {
            fetcher: Arc::clone(fetcher),
            pool: Arc::clone(pool),
            source: Some(source),
            headers: head.headers.clone(),
            reusable: template.method.is_safe(),
            template: repeatable.then_some(template),
            received: 0,
            total,
            continuations_left: CONTINUATIONS_MAX,
            term,
            terms: term.into_iter().collect(),
            suspicions: Vec::new(),
        };
        if framing == Framing::Bodiless {
            body.end();
        }
        body
    }

    /// The terms (see [`Terms`](crate::origin::health::terms::Terms)) that head and body have come in, as far as was read.
    pub fn terms(&self) -> &[u64] {
        &self.terms
    }

    /// The next bytes; `None` at the proven end. Those that complete a body of known length come only once it is proven
    /// that no more follow.
    ///
    /// # Errors
    /// [`BrokenOff`] when the body ended early or stalled, and nobody could continue it, or when it is void because there
    /// was more than its head announced. It yields nothing after that.
    pub async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        loop {
            let source = self.source.as_mut()?;
            let failure = match source.read(self.pool.config.timeouts.body_idle).await {
                Ok(Some(data)) => {
                    self.received += data.len() as u64;
                    if self.total.is_none_or(|total| self.received < total) {
                        return Some(Ok(data));
                    }
                    return Some(self.prove().await.map(|()| data));
                }
                Ok(None) if source.skip == 0 && self.total.is_none_or(|total| total == self.received) => {
                    return self.prove().await.err().map(Err);
                }
                Ok(None) => FailureKind::BodyBroken,
                Err(failure) => failure,
            };
            let place = source.place.clone();
            // Those who continue it need places of their own.
            source.claim = None;
            self.note_terms(&place);
            self.suspect(&place, failure);
            self.source = self.continuation(&place).await;
            if self.source.is_none() {
                return Some(Err(BrokenOff(failure)));
            }
        }
    }

    /// The end: nothing more follows what was received, which is all that was announced. A body that fails here is void; as
    /// there is no telling which of its bytes are wrong, it is not continued.
    async fn prove(&mut self) -> Result<(), BrokenOff> {
        let is_too_long = self.total.is_some_and(|total| self.received > total);
        let idle = self.pool.config.timeouts.body_idle;
        let Some(source) = self.source.as_mut() else { return Ok(()) };
        let failure = match source.prove(idle).await {
            Ok(()) if is_too_long => FailureKind::Surplus,
            Ok(()) => {
                self.end();
                return Ok(());
            }
            Err(failure) => failure,
        };
        let place = source.place.clone();
        self.source = None;
        self.suspect(&place, failure);
        Err(BrokenOff(failure))
    }

    /// Gives back what is held of the endpoint, though the body goes on.
    pub(super) fn give_up_claim(&mut self) {
        if let Some(source) = &mut self.source {
            source.claim = None;
        }
    }

    /// A broken body, like a failed head, counts against an endpoint once another one has done better: it may be the
    /// fault of the URL. Without probes it is the only evidence there is.
    fn suspect(&mut self, place: &Destination, failure: FailureKind) {
        let broken = Candidate { origin: place.origin, address: place.address };
        if self.pool.config.probe.enabled {
            self.suspicions.push((broken, failure));
        } else {
            self.pool.blame(broken, failure.as_str().into());
        }
    }

    /// Nothing more will come from `place`.
    fn note_terms(&mut self, place: &Destination) {
        if let Some(first) = self.term {
            self.terms.extend(self.pool.terms.since(place.origin, place.address, first));
        }
    }

    /// The response was read to its end.
    fn end(&mut self) {
        let Some(Source { place, sender, latency, idle_time, .. }) = self.source.take() else { return };
        self.note_terms(&place);
        for (suspect, failure) in self.suspicions.drain(..) {
            if (suspect.origin, suspect.address) != (place.origin, place.address) {
                self.pool.blame(suspect, failure.as_str().into());
            }
        }
        if let Some(latency) = latency {
            self.pool.report(place.origin, place.address, Evidence::RequestSucceeded { latency });
        }
        if self.reusable {
            self.fetcher.keep(place, sender, idle_time);
        }
    }

    /// The rest of the same representation, from the best origin that has it; `broken` is asked last.
    async fn continuation(&mut self, broken: &Destination) -> Option<Source> {
        while self.continuations_left > 0 {
            self.continuations_left -= 1;
            let incomplete = Incomplete::new(&self.headers, self.received, self.total)?;
            let mut forward = self.template.as_ref()?.template();
            forward.headers.extend(resume_fields(&incomplete));
            forward.deadline = self.fetcher.now() + self.pool.config.timeouts.request;
            forward.last_resort = Some(Candidate { origin: broken.origin, address: broken.address });
            let fetched = self.fetcher.fetch(&self.pool, forward).await.ok()?;
            let Ok(splice) = accept(&incomplete, fetched.status, &fetched.headers) else { continue };
            (self.term, self.terms) = (fetched.body.term, [&*self.terms, &*fetched.body.terms].concat());
            let mut source = fetched.body.source?;
            match splice {
                Splice::Part { length } => self.total = Some(self.received + length),
                Splice::WholeSkip(bytes) => source.skip = bytes,
            }
            self.pool.metrics.body_continued(self.origin_name(broken), self.origin_name(&source.place));
            return Some(source);
        }
        None
    }

    fn origin_name(&self, place: &Destination) -> &str {
        self.pool.origins.get(place.origin).map_or("", |origin| &origin.name)
    }
}

impl Source {
    /// The next bytes that were not delivered before; `None` at the end of what the connection brings.
    async fn read(&mut self, idle: Duration) -> Result<Option<Bytes>, FailureKind> {
        loop {
            let data = match self.ahead.pop_front() {
                Some(data) => data,
                None => match timeout(idle, self.incoming.frame()).await {
                    Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                    Ok(None) => return Ok(None),
                    Ok(Some(Err(_))) => return Err(FailureKind::BodyBroken),
                    Err(_) => return Err(FailureKind::BodyStalled),
                },
            };
            if let Some(data) = self.new_part(data) {
                return Ok(Some(data));
            }
        }
    }

    /// Whether it ends here, and nothing comes after its end.
    async fn prove(&mut self, idle: Duration) -> Result<(), FailureKind> {
        match self.read(idle).await? {
            None if !self.sender.ends_with_surplus(self.framing).await => Ok(()),
            None | Some(_) => Err(FailureKind::Surplus),
        }
    }

    /// What of `data` was not delivered before.
    fn new_part(&mut self, mut data: Bytes) -> Option<Bytes> {
        let known = usize::try_from(self.skip).unwrap_or(usize::MAX).min(data.len());
        self.skip -= known as u64;
        data.advance(known);
        (!data.is_empty()).then_some(data)
    }
}

impl fmt::Debug for OriginBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OriginBody").field("received", &self.received).finish_non_exhaustive()
    }
}

/// How often one body may break off and be continued.
const CONTINUATIONS_MAX: u32 = 3;
