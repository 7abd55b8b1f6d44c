//! The body of an origin's response, continued elsewhere when it breaks off.

use std::fmt;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::response::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::time::timeout;

use super::connect::RequestBody;
use super::connections::Place;
use super::fetch::{Fetcher, Forward};
use super::health::Evidence;
use super::incoming::Framing;
use super::pool::Pool;
use super::ranking::Candidate;
use super::retry::FailureKind;
use super::splice::{Incomplete, Splice, accept, resume_fields};

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
    received: u64,
    total: Option<u64>,
    continuations_left: u32,
}

/// The connection that the bytes come over at the moment.
struct Source {
    place: Place,
    sender: SendRequest<RequestBody>,
    incoming: Incoming,
    /// Bytes that were delivered before and come once more.
    skip: u64,
}

/// The body cannot be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenOff(pub FailureKind);

impl OriginBody {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another part of the exchange; a struct would name them twice"
    )]
    pub(super) fn new(
        fetcher: &Arc<Fetcher>,
        pool: &Arc<Pool>,
        place: Place,
        sender: SendRequest<RequestBody>,
        incoming: Incoming,
        framing: Framing,
        head: &Parts,
        template: Forward,
    ) -> Self {
        let total = match framing {
            Framing::Bodiless => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::Close => None,
        };
        // RFC 9110 §14.2: ranges are of the representation that a GET selects; a cut is only noticed where the end is
        // known.
        let repeatable = template.method == Method::GET && head.status == StatusCode::OK && framing != Framing::Close;
        let mut template = template;
        for name in CONDITIONS_AND_RANGE {
            template.headers.remove(name);
        }
        let mut body = Self {
            fetcher: Arc::clone(fetcher),
            pool: Arc::clone(pool),
            source: Some(Source { place, sender, incoming, skip: 0 }),
            headers: head.headers.clone(),
            template: repeatable.then_some(template),
            received: 0,
            total,
            continuations_left: CONTINUATIONS_MAX,
        };
        if framing == Framing::Bodiless {
            body.end();
        }
        body
    }

    /// The next bytes; `None` at the proven end.
    ///
    /// # Errors
    /// [`BrokenOff`] when the body ended early or stalled, and nobody could continue it. It yields nothing after that.
    pub async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        loop {
            let source = self.source.as_mut()?;
            let failure = match timeout(self.pool.config.timeouts.body_idle, source.incoming.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data().ok().and_then(|data| source.new_part(data)) {
                    Some(data) => {
                        self.received += data.len() as u64;
                        return Some(Ok(data));
                    }
                    None => continue,
                },
                Ok(None) if source.skip == 0 && self.total.is_none_or(|total| total == self.received) => {
                    self.end();
                    return None;
                }
                Ok(None | Some(Err(_))) => FailureKind::BodyBroken,
                Err(_) => FailureKind::BodyStalled,
            };
            let place = source.place.clone();
            self.pool.report(place.origin, place.address, Evidence::RequestFailed(failure.as_str().into()));
            self.source = self.continuation(&place).await;
            if self.source.is_none() {
                return Some(Err(BrokenOff(failure)));
            }
        }
    }

    /// The response was read to its end, so its connection may carry another request.
    fn end(&mut self) {
        if let Some(source) = self.source.take() {
            self.fetcher.keep(source.place, source.sender);
        }
    }

    /// The rest of the same representation, from the best origin that has it; `broken` is asked last.
    async fn continuation(&mut self, broken: &Place) -> Option<Source> {
        while self.continuations_left > 0 {
            self.continuations_left -= 1;
            let incomplete = Incomplete::new(&self.headers, self.received, self.total)?;
            let mut forward = self.template.as_ref()?.template();
            forward.headers.extend(resume_fields(&incomplete));
            forward.deadline = self.fetcher.now() + self.pool.config.timeouts.request;
            forward.last_resort = Some(Candidate { origin: broken.origin, address: broken.address });
            let fetched = self.fetcher.fetch(&self.pool, forward).await.ok()?;
            let Ok(splice) = accept(&incomplete, fetched.status, &fetched.headers) else { continue };
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

    fn origin_name(&self, place: &Place) -> &str {
        self.pool.origins.get(place.origin).map_or("", |origin| &origin.name)
    }
}

impl Source {
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

/// Of the request that is continued; a continuation has its own.
const CONDITIONS_AND_RANGE: [HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
];

/// How often one body may break off and be continued.
const CONTINUATIONS_MAX: u32 = 3;
