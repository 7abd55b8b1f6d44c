//! One worker's connections to origins: those that are idle, those on their way, and how a request comes by one.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep_until;
use tokio_util::task::TaskTracker;

use super::claim::Claim;
use super::connect::{ConnectError, Dial, connect};
use super::idle::{Destination, IdleConnections, REST, TEND_INTERVAL};
use super::race::{DIAL_DELAY, DIALS_MAX, Move, Race};
use super::ranking::{Calling, Candidate, standby};
use super::retry::{FailureKind, WORTHWHILE, split_deadline};
use super::run::{Failure, Run};
use super::wire::Wire;
use crate::clock::{Clock, Now};
use crate::origin::pool::Pool;
use crate::origin::view::{EndpointView, PoolView};

/// What one worker reaches origins with.
pub(super) struct Links {
    dial: Arc<dyn Dial>,
    idle: IdleConnections,
    clock: Clock,
    tasks: TaskTracker,
    /// Room for dials that nobody waits for any more.
    lingering: Semaphore,
}

/// A connection for one request.
pub(super) struct Link {
    pub(super) candidate: Candidate,
    pub(super) sender: Wire,
    /// Whether it was idle before, and so may just be closing.
    pub(super) reused: bool,
    /// When the endpoint was turned to.
    pub(super) began: Now,
    /// What the request holds of the endpoint.
    pub(super) claim: Claim,
}

impl Links {
    pub(super) fn new(dial: Arc<dyn Dial>, clock: Clock, tasks: TaskTracker) -> Self {
        let (idle, lingering) = (IdleConnections::default(), Semaphore::new(LINGERING_MAX));
        Self { dial, idle, clock, tasks, lingering }
    }

    /// A connection to `first` or, when that takes long or fails, to whoever of the next candidates connects first. Those
    /// whose dials have come to nothing yet are candidates again.
    pub(super) async fn reach(self: &Arc<Self>, run: &mut Run, first: Candidate) -> Result<Link, Failure> {
        let claim = match run.claim.take() {
            Some(claim) => claim,
            None => self.claim(run, first).await?,
        };
        run.tries += 1;
        let began = self.clock.now();
        let is_in_time = run.deadline.saturating_duration_since(began.monotonic) >= WORTHWHILE;
        if let Some(sender) = is_in_time.then(|| self.idle(run, first, began.monotonic)).flatten() {
            return Ok(Link { candidate: first, sender, reused: true, began, claim });
        }
        // Boxed, so that requests that need no dial do not carry the room for it.
        Box::pin(async {
            let mut contest = Contest::new(self, run, (first, claim));
            let result = contest.link().await;
            contest.end();
            result
        })
        .await
    }

    /// An idle connection to a candidate. A request that must not be repeated does not go over one that the origin may just
    /// be closing.
    fn idle(&self, run: &Run, candidate: Candidate, now: Instant) -> Option<Wire> {
        let will_do = run.question.is_repeatable() && !run.is_unheard(candidate);
        will_do.then(|| self.idle.take(&Destination::of(&run.pool, candidate), now)).flatten()
    }

    /// A connection to this candidate and nobody else, for a request that others have been sent already. `fresh` means that
    /// an idle one will not do.
    pub(super) async fn reach_only(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        candidate: Candidate,
        claim: Claim,
        fresh: bool,
    ) -> Result<Link, Failure> {
        let began = self.clock.now();
        let idle = || self.idle.take(&Destination::of(pool, candidate), began.monotonic);
        if let Some(sender) = (!fresh).then(idle).flatten() {
            return Ok(Link { candidate, sender, reused: true, began, claim });
        }
        let (teller, mut told) = mpsc::channel(NEWS_MAX);
        self.dial(pool, candidate, began, Some(teller));
        while let Some(told) = told.recv().await {
            match told.news {
                News::Opened => {}
                News::Connected(sender) => return Ok(Link { candidate, sender, reused: false, began, claim }),
                News::Failed(error) => return Err(error.into()),
            }
        }
        Err(Failure::unsent(FailureKind::Connect))
    }

    /// Waits for a place at the origin. One that is busy is not tried; that says nothing about its health.
    async fn claim(&self, run: &mut Run, candidate: Candidate) -> Result<Claim, Failure> {
        let began = self.now();
        let (deadline, longest) = (run.deadline, run.pool.config.timeouts.connect);
        let wait = split_deadline(deadline, longest, run.tries_left(), began);
        if let Some(claim) = Claim::new(&run.pool, candidate, wait).await {
            return Ok(claim);
        }
        if let Some(origin) = run.pool.origins.get(candidate.origin) {
            let took = self.now().saturating_duration_since(began);
            origin.metrics.attempt(FailureKind::Busy.as_str(), took);
        }
        Err(Failure::unsent(FailureKind::Busy))
    }

    /// Dials in a task of its own, up to the connect timeout whoever waits. A failure is evidence in any case; a connection
    /// that nobody waits for is kept for the next request.
    fn dial(self: &Arc<Self>, pool: &Arc<Pool>, candidate: Candidate, began: Now, waiting: Option<mpsc::Sender<Told>>) {
        let (links, pool) = (Arc::clone(self), Arc::clone(pool));
        self.tasks.spawn(async move {
            let Some(origin) = pool.origins.get(candidate.origin) else { return };
            let (wait, address) = (pool.config.timeouts.connect, candidate.address);
            let opened = || {
                let told = Told { candidate, news: News::Opened };
                let _full_or_deserted = waiting.as_ref().map(|waiting| waiting.try_send(told));
            };
            let mut connecting = pin!(connect(&*links.dial, origin, address, wait, &links.tasks, opened));
            let result = tokio::select! {
                result = &mut connecting => result,
                () = deserted(waiting.as_ref()) => {
                    let Ok(_room) = links.lingering.try_acquire() else { return };
                    connecting.await
                }
            };
            let news = match result {
                Ok(sender) => News::Connected(sender),
                Err(error) => {
                    if waiting.is_some() {
                        let took = links.now().saturating_duration_since(began.monotonic);
                        origin.metrics.attempt(error.kind.as_str(), took);
                    }
                    if error.kind.is_evidence() {
                        pool.blame(candidate, error.to_string());
                    }
                    News::Failed(error)
                }
            };
            let told = Told { candidate, news };
            let unused = match &waiting {
                Some(waiting) => waiting.send(told).await.err().map(|mpsc::error::SendError(told)| told),
                None => Some(told),
            };
            if let Some(told) = unused {
                links.keep_unused(&pool, told);
            }
        });
    }

    fn keep_unused(&self, pool: &Pool, told: Told) {
        if let News::Connected(sender) = told.news {
            let now = self.now();
            self.idle.put(Destination::of(pool, told.candidate), sender, now..now + pool.config.timeouts.idle);
        }
    }

    /// Keeps a connection whose response has just ended, for the next request.
    pub(super) fn keep(&self, place: Destination, sender: Wire, idle_time: Duration) {
        let now = self.now();
        self.idle.put(place, sender, now + REST..now + idle_time);
    }

    /// Closes idle connections that are too old, or lead to addresses that are gone or ejected, and renews those that keep
    /// each pool's standby warm.
    pub(super) fn tend(self: &Arc<Self>, pools: &[(&Arc<Pool>, Arc<PoolView>)]) {
        self.idle.sweep(self.now(), |place| {
            let mut views = pools.iter().filter(|(pool, _)| pool.site == place.site).map(|(_, view)| view);
            let in_use = |view: &Arc<PoolView>| view.endpoint(place.origin, place.address).is_some_and(usable);
            views.any(in_use)
        });
        for (pool, view) in pools {
            self.warm(pool, view);
        }
    }

    /// Sees to it that there will be connections to the standby until the next round is over.
    fn warm(self: &Arc<Self>, pool: &Arc<Pool>, view: &PoolView) {
        let now = self.clock.now();
        let Some(standby) = standby(view, now.monotonic, &mut fastrand::Rng::new()) else { return };
        let warm = self.idle.count(&Destination::of(pool, standby), now.monotonic + 2 * TEND_INTERVAL);
        for _ in warm..pool.config.failover.warm {
            self.dial(pool, standby, now, None);
        }
    }

    fn now(&self) -> Instant {
        self.clock.monotonic()
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Links").field("idle", &self.idle).finish_non_exhaustive()
    }
}

/// The dials of one request, and what is heard of them.
struct Contest<'a> {
    links: &'a Arc<Links>,
    run: &'a mut Run,
    race: Race,
    /// Whom to turn to before the next of the run's candidates.
    first: Option<(Candidate, Claim)>,
    /// Until when none is dialed of a lesser kind than one that may yet connect.
    patient_until: Instant,
    /// In the order of their dials.
    dialed: Vec<Dialed>,
    /// How many of these were dialed before the winner; all, while there is none.
    earlier: usize,
    teller: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
}

impl<'a> Contest<'a> {
    fn new(links: &'a Arc<Links>, run: &'a mut Run, first: (Candidate, Claim)) -> Self {
        let (now, deadline) = (links.now(), run.deadline);
        let delay = split_deadline(deadline, DIAL_DELAY, run.tries_left(), now);
        let patience = split_deadline(deadline, run.pool.config.timeouts.connect, run.tries_left(), now);
        let race = Race::new(delay, deadline, now);
        let (teller, told) = mpsc::channel(NEWS_MAX);
        let (first, patient_until) = (Some(first), now + patience);
        Self { links, run, race, first, patient_until, dialed: Vec::new(), earlier: usize::MAX, teller, told }
    }

    /// Of which kind a candidate has to be that is dialed now.
    fn least(&self) -> Calling {
        let under_way = self.dialed.iter().map(|dialed| self.run.calling(dialed.candidate));
        let is_patient = self.links.now() < self.patient_until;
        under_way.min().filter(|_| is_patient).unwrap_or(Calling::Makeshift)
    }

    async fn link(&mut self) -> Result<Link, Failure> {
        let mut failure = Failure::unsent(FailureKind::Deadline);
        loop {
            let left = if self.first.is_some() { 1 } else { self.run.rivals_left(self.least()) };
            let now = self.links.now();
            match self.race.next(left, now) {
                Move::Dial => {
                    if let Some(link) = self.turn_to_next() {
                        return Ok(link);
                    }
                }
                Move::WaitUntil(until) => {
                    let until = if now < self.patient_until { until.min(self.patient_until) } else { until };
                    tokio::select! {
                        biased;
                        Some(told) = self.told.recv() => match self.hear(told) {
                            Some(Ok(link)) => return Ok(link),
                            Some(Err(error)) => failure = error.into(),
                            None => {}
                        },
                        () = sleep_until(until.into()) => {}
                    }
                }
                Move::TimeIsUp => return Err(Failure::unsent(FailureKind::Deadline)),
                Move::Lost => return Err(failure),
            }
        }
    }

    /// Takes an idle connection to the next candidate, or dials it.
    fn turn_to_next(&mut self) -> Option<Link> {
        let least = self.least();
        let Some((candidate, claim)) = self.first.take().or_else(|| self.run.next_rival(least)) else {
            // Another worker was faster.
            self.race.failed(self.links.now());
            return None;
        };
        let began = self.links.clock.now();
        if let Some(sender) = self.links.idle(self.run, candidate, began.monotonic) {
            self.earlier = self.dialed.len();
            return Some(Link { candidate, sender, reused: true, began, claim });
        }
        self.dialed.push(Dialed { candidate, began, claim });
        self.links.dial(&self.run.pool, candidate, began, Some(self.teller.clone()));
        None
    }

    /// Takes news of a dial; `None` when it goes on.
    fn hear(&mut self, Told { candidate, news }: Told) -> Option<Result<Link, ConnectError>> {
        let now = self.links.now();
        if matches!(news, News::Opened) {
            self.race.opened(now);
            return None;
        }
        let place = self.dialed.iter().position(|dialed| dialed.candidate == candidate)?;
        let Dialed { began, claim, .. } = self.dialed.remove(place);
        match news {
            News::Opened => None,
            News::Connected(sender) => {
                self.earlier = place;
                Some(Ok(Link { candidate, sender, reused: false, began, claim }))
            }
            News::Failed(error) => {
                self.race.failed(now);
                Some(Err(error))
            }
        }
    }

    /// Leaves the dials that are under way to themselves.
    fn end(mut self) {
        self.told.close();
        while let Ok(told) = self.told.try_recv() {
            self.links.keep_unused(&self.run.pool, told);
        }
        let later = self.dialed.split_off(self.earlier.min(self.dialed.len()));
        let candidates = |dialed: Vec<Dialed>| dialed.into_iter().map(|dialed| dialed.candidate);
        self.run.put_back_dialed(candidates(self.dialed), candidates(later));
    }
}

/// A dial under way.
struct Dialed {
    candidate: Candidate,
    began: Now,
    claim: Claim,
}

/// Ends when no request waits for the dial, or none ever did.
async fn deserted(waiting: Option<&mpsc::Sender<Told>>) {
    if let Some(waiting) = waiting {
        waiting.closed().await;
    }
}

fn usable(endpoint: &EndpointView) -> bool {
    endpoint.state.usable()
}

/// What a dial tells the request that waits for it.
struct Told {
    candidate: Candidate,
    news: News,
}

enum News {
    /// The stream is open.
    Opened,
    Connected(Wire),
    Failed(ConnectError),
}

/// A dial tells of its stream and of its end.
const NEWS_MAX: usize = 2 * DIALS_MAX;

/// Dials that go on though no request waits for them, per worker, for the connect timeout at most. When an origin swallows
/// packets every request leaves one behind; beyond this number they would say nothing new.
const LINGERING_MAX: usize = 256;
