//! The body of an origin's response, continued elsewhere when it breaks off.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{Method, StatusCode};

use super::fetch::{Fetcher, Forward};
use super::idle::Destination;
use super::incoming::Framing;
use super::integrity::{Content, Integrity};
use super::pace::Pace;
use super::ranking::{Calling, Candidate, calling};
use super::retry::FailureKind;
use super::run::Template;
use super::source::{Read, Source};
use super::splice::{Incomplete, Splice, accept};
use super::wire::Aftermath;
use crate::origin::health::endpoint::Evidence;
use crate::origin::pool::Pool;
use crate::semantics::digest;

/// Yields the bytes of one representation, each once and in order, whatever origins they come from.
pub struct OriginBody {
    fetcher: Arc<Fetcher>,
    pool: Arc<Pool>,
    /// `None` once the body has ended.
    source: Option<Source>,
    /// What it is a body of, and what to ask again when it breaks off; `None` when only the whole will do.
    whole: Option<(Incomplete, Template)>,
    /// Whether the connection may carry another request; one whose request had a body may still be sending it.
    reusable: bool,
    received: u64,
    total: Option<u64>,
    integrity: Integrity,
    /// The last bytes so far, where they are not to be handed out before it is known whether more follow.
    held: Option<Bytes>,
    /// Whether anybody has bytes of it.
    has_yielded: bool,
    /// Whether head and body come from more than one source.
    is_spliced: bool,
    /// Whether a part of it came in a response that was void.
    has_void_part: bool,
    /// What may yet come behind the end.
    aftermath: Option<Aftermath>,
    continuations_left: u32,
    /// Kept as long as there is something to gain by leaving a slow source.
    pace: Option<Pace>,
    /// Looks for somebody who sends the rest faster than a slow source, which is read meanwhile.
    search: Option<Search>,
    /// The term in which the head of what comes from `source` came.
    term: Option<u64>,
    /// All terms so far; at most three for each head.
    terms: Vec<u64>,
    suspicions: Vec<(Candidate, FailureKind)>,
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
        template: Template,
    ) -> Self {
        let framing = source.framing;
        let total = match framing {
            Framing::Bodiless => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::Close => None,
        };
        // RFC 9110 §14.2: ranges are of the representation that a GET selects; a cut is only noticed where the end is
        // known.
        let repeatable = template.method() == Method::GET && head.status == StatusCode::OK && framing != Framing::Close;
        let reusable = template.method().is_safe();
        let digests = match framing {
            Framing::Bodiless => Vec::new(),
            Framing::Chunked | Framing::Close | Framing::Length(_) => {
                digest::of_content(template.method(), head.status, &head.headers)
            }
        };
        let whole = Incomplete::new(&head.headers, 0, total).filter(|_| repeatable).map(|whole| (whole, template));
        let term = source.term;
        let mut body = Self {
            fetcher: Arc::clone(fetcher),
            pool: Arc::clone(pool),
            source: Some(source),
            whole,
            reusable,
            received: 0,
            total,
            integrity: Integrity::new(digests),
            held: None,
            has_yielded: false,
            is_spliced: false,
            has_void_part: false,
            aftermath: None,
            continuations_left: CONTINUATIONS_MAX,
            pace: None,
            search: None,
            term,
            terms: term.into_iter().collect(),
            suspicions: Vec::new(),
        };
        body.pace = body.pace_from_here();
        if framing == Framing::Bodiless {
            body.end();
        }
        body
    }

    /// What comes after a part that somebody has, of which this is what `splice` says. Nobody has digests of it.
    pub(super) fn spliced(mut self, splice: Splice) -> Option<Self> {
        match splice {
            // However the response ends.
            Splice::Part { length } => self.total = Some(length),
            Splice::WholeSkip(bytes) => {
                self.source.as_mut()?.skip = bytes;
                self.received = bytes;
                self.integrity = Integrity::new(Vec::new());
            }
        }
        self.has_yielded = true;
        Some(self)
    }

    /// The terms (see [`Terms`](crate::origin::health::terms::Terms)) that head and body have come in, as far as was read.
    pub fn terms(&self) -> &[u64] {
        &self.terms
    }

    /// Whether a part of it came in a response that was followed by more than it had announced.
    pub fn has_void_part(&self) -> bool {
        self.has_void_part
    }

    /// Calls `tell` should more come behind its end than was announced: within three seconds, while its connection is idle.
    pub fn once_surplus_comes(&mut self, tell: impl FnOnce() + Send + 'static) {
        let Some(aftermath) = self.aftermath.take() else { return };
        let (clock, until) = (self.fetcher.clock().clone(), self.fetcher.now() + AFTERMATH);
        aftermath.once_surplus_comes(move || {
            if clock.monotonic() <= until {
                tell();
            }
        });
    }

    /// The next bytes; `None` at the proven end. Those that complete a body whose client knows its length come only once it
    /// is proven to be whole, as do the last ones of a body that states a digest.
    ///
    /// # Errors
    /// [`BrokenOff`] when the body ended early or stalled, and nobody could continue it, or when it is void: there was more
    /// than its head announced, or its digest is of another one. It yields nothing after that.
    pub async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        loop {
            let source = self.source.as_mut()?;
            let idle = self.pool.config.timeouts.body_idle;
            let read = tokio::select! {
                biased;
                found = found(&mut self.search) => {
                    self.search = None;
                    self.overtake(found);
                    continue;
                }
                read = source.read(idle, self.pace.as_mut(), self.fetcher.clock()) => read,
            };
            let failure = match read {
                Ok(Read::Bytes(data)) => match self.take(data) {
                    Taken::Ready(data) => {
                        self.has_yielded = true;
                        return Some(Ok(data));
                    }
                    Taken::Held => continue,
                    Taken::TooMuch => FailureKind::Surplus,
                },
                Ok(Read::End) if source.skip > 0 || !self.is_all() => FailureKind::BodyBroken,
                Ok(Read::End) => match self.prove().await {
                    Ok(()) => {
                        self.end();
                        return self.held.take().map(Ok);
                    }
                    Err(failure) => failure,
                },
                Ok(Read::TooSlow) => {
                    self.hurry();
                    continue;
                }
                Err(failure) => failure,
            };
            // Boxed, so that bodies that do not break do not carry the room for it.
            Box::pin(self.go_on(failure)).await;
            if self.source.is_none() {
                return Some(Err(BrokenOff(failure)));
            }
        }
    }

    /// Takes what comes next, and gives what may be handed out: while it is not proven, all but the last of it.
    fn take(&mut self, data: Bytes) -> Taken {
        self.received += data.len() as u64;
        if self.total.is_some_and(|total| self.received > total) {
            return Taken::TooMuch;
        }
        self.integrity.take(&data);
        let may_be_last = self.total.map_or(self.integrity.is_stated(), |total| self.received == total);
        let ready = if may_be_last || self.held.is_some() { self.held.replace(data) } else { Some(data) };
        ready.map_or(Taken::Held, Taken::Ready)
    }

    /// Whether nothing is missing, as far as the length is known.
    fn is_all(&self) -> bool {
        self.total.is_none_or(|total| total == self.received)
    }

    /// At the end: whether nothing more follows what was received, and that is what its digests are of.
    async fn prove(&mut self) -> Result<(), FailureKind> {
        let Some(source) = self.source.as_mut() else { return Ok(()) };
        if source.sender.ends_with_surplus(source.framing).await {
            return Err(FailureKind::Surplus);
        }
        match self.integrity.judge() {
            Content::Right => Ok(()),
            Content::Wrong => Err(FailureKind::Corrupt),
        }
    }

    /// Goes on with another source after a failure, if there is one. A void body is not continued, as there is no telling
    /// which of its bytes are wrong; as long as nobody has any of them, it begins anew. If there was merely more of it than
    /// announced, another endpoint may say, with the last piece, that the whole is as long as was announced.
    async fn go_on(&mut self, failure: FailureKind) {
        // Those who continue it need places of their own.
        let Some(place) = self.source.take().map(|source| source.place) else { return };
        self.note_terms(&place);
        // Of several sources any may have sent what is wrong, if only the digest.
        if !failure.voids() || !self.is_spliced {
            self.suspect(&place, failure);
        }
        let is_announced = failure == FailureKind::Surplus && self.is_all() && !self.integrity.is_stated();
        match self.held.take_if(|_| is_announced && self.has_yielded) {
            Some(last) => {
                self.received -= last.len() as u64;
                self.has_void_part = true;
            }
            None if failure.voids() && self.has_yielded => return,
            None if failure.voids() => {
                (self.received, self.held) = (0, None);
                self.integrity.begin_again();
            }
            None => {}
        }
        // Of what is void nothing is there any more that a search under way could continue.
        let search = self.search.take().filter(|_| !failure.voids());
        let mut found = if let Some(search) = search { search.await } else { None };
        if found.is_none() {
            let rest = self.rest().map(|rest| match self.has_void_part {
                true => Forward { excluded: Some(place.candidate()), ..rest },
                false => Forward { last_resort: Some(place.candidate()), ..rest },
            });
            found = if let Some(search) = self.search(rest) { search.await } else { None };
        }
        self.source = found.and_then(|found| self.change(found, &place));
        self.pace = self.pace_from_here();
    }

    /// Looks for somebody who sends the rest faster. Until one is found, and without one, it goes on as slowly as it comes.
    fn hurry(&mut self) {
        let Some(place) = self.source.as_ref().map(|source| source.place.candidate()) else { return };
        if self.has_alternative(place) {
            self.pace = None;
            let rest = self.rest().map(|rest| Forward { excluded: Some(place), ..rest });
            self.search = self.search(rest);
        } else {
            self.pace = self.pace_from_here();
        }
    }

    /// Leaves a slow source for what was found in its place, if anything was.
    fn overtake(&mut self, found: Option<Found>) {
        let place = self.source.as_ref().map(|source| source.place.clone());
        let Some((found, place)) = found.zip(place) else { return };
        self.note_terms(&place);
        if let Some(faster) = self.change(found, &place) {
            self.suspect(&place, FailureKind::BodyStalled);
            self.source = Some(faster);
            self.pace = self.pace_from_here();
        }
    }

    /// The pace that is asked of what comes from here on: none when the body has to be taken as it comes.
    fn pace_from_here(&self) -> Option<Pace> {
        let timeouts = &self.pool.config.timeouts;
        self.whole.as_ref().filter(|_| self.continuations_left > 0)?;
        Pace::new(timeouts.body_rate_min, timeouts.body_rate_window)
    }

    /// Whether anybody else is to be asked before it is broken.
    fn has_alternative(&self, place: Candidate) -> bool {
        let view = self.pool.view();
        let mut all = view.origins.iter().flat_map(|origin| {
            origin.endpoints.iter().map(|endpoint| Candidate { origin: origin.index, address: endpoint.address })
        });
        all.any(|other| other != place && calling(&view, other) != Calling::Makeshift)
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
        let broken = place.candidate();
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
        let Some(Source { place, sender, framing, latency, idle_time, .. }) = self.source.take() else { return };
        self.aftermath = matches!(framing, Framing::Length(_)).then(|| sender.aftermath(framing));
        self.search = None;
        self.note_terms(&place);
        for (suspect, failure) in self.suspicions.drain(..) {
            if suspect != place.candidate() {
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

    /// The request for the rest of the same representation; `None` when it is not to be had in parts.
    fn rest(&self) -> Option<Forward> {
        // Of a body that is all there only its proof is missing, which no part of it brings.
        let is_missing = !self.is_all() || self.total.is_none();
        let (whole, template) = self.whole.as_ref().filter(|_| is_missing && self.continuations_left > 0)?;
        let deadline = self.fetcher.now() + self.pool.config.timeouts.request;
        Some(template.rest(whole.after(self.received, self.total), deadline))
    }

    /// Asks for the rest of the representation: the best origin that has it and whose response is what the site expects.
    fn search(&mut self, rest: Option<Forward>) -> Option<Search> {
        let rest = rest?;
        let incomplete = rest.continues.clone()?;
        self.continuations_left -= 1;
        let (fetcher, pool, start) = (Arc::clone(&self.fetcher), Arc::clone(&self.pool), self.received);
        Some(Box::pin(async move {
            let fetched = fetcher.fetch(&pool, rest).await.ok().filter(|fetched| !fetched.failed)?;
            let splice = accept(&incomplete, fetched.status, &fetched.headers).ok()?;
            Some(Found { body: fetched.body, splice, start })
        }))
    }

    /// What goes on in place of the source at `left`.
    fn change(&mut self, found: Found, left: &Destination) -> Option<Source> {
        let Found { body, splice, start } = found;
        let mut source = body.source?;
        (self.term, self.terms) = (body.term, [&*self.terms, &*body.terms].concat());
        source.skip = match splice {
            Splice::Part { length } => {
                self.total = Some(start + length);
                // What a slow source has brought since it was asked for.
                self.received - start
            }
            Splice::WholeSkip(_) => self.received,
        };
        self.is_spliced = true;
        self.pool.metrics.body_continued(self.origin_name(left), self.origin_name(&source.place));
        Some(source)
    }

    fn origin_name(&self, place: &Destination) -> &str {
        self.pool.origins.get(place.origin).map_or("", |origin| &origin.name)
    }
}

type Search = Pin<Box<dyn Future<Output = Option<Found>> + Send>>;

/// What goes on with a body.
struct Found {
    body: OriginBody,
    splice: Splice,
    /// How much of the whole was there when it was asked for.
    start: u64,
}

/// What a search comes to; for ever without one.
async fn found(search: &mut Option<Search>) -> Option<Found> {
    match search {
        Some(search) => search.await,
        None => std::future::pending().await,
    }
}

/// What becomes of bytes that came.
enum Taken {
    /// Nothing may be handed out yet.
    Held,
    /// These may be.
    Ready(Bytes),
    /// They are more than the whole.
    TooMuch,
}

impl fmt::Debug for OriginBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OriginBody").field("received", &self.received).finish_non_exhaustive()
    }
}

/// What comes over an idle connection later than this does not belong to the response before: many servers end such a
/// connection with a 408.
const AFTERMATH: Duration = Duration::from_secs(3);

/// How often one body may break off and be continued.
const CONTINUATIONS_MAX: u32 = 3;
