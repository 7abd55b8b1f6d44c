//! Whether one origin answers far more slowly than it should.
//!
//! Probes of an overloaded origin often pass in good time while every page takes seconds. So each request that has waited
//! for its head as long as one of a few marks says so, while it waits: the first of them is known long before the first
//! slow answer is there. Several in a row, none of them for the same URL, with no quick answer in between, make the origin
//! slow, provided that there is another one to go to and that it is not known to be as slow. Quick answers in a row, which
//! a trickle of requests brings, acquit it.

use std::time::{Duration, Instant};

use super::trickle::TricklePace;
use crate::config::model::LatencyPolicy;

/// What a request has learned about the time to the head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The head came after this time.
    Head(Duration),
    /// It has been waited for until this mark.
    Waiting {
        /// One of [`MARKS`], or the site's budget.
        waited: Duration,
        /// The same number for the same URL.
        target: u64,
    },
}

/// What an observation amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The origin was quick.
    Quick,
    /// The origin was slow.
    Slow,
    /// Neither is known yet, or it was counted before.
    Unclear,
}

/// The origin that requests would go to otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// There is none.
    Absent,
    /// It was asked before.
    Measured {
        /// The time to the head of its last few responses.
        latency: Duration,
        /// When the last of them came.
        at: Instant,
    },
    /// Nothing is known of it.
    Unmeasured,
}

/// The times to the head of one origin's responses.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// Smoothed over quick answers alone, so that a brown-out does not become usual.
    usual: Duration,
    /// Answers that `usual` is made of.
    learned: u32,
    /// Smoothed over the last few answers, and when the last one came.
    recent: Option<(Duration, Instant)>,
    /// The URLs of the slow requests since the last quick answer.
    slow_targets: Vec<u64>,
    quick_in_a_row: u32,
    quick_at: Option<Instant>,
    verdict: Option<Verdict>,
    /// Demoting it was of no use a moment ago.
    spared_until: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Verdict {
    reason: String,
    waited: Duration,
    since: Instant,
}

impl Latency {
    /// Takes what one request has learned.
    pub fn on(&mut self, observation: Observation, rival: Rival, policy: &LatencyPolicy, now: Instant) -> Reading {
        let limit = self.limit(policy);
        match observation {
            Observation::Head(latency) => {
                let smooth = self.recent.map_or(latency, |(recent, _)| smoothed(recent, latency, RECENT_ANSWERS));
                self.recent = Some((smooth, now));
                if limit.is_none_or(|limit| latency < first_mark(limit, policy)) {
                    self.take_quick(latency, now);
                    return Reading::Quick;
                }
                self.quick_in_a_row = 0;
                Reading::Unclear
            }
            Observation::Waiting { waited, target } => {
                let Some(limit) = limit.filter(|limit| first_mark(*limit, policy) == waited) else {
                    return Reading::Unclear;
                };
                self.quick_in_a_row = 0;
                if !self.slow_targets.contains(&target) {
                    self.slow_targets.push(target);
                }
                if self.slow_targets.len() >= SLOW_REQUESTS {
                    self.slow_targets.remove(0);
                    self.demote(waited, limit, rival, policy, now);
                }
                Reading::Slow
            }
        }
    }

    /// Acquits an origin that is not much slower than the one that took over has proved to be.
    pub fn compare(&mut self, rival: Rival, now: Instant) {
        let (Some(verdict), Rival::Measured { latency, at }) = (&self.verdict, rival) else { return };
        if at > verdict.since + COMPARISON && latency * 2 >= verdict.waited {
            self.acquit();
            self.spared_until = Some(now + SPARED);
        }
    }

    /// Why the origin is slow; `None` while it is not.
    pub fn slow(&self) -> Option<&str> {
        self.verdict.as_ref().map(|verdict| &*verdict.reason)
    }

    /// The origin as a rival of another one.
    pub fn as_rival(&self) -> Rival {
        self.recent.map_or(Rival::Unmeasured, |(latency, at)| Rival::Measured { latency, at })
    }

    fn take_quick(&mut self, latency: Duration, now: Instant) {
        self.quick_at = Some(now);
        self.learned = (self.learned + 1).min(USUAL_ANSWERS);
        self.usual = smoothed(self.usual, latency, self.learned);
        self.slow_targets.clear();
        self.quick_in_a_row += 1;
        if self.quick_in_a_row >= QUICK_REQUESTS {
            self.acquit();
        }
    }

    fn demote(&mut self, waited: Duration, limit: Duration, rival: Rival, policy: &LatencyPolicy, now: Instant) {
        let helps = match rival {
            Rival::Absent => false,
            Rival::Measured { latency, .. } => latency * 2 < waited,
            Rival::Unmeasured => true,
        };
        let is_spared = self.spared_until.is_some_and(|until| now < until);
        // Where some of many requests are slow by nature, a few of these in a row are no wonder, but quick ones go on.
        let was_quick_meanwhile = self.quick_at.is_some_and(|at| now < at + limit);
        if policy.demote && helps && !is_spared && !was_quick_meanwhile && self.verdict.is_none() {
            let what = match policy.budget {
                Some(_) => "its budget".to_owned(),
                None => format!("{} times the usual {:?}", policy.factor, rounded(self.usual)),
            };
            let reason = format!("{SLOW_REQUESTS} requests in a row waited longer than {:?}, {what}", rounded(limit));
            self.verdict = Some(Verdict { reason, waited, since: now });
        }
    }

    /// Takes the verdict back.
    pub fn acquit(&mut self) {
        self.verdict = None;
        self.slow_targets.clear();
        self.quick_in_a_row = 0;
    }

    /// What is too long; `None` while nothing is usual yet.
    fn limit(&self, policy: &LatencyPolicy) -> Option<Duration> {
        let relative = || (self.usual * policy.factor).max(LIMIT_MIN);
        policy.budget.or_else(|| (self.learned >= LEARNED_MIN).then(relative))
    }
}

/// The next time after `waited` at which a request that still waits for its head is to say so.
pub fn next_mark(waited: Duration, policy: &LatencyPolicy) -> Option<Duration> {
    match policy.budget {
        Some(budget) => (waited < budget).then_some(budget),
        None => MARKS.iter().map(|mark| Duration::from_millis(*mark)).find(|mark| *mark > waited),
    }
}

/// The mark at which a request has waited for as long as `limit`.
fn first_mark(limit: Duration, policy: &LatencyPolicy) -> Duration {
    next_mark(limit.saturating_sub(Duration::from_nanos(1)), policy).unwrap_or(Duration::MAX)
}

fn smoothed(before: Duration, latest: Duration, answers: u32) -> Duration {
    (before * (answers - 1) + latest) / answers
}

fn rounded(duration: Duration) -> Duration {
    let milliseconds = duration.as_millis().max(1);
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

/// Marks in milliseconds, √2 apart, so that what is reported is known to that precision and a slow request reports a few
/// times at most.
const MARKS: [u64; 11] = [250, 350, 500, 700, 1_000, 1_400, 2_000, 2_800, 4_000, 5_600, 8_000];

/// Waiting for less than this is no brown-out, however quick the origin usually is.
const LIMIT_MIN: Duration = Duration::from_millis(250);

/// Slow requests in a row that make an origin slow: few, because behind them others wait already.
const SLOW_REQUESTS: usize = 5;

/// Quick answers in a row that acquit it.
const QUICK_REQUESTS: u32 = 3;

/// How often an origin that is slow is asked to find out whether it still is.
pub const TRIALS: TricklePace = TricklePace {
    shortest: Duration::from_millis(250),
    first: Duration::from_secs(5),
    longest: Duration::from_secs(60),
};

/// Answers that have to be known before anything is usual.
const LEARNED_MIN: u32 = 20;

/// Answers that what is usual is smoothed over.
const USUAL_ANSWERS: u32 = 256;

/// Answers that what is recent is smoothed over.
const RECENT_ANSWERS: u32 = 4;

/// The origin that took over is measured after this time with the load that it took over.
const COMPARISON: Duration = Duration::from_secs(5);

/// An origin that was demoted in vain is not demoted again for this long.
const SPARED: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
