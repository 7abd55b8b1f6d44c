//! The control loop of one site's origins: probes and resolves when the roster says so, tells it what came of it,
//! publishes what it concludes, and takes back what an address sent before a probe found it failing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::dns::answers::Lookup;
use super::dns::discovery::Resolve;
use super::dns::memory::Memory;
use super::health::duty::{Duty, Order};
use super::health::endpoint::Evidence;
use super::health::probe::{Probed, probe};
use super::health::terms::Failed;
use super::health::validity::Validity;
use super::pool::{Origin, Pool, Report};
use super::request::connect::Dial;
use super::roster::Roster;
use super::status::RosterStatus;
use super::view::PoolView;
use crate::clock::Clock;
use crate::config::model::OriginConfig;
use crate::telemetry::{Event, Events, Metrics};

/// Runs on the control runtime, for as long as somebody holds a [`StewardHandle`] or a worker may report.
pub struct Steward {
    pool: Arc<Pool>,
    roster: Roster,
    reports: mpsc::Receiver<Report>,
    questions: mpsc::Receiver<Question>,
    dial: Arc<dyn Dial>,
    resolve: Arc<dyn Resolve>,
    memory: watch::Sender<Memory>,
    clock: Clock,
    events: Events,
    metrics: Metrics,
    take_back: TakeBack,
    random: fastrand::Rng,
}

/// What a steward needs of the world.
#[derive(Clone)]
pub struct Means {
    /// For probes.
    pub dial: Arc<dyn Dial>,
    /// For names.
    pub resolve: Arc<dyn Resolve>,
    /// Takes down good answers and orders for the next start of the node.
    pub memory: watch::Sender<Memory>,
    /// Time.
    pub clock: Clock,
    /// Where conclusions are told.
    pub events: Events,
    /// Counts lookups.
    pub metrics: Metrics,
    /// Where what is stored can be taken back.
    pub take_back: TakeBack,
}

/// Takes back the responses that came in a term; how many there are, stored or arriving.
pub type TakeBack = Arc<dyn Fn(u64) -> u64 + Send + Sync>;

impl Steward {
    /// The steward of `pool`, which reads its `reports`; and how to ask it for its state.
    pub fn new(
        pool: Arc<Pool>,
        roster: Roster,
        reports: mpsc::Receiver<Report>,
        means: Means,
    ) -> (Self, StewardHandle) {
        let (ask, questions) = mpsc::channel(QUESTIONS_MAX);
        let Means { dial, resolve, memory, clock, events, metrics, take_back } = means;
        let random = fastrand::Rng::new();
        let asking = StewardHandle { site: Arc::clone(&pool.site), ask };
        let steward =
            Self { pool, roster, reports, questions, dial, resolve, memory, clock, events, metrics, take_back, random };
        (steward, asking)
    }

    /// The loop itself; cancel it by dropping it.
    pub async fn run(mut self) {
        let mut tasks = JoinSet::new();
        self.show_from_the_start();
        let mut listens_at = self.clock.monotonic();
        loop {
            self.begin_what_is_due(&mut tasks);
            let due = self.roster.due().unwrap_or_else(|| self.clock.monotonic() + IDLE);
            let mut events = Vec::new();
            tokio::select! {
                Some(report) = heard(&mut self.reports, &self.pool, listens_at) => {
                    listens_at = self.take_reports(report, &mut events);
                }
                Some(done) = tasks.join_next() => match done {
                    Ok(finding) => self.take_finding(finding, &mut events),
                    // A panicked probe or lookup is taken for lost by its schedule, and is due again.
                    Err(_panic) => {}
                },
                Some(question) = self.questions.recv() => self.answer(question, &mut events),
                () = sleep_until(due.into()) => self.roster.tick(self.clock.monotonic(), &mut events),
            }
            self.conclude(events);
        }
    }

    fn show_from_the_start(&mut self) {
        let view = self.roster.view();
        self.follow_terms(&view);
        self.metrics.set_outage_mode(&self.pool.site, view.mode.as_str());
        for origin in &view.origins {
            let preferred = view.preferred == Some(origin.index);
            self.metrics.set_origin_active(&self.pool.site, &origin.name, preferred);
            self.note(origin.index, &origin.name);
            for endpoint in &origin.endpoints {
                self.metrics.set_origin_up(&self.pool.site, &origin.name, endpoint.address, endpoint.state.usable());
            }
        }
    }

    fn begin_what_is_due(&mut self, tasks: &mut JoinSet<Finding>) {
        let now = self.clock.monotonic();
        for origin in self.roster.lookups_due(now) {
            let (pool, resolve) = (Arc::clone(&self.pool), Arc::clone(&self.resolve));
            tasks.spawn(async move {
                let lookup = match pool.origins.get(origin).map(|origin| &origin.config) {
                    Some(OriginConfig { srv: Some(service), .. }) => resolve.locate(service),
                    Some(OriginConfig { host, .. }) => resolve.resolve(host),
                    None => return Finding::Lookup { origin, lookup: Lookup::NoSuchName },
                };
                let lookup = timeout(LOOKUP_MAX, lookup).await;
                let lookup = lookup.unwrap_or_else(|_| Lookup::Failed(format!("no answer within {LOOKUP_MAX:?}")));
                Finding::Lookup { origin, lookup }
            });
        }
        for (origin, address) in self.roster.probes_due(&mut self.random, now) {
            let (pool, dial, clock) = (Arc::clone(&self.pool), Arc::clone(&self.dial), self.clock.clone());
            tasks.spawn(async move {
                let probed = probe(&*dial, &clock, &pool, origin, address).await;
                Finding::Probe { origin, address, probed }
            });
        }
    }

    fn answer(&mut self, question: Question, events: &mut Vec<Event>) {
        let now = self.clock.monotonic();
        match question {
            Question::Status { answer } => drop(answer.send(self.roster.status(now))),
            Question::Order { origin, order, by, answer } => {
                if let Some(index) = self.roster.index_of(&origin) {
                    self.roster.on_order(index, order, &by, now, events);
                    self.note_duties();
                }
                drop(answer.send(self.roster.status(now)));
            }
        }
    }

    /// Takes `first` and what has come behind it; a burst of reports is one change of the view. Returns when to listen to
    /// those that come later.
    fn take_reports(&mut self, first: Report, events: &mut Vec<Event>) -> Instant {
        let now = self.clock.monotonic();
        let mut take = |Report { origin, address, evidence }| {
            self.roster.on_evidence(origin, address, evidence, now, events);
        };
        take(first);
        for _ in 1..BURST_MAX {
            let Ok(report) = self.reports.try_recv() else { return now + REPORTS_PAUSE };
            take(report);
        }
        now
    }

    fn take_finding(&mut self, finding: Finding, events: &mut Vec<Event>) {
        let now = self.clock.monotonic();
        match finding {
            Finding::Lookup { origin, lookup } => {
                let failed = !matches!(lookup, Lookup::Found { .. } | Lookup::Located { .. });
                self.roster.on_lookup(origin, lookup, &mut self.random, now, events);
                let changed = events.iter().any(|event| matches!(event, Event::AddressesChanged { .. }));
                let result = if changed {
                    "changed"
                } else if failed {
                    "failed"
                } else {
                    "same"
                };
                let name = self.pool.origins.get(origin).map_or("", |origin| &origin.name);
                self.metrics.dns_refreshed(&self.pool.site, name, result);
                self.note(origin, name);
            }
            Finding::Probe { origin, address, probed: Probed { evidence, shown } } => {
                self.look_at(origin, address, &shown, events);
                self.roster.on_evidence(origin, address, evidence.clone(), now, events);
                match evidence {
                    Evidence::ProbePassed => self.pool.terms.begin(origin, address, now),
                    Evidence::ProbeFailed(reason) if !self.is_forced(origin) => {
                        self.take_back(origin, address, reason, now, events);
                    }
                    Evidence::ProbeFailed(_)
                    | Evidence::ProbeUndone
                    | Evidence::LameDuck(_)
                    | Evidence::RequestSucceeded { .. }
                    | Evidence::RequestFailed(_)
                    | Evidence::RequestWaiting { .. } => {}
                }
            }
        }
    }

    /// Verifies once more what a probe found good, for the time of its end.
    fn look_at(
        &mut self,
        origin: usize,
        address: SocketAddr,
        shown: &[CertificateDer<'static>],
        events: &mut Vec<Event>,
    ) {
        let Some(Origin { name, tls: Some(tls), .. }) = self.pool.origins.get(origin) else { return };
        let Some((own, others)) = shown.split_first() else { return };
        let verify = |at| tls.verifier.verify_server_cert(own, others, &tls.server_name, &[], at).map(drop);
        let examine = || Validity::of(verify);
        self.roster.on_certificate(origin, address, own, examine, self.clock.now(), events);
        self.metrics.set_origin_certificate_end(&self.pool.site, name, self.roster.first_certificate_end(origin));
    }

    /// Whoever forces an origin knows better than its probes.
    fn is_forced(&self, origin: usize) -> bool {
        self.pool.view().origins.get(origin).is_some_and(|origin| origin.duty == Duty::Forced)
    }

    /// What the address has sent since its last good probe is as doubtful as the address. What was stored since an
    /// earlier failure of the same term is found by the next one.
    fn take_back(&self, origin: usize, address: SocketAddr, reason: String, now: Instant, events: &mut Vec<Event>) {
        let Some(Failed { term, age }) = self.pool.terms.fail(origin, address, now) else { return };
        let responses = (self.take_back)(term);
        if self.pool.terms.found(origin, address, responses) {
            events.push(Event::ResponsesTakenBack {
                site: self.pool.site.to_string(),
                origin: self.pool.origins.get(origin).map(|origin| origin.name.to_string()).unwrap_or_default(),
                address,
                responses,
                since: age,
                reason,
            });
        }
    }

    /// Without probes nothing is ever found failing in this way.
    fn follow_terms(&mut self, view: &PoolView) {
        if self.pool.config.probe.enabled {
            self.pool.terms.follow(view, &mut self.random, self.clock.monotonic());
        }
    }

    /// Takes down the last answer for an origin's name, when it was good.
    fn note(&self, origin: usize, name: &str) {
        if let Some(answer) = self.roster.remembered(origin, self.clock.now()) {
            self.metrics.set_dns_answered(&self.pool.site, name, answer.answered_at());
            self.memory.send_if_modified(|memory| memory.note(&self.pool.site, name, answer));
        }
    }

    /// Takes down what operators want.
    fn note_duties(&self) {
        self.memory.send_if_modified(|memory| {
            let is_news = |(name, duty): &(&str, Duty)| memory.note_duty(&self.pool.site, name, *duty);
            self.roster.duties().filter(is_news).count() > 0
        });
    }

    /// Every change of the view comes with an event, so without one there is nothing to publish.
    fn conclude(&mut self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let view = self.roster.view();
        self.follow_terms(&view);
        self.pool.publish(view, self.clock.monotonic());
        events.into_iter().for_each(|event| self.events.emit(event));
    }
}

/// Asks a steward for its state, and tells it what an operator wants.
#[derive(Clone, Debug)]
pub struct StewardHandle {
    /// The site's name.
    pub site: Arc<str>,
    ask: mpsc::Sender<Question>,
}

impl StewardHandle {
    /// The state of the site's origins; `None` when the steward does not answer within a second.
    pub async fn status(&self) -> Option<RosterStatus> {
        self.ask(|answer| Question::Status { answer }).await
    }

    /// Gives an order about an origin, by its name; `by` is who gives it. The state after it: an origin that the site
    /// does not have changes nothing. `None` as for [`StewardHandle::status`].
    pub async fn order(&self, origin: &str, order: Order, by: String) -> Option<RosterStatus> {
        self.ask(|answer| Question::Order { origin: origin.into(), order, by, answer }).await
    }

    async fn ask(&self, question: impl FnOnce(oneshot::Sender<RosterStatus>) -> Question) -> Option<RosterStatus> {
        let (answer, answered) = oneshot::channel();
        self.ask.try_send(question(answer)).ok()?;
        timeout(ANSWER_MAX, answered).await.ok()?.ok()
    }
}

/// The next report: from `listens_at` on, or as soon as there is one that cannot wait.
async fn heard(reports: &mut mpsc::Receiver<Report>, pool: &Pool, listens_at: Instant) -> Option<Report> {
    tokio::select! {
        () = sleep_until(listens_at.into()) => {}
        () = pool.urgent() => {}
    }
    reports.recv().await
}

#[derive(Debug)]
enum Question {
    Order { origin: Box<str>, order: Order, by: String, answer: oneshot::Sender<RosterStatus> },
    Status { answer: oneshot::Sender<RosterStatus> },
}

enum Finding {
    Lookup { origin: usize, lookup: Lookup },
    Probe { origin: usize, address: SocketAddr, probed: Probed },
}

const ANSWER_MAX: Duration = Duration::from_secs(1);

/// With nothing due, the loop still turns now and then.
const IDLE: Duration = Duration::from_secs(60);

/// A resolver bounds its own wait; this is for one that fails to.
const LOOKUP_MAX: Duration = Duration::from_secs(15);

/// Reports taken before timers and probes have their turn again.
const BURST_MAX: usize = 256;

/// How long good news is let lie after the last was heard: to wake for each of them would cost more than to send it.
const REPORTS_PAUSE: Duration = Duration::from_millis(10);

const QUESTIONS_MAX: usize = 16;
