//! Health of one endpoint: probes and traffic feed one state machine.
//!
//! ```text
//!              first success              any failure            too many failures
//!  Probation ────────────────► Healthy ◄──────────────► Suspect ───────────────────► Ejected
//!      ▲  │                               calm again                                 ▲    │
//!      │  └───────────────────────────── any failure ────────────────────────────────┘    │
//!      └──────────────── first good probe, or the ejection time is over ──────────────────┘
//! ```
//!
//! A new endpoint starts on probation, and its first probe or good request decides.
//!
//! Neither witness can acquit what the other convicts. Failing probes eject however well traffic fares. An endpoint that
//! failed traffic stays ejected for a minimum time however well probes fare, longer each time, and stands on trial after
//! that: one failed request ejects it again until one has succeeded. Once probes fail too, they evidently see the fault,
//! and are trusted to see its end.
//!
//! Beside its state an endpoint may be a lame duck: it says that it is going away. That is no failure, and ends with the
//! first good probe that does not say so. One that was ejected and answers so is usable again: whether it is asked is
//! another question.

use std::time::{Duration, Instant};

use super::window::Window;
use crate::config::model::SiteConfig;

/// How far an endpoint may be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HealthState {
    /// It answers.
    Healthy,
    /// It failed lately, though not often enough to be left; still usable, probed faster.
    Suspect,
    /// It gets no traffic while another endpoint is usable.
    Ejected,
    /// Usable on approval: new, or just back from an ejection.
    Probation,
}

impl HealthState {
    /// The word for events, metrics and the status page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Suspect => "suspect",
            Self::Ejected => "ejected",
            Self::Probation => "probation",
        }
    }

    /// Whether it may get traffic.
    pub fn usable(self) -> bool {
        self != Self::Ejected
    }
}

/// What was learned about an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A probe got what it expects.
    ProbePassed,
    /// A probe did not, and why.
    ProbeFailed(String),
    /// A probe could not be made, for want of something on this node's side: it says nothing.
    ProbeUndone,
    /// The answer to a probe says that the endpoint is going away, in this field; of its health it says nothing.
    LameDuck(String),
    /// A forward request was answered.
    RequestSucceeded {
        /// From the request to the response head.
        latency: Duration,
    },
    /// A forward request failed in a way that speaks against the endpoint, and how.
    RequestFailed(String),
    /// A forward request still waits for its response head. It says nothing about health: slowness is judged by
    /// `latency.rs`.
    RequestWaiting {
        /// Since it was sent: one of the marks of `latency.rs`.
        waited: Duration,
        /// The same number for the same URL.
        target: u64,
    },
}

/// How evidence is weighed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// Whether there are probes; without them only traffic and time are evidence.
    pub probes: bool,
    /// Good probes in a row (without probes: good requests) that make an ejected endpoint healthy.
    pub rise: u32,
    /// Bad probes in a row that eject.
    pub fall: u32,
    /// Failed requests in a row that eject.
    pub consecutive_failures: u32,
}

impl HealthPolicy {
    /// The policy of a site's endpoints.
    pub fn of(site: &SiteConfig) -> Self {
        Self {
            probes: site.probe.enabled,
            rise: site.probe.rise,
            fall: site.probe.fall,
            consecutive_failures: site.failover.consecutive_failures,
        }
    }
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state left.
    pub from: HealthState,
    /// The state entered.
    pub to: HealthState,
    /// Why, for people.
    pub reason: String,
}

/// What speaks for and against an endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Good probes in a row since the last failure of any kind.
    pub good_probes: u32,
    /// Bad probes in a row.
    pub bad_probes: u32,
    /// Good requests in a row.
    pub good_requests: u32,
    /// Failed requests in a row.
    pub failed_requests: u32,
    /// Time to the response head, smoothed over about the last eight requests.
    pub latency: Option<Duration>,
    /// When the last probe ended.
    pub last_probe_at: Option<Instant>,
    /// Why the last probe failed, if it did.
    pub probe_failure: Option<String>,
}

/// An endpoint that answers, and wants no new requests while there is another to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LameDuck {
    /// When it first said so.
    pub since: Instant,
    /// What it said.
    pub said: String,
}

/// The health of one endpoint.
#[derive(Clone, Debug)]
pub struct Health {
    state: HealthState,
    since: Instant,
    reason: String,
    /// False until the first verdict, when a single piece of evidence decides.
    judged: bool,
    tally: Tally,
    lame_duck: Option<LameDuck>,
    request_failed_at: Option<Instant>,
    window: Window,
    sentence: Sentence,
}

impl Health {
    /// A new endpoint: usable, and unproven.
    pub fn new(now: Instant) -> Self {
        Self {
            state: HealthState::Probation,
            since: now,
            reason: "new".to_owned(),
            judged: false,
            tally: Tally::default(),
            lame_duck: None,
            request_failed_at: None,
            window: Window::new(now),
            sentence: Sentence { until: now, repetitions: 0, on_trial: false },
        }
    }

    /// Weighs one piece of evidence.
    pub fn on(&mut self, evidence: Evidence, policy: &HealthPolicy, now: Instant) -> Option<Transition> {
        self.note(&evidence, now);
        let verdict = match self.state {
            HealthState::Probation if self.judged => self.on_approval(&evidence, policy),
            HealthState::Probation => self.unproven(&evidence, policy, now),
            HealthState::Healthy => self.healthy(&evidence, policy, now),
            HealthState::Suspect => self.suspect(&evidence, policy, now),
            HealthState::Ejected => self.ejected(&evidence, policy, now),
        }?;
        Some(self.enter(verdict, now))
    }

    /// Lets time pass; see [`Health::due`].
    pub fn tick(&mut self, policy: &HealthPolicy, now: Instant) -> Option<Transition> {
        let verdict = match self.state {
            HealthState::Ejected if !policy.probes && now >= self.sentence.until => {
                Verdict::to(HealthState::Probation, "the ejection time is over".to_owned())
            }
            HealthState::Suspect if self.calm(policy, now) => Verdict::to(HealthState::Healthy, CALM_AGAIN.to_owned()),
            _ => return None,
        };
        Some(self.enter(verdict, now))
    }

    /// When time alone may change the state.
    pub fn due(&self, policy: &HealthPolicy) -> Option<Instant> {
        match self.state {
            HealthState::Ejected if !policy.probes => Some(self.sentence.until),
            HealthState::Suspect => self.request_failed_at.map(|at| at + CALM),
            _ => None,
        }
    }

    /// The state.
    pub fn state(&self) -> HealthState {
        self.state
    }

    /// When the state began.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Why the state began.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether it may get traffic.
    pub fn usable(&self) -> bool {
        self.state.usable()
    }

    /// What speaks for and against it.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether it is going away, by its own account.
    pub fn lame_duck(&self) -> Option<&LameDuck> {
        self.lame_duck.as_ref()
    }

    fn note(&mut self, evidence: &Evidence, now: Instant) {
        let tally = &mut self.tally;
        match evidence {
            Evidence::ProbePassed => {
                tally.good_probes = tally.good_probes.saturating_add(1);
                tally.bad_probes = 0;
                tally.last_probe_at = Some(now);
                tally.probe_failure = None;
                self.lame_duck = None;
            }
            Evidence::LameDuck(said) => {
                tally.bad_probes = 0;
                tally.last_probe_at = Some(now);
                tally.probe_failure = None;
                self.lame_duck.get_or_insert_with(|| LameDuck { since: now, said: said.clone() });
            }
            // A lame duck that stops answering is gone, and no less so.
            Evidence::ProbeFailed(reason) => {
                tally.good_probes = 0;
                tally.bad_probes = tally.bad_probes.saturating_add(1);
                tally.last_probe_at = Some(now);
                tally.probe_failure = Some(reason.clone());
            }
            Evidence::RequestSucceeded { latency } => {
                tally.good_requests = tally.good_requests.saturating_add(1);
                tally.failed_requests = 0;
                tally.latency = Some(tally.latency.map_or(*latency, |smooth| (smooth * 7 + *latency) / 8));
                self.window.add(true, now);
                // An answer that was under way when the endpoint was ejected does not clear it.
                self.sentence.on_trial &= self.state == HealthState::Ejected;
            }
            Evidence::RequestFailed(_) => {
                tally.good_probes = 0;
                tally.good_requests = 0;
                tally.failed_requests = tally.failed_requests.saturating_add(1);
                self.request_failed_at = Some(now);
                self.window.add(false, now);
            }
            Evidence::ProbeUndone | Evidence::RequestWaiting { .. } => {}
        }
    }

    fn unproven(&self, evidence: &Evidence, policy: &HealthPolicy, now: Instant) -> Option<Verdict> {
        match evidence {
            Evidence::ProbePassed => Some(Verdict::to(HealthState::Healthy, "the first probe passed".to_owned())),
            Evidence::RequestSucceeded { .. } => {
                Some(Verdict::to(HealthState::Healthy, "the first request succeeded".to_owned()))
            }
            Evidence::ProbeFailed(_) | Evidence::RequestFailed(_) => self.healthy(evidence, policy, now),
            Evidence::LameDuck(_) | Evidence::ProbeUndone | Evidence::RequestWaiting { .. } => None,
        }
    }

    fn healthy(&self, evidence: &Evidence, policy: &HealthPolicy, now: Instant) -> Option<Verdict> {
        self.conviction(evidence, policy, now)
            .or_else(|| failure(evidence).map(|reason| Verdict::to(HealthState::Suspect, reason)))
    }

    fn suspect(&self, evidence: &Evidence, policy: &HealthPolicy, now: Instant) -> Option<Verdict> {
        self.conviction(evidence, policy, now)
            .or_else(|| self.calm(policy, now).then(|| Verdict::to(HealthState::Healthy, CALM_AGAIN.to_owned())))
    }

    fn on_approval(&self, evidence: &Evidence, policy: &HealthPolicy) -> Option<Verdict> {
        if let Some(reason) = failure(evidence) {
            return Some(Verdict::eject(evidence, format!("failed on probation: {reason}")));
        }
        let good = if policy.probes { self.tally.good_probes } else { self.tally.good_requests };
        (good >= policy.rise).then(|| Verdict::to(HealthState::Healthy, risen(good, policy)))
    }

    fn ejected(&mut self, evidence: &Evidence, policy: &HealthPolicy, now: Instant) -> Option<Verdict> {
        match evidence {
            Evidence::ProbeFailed(_) if self.tally.bad_probes >= policy.fall => {
                self.sentence.commute(now);
                None
            }
            Evidence::ProbePassed if now >= self.sentence.until => {
                let good = self.tally.good_probes;
                let to = if good >= policy.rise { HealthState::Healthy } else { HealthState::Probation };
                Some(Verdict::to(to, risen(good, policy)))
            }
            // It answers, and is asked only where nothing else can be: that may go on for as long as it likes.
            Evidence::LameDuck(said) if now >= self.sentence.until => {
                Some(Verdict::to(HealthState::Probation, format!("it answers, though it is going away: {said}")))
            }
            Evidence::ProbePassed
            | Evidence::ProbeFailed(_)
            | Evidence::LameDuck(_)
            | Evidence::ProbeUndone
            | Evidence::RequestSucceeded { .. }
            | Evidence::RequestFailed(_)
            | Evidence::RequestWaiting { .. } => None,
        }
    }

    /// Whether this failure is the one too many.
    fn conviction(&self, evidence: &Evidence, policy: &HealthPolicy, now: Instant) -> Option<Verdict> {
        let reason = match evidence {
            Evidence::ProbeFailed(reason) => {
                let bad = self.tally.bad_probes;
                let fall = if self.judged { policy.fall } else { 1 };
                (bad >= fall).then(|| format!("{} failed in a row, the last: {reason}", count(bad, "probe")))
            }
            Evidence::RequestFailed(reason) => {
                let failed = self.tally.failed_requests;
                let enough = if self.sentence.on_trial { 1 } else { policy.consecutive_failures };
                if failed >= enough {
                    Some(format!("{} failed in a row, the last: {reason}", count(failed, "request")))
                } else {
                    self.window.majority(now).map(|(failed, all)| {
                        format!("{failed} of {all} requests failed within 10 s, the last: {reason}")
                    })
                }
            }
            Evidence::ProbePassed
            | Evidence::LameDuck(_)
            | Evidence::ProbeUndone
            | Evidence::RequestSucceeded { .. }
            | Evidence::RequestWaiting { .. } => None,
        };
        reason.map(|reason| Verdict::eject(evidence, reason))
    }

    /// Whether suspicion has passed: no request failed for a while and, with probes, enough of them passed.
    fn calm(&self, policy: &HealthPolicy, now: Instant) -> bool {
        let traffic = self.request_failed_at.is_none_or(|at| now >= at + CALM);
        traffic && (!policy.probes || self.tally.good_probes >= policy.rise)
    }

    fn enter(&mut self, verdict: Verdict, now: Instant) -> Transition {
        let from = std::mem::replace(&mut self.state, verdict.to);
        self.since = now;
        self.judged |= verdict.to != HealthState::Suspect;
        self.reason.clone_from(&verdict.reason);
        if verdict.by_traffic {
            self.sentence.pass(now);
        }
        if from == HealthState::Ejected {
            // What was still under way when it was ejected says nothing about its new life.
            self.tally.good_requests = 0;
            self.tally.failed_requests = 0;
            self.window = Window::new(now);
        }
        Transition { from, to: verdict.to, reason: verdict.reason }
    }
}

#[derive(Debug)]
struct Verdict {
    to: HealthState,
    reason: String,
    by_traffic: bool,
}

impl Verdict {
    fn to(to: HealthState, reason: String) -> Self {
        Self { to, reason, by_traffic: false }
    }

    fn eject(evidence: &Evidence, reason: String) -> Self {
        Self { to: HealthState::Ejected, reason, by_traffic: matches!(evidence, Evidence::RequestFailed(_)) }
    }
}

fn failure(evidence: &Evidence) -> Option<String> {
    match evidence {
        Evidence::ProbeFailed(reason) => Some(format!("probe failed: {reason}")),
        Evidence::RequestFailed(reason) => Some(format!("request failed: {reason}")),
        Evidence::ProbePassed
        | Evidence::LameDuck(_)
        | Evidence::ProbeUndone
        | Evidence::RequestSucceeded { .. }
        | Evidence::RequestWaiting { .. } => None,
    }
}

fn risen(good: u32, policy: &HealthPolicy) -> String {
    format!("{} passed in a row", count(good, if policy.probes { "probe" } else { "request" }))
}

fn count(number: u32, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// How long traffic failures keep an endpoint away.
#[derive(Clone, Debug)]
struct Sentence {
    until: Instant,
    repetitions: u32,
    /// It has served its time and not yet answered a request.
    on_trial: bool,
}

impl Sentence {
    fn pass(&mut self, now: Instant) {
        if now.saturating_duration_since(self.until) > REPETITION_MEMORY {
            self.repetitions = 0;
        }
        let time = EJECTION_MIN * 2_u32.saturating_pow(self.repetitions.min(8));
        self.until = now + time.min(EJECTION_MAX);
        self.repetitions = self.repetitions.saturating_add(1);
        self.on_trial = true;
    }

    /// Leaves the end of the ejection to the probes, which see the fault as well.
    fn commute(&mut self, now: Instant) {
        self.until = self.until.min(now);
        self.on_trial = false;
    }
}

const CALM_AGAIN: &str = "no failure since";
/// A suspect is cleared after this long without a failed request; shorter, and an origin that fails one request in a
/// thousand would change its state with every one of them.
const CALM: Duration = Duration::from_secs(10);
/// Long enough that an endpoint whose probes pass while traffic fails costs few requests a minute.
const EJECTION_MIN: Duration = Duration::from_secs(5);
/// Short enough that a repaired endpoint is found within a minute.
const EJECTION_MAX: Duration = Duration::from_secs(60);
/// An ejection this long after the end of the last one is a new story, not a repetition.
const REPETITION_MEMORY: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests;
